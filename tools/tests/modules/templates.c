// SPDX-License-Identifier: GPL-2.0
/*
 * vc_templates: allocates and uses algorithms and templates by all methods that
 * kernel users have: asynchronous, synchronous, with requests on the stack, and
 * with or without CRYPTO_TFM_REQ_MAY_SLEEP. The module prints a digest of the
 * results of each allocation. The digest of an algorithm does not depend on the
 * implementation. A guest program compares runs with and without the driver.
 *
 * The module prints TAP lines to the log. Its init function always fails, so the
 * module never stays loaded: with EAGAIN if all tests passed, otherwise with EIO.
 */
#include <crypto/authenc.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "templates.h"

unsigned int tap_tests;
unsigned int tap_failures;

u8 *plain;
u8 *buf1;
u8 *buf2;

void fill(u8 *buf, size_t len, u32 seed)
{
	u32 state = seed * 2654435761U + 1;
	size_t i;

	for (i = 0; i < len; i++) {
		state = state * 1664525 + 1013904223;
		buf[i] = state >> 24;
	}
}

unsigned int make_key(const struct algorithm *alg, u8 *key)
{
	struct rtattr *rta = (struct rtattr *)key;
	struct crypto_authenc_key_param *param = RTA_DATA(rta);

	fill(key, MAX_KEY, alg->key_size);
	if (!alg->auth_key_size)
		return alg->key_size;
	rta->rta_len = RTA_LENGTH(sizeof(*param));
	rta->rta_type = CRYPTO_AUTHENC_KEYA_PARAM;
	param->enckeylen = cpu_to_be32(alg->key_size);
	return RTA_SPACE(sizeof(*param)) + alg->auth_key_size + alg->key_size;
}

void make_segments(struct scatterlist *sg, u8 *buf, unsigned int len,
		   unsigned int first)
{
	unsigned int i, segment = first;

	sg_init_table(sg, MAX_SEGMENTS);
	for (i = 0; i < MAX_SEGMENTS - 1 && len > segment; i++) {
		sg_set_buf(sg + i, buf, segment);
		buf += segment;
		len -= segment;
		segment = segment * 2 + 3;
	}
	sg_set_buf(sg + i, buf, len);
	sg_mark_end(sg + i);
}

void add_bytes(struct results *results, const u8 *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		results->digest = (results->digest ^ buf[i]) * 0x100000001b3ULL;
}

void add_error(struct results *results, int error)
{
	add_bytes(results, (const u8 *)&error, sizeof(error));
}

void report(const struct algorithm *alg, const char *method, const char *driver,
	    int ret, const struct results *results)
{
	tap_note("result %s %u %s %s %d %016llx", alg->name, alg->key_size, method,
		 driver ?: "-", ret, results->digest);
	if (driver)
		tap_result(!results->wrong, "%s, %s: correct results", alg->name, method);
}

static void test_all(void)
{
	unsigned int i;

	fill(plain, SIZE, 1);
	for (i = 0; i < nr_algorithms; i++) {
		switch (algorithms[i].kind) {
		case SKCIPHER:
			test_skcipher(&algorithms[i]);
			break;
		case AEAD:
			test_aead(&algorithms[i]);
			break;
		case HASH:
			test_hash(&algorithms[i]);
			break;
		}
	}
}

static int __init vc_templates_init(void)
{
	plain = kmalloc(SIZE, GFP_KERNEL);
	buf1 = kmalloc(SIZE, GFP_KERNEL);
	buf2 = kmalloc(SIZE, GFP_KERNEL);
	if (plain && buf1 && buf2)
		test_all();
	else
		tap_result(false, "no memory");
	kfree(buf2);
	kfree(buf1);
	kfree(plain);
	pr_info("TAP 1..%u\n", tap_tests);
	return tap_failures ? -EIO : -EAGAIN;
}

module_init(vc_templates_init);

MODULE_DESCRIPTION("Allocates and uses every template over the driver's algorithms");
MODULE_LICENSE("GPL");
