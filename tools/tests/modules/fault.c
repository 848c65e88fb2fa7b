// SPDX-License-Identifier: GPL-2.0
/*
 * vc_fault: makes requests of one algorithm on demand, compares their results with
 * those of another implementation, and counts the results. The module is for
 * devices with injected faults, so it does not treat any result as a failure.
 *
 * A write to the parameter "run" makes COUNT requests at once:
 *
 *	KIND DRIVER REFERENCE KEY AUTH COUNT
 *
 * KIND	skcipher, aead, ahash, akcipher or sig
 * KEY	the length of the key in bytes
 * AUTH	the length of the MAC key in bytes, for authenc(), otherwise 0
 *
 * Keys are random, except for akcipher and sig. The parameter "key" sets the
 * private key of an akcipher, or the public key for sig, in hexadecimal. The
 * parameter "signature" sets a valid signature followed by its digest, also in
 * hexadecimal. Reading "run" returns the counts:
 *
 *	right=N wrong=N lost=N doubled=N spoilt=N traces=N encrypt-ERRNO=N...
 *
 * right	requests with the expected result
 * wrong	requests that succeeded with wrong data or should have failed
 * lost		requests that did not complete within "limit" seconds
 * doubled	requests that completed more than once
 * spoilt	wrong IVs after a request
 * traces	requests whose context still contains their data
 *
 * encrypt-ERRNO and decrypt-ERRNO count errors by direction. For kinds without a
 * direction the distinction has no meaning. The parameter "backlog" controls
 * whether requests may be backlogged, "text" the length of the plaintext in bytes,
 * and "in_place" whether source and destination are the same.
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
/* The maximum number of counted pairs of a direction and an error. */
#define MAX_ERRORS	16

static unsigned int limit = 120;
module_param(limit, uint, 0644);
MODULE_PARM_DESC(limit, "Seconds after which a request counts as lost (default 120)");

static bool backlog = true;
module_param(backlog, bool, 0644);
MODULE_PARM_DESC(backlog, "Whether requests may be backlogged (default Y)");

static unsigned int text;
module_param(text, uint, 0644);
MODULE_PARM_DESC(text, "Bytes of text, a multiple of 16, or 0 for any length (default 0)");

static int in_place = -1;
module_param(in_place, int, 0644);
MODULE_PARM_DESC(in_place, "Whether requests are in place: 1, 0, or -1 for both (default -1)");

/* The value of a hexadecimal parameter. */
struct hex_param {
	unsigned int len;
	u8 bytes[2048];
};

static struct hex_param key_param, signature_param;

/* The counts of a run. */
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

static char result[512] = "none";

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

static void count_result(struct fault_request *r, const struct impl *impl, struct tally *tally)
{
	if (atomic_read(&r->finished) > 1)
		tally->doubled++;
	tally->spoilt += !request_iv_is_correct(r, impl);
	tally->traces += !request_is_wiped(r, impl);
	if (r->ret && r->ret != r->expected_ret)
		count_error(tally, r->ret, r->encrypt);
	else if (r->ret == r->expected_ret && (r->ret || request_is_correct(r, impl)))
		tally->right++;
	else
		tally->wrong++;
}

/* Returns false if a request was lost. Its memory must not be freed then. */
static bool run_requests(struct fault_test *test, struct fault_request *all, unsigned int count,
			 struct tally *tally)
{
	unsigned int i;
	int ret;

	for (i = 0; i < count; i++) {
		ret = request_prepare(&all[i], test, i);
		if (ret) {
			count_error(tally, ret, all[i].encrypt);
			return true;
		}
	}
	for (i = 0; i < count; i++)
		request_start(&all[i], &test->impl);
	for (i = 0; i < count; i++)
		if (!wait_for_completion_timeout(&all[i].done, limit * HZ))
			tally->lost++;
	if (tally->lost)
		return false;
	for (i = 0; i < count; i++)
		count_result(&all[i], &test->impl, tally);
	return true;
}

