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
 * KIND is skcipher, aead, ahash, akcipher or sig; KEY how many bytes the key has,
 * and AUTH how many that of an authenc's MAC. Keys are made up, but for those of
 * akcipher, which decrypts, too, and of sig, which verifies: they are written to
 * the parameter "key" before, and to "signature" one that is right, with its
 * digest behind it, all in hexadecimal. What is read from "run" afterwards is
 *
 *	right=N wrong=N lost=N doubled=N spoilt=N traces=N encrypt-ERRNO=N...
 *
 * spoilt counts IVs that are not what they should be after a request, traces counts
 * requests whose memory still holds their data. Errors are counted by direction:
 * encrypt-ERRNO or decrypt-ERRNO; with kinds that have no direction both mean the
 * same. With the parameter "backlog" off requests must not be backlogged. The
 * parameter "text" sets the length of the text, "in_place" whether source and
 * destination are the same.
 */
#include <crypto/authenc.h>
#include <linux/crypto.h>
#include <linux/hex.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "fault.h"

#define MAX_NAME	128
#define MAX_KEY		256
#define MAX_COUNT	1000
/* Of either direction. */
#define MAX_ERRORS	16

static unsigned int limit = 120;
module_param(limit, uint, 0644);
MODULE_PARM_DESC(limit, "Seconds after which a request counts as lost");

static bool backlog = true;
module_param(backlog, bool, 0644);
MODULE_PARM_DESC(backlog, "Whether requests may be backlogged (default Y)");

static unsigned int text;
module_param(text, uint, 0644);
MODULE_PARM_DESC(text, "Bytes of text, a multiple of 16, or 0 for any length (default 0)");

static int in_place = -1;
module_param(in_place, int, 0644);
MODULE_PARM_DESC(in_place, "Whether requests are in place: 1, 0, or -1 for both (default -1)");

/* Bytes that were written to a parameter. */
struct given {
	unsigned int len;
	u8 bytes[2048];
};

static struct given given_key, given_signature;

/* What has come of all. */
struct tally {
	unsigned int right;
	unsigned int wrong;
	unsigned int lost;
	unsigned int doubled;
	unsigned int spoilt;
	unsigned int traces;
	struct {
		int errno;
		bool encrypt;
		unsigned int count;
	} errors[MAX_ERRORS];
};

static char outcome[512] = "none";

static void count_error(struct tally *tally, int errno, bool encrypt)
{
	unsigned int i;

	for (i = 0; i < MAX_ERRORS; i++) {
		if (tally->errors[i].count && (tally->errors[i].errno != errno ||
					       tally->errors[i].encrypt != encrypt))
			continue;
		tally->errors[i].errno = errno;
		tally->errors[i].encrypt = encrypt;
		tally->errors[i].count++;
		return;
	}
	tally->wrong++;
}

static void trial_count(struct trial *t, const struct side *side, struct tally *tally)
{
	if (atomic_read(&t->finished) > 1)
		tally->doubled++;
	tally->spoilt += !trial_iv_is_right(t, side);
	tally->traces += !trial_is_wiped(t, side);
	if (t->ret && t->ret != t->must)
		count_error(tally, t->ret, t->encrypt);
	else if (t->ret == t->must && (t->ret || trial_is_right(t, side)))
		tally->right++;
	else
		tally->wrong++;
}

/* Returns false if a request was lost, whose memory has to stay then. */
static bool trials(struct subject *subject, struct trial *all, unsigned int count,
		   struct tally *tally)
{
	unsigned int i;
	int ret;

	for (i = 0; i < count; i++) {
		ret = trial_make(&all[i], subject, i);
		if (ret) {
			count_error(tally, ret, all[i].encrypt);
			return true;
		}
	}
	for (i = 0; i < count; i++)
		trial_start(&all[i], &subject->side);
	for (i = 0; i < count; i++)
		if (!wait_for_completion_timeout(&all[i].done, limit * HZ))
			tally->lost++;
	if (tally->lost)
		return false;
	for (i = 0; i < count; i++)
		trial_count(&all[i], &subject->side, tally);
	return true;
}

static void report(const struct tally *tally)
{
	unsigned int i;
	int at;

	at = scnprintf(outcome, sizeof(outcome),
		       "right=%u wrong=%u lost=%u doubled=%u spoilt=%u traces=%u",
		       tally->right, tally->wrong, tally->lost, tally->doubled,
		       tally->spoilt, tally->traces);
	for (i = 0; i < MAX_ERRORS && tally->errors[i].count; i++)
		at += scnprintf(outcome + at, sizeof(outcome) - at, " %s%d=%u",
				tally->errors[i].encrypt ? "encrypt" : "decrypt",
				tally->errors[i].errno, tally->errors[i].count);
}

