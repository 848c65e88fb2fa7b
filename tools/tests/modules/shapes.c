// SPDX-License-Identifier: GPL-2.0
/*
 * Data of any length, in scatterlists of any shape, becomes what it should.
 */
#include <linux/minmax.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "exercise.h"

#define MAX_SG	128

void lengths(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
{
	u8 *a = kmalloc(128, GFP_KERNEL), *b = kmalloc(128, GFP_KERNEL);
	unsigned int len, wrong = 0;
	int encrypt;

	for (encrypt = 0; a && b && encrypt < 2; encrypt++) {
		for (len = 0; len <= 100; len++) {
			struct scatterlist sga, sgb;
			u8 iva[MAX_BLOCK], ivb[MAX_BLOCK];
			struct op opa = { tfm, &sga, &sga, len, iva, encrypt };
			struct op opb = { ref, &sgb, &sgb, len, ivb, encrypt };
			int is, should;

			get_random_bytes(a, 128);
			memcpy(b, a, 128);
			get_random_bytes(iva, MAX_BLOCK);
			/* Half of the counters are about to wrap. */
			if (len & 1)
				memset(iva, 0xff, MAX_BLOCK);
			memcpy(ivb, iva, MAX_BLOCK);
			sg_init_one(&sga, a, len);
			sg_init_one(&sgb, b, len);
			is = run(&opa);
			should = run(&opb);
			if (is != should || (!is && (memcmp(a, b, 128) ||
						     !same_iv(iva, ivb)))) {
				tap_note("%u bytes: %d instead of %d",
					 len, is, should);
				wrong++;
			}
		}
	}
	tap_result(a && b && !wrong, "data of any length gets the result or the error it should");
	kfree(a);
	kfree(b);
}

/* Splits @len bytes of @buf into parts, some of them empty, and adds @extra. */
static void split(struct scatterlist *sg, unsigned int entries, u8 *buf,
		  unsigned int len, unsigned int extra, bool holes)
{
	unsigned int i, left = len + extra;

	sg_init_table(sg, entries);
	for (i = 0; i < entries; i++) {
		unsigned int part = left;

		if (i != entries - 1)
			part = min(left, get_random_u32_inclusive(holes ? 0 : 1,
								  2 * (len / entries) + 1));
		sg_set_buf(&sg[i], buf, part);
		buf += part;
		left -= part;
	}
}

void shapes(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
{
	static const struct {
		const char *what;
		unsigned int entries;
		unsigned int extra;
		bool holes;
		bool in_place;
		bool vmalloc;
		bool atomic;
	} shape[] = {
		{ "one segment", 1 },
		{ "one segment, in place", 1, .in_place = true },
		{ "lists that are longer than the data", 1, .extra = 48 },
		{ "lists that are longer than the data, in parts", 3, .extra = 100 },
		{ "many odd segments", 61 },
		{ "many odd segments, in place", 61, .in_place = true },
		{ "many odd segments and a tail", 61, .extra = 33 },
		{ "empty segments", 5, .holes = true },
		{ "many segments, some empty", 90, .holes = true, .extra = 7 },
		{ "bottom halves off", 2, .atomic = true },
		{ "a request that no device can reach", 2, .vmalloc = true },
	};
	struct scatterlist *sgs = kcalloc(2 * MAX_SG, sizeof(*sgs), GFP_KERNEL);
	const unsigned int size = 4096;
	u8 *src = kmalloc(size, GFP_KERNEL);
	u8 *dst = kmalloc(size, GFP_KERNEL);
	u8 *expect = kmalloc(size, GFP_KERNEL);
	unsigned int c, turn;

	if (!sgs || !src || !dst || !expect) {
		tap_result(false, "no memory");
		goto out;
	}
	for (c = 0; c < ARRAY_SIZE(shape); c++) {
		unsigned int wrong = 0;

		for (turn = 0; turn < 20; turn++) {
			/* Each direction with whole blocks and without. */
			unsigned int len = 2048 - (any_length && turn & 2 ?
						   1 + turn % (block - 1) : 0);
			struct scatterlist one, *to = sgs;
			u8 iva[MAX_BLOCK], ivb[MAX_BLOCK];
			struct op op = { tfm, sgs, NULL, len, iva, turn & 1,
					 shape[c].atomic, shape[c].vmalloc };
			struct op refop = { ref, &one, &one, len, ivb, turn & 1 };
			int is, should;

			get_random_bytes(src, size);
			get_random_bytes(dst, size);
			get_random_bytes(iva, MAX_BLOCK);
			memcpy(ivb, iva, MAX_BLOCK);
			/* What is behind the data must stay as it is. */
			memcpy(expect, shape[c].in_place ? src : dst, size);
			memcpy(expect, src, len);
			sg_init_one(&one, expect, len);
			should = run(&refop);

			split(sgs, shape[c].entries, src, len, shape[c].extra,
			      shape[c].holes);
			if (!shape[c].in_place) {
				to = sgs + MAX_SG;
				split(to, shape[c].entries, dst, len,
				      shape[c].extra, shape[c].holes);
			}
			op.dst = to;
			is = run(&op);
			if (is || should || !same_iv(iva, ivb) ||
			    memcmp(shape[c].in_place ? src : dst, expect, size)) {
				tap_note("turn %u: %d instead of %d",
					 turn, is, should);
				wrong++;
			}
		}
		tap_result(!wrong, "%s", shape[c].what);
	}
out:
	kfree(sgs);
	kfree(src);
	kfree(dst);
	kfree(expect);
}
