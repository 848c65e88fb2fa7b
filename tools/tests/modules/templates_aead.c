// SPDX-License-Identifier: GPL-2.0
/*
 * Authenticated encryption: any and synchronous implementations, in place and out
 * of place, decryption with a correct and a wrong tag.
 */
#include <crypto/aead.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "templates.h"

/* A message. Its memory layout is AAD, IV (if it is generated), text and tag. */
struct message {
	const struct algorithm *alg;
	struct crypto_aead *tfm;
	unsigned int aad;
	unsigned int text;	/* includes a generated IV */
	unsigned int tag;
};

static unsigned int total(const struct message *message)
{
	return message->aad + message->text + message->tag;
}

static int run(const struct message *message, struct scatterlist *src,
	       struct scatterlist *dst, const u8 *from, bool encrypt)
{
	struct crypto_aead *tfm = message->tfm;
	struct aead_request *req;
	DECLARE_CRYPTO_WAIT(wait);
	u8 iv[MAX_IV];
	int ret;

	memcpy(iv, from, sizeof(iv));
	req = aead_request_alloc(tfm, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	aead_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				  CRYPTO_TFM_REQ_MAY_SLEEP, crypto_req_done, &wait);
	aead_request_set_crypt(req, src, dst,
			       message->text + (encrypt ? 0 : message->tag), iv);
	aead_request_set_ad(req, message->aad);
	ret = encrypt ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req);
	ret = crypto_wait_req(ret, &wait);
	aead_request_free(req);
	return ret;
}

static int decrypt_in_place(const struct message *message, u8 *buf, const u8 *iv)
{
	struct scatterlist sg;

	sg_init_one(&sg, buf, total(message));
	return run(message, &sg, &sg, iv, false);
}

/*
 * Decrypts the output of an IV generator with the AEAD below it. The output begins
 * with the IV.
 */
static int decrypt_with_inner(const struct message *message,
			      struct crypto_aead *inner, u8 *buf)
{
	unsigned int iv_size = crypto_aead_ivsize(message->tfm);
	struct message inner_message = *message;
	u8 iv[MAX_IV] = {};

	memcpy(iv, buf + message->aad, iv_size);
	inner_message.tfm = inner;
	inner_message.aad += iv_size;
	inner_message.text -= iv_size;
	return decrypt_in_place(&inner_message, buf, iv);
}

/* Decrypts @out, also with a wrong tag. */
static void check_decryption(const struct message *message, struct crypto_aead *inner,
			     u8 *out, const u8 *iv, struct results *results)
{
	unsigned int skip = inner ? crypto_aead_ivsize(message->tfm) : 0;
	unsigned int at = message->aad + skip, len = message->text - skip;
	u8 *copy = kmemdup(out, total(message), GFP_KERNEL);
	int ret;

	if (!copy) {
		results->wrong = true;
		return;
	}
	if (inner) {
		ret = decrypt_with_inner(message, inner, copy);
		if (ret || memcmp(copy + at, plain + at, len))
			results->wrong = true;
		memcpy(copy, out, total(message));
	}
	copy[total(message) - 1] ^= 1;
	add_error(results, decrypt_in_place(message, copy, iv));
	kfree(copy);

	ret = decrypt_in_place(message, out, iv);
	add_error(results, ret);
	if (ret || memcmp(out + at, plain + at, len))
		results->wrong = true;
}

static void crypt_and_check(struct message *message, struct crypto_aead *inner,
			    unsigned int len, struct results *results)
{
	unsigned int iv_size = crypto_aead_ivsize(message->tfm);
	const struct algorithm *alg = message->alg;
	struct scatterlist src[MAX_SEGMENTS], dst[MAX_SEGMENTS];
	u8 iv[MAX_IV];
	int ret, pass;

	message->text = len + (inner ? iv_size : 0);
	fill(iv, sizeof(iv), len);
	/* CCM, also below pcrypt() and cryptd(), has the size of a length field there. */
	if (strstr(alg->name, "ccm") && !strstarts(alg->name, "rfc4309"))
		iv[0] = 3;
	for (pass = 0; pass < (alg->in_place ? 1 : 2); pass++) {
		u8 *out = pass ? buf2 : buf1;

		memcpy(buf1, plain, SIZE);
		if (alg->iv_in_aad)
			memcpy(buf1 + message->aad - iv_size, iv, iv_size);
		/* Some templates do not copy the AAD. */
		memcpy(buf2, buf1, message->aad);
		memset(buf2 + message->aad, 0, SIZE - message->aad);
		if (pass) {
			make_segments(src, buf1, message->aad + message->text, 5);
			make_segments(dst, buf2, total(message), 24);
			ret = run(message, src, dst, iv, true);
		} else {
			sg_init_one(src, buf1, total(message));
			ret = run(message, src, src, iv, true);
		}
		add_error(results, ret);
		if (ret)
			continue;
		if (!inner)
			add_bytes(results, out + message->aad,
				  message->text + message->tag);
		check_decryption(message, inner, out, iv, results);
	}
}

static int crypt_all_lens(const struct algorithm *alg, struct crypto_aead *tfm, u32 mask,
			  struct results *results)
{
	static const unsigned int lens[] = { 16, 17, 512, 1504, 4096 };
	struct message message = {
		.alg = alg,
		.tfm = tfm,
		.aad = alg->aad_size,
		.tag = crypto_aead_authsize(tfm),
	};
	struct crypto_aead *inner = NULL;
	u8 key[MAX_KEY] __aligned(4);
	unsigned int i, key_len = make_key(alg, key);
	int ret;

	if (crypto_aead_ivsize(tfm) > MAX_IV)
		return -EOVERFLOW;
	ret = crypto_aead_setkey(tfm, key, key_len);
	if (ret)
		return ret;
	if (alg->inner) {
		inner = crypto_alloc_aead(alg->inner, 0, mask);
		if (IS_ERR(inner))
			return PTR_ERR(inner);
		ret = crypto_aead_setkey(inner, key, key_len);
	}
	for (i = 0; !ret && i < ARRAY_SIZE(lens); i++)
		crypt_and_check(&message, inner, lens[i], results);
	crypto_free_aead(inner);
	return ret;
}

static void test_mask(const struct algorithm *alg, const char *method, u32 mask)
{
	struct crypto_aead *tfm = crypto_alloc_aead(alg->name, 0, mask);
	struct results results = RESULTS_INIT;
	int ret;

	if (IS_ERR(tfm)) {
		report(alg, method, NULL, PTR_ERR(tfm), &results);
		return;
	}
	ret = crypt_all_lens(alg, tfm, mask, &results);
	report(alg, method, crypto_tfm_alg_driver_name(crypto_aead_tfm(tfm)), ret,
	       &results);
	crypto_free_aead(tfm);
}

void test_aead(const struct algorithm *alg)
{
	test_mask(alg, "any", 0);
	test_mask(alg, "sync", CRYPTO_ALG_ASYNC);
}
