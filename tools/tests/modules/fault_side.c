// SPDX-License-Identifier: GPL-2.0
/*
 * One implementation of an algorithm, of whatever kind.
 */
#include <linux/err.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "fault.h"

int side_open(struct side *side, enum kind kind, const char *name, u32 mask)
{
	side->kind = kind;
	switch (kind) {
	case SKCIPHER:
		side->skcipher = crypto_alloc_skcipher(name, 0, mask);
		return PTR_ERR_OR_ZERO(side->skcipher);
	case AEAD:
		side->aead = crypto_alloc_aead(name, 0, mask);
		return PTR_ERR_OR_ZERO(side->aead);
	case AHASH:
		side->ahash = crypto_alloc_ahash(name, 0, mask);
		return PTR_ERR_OR_ZERO(side->ahash);
	case AKCIPHER:
		side->akcipher = crypto_alloc_akcipher(name, 0, mask);
		return PTR_ERR_OR_ZERO(side->akcipher);
	case SIG:
		side->sig = crypto_alloc_sig(name, 0, mask);
		return PTR_ERR_OR_ZERO(side->sig);
	}
	return -EINVAL;
}

void side_close(struct side *side)
{
	switch (side->kind) {
	case SKCIPHER:
		crypto_free_skcipher(side->skcipher);
		break;
	case AEAD:
		crypto_free_aead(side->aead);
		break;
	case AHASH:
		crypto_free_ahash(side->ahash);
		break;
	case AKCIPHER:
		crypto_free_akcipher(side->akcipher);
		break;
	case SIG:
		crypto_free_sig(side->sig);
		break;
	}
}

int side_set_key(struct side *side, const u8 *key, unsigned int len)
{
	int ret;

	if (!len)
		return 0;
	switch (side->kind) {
	case SKCIPHER:
		return crypto_skcipher_setkey(side->skcipher, key, len);
	case AEAD:
		ret = crypto_aead_setkey(side->aead, key, len);
		return ret ?: crypto_aead_setauthsize(side->aead, TAG);
	case AHASH:
		return crypto_ahash_setkey(side->ahash, key, len);
	case AKCIPHER:
		return crypto_akcipher_set_priv_key(side->akcipher, key, len);
	case SIG:
		return crypto_sig_set_pubkey(side->sig, key, len);
	}
	return -EINVAL;
}

unsigned int side_reqsize(const struct side *side)
{
	switch (side->kind) {
	case SKCIPHER:
		return sizeof(struct skcipher_request) +
		       crypto_skcipher_reqsize(side->skcipher);
	case AEAD:
		return sizeof(struct aead_request) + crypto_aead_reqsize(side->aead);
	case AHASH:
		return sizeof(struct ahash_request) + crypto_ahash_reqsize(side->ahash);
	case AKCIPHER:
		return sizeof(struct akcipher_request) +
		       crypto_akcipher_reqsize(side->akcipher);
	case SIG:
		/* It is a call, and no request. */
		break;
	}
	return 0;
}

int side_send(struct side *side, void *memory, struct scatterlist *src,
	      struct scatterlist *dst, unsigned int len, u8 *iv, bool encrypt,
	      crypto_completion_t done, void *data)
{
	u32 flags = CRYPTO_TFM_REQ_MAY_SLEEP |
		    (side->may_backlog ? CRYPTO_TFM_REQ_MAY_BACKLOG : 0);

	switch (side->kind) {
	case SKCIPHER: {
		struct skcipher_request *req = memory;

		skcipher_request_set_tfm(req, side->skcipher);
		skcipher_request_set_callback(req, flags, done, data);
		skcipher_request_set_crypt(req, src, dst, len, iv);
		return encrypt ? crypto_skcipher_encrypt(req) :
				 crypto_skcipher_decrypt(req);
	}
	case AEAD: {
		struct aead_request *req = memory;

		aead_request_set_tfm(req, side->aead);
		aead_request_set_callback(req, flags, done, data);
		aead_request_set_crypt(req, src, dst, encrypt ? len : len + TAG, iv);
		aead_request_set_ad(req, AAD);
		return encrypt ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req);
	}
	case AHASH: {
		struct ahash_request *req = memory;

		ahash_request_set_tfm(req, side->ahash);
		ahash_request_set_callback(req, flags, done, data);
		ahash_request_set_crypt(req, src, sg_virt(dst), len);
		return crypto_ahash_digest(req);
	}
	case AKCIPHER: {
		struct akcipher_request *req = memory;

		akcipher_request_set_tfm(req, side->akcipher);
		akcipher_request_set_callback(req, flags, done, data);
		akcipher_request_set_crypt(req, src, dst, len, len);
		return encrypt ? crypto_akcipher_encrypt(req) :
				 crypto_akcipher_decrypt(req);
	}
	case SIG:
		return crypto_sig_verify(side->sig, sg_virt(src), len,
					 sg_virt(src) + len, DIGEST);
	}
	return -EINVAL;
}

int side_run(struct side *side, u8 *from, u8 *to, unsigned int len, u8 *iv,
	     bool encrypt)
{
	void *req = kzalloc(side_reqsize(side), GFP_KERNEL);
	unsigned int size = max(SIZE, AAD + len + TAG);
	struct scatterlist src, dst;
	DECLARE_CRYPTO_WAIT(wait);
	int ret;

	if (!req)
		return -ENOMEM;
	sg_init_one(&src, from, size);
	sg_init_one(&dst, to, size);
	ret = side_send(side, req, &src, from == to ? &src : &dst, len, iv, encrypt,
			crypto_req_done, &wait);
	ret = crypto_wait_req(ret, &wait);
	kfree_sensitive(req);
	return ret;
}
