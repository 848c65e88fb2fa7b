// SPDX-License-Identifier: GPL-2.0
/*
 * vc_fault: a few requests of one algorithm at a time, made when it is told to,
 * each compared with what another implementation makes of it, and counted. It is
 * for devices with faults: nothing that comes of a request is a failure here.
 *
 * What is written to the parameter "run" is, in one line,
 *
 *	KIND DRIVER REFERENCE KEY AUTH COUNT
 *
 * KIND is skcipher, aead or ahash; KEY how many bytes the key has, and AUTH how
 * many that of an authenc's MAC. What is read from it afterwards is
 *
 *	right=N wrong=N lost=N doubled=N -ERRNO=N...
 */
#include <crypto/aead.h>
#include <crypto/authenc.h>
#include <crypto/hash.h>
#include <crypto/skcipher.h>
#include <linux/completion.h>
#include <linux/crypto.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/rtnetlink.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>

#define MAX_NAME	128
#define MAX_KEY		256
#define MAX_COUNT	1000
#define MAX_ERRORS	8
#define MAX_IV		16
#define AAD		16
#define TAG		16
#define TEXT		2048
#define SIZE		(AAD + TEXT + HASH_MAX_DIGESTSIZE)

static unsigned int limit = 120;
module_param(limit, uint, 0644);
MODULE_PARM_DESC(limit, "Seconds after which a request counts as lost");

enum kind { SKCIPHER, AEAD, AHASH };

/* One implementation. */
struct side {
	enum kind kind;
	union {
		struct crypto_skcipher *skcipher;
		struct crypto_aead *aead;
		struct crypto_ahash *ahash;
	};
};

/* A request, and all that belongs to it. */
struct trial {
	struct completion done;
	atomic_t finished;
	void *req;
	struct scatterlist src;
	struct scatterlist dst;
	u8 *in;
	u8 *out;
	u8 *expect;
	u8 iv[MAX_IV];
	unsigned int len;
	bool encrypt;
	bool in_place;
	int ret;
};

/* What has come of all. */
struct tally {
	unsigned int right;
	unsigned int wrong;
	unsigned int lost;
	unsigned int doubled;
	struct {
		int errno;
		unsigned int count;
	} errors[MAX_ERRORS];
};

static char outcome[256] = "none";

static int side_open(struct side *side, enum kind kind, const char *name, u32 mask)
{
	side->kind = kind;
	switch (kind) {
	case SKCIPHER:
		side->skcipher = crypto_alloc_skcipher(name, 0, mask);
		return PTR_ERR_OR_ZERO(side->skcipher);
	case AEAD:
		side->aead = crypto_alloc_aead(name, 0, mask);
		return PTR_ERR_OR_ZERO(side->aead);
	default:
		side->ahash = crypto_alloc_ahash(name, 0, mask);
		return PTR_ERR_OR_ZERO(side->ahash);
	}
}

static void side_close(struct side *side)
{
	switch (side->kind) {
	case SKCIPHER:
		crypto_free_skcipher(side->skcipher);
		break;
	case AEAD:
		crypto_free_aead(side->aead);
		break;
	default:
		crypto_free_ahash(side->ahash);
	}
}

static int side_set_key(struct side *side, const u8 *key, unsigned int len)
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
	default:
		return crypto_ahash_setkey(side->ahash, key, len);
	}
}

static unsigned int side_reqsize(const struct side *side)
{
	switch (side->kind) {
	case SKCIPHER:
		return sizeof(struct skcipher_request) +
		       crypto_skcipher_reqsize(side->skcipher);
	case AEAD:
		return sizeof(struct aead_request) + crypto_aead_reqsize(side->aead);
	default:
		return sizeof(struct ahash_request) + crypto_ahash_reqsize(side->ahash);
	}
}

/* Makes a request, and returns what the implementation does. */
static int side_send(struct side *side, void *memory, struct scatterlist *src,
		     struct scatterlist *dst, unsigned int len, u8 *iv,
		     bool encrypt, crypto_completion_t done, void *data)
{
	u32 flags = CRYPTO_TFM_REQ_MAY_BACKLOG | CRYPTO_TFM_REQ_MAY_SLEEP;

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
	default: {
		struct ahash_request *req = memory;

		ahash_request_set_tfm(req, side->ahash);
		ahash_request_set_callback(req, flags, done, data);
		ahash_request_set_crypt(req, src, sg_virt(dst), len);
		return crypto_ahash_digest(req);
	}
	}
}

