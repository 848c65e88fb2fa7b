// SPDX-License-Identifier: GPL-2.0
/*
 * One request, and what software makes of it, which has to come of it.
 */
#include <crypto/internal/akcipher.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "fault.h"

/* So many bytes of a request's data are searched for in its context. */
#define PROBE	16

void trial_free(struct trial *t)
{
	kfree(t->in);
	kfree(t->out);
	kfree(t->expect);
	kfree_sensitive(t->req);
}

static int trial_alloc(struct trial *t, const struct side *side)
{
	init_completion(&t->done);
	t->in = kzalloc(t->size, GFP_KERNEL);
	t->out = kzalloc(t->size, GFP_KERNEL);
	t->expect = kzalloc(t->size, GFP_KERNEL);
	t->req = kzalloc(side_reqsize(side), GFP_KERNEL);
	return t->in && t->out && t->expect && t->req ? 0 : -ENOMEM;
}

static void trial_done(void *data, int err)
{
	struct trial *t = data;

	if (err == -EINPROGRESS)
		return;
	t->ret = err;
	if (atomic_inc_return(&t->finished) == 1)
		complete(&t->done);
}

/* What is encrypted, or what was made of it is to be undone. */
static int make_crypt(struct trial *t, struct side *reference)
{
	int ret;

	memcpy(t->expect, t->in, t->size);
	/* Decryption leaves the same IV for the next request as encryption. */
	ret = side_run(reference, t->expect, t->expect, t->len, t->next_iv, true);
	if (!t->encrypt)
		swap(t->in, t->expect);
	memcpy(t->out, t->in, t->size);
	return ret;
}

/* A signature that is right, or that of another digest. */
static int make_signature(struct trial *t, struct subject *subject)
{
	if (subject->signature_len <= DIGEST || subject->signature_len > SIZE)
		return -EINVAL;
	t->in_place = false;
	t->len = subject->signature_len - DIGEST;
	memcpy(t->in, subject->signature, subject->signature_len);
	if (!t->encrypt) {
		t->in[t->len + get_random_u32_below(DIGEST)] ^= 1;
		t->must = -EKEYREJECTED;
	}
	if (side_run(&subject->reference, t->in, t->in, t->len, t->iv, true) != t->must)
		return -EBADMSG;
	return 0;
}

int trial_make(struct trial *t, struct subject *subject, unsigned int number)
{
	struct side *reference = &subject->reference;
	int ret;

	t->size = max(SIZE, AAD + subject->text + TAG);
	ret = trial_alloc(t, &subject->side);
	if (ret)
		return ret;
	t->encrypt = number & 1;
	t->in_place = subject->in_place < 0 ? number & 2 : subject->in_place;
	t->len = subject->text ?: get_random_u32_inclusive(1, TEXT / 16) * 16;
	get_random_bytes(t->iv, MAX_IV);
	/* CCM's first byte is the size of the length field less one. */
	if (reference->kind == AEAD && crypto_aead_ivsize(reference->aead) == MAX_IV)
		t->iv[0] = 3;
	memcpy(t->first_iv, t->iv, MAX_IV);
	memcpy(t->next_iv, t->iv, MAX_IV);
	get_random_bytes(t->in, AAD + t->len);
	switch (reference->kind) {
	case SIG:
		return make_signature(t, subject);
	case AHASH:
		t->in_place = false;
		return side_run(reference, t->in, t->expect, t->len, t->iv, true);
	case AKCIPHER:
		t->len = crypto_akcipher_maxsize(reference->akcipher);
		if (!t->len || t->len > TEXT)
			return -EINVAL;
		get_random_bytes(t->in, t->len);
		/* Less than the modulus, and more than 1. */
		t->in[0] = 0;
		t->in[1] |= 1;
		return make_crypt(t, reference);
	default:
		return make_crypt(t, reference);
	}
}

void trial_start(struct trial *t, struct side *side)
{
	bool hash = side->kind == AHASH;
	int ret;

	sg_init_one(&t->src, t->in_place ? t->out : t->in, t->size);
	sg_init_one(&t->dst, t->out, t->size);
	ret = side_send(side, t->req, &t->src, t->in_place ? &t->src : &t->dst, t->len,
			hash ? NULL : t->iv, t->encrypt, trial_done, t);
	if (ret != -EINPROGRESS && ret != -EBUSY)
		trial_done(t, ret);
}

bool trial_is_right(const struct trial *t, const struct side *side)
{
	const struct akcipher_request *akcipher = t->req;

	switch (side->kind) {
	case SKCIPHER:
		return !memcmp(t->out, t->expect, t->len);
	case AEAD:
		return !memcmp(t->out + AAD, t->expect + AAD,
			       t->encrypt ? t->len + TAG : t->len);
	case AHASH:
		return !memcmp(t->out, t->expect,
			       crypto_ahash_digestsize(side->ahash));
	case AKCIPHER:
		return akcipher->dst_len == t->len &&
		       !memcmp(t->out, t->expect, t->len);
	case SIG:
		/* There is nothing but what is returned. */
		return true;
	}
	return false;
}

bool trial_iv_is_right(const struct trial *t, const struct side *side)
{
	if (side->kind != SKCIPHER)
		return true;
	/* The IV after an XTS request is undefined. */
	if (!t->ret && strstarts(crypto_tfm_alg_name(crypto_skcipher_tfm(side->skcipher)),
				 "xts("))
		return true;
	return !memcmp(t->iv, t->ret ? t->first_iv : t->next_iv,
		       crypto_skcipher_ivsize(side->skcipher));
}

/* Returns true if @len bytes hold the last bytes of @data, which has @data_len. */
static bool has_end_of(const u8 *bytes, unsigned int len, const u8 *data,
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

bool trial_is_wiped(const struct trial *t, const struct side *side)
{
	struct akcipher_request *req = t->req;
	const u8 *context;
	unsigned int len;

	if (side->kind != AKCIPHER)
		return true;
	context = akcipher_request_ctx(req);
	len = crypto_akcipher_reqsize(side->akcipher);
	return !has_end_of(context, len, t->in, t->len) &&
	       !has_end_of(context, len, t->expect, req->dst_len);
}
