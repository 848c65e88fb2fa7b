// SPDX-License-Identifier: GPL-2.0
/*
 * Public-key algorithms: encryption, decryption, signatures and their verification.
 */
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "bench.h"

static int akcipher_open(struct bench *bench, const char *driver)
{
	const struct command *c = bench->command;
	struct crypto_akcipher *tfm = crypto_alloc_akcipher(driver, 0, 0);
	int ret;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	bench->akcipher = tfm;
	bench->is_async = crypto_akcipher_alg(tfm)->base.cra_flags & CRYPTO_ALG_ASYNC;
	if (!strcmp(c->op, "decrypt"))
		ret = crypto_akcipher_set_priv_key(tfm, c->key, c->key_len);
	else
		ret = crypto_akcipher_set_pub_key(tfm, c->key, c->key_len);
	if (ret)
		return ret;
	bench->in_len = c->size;
	bench->out_len = crypto_akcipher_maxsize(tfm);
	return bench->out_len == c->size && !c->in_place ? 0 : -EINVAL;
}

static void akcipher_close(struct bench *bench)
{
	crypto_free_akcipher(bench->akcipher);
}

static int akcipher_alloc(struct slot *slot)
{
	slot->akcipher = akcipher_request_alloc(slot->bench->akcipher, GFP_KERNEL);
	return slot->req ? 0 : -ENOMEM;
}

static void akcipher_free(struct slot *slot)
{
	akcipher_request_free(slot->akcipher);
}

static void akcipher_fill(struct slot *slot)
{
	akcipher_request_set_callback(slot->akcipher, slot->bench->flags, slot_done, slot);
	akcipher_request_set_crypt(slot->akcipher, slot->src, slot->dst, slot->bench->in_len,
				   slot->bench->out_len);
}

static int akcipher_submit(struct slot *slot)
{
	return !strcmp(slot->bench->command->op, "decrypt") ?
		       crypto_akcipher_decrypt(slot->akcipher) :
		       crypto_akcipher_encrypt(slot->akcipher);
}

const struct service akcipher_service = {
	.type = "akcipher",
	.open = akcipher_open,
	.close = akcipher_close,
	.alloc = akcipher_alloc,
	.free = akcipher_free,
	.fill = akcipher_fill,
	.submit = akcipher_submit,
};

static bool is_signing(const struct command *c)
{
	return !strcmp(c->op, "sign");
}

/* The result of a verification is the return value, so out_len is 0. */
static int sig_open(struct bench *bench, const char *driver)
{
	const struct command *c = bench->command;
	struct crypto_sig *tfm = crypto_alloc_sig(driver, 0, 0);
	int ret;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	bench->sig = tfm;
	bench->in_len = c->size;
	if (is_signing(c)) {
		if (!c->message_len)
			return -EINVAL;
		ret = crypto_sig_set_privkey(tfm, c->key, c->key_len);
		if (!ret)
			bench->out_len = crypto_sig_maxsize(tfm);
		return ret;
	}
	if (strcmp(c->op, "verify") || !c->message_len || !c->digest_len)
		return -EINVAL;
	return crypto_sig_set_pubkey(tfm, c->key, c->key_len);
}

static void sig_close(struct bench *bench)
{
	crypto_free_sig(bench->sig);
}

static int sig_alloc(struct slot *slot)
{
	return 0;
}

static void sig_free(struct slot *slot)
{
}

/*
 * Checks once that the driver rejects the signature for another digest. The rounds only verify
 * valid signatures.
 */
static void sig_fill(struct slot *slot)
{
	const struct command *c = slot->bench->command;

	if (is_signing(c))
		return;
	c->digest[0] ^= 1;
	if (crypto_sig_verify(slot->bench->sig, c->message, c->message_len, c->digest,
			      c->digest_len) != -EKEYREJECTED)
		slot->bench->accepted_invalid = true;
	c->digest[0] ^= 1;
}

static int sig_submit(struct slot *slot)
{
	const struct command *c = slot->bench->command;
	int ret;

	if (is_signing(c)) {
		ret = crypto_sig_sign(slot->bench->sig, slot->in, slot->bench->in_len, slot->out,
				      slot->bench->out_len);
		return min(ret, 0); /* the signature's length is not an error */
	}
	if (slot->bench->accepted_invalid)
		return -EBADMSG;
	return crypto_sig_verify(slot->bench->sig, c->message, c->message_len, c->digest,
				 c->digest_len);
}

/* ECDSA signatures are random, so the reference verifies the signatures. */
static int sig_check(struct bench *bench)
{
	const struct command *c = bench->command;
	struct crypto_sig *tfm = crypto_alloc_sig(c->reference, 0, 0);
	struct slot *slot;
	int ret;
	u32 i;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	ret = crypto_sig_set_pubkey(tfm, c->message, c->message_len);
	for (i = 0; !ret && i < bench->depth; i++) {
		slot = &bench->slots[i];
		ret = crypto_sig_verify(tfm, slot->out, bench->out_len, slot->in, bench->in_len);
	}
	crypto_free_sig(tfm);
	return ret;
}

const struct service sig_service = {
	.type = "sig",
	.open = sig_open,
	.close = sig_close,
	.alloc = sig_alloc,
	.free = sig_free,
	.fill = sig_fill,
	.submit = sig_submit,
	.check = sig_check,
};
