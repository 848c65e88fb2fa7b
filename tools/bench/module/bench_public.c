// SPDX-License-Identifier: GPL-2.0
/*
 * Public keys: encryption and decryption, and signatures that are verified.
 */
#include <linux/err.h>
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

/* Verification has no result but its error. */
static int sig_open(struct bench *bench, const char *driver)
{
	const struct command *c = bench->command;
	struct crypto_sig *tfm = crypto_alloc_sig(driver, 0, 0);

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	bench->sig = tfm;
	bench->in_len = c->size;
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

/* A signature of another digest must not be taken for right; a round does not see that. */
static void sig_fill(struct slot *slot)
{
	const struct command *c = slot->bench->command;

	c->digest[0] ^= 1;
	if (crypto_sig_verify(slot->bench->sig, c->message, c->message_len, c->digest,
			      c->digest_len) != -EKEYREJECTED)
		slot->bench->wrong = true;
	c->digest[0] ^= 1;
}

static int sig_submit(struct slot *slot)
{
	const struct command *c = slot->bench->command;

	if (slot->bench->wrong)
		return -EBADMSG;
	return crypto_sig_verify(slot->bench->sig, c->message, c->message_len, c->digest,
				 c->digest_len);
}

const struct service sig_service = {
	.type = "sig",
	.open = sig_open,
	.close = sig_close,
	.alloc = sig_alloc,
	.free = sig_free,
	.fill = sig_fill,
	.submit = sig_submit,
};
