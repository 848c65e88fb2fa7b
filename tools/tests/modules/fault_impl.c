// SPDX-License-Identifier: GPL-2.0
/*
 * An implementation of an algorithm of any kind.
 */
#include <linux/err.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "fault.h"

int impl_alloc(struct impl *impl, enum kind kind, const char *name, u32 mask)
{
	impl->kind = kind;
	switch (kind) {
	case SKCIPHER:
		impl->skcipher = crypto_alloc_skcipher(name, 0, mask);
		return PTR_ERR_OR_ZERO(impl->skcipher);
	case AEAD:
		impl->aead = crypto_alloc_aead(name, 0, mask);
		return PTR_ERR_OR_ZERO(impl->aead);
	case AHASH:
		impl->ahash = crypto_alloc_ahash(name, 0, mask);
		return PTR_ERR_OR_ZERO(impl->ahash);
	case AKCIPHER:
		impl->akcipher = crypto_alloc_akcipher(name, 0, mask);
		return PTR_ERR_OR_ZERO(impl->akcipher);
	case SIG:
		impl->sig = crypto_alloc_sig(name, 0, mask);
		return PTR_ERR_OR_ZERO(impl->sig);
	}
	return -EINVAL;
}

void impl_free(struct impl *impl)
{
	switch (impl->kind) {
	case SKCIPHER:
		crypto_free_skcipher(impl->skcipher);
		break;
	case AEAD:
		crypto_free_aead(impl->aead);
		break;
	case AHASH:
		crypto_free_ahash(impl->ahash);
		break;
	case AKCIPHER:
		crypto_free_akcipher(impl->akcipher);
		break;
	case SIG:
		crypto_free_sig(impl->sig);
		break;
	}
}

int impl_set_key(struct impl *impl, const u8 *key, unsigned int len)
{
	int ret;

	if (!len)
		return 0;
	switch (impl->kind) {
	case SKCIPHER:
		return crypto_skcipher_setkey(impl->skcipher, key, len);
	case AEAD:
		ret = crypto_aead_setkey(impl->aead, key, len);
		return ret ?: crypto_aead_setauthsize(impl->aead, TAG);
	case AHASH:
		return crypto_ahash_setkey(impl->ahash, key, len);
	case AKCIPHER:
		return crypto_akcipher_set_priv_key(impl->akcipher, key, len);
	case SIG:
		return crypto_sig_set_pubkey(impl->sig, key, len);
	}
	return -EINVAL;
}

unsigned int impl_reqsize(const struct impl *impl)
{
	switch (impl->kind) {
	case SKCIPHER:
		return sizeof(struct skcipher_request) +
		       crypto_skcipher_reqsize(impl->skcipher);
	case AEAD:
		return sizeof(struct aead_request) + crypto_aead_reqsize(impl->aead);
	case AHASH:
		return sizeof(struct ahash_request) + crypto_ahash_reqsize(impl->ahash);
	case AKCIPHER:
		return sizeof(struct akcipher_request) +
		       crypto_akcipher_reqsize(impl->akcipher);
	case SIG:
		/* Verification is a synchronous call without a request. */
		break;
	}
	return 0;
}

int impl_submit(struct impl *impl, void *memory, struct scatterlist *src,
		struct scatterlist *dst, unsigned int len, u8 *iv, bool encrypt,
		crypto_completion_t done, void *data)
{
	u32 flags = CRYPTO_TFM_REQ_MAY_SLEEP |
		    (impl->may_backlog ? CRYPTO_TFM_REQ_MAY_BACKLOG : 0);

	switch (impl->kind) {
	case SKCIPHER: {
		struct skcipher_request *req = memory;

		skcipher_request_set_tfm(req, impl->skcipher);
		skcipher_request_set_callback(req, flags, done, data);
		skcipher_request_set_crypt(req, src, dst, len, iv);
		return encrypt ? crypto_skcipher_encrypt(req) :
				 crypto_skcipher_decrypt(req);
	}
	case AEAD: {
		struct aead_request *req = memory;

		aead_request_set_tfm(req, impl->aead);
		aead_request_set_callback(req, flags, done, data);
		aead_request_set_crypt(req, src, dst, encrypt ? len : len + TAG, iv);
		aead_request_set_ad(req, AAD);
		return encrypt ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req);
	}
	case AHASH: {
		struct ahash_request *req = memory;

		ahash_request_set_tfm(req, impl->ahash);
		ahash_request_set_callback(req, flags, done, data);
		ahash_request_set_crypt(req, src, sg_virt(dst), len);
		return crypto_ahash_digest(req);
	}
	case AKCIPHER: {
		struct akcipher_request *req = memory;

		akcipher_request_set_tfm(req, impl->akcipher);
		akcipher_request_set_callback(req, flags, done, data);
		akcipher_request_set_crypt(req, src, dst, len, len);
		return encrypt ? crypto_akcipher_encrypt(req) :
				 crypto_akcipher_decrypt(req);
	}
	case SIG:
		return crypto_sig_verify(impl->sig, sg_virt(src), len,
					 sg_virt(src) + len, DIGEST);
	}
	return -EINVAL;
}

int impl_run(struct impl *impl, u8 *from, u8 *to, unsigned int len, u8 *iv,
	     bool encrypt)
{
	void *req = kzalloc(impl_reqsize(impl), GFP_KERNEL);
	unsigned int size = max(SIZE, AAD + len + TAG);
	struct scatterlist src, dst;
	DECLARE_CRYPTO_WAIT(wait);
	int ret;

	if (!req)
		return -ENOMEM;
	sg_init_one(&src, from, size);
	sg_init_one(&dst, to, size);
	ret = impl_submit(impl, req, &src, from == to ? &src : &dst, len, iv, encrypt,
			  crypto_req_done, &wait);
	ret = crypto_wait_req(ret, &wait);
	kfree_sensitive(req);
	return ret;
}
