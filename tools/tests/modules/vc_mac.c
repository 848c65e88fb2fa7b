// SPDX-License-Identifier: GPL-2.0
/*
 * vc_mac: checks an implementation of a message authentication code with test
 * vectors from a file. A line of the file has four words: the key, the message
 * and the tag in hexadecimal, or "-" if empty, and "valid" or "invalid". A tag may
 * be a truncated digest.
 *
 * The module prints TAP lines to the log. Its init function always fails, so the
 * module never stays loaded: with EAGAIN if all tests passed, otherwise with EIO.
 */
#include <crypto/hash.h>
#include <linux/fs.h>
#include <linux/hex.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "tap.h"

static char *driver = "hmac-sha256-virtio";
module_param(driver, charp, 0444);
MODULE_PARM_DESC(driver, "Implementation to test");

static char *file;
module_param(file, charp, 0444);
MODULE_PARM_DESC(file, "Path of the file with the vectors");

#define MAX_FILE	SZ_8M

unsigned int tap_tests;
unsigned int tap_failures;

static unsigned int valid;
static unsigned int invalid;
static unsigned int rejected;
static unsigned int wrong;

struct bytes {
	u8 *data;
	unsigned int len;
};

static int parse(struct bytes *bytes, const char *text)
{
	if (!text)
		return -EINVAL;
	bytes->len = strcmp(text, "-") ? strlen(text) / 2 : 0;
	/* Allocate at least a byte: kmalloc(0) does not return a valid address. */
	bytes->data = kmalloc(bytes->len + 1, GFP_KERNEL);
	if (!bytes->data)
		return -ENOMEM;
	return hex2bin(bytes->data, text, bytes->len);
}

static int digest(struct crypto_ahash *tfm, const struct bytes *message, u8 *out)
{
	struct ahash_request *req = ahash_request_alloc(tfm, GFP_KERNEL);
	DECLARE_CRYPTO_WAIT(wait);
	struct scatterlist sg;
	int ret;

	if (!req)
		return -ENOMEM;
	sg_init_one(&sg, message->data, message->len);
	ahash_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				   CRYPTO_TFM_REQ_MAY_SLEEP,
				   crypto_req_done, &wait);
	ahash_request_set_crypt(req, &sg, out, message->len);
	ret = crypto_wait_req(crypto_ahash_digest(req), &wait);
	ahash_request_free(req);
	return ret;
}

/* Returns 1 if the tag is valid, 0 if it is invalid, or an error. */
static int check(struct crypto_ahash *tfm, const struct bytes *key,
		 const struct bytes *message, const struct bytes *tag)
{
	u8 out[HASH_MAX_DIGESTSIZE] = {};
	int ret;

	if (crypto_ahash_setkey(tfm, key->data, key->len)) {
		rejected++;
		return 0;
	}
	if (!tag->len || tag->len > crypto_ahash_digestsize(tfm))
		return 0;
	ret = digest(tfm, message, out);
	return ret ?: !memcmp(out, tag->data, tag->len);
}

static void run_vector(struct crypto_ahash *tfm, unsigned int number, char *line)
{
	struct bytes key = {}, message = {}, tag = {};
	bool expected;
	char *word;
	int ret;

	ret = parse(&key, strsep(&line, " "));
	ret = ret ?: parse(&message, strsep(&line, " "));
	ret = ret ?: parse(&tag, strsep(&line, " "));
	word = strsep(&line, " ");
	if (!ret && (!word || line))
		ret = -EINVAL;
	if (ret) {
		tap_note("line %u: invalid vector", number);
		wrong++;
		goto out;
	}
	expected = !strcmp(word, "valid");
	ret = check(tfm, &key, &message, &tag);
	if (ret != expected) {
		tap_note("line %u: %d, expected %d", number, ret, expected);
		wrong++;
	}
	if (expected)
		valid++;
	else
		invalid++;
out:
	kfree(key.data);
	kfree(message.data);
	kfree(tag.data);
}

static char *read_text(size_t *len)
{
	struct file *opened = filp_open(file, O_RDONLY, 0);
	loff_t pos = 0, size;
	char *text = NULL;

	if (IS_ERR(opened))
		return ERR_CAST(opened);
	size = i_size_read(file_inode(opened));
	if (size > 0 && size <= MAX_FILE)
		text = kvmalloc(size, GFP_KERNEL);
	if (text && kernel_read(opened, text, size, &pos) != size) {
		kvfree(text);
		text = NULL;
	}
	filp_close(opened, NULL);
	*len = size;
	return text ?: ERR_PTR(-ENODATA);
}

static int __init vc_mac_init(void)
{
	struct crypto_ahash *tfm;
	unsigned int number = 0;
	char *text, *rest, *line;
	size_t len;

	if (!file)
		return -EINVAL;
	text = read_text(&len);
	if (IS_ERR(text))
		return PTR_ERR(text);
	tfm = crypto_alloc_ahash(driver, 0, 0);
	if (IS_ERR(tfm)) {
		kvfree(text);
		return PTR_ERR(tfm);
	}
	/* The terminator of the text replaces the last newline. */
	text[len - 1] = 0;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		run_vector(tfm, ++number, line);
	kvfree(text);
	crypto_free_ahash(tfm);

	tap_result(!wrong && valid && invalid,
		   "%u valid vectors, %u invalid vectors, %u with rejected keys: %u wrong",
		   valid, invalid, rejected, wrong);
	pr_info("TAP 1..%u\n", tap_tests);
	return tap_failures ? -EIO : -EAGAIN;
}

module_init(vc_mac_init);

MODULE_DESCRIPTION("Checks a message authentication code with test vectors");
MODULE_LICENSE("GPL");
