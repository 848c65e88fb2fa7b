// SPDX-License-Identifier: GPL-2.0
/*
 * Hashes and MACs: any ahash, a synchronous ahash with requests on the heap and on
 * the stack, and a shash.
 */
#include <crypto/hash.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "templates.h"

#define MAX_DIGEST	64

static const unsigned int lens[] = { 1, 64, 100, 1500, 4096 };

/* Computes the digest of a message in one call and again in parts. */
static int digest(struct ahash_request *req, unsigned int len,
		  struct results *results)
{
	unsigned int size = crypto_ahash_digestsize(crypto_ahash_reqtfm(req));
	struct scatterlist whole[MAX_SEGMENTS], head, tail;
	u8 result[MAX_DIGEST], parts[MAX_DIGEST];
	unsigned int half = len / 2;
	DECLARE_CRYPTO_WAIT(wait);
	int ret;

	if (size > MAX_DIGEST)
		return -EOVERFLOW;
	make_segments(whole, plain, len, 11);
	sg_init_one(&head, plain, half);
	sg_init_one(&tail, plain + half, len - half);
	ahash_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				   CRYPTO_TFM_REQ_MAY_SLEEP, crypto_req_done, &wait);
	ahash_request_set_crypt(req, whole, result, len);
	ret = crypto_wait_req(crypto_ahash_digest(req), &wait);
	if (ret)
		return ret;
	add_bytes(results, result, size);

	ret = crypto_wait_req(crypto_ahash_init(req), &wait);
	if (!ret && half) {
		ahash_request_set_crypt(req, &head, NULL, half);
		ret = crypto_wait_req(crypto_ahash_update(req), &wait);
	}
	if (!ret) {
		ahash_request_set_crypt(req, &tail, parts, len - half);
		ret = crypto_wait_req(crypto_ahash_finup(req), &wait);
	}
	if (!ret && memcmp(result, parts, size))
		results->wrong = true;
	return ret;
}

static int digest_on_heap(struct crypto_ahash *tfm, unsigned int len,
			  struct results *results)
{
	struct ahash_request *req = ahash_request_alloc(tfm, GFP_KERNEL);
	int ret;

	if (!req)
		return -ENOMEM;
	ret = digest(req, len, results);
	ahash_request_free(req);
	return ret;
}

static noinline int digest_on_stack(struct crypto_ahash *tfm, unsigned int len,
				    struct results *results)
{
	HASH_REQUEST_ON_STACK(req, tfm);

	return digest(req, len, results);
}

static void test_ahash(const struct algorithm *alg, const char *method, u32 mask,
		       bool stack)
{
	struct crypto_ahash *tfm = crypto_alloc_ahash(alg->name, 0, mask);
	struct results results = RESULTS_INIT;
	u8 key[MAX_KEY] __aligned(4);
	const char *driver = NULL;
	unsigned int i;
	int ret = 0;

	if (IS_ERR(tfm)) {
		report(alg, method, NULL, PTR_ERR(tfm), &results);
		return;
	}
	driver = crypto_ahash_driver_name(tfm);
	if (alg->key_size)
		ret = crypto_ahash_setkey(tfm, key, make_key(alg, key));
	for (i = 0; !ret && i < ARRAY_SIZE(lens); i++)
		ret = stack ? digest_on_stack(tfm, lens[i], &results) :
			      digest_on_heap(tfm, lens[i], &results);
	report(alg, method, driver, ret, &results);
	crypto_free_ahash(tfm);
}

static void test_shash(const struct algorithm *alg)
{
	struct crypto_shash *tfm = crypto_alloc_shash(alg->name, 0, 0);
	struct results results = RESULTS_INIT;
	u8 key[MAX_KEY] __aligned(4);
	u8 result[MAX_DIGEST];
	const char *driver;
	unsigned int i;
	int ret = 0;

	if (IS_ERR(tfm)) {
		report(alg, "shash", NULL, PTR_ERR(tfm), &results);
		return;
	}
	driver = crypto_shash_driver_name(tfm);
	if (crypto_shash_digestsize(tfm) > MAX_DIGEST)
		ret = -EOVERFLOW;
	else if (alg->key_size)
		ret = crypto_shash_setkey(tfm, key, make_key(alg, key));
	for (i = 0; !ret && i < ARRAY_SIZE(lens); i++) {
		ret = crypto_shash_tfm_digest(tfm, plain, lens[i], result);
		if (!ret)
			add_bytes(&results, result, crypto_shash_digestsize(tfm));
	}
	report(alg, "shash", driver, ret, &results);
	crypto_free_shash(tfm);
}

void test_hash(const struct algorithm *alg)
{
	test_ahash(alg, "any", 0, false);
	test_ahash(alg, "sync", CRYPTO_ALG_ASYNC, false);
	test_ahash(alg, "stack", CRYPTO_ALG_ASYNC, true);
	test_shash(alg);
}
