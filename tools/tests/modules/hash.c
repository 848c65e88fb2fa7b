// SPDX-License-Identifier: GPL-2.0
/*
 * vc_hash: tests a hash beyond the crypto self-tests and compares its results with
 * those of another implementation: error cases, scatterlist layouts, incremental
 * hashing, contexts and many requests in flight.
 *
 * The module prints TAP lines to the log. Its init function always fails, so the
 * module never stays loaded: with EAGAIN if all tests passed, otherwise with EIO.
 */
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "hash.h"

static char *driver = "sha256-virtio";
module_param(driver, charp, 0444);
MODULE_PARM_DESC(driver, "Implementation to test");

static char *reference = "sha256";
module_param(reference, charp, 0444);
MODULE_PARM_DESC(reference, "Synchronous implementation to compare it with");

static unsigned int key_len;
module_param(key_len, uint, 0444);
MODULE_PARM_DESC(key_len, "Length of a valid key in bytes, 0 if the hash has no key (default 0)");

static bool load_only;
module_param(load_only, bool, 0444);
MODULE_PARM_DESC(load_only, "Only run the stress test (default N)");

#define MAX_KEY		200

unsigned int tap_tests;
unsigned int tap_failures;

static void flags(struct crypto_ahash *tfm, struct crypto_ahash *ref)
{
	struct crypto_ahash *other;
	struct crypto_shash *shash;

	other = crypto_alloc_ahash(driver, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
	tap_result(!IS_ERR(other),
		   "available to users that exclude ALLOCATES_MEMORY (dm-integrity)");
	if (!IS_ERR(other))
		crypto_free_ahash(other);

	other = crypto_alloc_ahash(driver, 0, CRYPTO_ALG_ASYNC);
	tap_result(IS_ERR(other), "not available to synchronous users (AF_ALG)");
	if (!IS_ERR(other))
		crypto_free_ahash(other);

	shash = crypto_alloc_shash(driver, 0, 0);
	tap_result(IS_ERR(shash), "not available as a shash");
	if (!IS_ERR(shash))
		crypto_free_shash(shash);

	tap_result(digest_size(tfm) == digest_size(ref) &&
		   crypto_ahash_blocksize(tfm) == crypto_ahash_blocksize(ref) &&
		   crypto_ahash_statesize(tfm) == crypto_ahash_statesize(ref),
		   "same sizes as the reference: digest %u, block %u, state %u bytes",
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
		   digest_is_poison(&digest), "a request without a key: ENOKEY, no digest");
}

static int random_key(struct crypto_ahash *tfm, struct crypto_ahash *ref,
		      unsigned int len)
{
	u8 key[MAX_KEY];
	int actual, expected;

	get_random_bytes(key, sizeof(key));
	actual = crypto_ahash_setkey(tfm, key, len);
	expected = crypto_ahash_setkey(ref, key, len);
	memzero_explicit(key, sizeof(key));
	if (actual != expected) {
		tap_note("key of %u bytes: %d, expected %d", len, actual, expected);
		return -EIO;
	}
	return actual;
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
			wrong += !digests_match(tfm, ref, data, 100);
		} else {
			struct op op = { .tfm = tfm };
			struct digest digest;

			wrong += run(&op, &digest) != -ENOKEY;
		}
	}
	tap_result(!wrong && good,
		   "keys of 0 to %u bytes: same errors as the reference: %u accepted",
		   MAX_KEY, good);

	for (len = 0, wrong = 0; len < 100; len++) {
		/* Every third key is the previous one. */
		if (len % 3 != 2)
			get_random_bytes(key, key_len);
		if (crypto_ahash_setkey(tfm, key, key_len) ||
		    crypto_ahash_setkey(ref, key, key_len) ||
		    !digests_match(tfm, ref, data, get_random_u32_below(1000)))
			wrong++;
	}
	memzero_explicit(key, sizeof(key));
	tap_result(!wrong, "a new key applies to the next request");
}

static int __init vc_hash_init(void)
{
	struct crypto_ahash *tfm, *ref;
	u8 *data;

	if (!stress_params_are_valid() || key_len > MAX_KEY)
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
			tap_result(false, "a key is set");
		else
			stress(tfm, ref);
		goto out;
	}
	flags(tfm, ref);
	if (key_len) {
		no_key(tfm);
		set_keys(tfm, ref, data);
	} else {
		int ret = random_key(tfm, ref, 16);

		tap_result(ret && ret != -EIO, "setkey fails for a hash without a key");
	}
	if (key_len && random_key(tfm, ref, key_len)) {
		tap_result(false, "a key is set");
	} else {
		messages(tfm, ref, data);
		stress(tfm, ref);
	}
out:
	kfree(data);
	crypto_free_ahash(ref);
	crypto_free_ahash(tfm);
	pr_info("TAP 1..%u\n", tap_tests);
	return tap_failures ? -EIO : -EAGAIN;
}

module_init(vc_hash_init);

MODULE_DESCRIPTION("Tests a hash beyond the crypto self-tests");
MODULE_LICENSE("GPL");
