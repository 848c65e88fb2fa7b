// SPDX-License-Identifier: GPL-2.0
/*
 * Bad use of a cipher gets the errors it should: those of the other one.
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
	tap_result(!IS_ERR(tfm), "taken by who cannot have memory allocated (dm-crypt)");
	if (!IS_ERR(tfm))
		crypto_free_skcipher(tfm);

	tfm = crypto_alloc_skcipher(driver, 0, CRYPTO_ALG_ASYNC |
				    CRYPTO_ALG_KERN_DRIVER_ONLY |
				    CRYPTO_ALG_ALLOCATES_MEMORY);
	tap_result(IS_ERR(tfm) != sync, "%staken by who wants it synchronous (AF_ALG)",
		   sync ? "" : "not ");
	if (!IS_ERR(tfm))
		crypto_free_skcipher(tfm);

	tfm = (void *)crypto_alloc_sync_skcipher(driver, 0, 0);
	tap_result(IS_ERR(tfm), "not taken by who puts requests on the stack");
	if (!IS_ERR(tfm))
		crypto_free_skcipher(tfm);
}

static void bad_keys(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
{
	unsigned int len, wrong = 0;
	u8 key[MAX_KEY + 2];

	get_random_bytes(key, sizeof(key));
	for (len = 0; len <= sizeof(key); len++) {
		int is = crypto_skcipher_setkey(tfm, key, len);
		int should = crypto_skcipher_setkey(ref, key, len);

		if (is != should) {
			tap_note("key of %u bytes: %d instead of %d",
				 len, is, should);
			wrong++;
		}
	}
	tap_result(!wrong, "keys of any length get the error they should");
}

/* Keys with parts that are the same, or weak, with and without leave to refuse them. */
static void weak_keys(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
{
	/* Of DES: a weak one, a semi-weak one, with other parities, and a good one. */
	static const u8 part[][8] = {
		{ 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01 },
		{ 0x1f, 0xe0, 0x1f, 0xe0, 0x0e, 0xf1, 0x0e, 0xf1 },
		{ 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00 },
		{ 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef },
	};
	unsigned int forbid, i, at, wrong = 0, refused = 0;
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
			int is, should;

			get_random_bytes(key, sizeof(key));
			/* The same all over, or but for the first, or the last part. */
			for (at = 0; at < key_size; at += 8)
				if (!(i % 3 == 1 && at == 0) &&
				    !(i % 3 == 2 && at == key_size - 8))
					memcpy(key + at, part[i / 3], 8);
			is = crypto_skcipher_setkey(tfm, key, key_size);
			should = crypto_skcipher_setkey(ref, key, key_size);
			if (is != should) {
				tap_note("key %u: %d instead of %d",
					 i, is, should);
				wrong++;
			}
			refused += !!should;
		}
	}
	crypto_skcipher_clear_flags(tfm, CRYPTO_TFM_REQ_FORBID_WEAK_KEYS);
	crypto_skcipher_clear_flags(ref, CRYPTO_TFM_REQ_FORBID_WEAK_KEYS);
	memzero_explicit(key, sizeof(key));
	tap_result(!wrong, "weak keys get the error they should: %u are refused", refused);
}

static void no_key(void)
{
	struct scatterlist sg;
	u8 iv[MAX_BLOCK] = {};
	struct op op = { .src = &sg, .dst = &sg, .len = MAX_BLOCK, .iv = iv };
	u8 *data = kzalloc(MAX_BLOCK, GFP_KERNEL);
	int is = -ENOMEM, should = -ENOMEM;

	if (!data)
		goto out;
	sg_init_one(&sg, data, MAX_BLOCK);
	op.tfm = crypto_alloc_skcipher(driver, 0, 0);
	if (!IS_ERR(op.tfm)) {
		is = run(&op);
		crypto_free_skcipher(op.tfm);
	}
	op.tfm = crypto_alloc_skcipher(reference, 0, 0);
	if (!IS_ERR(op.tfm)) {
		should = run(&op);
		crypto_free_skcipher(op.tfm);
	}
out:
	kfree(data);
	tap_result(is == should && is == -ENOKEY, "no key: %d, should be %d", is, should);
}

void misuse_without_key(void)
{
	flags();
	no_key();
}

void misuse(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
{
	bad_keys(tfm, ref);
	weak_keys(tfm, ref);
}
