// SPDX-License-Identifier: GPL-2.0
/*
 * Error cases of a cipher. The errors must be those of the reference.
 */
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "exercise.h"

static void flags(void)
{
	bool sync = strstr(driver, "-sync");
	struct crypto_skcipher *tfm;

	tfm = crypto_alloc_skcipher(driver, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
	tap_result(!IS_ERR(tfm), "available to users that exclude ALLOCATES_MEMORY (dm-crypt)");
	if (!IS_ERR(tfm))
		crypto_free_skcipher(tfm);

	tfm = crypto_alloc_skcipher(driver, 0, CRYPTO_ALG_ASYNC |
				    CRYPTO_ALG_KERN_DRIVER_ONLY |
				    CRYPTO_ALG_ALLOCATES_MEMORY);
	tap_result(IS_ERR(tfm) != sync, "%savailable to synchronous users (AF_ALG)",
		   sync ? "" : "not ");
	if (!IS_ERR(tfm))
		crypto_free_skcipher(tfm);

	tfm = (void *)crypto_alloc_sync_skcipher(driver, 0, 0);
	tap_result(IS_ERR(tfm), "not available to users with requests on the stack");
	if (!IS_ERR(tfm))
		crypto_free_skcipher(tfm);
}

static void bad_keys(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
{
	unsigned int len, wrong = 0;
	u8 key[MAX_KEY + 2];

	get_random_bytes(key, sizeof(key));
	for (len = 0; len <= sizeof(key); len++) {
		int actual = crypto_skcipher_setkey(tfm, key, len);
		int expected = crypto_skcipher_setkey(ref, key, len);

		if (actual != expected) {
			tap_note("key of %u bytes: %d, expected %d",
				 len, actual, expected);
			wrong++;
		}
	}
	tap_result(!wrong, "keys of 0 to %zu bytes: same errors as the reference",
		   sizeof(key));
}

/*
 * Keys with equal or weak parts, with and without
 * CRYPTO_TFM_REQ_FORBID_WEAK_KEYS.
 */
static void weak_keys(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
{
	/* DES keys: weak, semi-weak, weak with even parity, good. */
	static const u8 part[][8] = {
		{ 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01 },
		{ 0x1f, 0xe0, 0x1f, 0xe0, 0x0e, 0xf1, 0x0e, 0xf1 },
		{ 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00 },
		{ 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef },
	};
	unsigned int forbid, i, at, wrong = 0, rejected = 0;
	u8 key[MAX_KEY];

	for (forbid = 0; forbid < 2; forbid++) {
		u32 flag = CRYPTO_TFM_REQ_FORBID_WEAK_KEYS;

		crypto_skcipher_clear_flags(tfm, flag);
		crypto_skcipher_clear_flags(ref, flag);
		if (forbid) {
			crypto_skcipher_set_flags(tfm, flag);
			crypto_skcipher_set_flags(ref, flag);
		}
		for (i = 0; i < 3 * ARRAY_SIZE(part); i++) {
			int actual, expected;

			get_random_bytes(key, sizeof(key));
			/* All parts are equal, or all except the first or the last one. */
			for (at = 0; at < key_size; at += 8)
				if (!(i % 3 == 1 && at == 0) &&
				    !(i % 3 == 2 && at == key_size - 8))
					memcpy(key + at, part[i / 3], 8);
			actual = crypto_skcipher_setkey(tfm, key, key_size);
			expected = crypto_skcipher_setkey(ref, key, key_size);
			if (actual != expected) {
				tap_note("key %u: %d, expected %d",
					 i, actual, expected);
				wrong++;
			}
			rejected += !!expected;
		}
	}
	crypto_skcipher_clear_flags(tfm, CRYPTO_TFM_REQ_FORBID_WEAK_KEYS);
	crypto_skcipher_clear_flags(ref, CRYPTO_TFM_REQ_FORBID_WEAK_KEYS);
	memzero_explicit(key, sizeof(key));
	tap_result(!wrong, "weak keys: same errors as the reference (%u rejected)", rejected);
}

static void no_key(void)
{
	struct scatterlist sg;
	u8 iv[MAX_BLOCK] = {};
	struct op op = { .src = &sg, .dst = &sg, .len = MAX_BLOCK, .iv = iv };
	u8 *data = kzalloc(MAX_BLOCK, GFP_KERNEL);
	int actual = -ENOMEM, expected = -ENOMEM;

	if (!data)
		goto out;
	sg_init_one(&sg, data, MAX_BLOCK);
	op.tfm = crypto_alloc_skcipher(driver, 0, 0);
	if (!IS_ERR(op.tfm)) {
		actual = run(&op);
		crypto_free_skcipher(op.tfm);
	}
	op.tfm = crypto_alloc_skcipher(reference, 0, 0);
	if (!IS_ERR(op.tfm)) {
		expected = run(&op);
		crypto_free_skcipher(op.tfm);
	}
out:
	kfree(data);
	tap_result(actual == expected && actual == -ENOKEY,
		   "a request without a key: %d, expected %d", actual, expected);
}

void error_cases_without_key(void)
{
	flags();
	no_key();
}

void error_cases(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
{
	bad_keys(tfm, ref);
	weak_keys(tfm, ref);
}
