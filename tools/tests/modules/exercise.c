// SPDX-License-Identifier: GPL-2.0
/*
 * vc_exercise: tests what the crypto self-tests of a cipher do not test, one
 * request at a time, and compares the results with those of another
 * implementation.
 *
 * The module prints TAP lines to the log. Its init function always fails, so that
 * the module does not stay loaded. The error is EAGAIN if all tests passed, and
 * EIO if a test failed. It is another error if the tests could not run.
 */
#include <linux/bottom_half.h>
#include <linux/crypto.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "exercise.h"

char *driver = "cbc-aes-virtio";
module_param(driver, charp, 0444);
MODULE_PARM_DESC(driver, "Implementation to test");

char *reference = "cbc-aes-lib";
module_param(reference, charp, 0444);
MODULE_PARM_DESC(reference, "Implementation with the expected results");

unsigned int chunk_size;
unsigned int iv_size;
unsigned int key_size;
bool any_length;
/* A request leaves the IV of the next request in its IV buffer. */
static bool updates_iv;

unsigned int tap_tests;
unsigned int tap_failures;

int run(const struct op *op)
{
	size_t size = sizeof(struct skcipher_request) +
		      crypto_skcipher_reqsize(op->tfm);
	struct skcipher_request *req;
	DECLARE_CRYPTO_WAIT(wait);
	int ret;

	req = op->vmalloc ? vzalloc(size) : kzalloc(size, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	skcipher_request_set_tfm(req, op->tfm);
	skcipher_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				      (op->atomic ? 0 : CRYPTO_TFM_REQ_MAY_SLEEP),
				      crypto_req_done, &wait);
	skcipher_request_set_crypt(req, op->src, op->dst, op->len, op->iv);
	if (op->atomic)
		local_bh_disable();
	ret = op->encrypt ? crypto_skcipher_encrypt(req) :
			    crypto_skcipher_decrypt(req);
	if (op->atomic)
		local_bh_enable();
	ret = crypto_wait_req(ret, &wait);
	kvfree(req);
	return ret;
}

static void read_properties(struct crypto_skcipher *tfm)
{
	chunk_size = crypto_skcipher_chunksize(tfm);
	iv_size = crypto_skcipher_ivsize(tfm);
	key_size = crypto_skcipher_max_keysize(tfm);
	/*
	 * XTS does not define the IV of a next request, and accepts an incomplete
	 * last block (ciphertext stealing). Stream ciphers have a block size of 1.
	 */
	updates_iv = !strstr(reference, "xts");
	any_length = !updates_iv || crypto_skcipher_blocksize(tfm) == 1;
}

bool ivs_match(const u8 *a, const u8 *b)
{
	return !updates_iv || !memcmp(a, b, iv_size);
}

static int __init vc_exercise_init(void)
{
	struct crypto_skcipher *tfm, *ref;
	u8 key[MAX_KEY];

	tfm = crypto_alloc_skcipher(driver, 0, 0);
	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	ref = crypto_alloc_skcipher(reference, 0, CRYPTO_ALG_ASYNC);
	if (IS_ERR(ref)) {
		crypto_free_skcipher(tfm);
		return PTR_ERR(ref);
	}
	read_properties(tfm);
	if (chunk_size > MAX_BLOCK || iv_size > MAX_BLOCK || key_size > MAX_KEY) {
		crypto_free_skcipher(ref);
		crypto_free_skcipher(tfm);
		return -EINVAL;
	}

	error_cases_without_key();
	error_cases(tfm, ref);
	get_random_bytes(key, sizeof(key));
	if (crypto_skcipher_setkey(tfm, key, key_size) ||
	    crypto_skcipher_setkey(ref, key, key_size)) {
		tap_result(false, "a key is set");
	} else {
		lengths(tfm, ref);
		sg_layouts(tfm, ref);
	}
	memzero_explicit(key, sizeof(key));
	crypto_free_skcipher(ref);
	crypto_free_skcipher(tfm);
	pr_info("TAP 1..%u\n", tap_tests);
	return tap_failures ? -EIO : -EAGAIN;
}

module_init(vc_exercise_init);

MODULE_DESCRIPTION("Tests what the crypto self-tests of a cipher do not test");
MODULE_LICENSE("GPL");
