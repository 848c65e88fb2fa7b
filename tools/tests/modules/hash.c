// SPDX-License-Identifier: GPL-2.0
/*
 * Exercises a hash beyond what the crypto self-tests do, and compares it with
 * another implementation: bad use, odd scatterlists, messages in parts, contexts,
 * and many requests in flight. The result is in the log, in TAP, and in what
 * insmod returns: the module never stays loaded.
 */
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "hash.h"

static char *driver = "sha256-virtio";
module_param(driver, charp, 0444);
MODULE_PARM_DESC(driver, "Implementation to exercise");

static char *reference = "sha256";
module_param(reference, charp, 0444);
MODULE_PARM_DESC(reference, "Implementation to compare it with, a synchronous one");

static unsigned int key_len;
module_param(key_len, uint, 0444);
MODULE_PARM_DESC(key_len, "Bytes of a key that is right, 0 if the hash has none");

static bool load_only;
module_param(load_only, bool, 0444);
MODULE_PARM_DESC(load_only, "Whether there is to be load, and nothing else");

#define MAX_KEY		200

unsigned int tap_tests;
unsigned int tap_failures;

static void flags(struct crypto_ahash *tfm, struct crypto_ahash *ref)
{
	struct crypto_ahash *other;
	struct crypto_shash *shash;

	other = crypto_alloc_ahash(driver, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
	tap_result(!IS_ERR(other), "taken by who cannot have memory allocated (dm-integrity)");
	if (!IS_ERR(other))
		crypto_free_ahash(other);

	other = crypto_alloc_ahash(driver, 0, CRYPTO_ALG_ASYNC);
	tap_result(IS_ERR(other), "not taken by who wants it synchronous (AF_ALG)");
	if (!IS_ERR(other))
		crypto_free_ahash(other);

	shash = crypto_alloc_shash(driver, 0, 0);
	tap_result(IS_ERR(shash), "not taken by who has no requests");
	if (!IS_ERR(shash))
		crypto_free_shash(shash);

	tap_result(digest_size(tfm) == digest_size(ref) &&
		   crypto_ahash_blocksize(tfm) == crypto_ahash_blocksize(ref) &&
		   crypto_ahash_statesize(tfm) == crypto_ahash_statesize(ref),
		   "digests of %u bytes, blocks of %u, states of %u",
		   digest_size(tfm), crypto_ahash_blocksize(tfm),
		   crypto_ahash_statesize(tfm));
}

static void no_key(struct crypto_ahash *tfm)
{
	struct op op = { .tfm = tfm };
	struct ahash_request *req;
	struct digest digest;
	int init = -ENOMEM;

	req = op_request(&op);
	if (req) {
		op_source(&op, req, digest.bytes);
		init = op_call(&op, req, crypto_ahash_init);
	}
	kfree(req);
	tap_result(run(&op, &digest) == -ENOKEY && init == -ENOKEY &&
		   digest_is_poison(&digest), "nothing is done without a key");
}

static int random_key(struct crypto_ahash *tfm, struct crypto_ahash *ref,
		      unsigned int len)
{
	u8 key[MAX_KEY];
	int is, should;

	get_random_bytes(key, sizeof(key));
	is = crypto_ahash_setkey(tfm, key, len);
	should = crypto_ahash_setkey(ref, key, len);
	memzero_explicit(key, sizeof(key));
	if (is != should) {
		tap_note("key of %u bytes: %d instead of %d", len, is, should);
		return -EIO;
	}
	return is;
}

static void set_keys(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	unsigned int len, good = 0, wrong = 0;
	u8 key[MAX_KEY];

	for (len = 0; len <= MAX_KEY; len++) {
		int ret = random_key(tfm, ref, len);

		if (ret == -EIO) {
			wrong++;
		} else if (!ret) {
			good++;
			wrong += !same(tfm, ref, data, 100);
		} else {
			struct op op = { .tfm = tfm };
			struct digest digest;

			wrong += run(&op, &digest) != -ENOKEY;
		}
	}
	tap_result(!wrong && good,
		   "keys of any length are taken or refused as they should: %u taken",
		   good);

	for (len = 0, wrong = 0; len < 100; len++) {
		/* Every third key is the one that was set before. */
		if (len % 3 != 2)
			get_random_bytes(key, key_len);
		if (crypto_ahash_setkey(tfm, key, key_len) ||
		    crypto_ahash_setkey(ref, key, key_len) ||
		    !same(tfm, ref, data, get_random_u32_below(1000)))
			wrong++;
	}
	memzero_explicit(key, sizeof(key));
	tap_result(!wrong, "a new key counts at once");
}

static int __init vc_hash_init(void)
{
	struct crypto_ahash *tfm, *ref;
	u8 *data;

	if (!load_is_sensible() || key_len > MAX_KEY)
		return -EINVAL;
	tfm = crypto_alloc_ahash(driver, 0, 0);
	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	ref = crypto_alloc_ahash(reference, 0, CRYPTO_ALG_ASYNC);
	if (IS_ERR(ref)) {
		crypto_free_ahash(tfm);
		return PTR_ERR(ref);
	}
	data = kmalloc(BIG, GFP_KERNEL);
	if (!data) {
		crypto_free_ahash(ref);
		crypto_free_ahash(tfm);
		return -ENOMEM;
	}
	get_random_bytes(data, BIG);

	if (load_only) {
		if (key_len && random_key(tfm, ref, key_len))
			tap_result(false, "setting a key");
		else
			loaded(tfm, ref);
		goto out;
	}
	flags(tfm, ref);
	if (key_len) {
		no_key(tfm);
		set_keys(tfm, ref, data);
	} else {
		int ret = random_key(tfm, ref, 16);

		tap_result(ret && ret != -EIO, "there is no key to set");
	}
	if (key_len && random_key(tfm, ref, key_len)) {
		tap_result(false, "setting a key");
	} else {
		messages(tfm, ref, data);
		loaded(tfm, ref);
	}
out:
	kfree(data);
	crypto_free_ahash(ref);
	crypto_free_ahash(tfm);
	pr_info("TAP 1..%u\n", tap_tests);
	/* There is nothing to stay for. */
	return tap_failures ? -EIO : -EAGAIN;
}

module_init(vc_hash_init);

MODULE_DESCRIPTION("Exercises a hash beyond the crypto self-tests");
MODULE_LICENSE("GPL");
