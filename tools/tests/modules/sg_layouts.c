// SPDX-License-Identifier: GPL-2.0
/*
 * Data of all lengths and in scatterlists of all layouts. The results and errors
 * must be those of the reference.
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
			int actual, expected;

			get_random_bytes(a, 128);
			memcpy(b, a, 128);
			get_random_bytes(iva, MAX_BLOCK);
			/* Every second counter wraps. */
			if (len & 1)
				memset(iva, 0xff, MAX_BLOCK);
			memcpy(ivb, iva, MAX_BLOCK);
			sg_init_one(&sga, a, len);
			sg_init_one(&sgb, b, len);
			actual = run(&opa);
			expected = run(&opb);
			if (actual != expected || (!actual && (memcmp(a, b, 128) ||
							       !ivs_match(iva, ivb)))) {
				tap_note("%u bytes: %d, expected %d",
					 len, actual, expected);
				wrong++;
			}
		}
	}
	tap_result(a && b && !wrong, "data of 0 to 100 bytes: same result as the reference");
	kfree(a);
	kfree(b);
}

/*
 * Splits @len bytes of @buf into @entries segments. The last segment also has
 * @extra bytes after the data. With @holes, segments may be empty.
 */
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

void sg_layouts(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
{
	static const struct {
		const char *name;
		unsigned int entries;
		unsigned int extra;
		bool holes;
		bool in_place;
		bool vmalloc;
		bool atomic;
	} layout[] = {
		{ "one segment", 1 },
		{ "one segment, in place", 1, .in_place = true },
		{ "one segment, longer than the data", 1, .extra = 48 },
		{ "3 segments, longer than the data", 3, .extra = 100 },
		{ "61 segments", 61 },
		{ "61 segments, in place", 61, .in_place = true },
		{ "61 segments, longer than the data", 61, .extra = 33 },
		{ "5 segments, some empty", 5, .holes = true },
		{ "90 segments, some empty, longer than the data", 90, .holes = true, .extra = 7 },
		{ "bottom halves disabled", 2, .atomic = true },
		{ "request in vmalloc memory", 2, .vmalloc = true },
	};
	struct scatterlist *sgs = kcalloc(2 * MAX_SG, sizeof(*sgs), GFP_KERNEL);
	const unsigned int size = 4096;
	u8 *src = kmalloc(size, GFP_KERNEL);
	u8 *dst = kmalloc(size, GFP_KERNEL);
	u8 *expected_data = kmalloc(size, GFP_KERNEL);
	unsigned int c, round;

	if (!sgs || !src || !dst || !expected_data) {
		tap_result(false, "no memory");
		goto out;
	}
	for (c = 0; c < ARRAY_SIZE(layout); c++) {
		unsigned int wrong = 0;

		for (round = 0; round < 20; round++) {
			/* Both directions, with and without an incomplete block. */
			unsigned int len = 2048 - (any_length && round & 2 ?
						   1 + round % (chunk_size - 1) : 0);
			struct scatterlist one, *to = sgs;
			u8 iva[MAX_BLOCK], ivb[MAX_BLOCK];
			struct op op = { tfm, sgs, NULL, len, iva, round & 1,
					 layout[c].atomic, layout[c].vmalloc };
			struct op refop = { ref, &one, &one, len, ivb, round & 1 };
			int actual, expected;

			get_random_bytes(src, size);
			get_random_bytes(dst, size);
			get_random_bytes(iva, MAX_BLOCK);
			memcpy(ivb, iva, MAX_BLOCK);
			/* The bytes after the data must not change. */
			memcpy(expected_data, layout[c].in_place ? src : dst, size);
			memcpy(expected_data, src, len);
			sg_init_one(&one, expected_data, len);
			expected = run(&refop);

			split(sgs, layout[c].entries, src, len, layout[c].extra,
			      layout[c].holes);
			if (!layout[c].in_place) {
				to = sgs + MAX_SG;
				split(to, layout[c].entries, dst, len,
				      layout[c].extra, layout[c].holes);
			}
			op.dst = to;
			actual = run(&op);
			if (actual || expected || !ivs_match(iva, ivb) ||
			    memcmp(layout[c].in_place ? src : dst, expected_data, size)) {
				tap_note("round %u: %d, expected %d",
					 round, actual, expected);
				wrong++;
			}
		}
		tap_result(!wrong, "%s: correct results", layout[c].name);
	}
out:
	kfree(sgs);
	kfree(src);
	kfree(dst);
	kfree(expected_data);
}