/* The same, waited for, in place but for a digest. */
static int side_run(struct side *side, u8 *from, u8 *to, unsigned int len,
		    const u8 *iv, bool encrypt)
{
	void *req = kzalloc(side_reqsize(side), GFP_KERNEL);
	struct scatterlist src, dst;
	DECLARE_CRYPTO_WAIT(wait);
	u8 copy[MAX_IV];
	int ret;

	if (!req)
		return -ENOMEM;
	memcpy(copy, iv, MAX_IV);
	sg_init_one(&src, from, SIZE);
	sg_init_one(&dst, to, SIZE);
	ret = side_send(side, req, &src, from == to ? &src : &dst, len, copy, encrypt,
			crypto_req_done, &wait);
	ret = crypto_wait_req(ret, &wait);
	kfree_sensitive(req);
	return ret;
}

static void trial_free(struct trial *t)
{
	kfree(t->in);
	kfree(t->out);
	kfree(t->expect);
	kfree_sensitive(t->req);
}

static int trial_alloc(struct trial *t, const struct side *side)
{
	init_completion(&t->done);
	t->in = kzalloc(SIZE, GFP_KERNEL);
	t->out = kzalloc(SIZE, GFP_KERNEL);
	t->expect = kzalloc(SIZE, GFP_KERNEL);
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

/* Makes up a request, and what has to come of it. */
static int trial_prepare(struct trial *t, struct side *reference, unsigned int number)
{
	int ret;

	t->encrypt = number & 1;
	t->in_place = reference->kind != AHASH && number & 2;
	t->len = get_random_u32_inclusive(1, TEXT / 16) * 16;
	get_random_bytes(t->iv, MAX_IV);
	get_random_bytes(t->in, AAD + t->len);
	if (reference->kind == AHASH)
		return side_run(reference, t->in, t->expect, t->len, t->iv, true);

	memcpy(t->expect, t->in, SIZE);
	ret = side_run(reference, t->expect, t->expect, t->len, t->iv, true);
	/* What was made of it is to be undone. */
	if (!t->encrypt)
		swap(t->in, t->expect);
	memcpy(t->out, t->in, SIZE);
	return ret;
}

static void trial_start(struct trial *t, struct side *side)
{
	bool hash = side->kind == AHASH;
	int ret;

	sg_init_one(&t->src, t->in_place ? t->out : t->in, SIZE);
	sg_init_one(&t->dst, t->out, SIZE);
	ret = side_send(side, t->req, &t->src, t->in_place ? &t->src : &t->dst, t->len,
			hash ? NULL : t->iv, t->encrypt, trial_done, t);
	if (ret != -EINPROGRESS && ret != -EBUSY)
		trial_done(t, ret);
}

static bool trial_is_right(const struct trial *t, const struct side *side)
{
	switch (side->kind) {
	case SKCIPHER:
		return !memcmp(t->out, t->expect, t->len);
	case AEAD:
		return !memcmp(t->out + AAD, t->expect + AAD,
			       t->encrypt ? t->len + TAG : t->len);
	default:
		return !memcmp(t->out, t->expect,
			       crypto_ahash_digestsize(side->ahash));
	}
}

static void count_error(struct tally *tally, int errno)
{
	unsigned int i;

	for (i = 0; i < MAX_ERRORS; i++) {
		if (tally->errors[i].count && tally->errors[i].errno != errno)
			continue;
		tally->errors[i].errno = errno;
		tally->errors[i].count++;
		return;
	}
	tally->wrong++;
}

static void trial_count(struct trial *t, const struct side *side, struct tally *tally)
{
	if (atomic_read(&t->finished) > 1)
		tally->doubled++;
	if (t->ret)
		count_error(tally, t->ret);
	else if (trial_is_right(t, side))
		tally->right++;
	else
		tally->wrong++;
}

/* Returns false if a request was lost, whose memory has to stay then. */
static bool trials(struct side *side, struct side *reference, struct trial *all,
		   unsigned int count, struct tally *tally)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		int ret = trial_alloc(&all[i], side);

		if (!ret)
			ret = trial_prepare(&all[i], reference, i);
		if (ret) {
			count_error(tally, ret);
			return true;
		}
	}
	for (i = 0; i < count; i++)
		trial_start(&all[i], side);
	for (i = 0; i < count; i++)
		if (!wait_for_completion_timeout(&all[i].done, limit * HZ))
			tally->lost++;
	if (tally->lost)
		return false;
	for (i = 0; i < count; i++)
		trial_count(&all[i], side, tally);
	return true;
}

