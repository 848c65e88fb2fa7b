// SPDX-License-Identifier: GPL-2.0
/*
 * Ciphers, AEADs, hashes and MACs.
 */
#include <linux/err.h>

#include "bench.h"

static int skcipher_open(struct bench *bench, const char *driver)
{
	const struct command *c = bench->command;
	struct crypto_skcipher *tfm = crypto_alloc_skcipher(driver, 0, 0);

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	bench->skcipher = tfm;
	bench->is_async = crypto_skcipher_alg(tfm)->base.cra_flags & CRYPTO_ALG_ASYNC;
	bench->in_len = c->size;
	bench->out_len = c->size;
	if (crypto_skcipher_ivsize(tfm) > MAX_IV)
		return -EINVAL;
	return crypto_skcipher_setkey(tfm, c->key, c->key_len);
}

static void skcipher_close(struct bench *bench)
{
	crypto_free_skcipher(bench->skcipher);
}

static int skcipher_alloc(struct slot *slot)
{
	slot->skcipher = skcipher_request_alloc(slot->bench->skcipher, GFP_KERNEL);
	return slot->req ? 0 : -ENOMEM;
}

static void skcipher_free(struct slot *slot)
{
	skcipher_request_free(slot->skcipher);
}

static void skcipher_fill(struct slot *slot)
{
	skcipher_request_set_callback(slot->skcipher, slot->bench->flags, slot_done, slot);
	skcipher_request_set_crypt(slot->skcipher, slot->src, slot->dst, slot->bench->in_len,
				   slot->iv);
}

static int skcipher_submit(struct slot *slot)
{
	return slot->bench->decrypts ? crypto_skcipher_decrypt(slot->skcipher) :
				       crypto_skcipher_encrypt(slot->skcipher);
}

const struct service skcipher_service = {
	.type = "skcipher",
	.open = skcipher_open,
	.close = skcipher_close,
	.alloc = skcipher_alloc,
	.free = skcipher_free,
	.fill = skcipher_fill,
	.submit = skcipher_submit,
};

static int aead_open(struct bench *bench, const char *driver)
{
	const struct command *c = bench->command;
	struct crypto_aead *tfm = crypto_alloc_aead(driver, 0, 0);
	int ret;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	bench->aead = tfm;
	bench->is_async = crypto_aead_alg(tfm)->base.cra_flags & CRYPTO_ALG_ASYNC;
	bench->in_len = c->aad + c->size;
	bench->out_len = bench->in_len + c->tag;
	if (bench->decrypts)
		swap(bench->in_len, bench->out_len);
	if (crypto_aead_ivsize(tfm) > MAX_IV)
		return -EINVAL;
	ret = crypto_aead_setauthsize(tfm, c->tag);
	return ret ?: crypto_aead_setkey(tfm, c->key, c->key_len);
}

static void aead_close(struct bench *bench)
{
	crypto_free_aead(bench->aead);
}

static int aead_alloc(struct slot *slot)
{
	slot->aead = aead_request_alloc(slot->bench->aead, GFP_KERNEL);
	return slot->req ? 0 : -ENOMEM;
}

static void aead_free(struct slot *slot)
{
	aead_request_free(slot->aead);
}

static void aead_fill(struct slot *slot)
{
	u32 aad = slot->bench->command->aad;

	/*
	 * Implementations may or may not copy the associated data to the destination. Copy it here,
	 * so that verify() can compare the whole destination.
	 */
	memcpy(slot->out, slot->in, aad);
	aead_request_set_callback(slot->aead, slot->bench->flags, slot_done, slot);
	aead_request_set_ad(slot->aead, aad);
	aead_request_set_crypt(slot->aead, slot->src, slot->dst, slot->bench->in_len - aad,
			       slot->iv);
}

static int aead_submit(struct slot *slot)
{
	return slot->bench->decrypts ? crypto_aead_decrypt(slot->aead) :
				       crypto_aead_encrypt(slot->aead);
}

const struct service aead_service = {
	.type = "aead",
	.open = aead_open,
	.close = aead_close,
	.alloc = aead_alloc,
	.free = aead_free,
	.fill = aead_fill,
	.submit = aead_submit,
};

static int ahash_open(struct bench *bench, const char *driver)
{
	const struct command *c = bench->command;
	struct crypto_ahash *tfm = crypto_alloc_ahash(driver, 0, 0);

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	bench->ahash = tfm;
	bench->is_async = crypto_ahash_tfm(tfm)->__crt_alg->cra_flags & CRYPTO_ALG_ASYNC;
	bench->in_len = c->size;
	bench->out_len = crypto_ahash_digestsize(tfm);
	return c->key_len ? crypto_ahash_setkey(tfm, c->key, c->key_len) : 0;
}

static void ahash_close(struct bench *bench)
{
	crypto_free_ahash(bench->ahash);
}

static int ahash_alloc(struct slot *slot)
{
	slot->ahash = ahash_request_alloc(slot->bench->ahash, GFP_KERNEL);
	return slot->req ? 0 : -ENOMEM;
}

static void ahash_free(struct slot *slot)
{
	ahash_request_free(slot->ahash);
}

static void ahash_fill(struct slot *slot)
{
	ahash_request_set_callback(slot->ahash, slot->bench->flags, slot_done, slot);
	ahash_request_set_crypt(slot->ahash, slot->src, slot->out, slot->bench->in_len);
}

static int ahash_submit(struct slot *slot)
{
	return crypto_ahash_digest(slot->ahash);
}

const struct service ahash_service = {
	.type = "ahash",
	.open = ahash_open,
	.close = ahash_close,
	.alloc = ahash_alloc,
	.free = ahash_free,
	.fill = ahash_fill,
	.submit = ahash_submit,
};