static void report(const struct tally *tally)
{
	unsigned int i;
	int at;

	at = scnprintf(result, sizeof(result),
		       "right=%u wrong=%u lost=%u doubled=%u spoilt=%u traces=%u",
		       tally->right, tally->wrong, tally->lost, tally->doubled,
		       tally->spoilt, tally->traces);
	for (i = 0; i < MAX_ERRORS && tally->errors[i].count; i++)
		at += scnprintf(result + at, sizeof(result) - at, " %s%d=%u",
				tally->errors[i].encrypt ? "encrypt" : "decrypt",
				tally->errors[i].errno, tally->errors[i].count);
}

static int run_test(struct fault_test *test, unsigned int count)
{
	struct tally tally = {};
	struct fault_request *all;
	unsigned int i;

	all = kvcalloc(count, sizeof(*all), GFP_KERNEL);
	if (!all)
		return -ENOMEM;
	if (!run_requests(test, all, count, &tally)) {
		report(&tally);
		return -ETIMEDOUT;
	}
	report(&tally);
	for (i = 0; i < count; i++)
		request_free(&all[i]);
	kvfree(all);
	return 0;
}

static int set_keys(struct fault_test *test, const u8 *key, unsigned int len)
{
	return impl_set_key(&test->reference, key, len) ?:
	       impl_set_key(&test->impl, key, len);
}

/* Sets a random key. A key of authenc() has a parameter and two keys. */
static int set_random_keys(struct fault_test *test, unsigned int len, unsigned int auth)
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
	ret = set_keys(test, key, len);
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
	struct fault_test test = {
		.signature = signature_param.bytes,
		.signature_len = signature_param.len,
		.text = text,
		.in_place = in_place,
	};
	int kind, ret;

	if (sscanf(line, "%15s %127s %127s %u %u %u", kind_name, driver, reference,
		   &key_len, &auth, &count) != 6)
		return -EINVAL;
	if (test.text % 16 || test.text > MAX_TEXT)
		return -EINVAL;
	if (count > MAX_COUNT || key_len > 64 || auth > 128)
		return -EINVAL;
	kind = match_string(kinds, ARRAY_SIZE(kinds), kind_name);
	if (kind < 0)
		return kind;

	strscpy(result, "none");
	test.impl.may_backlog = backlog;
	ret = impl_alloc(&test.impl, kind, driver, 0);
	if (ret)
		return ret;
	ret = impl_alloc(&test.reference, kind, reference, CRYPTO_ALG_ASYNC);
	if (ret) {
		impl_free(&test.impl);
		return ret;
	}
	if (kind == AKCIPHER || kind == SIG)
		ret = set_keys(&test, key_param.bytes, key_param.len);
	else
		ret = set_random_keys(&test, key_len, auth);
	ret = ret ?: run_test(&test, count);
	if (ret == -ETIMEDOUT) {
		/* The lost request may complete later and still uses the memory. */
		__module_get(THIS_MODULE);
		return 0;
	}
	impl_free(&test.reference);
	impl_free(&test.impl);
	return ret;
}

static int run_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", result);
}

static const struct kernel_param_ops run_ops = {
	.set = run_set,
	.get = run_get,
};

module_param_cb(run, &run_ops, NULL, 0644);
MODULE_PARM_DESC(run, "Write KIND DRIVER REFERENCE KEY AUTH COUNT to run, read the counts");

static int hex_param_set(const char *line, const struct kernel_param *kp)
{
	struct hex_param *param = kp->arg;
	size_t len = strcspn(line, "\n");

	param->len = 0;
	if (len % 2 || len / 2 > sizeof(param->bytes) ||
	    hex2bin(param->bytes, line, len / 2))
		return -EINVAL;
	param->len = len / 2;
	return 0;
}

static const struct kernel_param_ops hex_param_ops = {
	.set = hex_param_set,
};

module_param_cb(key, &hex_param_ops, &key_param, 0200);
MODULE_PARM_DESC(key, "Key of a public key algorithm, in hexadecimal");
module_param_cb(signature, &hex_param_ops, &signature_param, 0200);
MODULE_PARM_DESC(signature, "Valid signature and its digest, in hexadecimal");

static int __init vc_fault_init(void)
{
	return 0;
}

static void __exit vc_fault_exit(void)
{
}

module_init(vc_fault_init);
module_exit(vc_fault_exit);

MODULE_DESCRIPTION("Makes requests of an algorithm and counts their results");
MODULE_LICENSE("GPL");
