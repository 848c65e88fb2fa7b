// SPDX-License-Identifier: GPL-2.0
/*
 * vc_templates: allocates algorithms and templates in every way that users of the
 * kernel do, and uses them: asynchronously, synchronously, with requests on the
 * stack, with and without leave to sleep. It prints a digest of the results for
 * each, which is the same for the same algorithm, whatever implements it. A guest
 * program compares runs without and with the driver. The module never stays
 * loaded.
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
u8 *one;
u8 *other;

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

void make_pieces(struct scatterlist *sg, u8 *buf, unsigned int len,
		 unsigned int first)
{
	unsigned int i, piece = first;

	sg_init_table(sg, MAX_PIECES);
	for (i = 0; i < MAX_PIECES - 1 && len > piece; i++) {
		sg_set_buf(sg + i, buf, piece);
		buf += piece;
		len -= piece;
		piece = piece * 2 + 3;
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

void report(const struct algorithm *alg, const char *way, const char *driver,
	    int ret, const struct results *results)
{
	tap_note("result %s %u %s %s %d %016llx", alg->name, alg->key_size, way,
		 driver ?: "-", ret, results->digest);
	if (driver)
		tap_result(!results->wrong, "%s, %s: data comes back", alg->name, way);
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
	one = kmalloc(SIZE, GFP_KERNEL);
	other = kmalloc(SIZE, GFP_KERNEL);
	if (plain && one && other)
		test_all();
	else
		tap_result(false, "no memory");
	kfree(other);
	kfree(one);
	kfree(plain);
	pr_info("TAP 1..%u\n", tap_tests);
	/* There is nothing to stay for. */
	return tap_failures ? -EIO : -EAGAIN;
}

module_init(vc_templates_init);

MODULE_DESCRIPTION("Allocates and uses every template over the driver's algorithms");
MODULE_LICENSE("GPL");
