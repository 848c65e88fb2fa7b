// SPDX-License-Identifier: GPL-2.0
/*
 * Ciphers: requests on the heap and on the stack, with and without
 * CRYPTO_TFM_REQ_MAY_SLEEP, in place and out of place.
 */
#include <crypto/skcipher.h>
#include <linux/bottom_half.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "templates.h"

/* Arguments of one request. */
struct op {
	struct crypto_skcipher *tfm;
	struct scatterlist *src;
	struct scatterlist *dst;
	unsigned int len;
	u8 *iv;
	bool encrypt;
};

/* Where requests are allocated, and whether bottom halves are disabled. */
enum memory {
	HEAP,
	STACK,
	STACK_ATOMIC,
};

static int run_on_heap(const struct op *op)
{
	struct skcipher_request *req;
	DECLARE_CRYPTO_WAIT(wait);
	int ret;

	req = skcipher_request_alloc(op->tfm, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	skcipher_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				      CRYPTO_TFM_REQ_MAY_SLEEP,
				      crypto_req_done, &wait);
	skcipher_request_set_crypt(req, op->src, op->dst, op->len, op->iv);
	ret = op->encrypt ? crypto_skcipher_encrypt(req) :
			    crypto_skcipher_decrypt(req);
	ret = crypto_wait_req(ret, &wait);
	skcipher_request_free(req);
	return ret;
}

static noinline int run_on_stack(const struct op *op, bool atomic)
{
	struct crypto_sync_skcipher *tfm = (struct crypto_sync_skcipher *)op->tfm;
	int ret;

	SYNC_SKCIPHER_REQUEST_ON_STACK(req, tfm);

	skcipher_request_set_sync_tfm(req, tfm);
	skcipher_request_set_callback(req, atomic ? 0 : CRYPTO_TFM_REQ_MAY_SLEEP,
				      NULL, NULL);
	skcipher_request_set_crypt(req, op->src, op->dst, op->len, op->iv);
	if (atomic)
		local_bh_disable();
	ret = op->encrypt ? crypto_skcipher_encrypt(req) :
			    crypto_skcipher_decrypt(req);
	if (atomic)
		local_bh_enable();
	skcipher_request_zero(req);
	return ret;
}

static int run(const struct op *op, enum memory memory)
{
	return memory == HEAP ? run_on_heap(op) :
				run_on_stack(op, memory == STACK_ATOMIC);
}

/* Encrypts and decrypts @len bytes, in place and out of place. */
static void crypt_and_check(struct crypto_skcipher *tfm, enum memory memory,
			    unsigned int len, struct results *results)
{
	struct scatterlist src[MAX_SEGMENTS], dst[MAX_SEGMENTS];
	struct op op = { .tfm = tfm, .src = src, .len = len };
	u8 iv[MAX_IV];
	int ret, pass;

	op.iv = iv;
	for (pass = 0; pass < 2; pass++) {
		u8 *out = pass ? buf2 : buf1;

		memcpy(buf1, plain, SIZE);
		memset(buf2, 0, SIZE);
		if (pass) {
			make_segments(src, buf1, len, 5);
			make_segments(dst, buf2, len, 24);
			op.dst = dst;
		} else {
			sg_init_one(src, buf1, len);
			op.dst = src;
		}

		op.encrypt = true;
		fill(iv, sizeof(iv), len);
		ret = run(&op, memory);
		add_error(results, ret);
		if (ret)
			continue;
		add_bytes(results, out, len);

		/* Decrypt the result in place. */
		op.encrypt = false;
		op.src = op.dst;
		fill(iv, sizeof(iv), len);
		ret = run(&op, memory);
		add_error(results, ret);
		if (ret || memcmp(out, plain, len))
			results->wrong = true;
		op.src = src;
	}
}

static int crypt_all_lens(struct crypto_skcipher *tfm, const struct algorithm *alg,
			  enum memory memory, struct results *results)
{
	static const unsigned int lens[] = { 8, 16, 17, 512, 1500, 4096 };
	u8 key[MAX_KEY] __aligned(4);
	unsigned int i;
	int ret;

	if (crypto_skcipher_ivsize(tfm) > MAX_IV)
		return -EOVERFLOW;
	ret = crypto_skcipher_setkey(tfm, key, make_key(alg, key));
	for (i = 0; !ret && i < ARRAY_SIZE(lens); i++)
		crypt_and_check(tfm, memory, lens[i], results);
	return ret;
}

static void test_tfm(const struct algorithm *alg, const char *method,
		     struct crypto_skcipher *tfm, enum memory memory)
{
	struct results results = RESULTS_INIT;
	const char *driver = NULL;
	int ret;

	if (IS_ERR(tfm)) {
		ret = PTR_ERR(tfm);
	} else {
		driver = crypto_tfm_alg_driver_name(crypto_skcipher_tfm(tfm));
		ret = crypt_all_lens(tfm, alg, memory, &results);
	}
	report(alg, method, driver, ret, &results);
	if (!IS_ERR(tfm))
		crypto_free_skcipher(tfm);
}

/* Uses the mask of fscrypt. */
static struct crypto_skcipher *alloc_on_stack(const char *name)
{
	return (void *)crypto_alloc_sync_skcipher(name, 0,
						  CRYPTO_ALG_ASYNC |
						  CRYPTO_ALG_ALLOCATES_MEMORY |
						  CRYPTO_ALG_KERN_DRIVER_ONLY);
}

void test_skcipher(const struct algorithm *alg)
{
	const char *name = alg->name;

	test_tfm(alg, "any", crypto_alloc_skcipher(name, 0, 0), HEAP);
	test_tfm(alg, "sync",
		 crypto_alloc_skcipher(name, 0, CRYPTO_ALG_ASYNC), HEAP);
	test_tfm(alg, "stack", alloc_on_stack(name), STACK);
	test_tfm(alg, "stack-atomic", alloc_on_stack(name), STACK_ATOMIC);
}