static int run_trials(struct subject *subject, unsigned int count)
{
	struct tally tally = {};
	struct trial *all;
	unsigned int i;

	all = kvcalloc(count, sizeof(*all), GFP_KERNEL);
	if (!all)
		return -ENOMEM;
	if (!trials(subject, all, count, &tally)) {
		report(&tally);
		return -ETIMEDOUT;
	}
	report(&tally);
	for (i = 0; i < count; i++)
		trial_free(&all[i]);
	kvfree(all);
	return 0;
}

static int set_keys(struct subject *subject, const u8 *key, unsigned int len)
{
	return side_set_key(&subject->reference, key, len) ?:
	       side_set_key(&subject->side, key, len);
}

/* Makes up a key; that of an authenc has two, and says how long they are. */
static int set_random_keys(struct subject *subject, unsigned int len, unsigned int auth)
{
	struct crypto_authenc_key_param *param;
	u8 key[MAX_KEY];
	struct rtattr *rta = (struct rtattr *)key;
	int ret;

	get_random_bytes(key, MAX_KEY);
	if (auth) {
		param = RTA_DATA(rta);
		rta->rta_len = RTA_LENGTH(sizeof(*param));
		rta->rta_type = CRYPTO_AUTHENC_KEYA_PARAM;
		param->enckeylen = cpu_to_be32(len);
		len += RTA_SPACE(sizeof(*param)) + auth;
	}
	ret = set_keys(subject, key, len);
	memzero_explicit(key, sizeof(key));
	return ret;
}

static int run_set(const char *line, const struct kernel_param *kp)
{
	static const char * const kinds[] = {
		[SKCIPHER] = "skcipher",
		[AEAD] = "aead",
		[AHASH] = "ahash",
		[AKCIPHER] = "akcipher",
		[SIG] = "sig",
	};
	char kind_name[16], driver[MAX_NAME], reference[MAX_NAME];
	unsigned int key_len, auth, count;
	struct subject subject = {
		.signature = given_signature.bytes,
		.signature_len = given_signature.len,
		.text = text,
		.in_place = in_place,
	};
	int kind, ret;

	if (sscanf(line, "%15s %127s %127s %u %u %u", kind_name, driver, reference,
		   &key_len, &auth, &count) != 6)
		return -EINVAL;
	if (subject.text % 16 || subject.text > MAX_TEXT)
		return -EINVAL;
	if (count > MAX_COUNT || key_len > 64 || auth > 128)
		return -EINVAL;
	kind = match_string(kinds, ARRAY_SIZE(kinds), kind_name);
	if (kind < 0)
		return kind;

	strscpy(outcome, "none");
	subject.side.may_backlog = backlog;
	ret = side_open(&subject.side, kind, driver, 0);
	if (ret)
		return ret;
	ret = side_open(&subject.reference, kind, reference, CRYPTO_ALG_ASYNC);
	if (ret) {
		side_close(&subject.side);
		return ret;
	}
	if (kind == AKCIPHER || kind == SIG)
		ret = set_keys(&subject, given_key.bytes, given_key.len);
	else
		ret = set_random_keys(&subject, key_len, auth);
	ret = ret ?: run_trials(&subject, count);
	if (ret == -ETIMEDOUT) {
		/* The request may come back yet: all that it needs has to stay. */
		__module_get(THIS_MODULE);
		return 0;
	}
	side_close(&subject.reference);
	side_close(&subject.side);
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

static int given_set(const char *line, const struct kernel_param *kp)
{
	struct given *given = kp->arg;
	size_t len = strcspn(line, "\n");

	given->len = 0;
	if (len % 2 || len / 2 > sizeof(given->bytes) ||
	    hex2bin(given->bytes, line, len / 2))
		return -EINVAL;
	given->len = len / 2;
	return 0;
}

static const struct kernel_param_ops given_ops = {
	.set = given_set,
};

module_param_cb(key, &given_ops, &given_key, 0200);
MODULE_PARM_DESC(key, "The key of a public key algorithm");
module_param_cb(signature, &given_ops, &given_signature, 0200);
MODULE_PARM_DESC(signature, "A signature and its digest");

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
