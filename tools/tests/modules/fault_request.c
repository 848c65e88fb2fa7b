// SPDX-License-Identifier: GPL-2.0
/*
 * A request and its expected result, which the reference computes.
 */
#include <crypto/internal/akcipher.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "fault.h"

/* The number of bytes of a request's data to search for in its context. */
#define PROBE	16

void request_free(struct fault_request *r)
{
	kfree(r->in);
	kfree(r->out);
	kfree(r->expected);
	kfree_sensitive(r->req);
}

static int request_alloc(struct fault_request *r, const struct impl *impl)
{
	init_completion(&r->done);
	r->in = kzalloc(r->size, GFP_KERNEL);
	r->out = kzalloc(r->size, GFP_KERNEL);
	r->expected = kzalloc(r->size, GFP_KERNEL);
	r->req = kzalloc(impl_reqsize(impl), GFP_KERNEL);
	return r->in && r->out && r->expected && r->req ? 0 : -ENOMEM;
}

static void request_done(void *data, int err)
{
	struct fault_request *r = data;

	if (err == -EINPROGRESS)
		return;
	r->ret = err;
	if (atomic_inc_return(&r->finished) == 1)
		complete(&r->done);
}

/* Prepares an encryption, or a decryption of ciphertext of the reference. */
static int prepare_crypt(struct fault_request *r, struct impl *reference)
{
	int ret;

	memcpy(r->expected, r->in, r->size);
	/* Decryption leaves the same IV for the next request as encryption. */
	ret = impl_run(reference, r->expected, r->expected, r->len, r->next_iv, true);
	if (!r->encrypt)
		swap(r->in, r->expected);
	memcpy(r->out, r->in, r->size);
	return ret;
}

/* Prepares the verification of a valid signature, or one with a wrong digest. */
static int prepare_signature(struct fault_request *r, struct fault_test *test)
{
	if (test->signature_len <= DIGEST || test->signature_len > SIZE)
		return -EINVAL;
	r->in_place = false;
	r->len = test->signature_len - DIGEST;
	memcpy(r->in, test->signature, test->signature_len);
	if (!r->encrypt) {
		r->in[r->len + get_random_u32_below(DIGEST)] ^= 1;
		r->expected_ret = -EKEYREJECTED;
	}
	if (impl_run(&test->reference, r->in, r->in, r->len, r->iv, true) != r->expected_ret)
		return -EBADMSG;
	return 0;
}

int request_prepare(struct fault_request *r, struct fault_test *test, unsigned int number)
{
	struct impl *reference = &test->reference;
	int ret;

	r->size = max(SIZE, AAD + test->text + TAG);
	ret = request_alloc(r, &test->impl);
	if (ret)
		return ret;
	r->encrypt = number & 1;
	r->in_place = test->in_place < 0 ? number & 2 : test->in_place;
	r->len = test->text ?: get_random_u32_inclusive(1, TEXT / 16) * 16;
	get_random_bytes(r->iv, MAX_IV);
	/* The first byte of a CCM IV is the size of the length field minus one. */
	if (reference->kind == AEAD && crypto_aead_ivsize(reference->aead) == MAX_IV)
		r->iv[0] = 3;
	memcpy(r->first_iv, r->iv, MAX_IV);
	memcpy(r->next_iv, r->iv, MAX_IV);
	get_random_bytes(r->in, AAD + r->len);
	switch (reference->kind) {
	case SIG:
		return prepare_signature(r, test);
	case AHASH:
		r->in_place = false;
		return impl_run(reference, r->in, r->expected, r->len, r->iv, true);
	case AKCIPHER:
		r->len = crypto_akcipher_maxsize(reference->akcipher);
		if (!r->len || r->len > TEXT)
			return -EINVAL;
		get_random_bytes(r->in, r->len);
		/* The number must be less than the modulus and greater than 1. */
		r->in[0] = 0;
		r->in[1] |= 1;
		return prepare_crypt(r, reference);
	default:
		return prepare_crypt(r, reference);
	}
}

void request_start(struct fault_request *r, struct impl *impl)
{
	bool hash = impl->kind == AHASH;
	int ret;

	sg_init_one(&r->src, r->in_place ? r->out : r->in, r->size);
	sg_init_one(&r->dst, r->out, r->size);
	ret = impl_submit(impl, r->req, &r->src, r->in_place ? &r->src : &r->dst, r->len,
			  hash ? NULL : r->iv, r->encrypt, request_done, r);
	if (ret != -EINPROGRESS && ret != -EBUSY)
		request_done(r, ret);
}

bool request_is_correct(const struct fault_request *r, const struct impl *impl)
{
	const struct akcipher_request *akcipher = r->req;

	switch (impl->kind) {
	case SKCIPHER:
		return !memcmp(r->out, r->expected, r->len);
	case AEAD:
		return !memcmp(r->out + AAD, r->expected + AAD,
			       r->encrypt ? r->len + TAG : r->len);
	case AHASH:
		return !memcmp(r->out, r->expected,
			       crypto_ahash_digestsize(impl->ahash));
	case AKCIPHER:
		return akcipher->dst_len == r->len &&
		       !memcmp(r->out, r->expected, r->len);
	case SIG:
		/* A verification has no output data. */
		return true;
	}
	return false;
}

bool request_iv_is_correct(const struct fault_request *r, const struct impl *impl)
{
	if (impl->kind != SKCIPHER)
		return true;
	/* XTS does not define the IV after a request. */
	if (!r->ret && strstarts(crypto_tfm_alg_name(crypto_skcipher_tfm(impl->skcipher)),
				 "xts("))
		return true;
	return !memcmp(r->iv, r->ret ? r->first_iv : r->next_iv,
		       crypto_skcipher_ivsize(impl->skcipher));
}

/* Returns true if @bytes contains the last PROBE bytes of @data. */
static bool contains_tail_of(const u8 *bytes, unsigned int len, const u8 *data,
			     unsigned int data_len)
{
	unsigned int i;

	if (data_len < PROBE)
		return false;
	data += data_len - PROBE;
	for (i = 0; i + PROBE <= len; i++)
		if (!memcmp(bytes + i, data, PROBE))
			return true;
	return false;
}

bool request_is_wiped(const struct fault_request *r, const struct impl *impl)
{
	struct akcipher_request *req = r->req;
	const u8 *context;
	unsigned int len;

	if (impl->kind != AKCIPHER)
		return true;
	context = akcipher_request_ctx(req);
	len = crypto_akcipher_reqsize(impl->akcipher);
	return !contains_tail_of(context, len, r->in, r->len) &&
	       !contains_tail_of(context, len, r->expected, req->dst_len);
}