static void report(const struct tally *tally)
{
	unsigned int i;
	int at;

	at = scnprintf(outcome, sizeof(outcome), "right=%u wrong=%u lost=%u doubled=%u",
		       tally->right, tally->wrong, tally->lost, tally->doubled);
	for (i = 0; i < MAX_ERRORS && tally->errors[i].count; i++)
		at += scnprintf(outcome + at, sizeof(outcome) - at, " %d=%u",
				tally->errors[i].errno, tally->errors[i].count);
}

static unsigned int make_key(u8 *key, unsigned int len, unsigned int auth)
{
	struct rtattr *rta = (struct rtattr *)key;
	struct crypto_authenc_key_param *param = RTA_DATA(rta);

	get_random_bytes(key, MAX_KEY);
	if (!auth)
		return len;
	rta->rta_len = RTA_LENGTH(sizeof(*param));
	rta->rta_type = CRYPTO_AUTHENC_KEYA_PARAM;
	param->enckeylen = cpu_to_be32(len);
	return RTA_SPACE(sizeof(*param)) + auth + len;
}

static int with_key(struct side *side, struct side *reference, unsigned int key_len,
		    unsigned int auth, unsigned int count)
{
	struct tally tally = {};
	struct trial *all;
	u8 key[MAX_KEY];
	unsigned int i;
	int ret;

	key_len = make_key(key, key_len, auth);
	ret = side_set_key(reference, key, key_len) ?: side_set_key(side, key, key_len);
	memzero_explicit(key, sizeof(key));
	if (ret)
		return ret;
	all = kvcalloc(count, sizeof(*all), GFP_KERNEL);
	if (!all)
		return -ENOMEM;
	if (!trials(side, reference, all, count, &tally)) {
		report(&tally);
		return -ETIMEDOUT;
	}
	report(&tally);
	for (i = 0; i < count; i++)
		trial_free(&all[i]);
	kvfree(all);
	return 0;
}

static int run_set(const char *text, const struct kernel_param *kp)
{
	char kind_name[16], driver[MAX_NAME], reference[MAX_NAME];
	unsigned int key_len, auth, count;
	struct side side, other;
	enum kind kind;
	int ret;

	if (sscanf(text, "%15s %127s %127s %u %u %u", kind_name, driver, reference,
		   &key_len, &auth, &count) != 6)
		return -EINVAL;
	if (count > MAX_COUNT || key_len > 64 || auth > 128)
		return -EINVAL;
	if (!strcmp(kind_name, "skcipher"))
		kind = SKCIPHER;
	else if (!strcmp(kind_name, "aead"))
		kind = AEAD;
	else if (!strcmp(kind_name, "ahash"))
		kind = AHASH;
	else
		return -EINVAL;

	strscpy(outcome, "none");
	ret = side_open(&side, kind, driver, 0);
	if (ret)
		return ret;
	ret = side_open(&other, kind, reference, CRYPTO_ALG_ASYNC);
	if (ret) {
		side_close(&side);
		return ret;
	}
	ret = with_key(&side, &other, key_len, auth, count);
	if (ret == -ETIMEDOUT) {
		/* The request may come back yet: all that it needs has to stay. */
		__module_get(THIS_MODULE);
		return 0;
	}
	side_close(&other);
	side_close(&side);
	return ret;
}

static int run_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", outcome);
}

static const struct kernel_param_ops run_ops = {
	.set = run_set,
	.get = run_get,
};

module_param_cb(run, &run_ops, NULL, 0644);
MODULE_PARM_DESC(run, "KIND DRIVER REFERENCE KEY AUTH COUNT to run; what has come of it");

static int __init vc_fault_init(void)
{
	return 0;
}

static void __exit vc_fault_exit(void)
{
}

module_init(vc_fault_init);
module_exit(vc_fault_exit);

MODULE_DESCRIPTION("Counts what becomes of the requests of an algorithm");
MODULE_LICENSE("GPL");
