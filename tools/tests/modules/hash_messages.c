// SPDX-License-Identifier: GPL-2.0
/*
 * Messages of many lengths: in scatterlists of many layouts, at virtual addresses,
 * hashed incrementally, abandoned, and submitted from completion callbacks.
 */
#include <linux/completion.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "hash.h"

#define MAX_SG		128

static void test_lengths(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	static const unsigned int big[] = {
		4095, 4096, 4097, 65535, 65536, SZ_512K + 7, SZ_1M - 200,
		SZ_1M, SZ_1M + 1, BIG,
	};
	unsigned int i, wrong = 0;

	for (i = 0; i <= 300; i++)
		wrong += !digests_match(tfm, ref, data, i);
	tap_result(!wrong, "messages of 0 to 300 bytes");
	for (i = 0, wrong = 0; i < ARRAY_SIZE(big); i++)
		wrong += !digests_match(tfm, ref, data, big[i]);
	tap_result(!wrong, "messages of 4095 to %u bytes", BIG);
}

static void test_sg_layouts(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	static const struct {
		const char *name;
		unsigned int entries;
		unsigned int extra;
		bool holes;
		bool atomic;
		bool vmalloc;
	} layout[] = {
		{ "one segment", 1 },
		{ "one segment, longer than the message", 1, .extra = 48 },
		{ "3 segments, longer than the message", 3, .extra = 100 },
		{ "61 segments", 61 },
		{ "61 segments, longer than the message", 61, .extra = 33 },
		/*
		 * The driver skips a few empty segments. With more of them it uses the
		 * fallback, which stops at an empty segment.
		 */
		{ "5 segments, some empty", 5, .holes = true },
		{ "bottom halves disabled", 2, .atomic = true },
		{ "request in vmalloc memory", 2, .vmalloc = true },
	};
	struct scatterlist *sgs = kcalloc(MAX_SG, sizeof(*sgs), GFP_KERNEL);
	unsigned int c, round;

	for (c = 0; sgs && c < ARRAY_SIZE(layout); c++) {
		unsigned int wrong = 0;

		for (round = 0; round < 20; round++) {
			unsigned int len = get_random_u32_inclusive(400, 4000);
			struct op op = { tfm, sgs, NULL, len, layout[c].atomic,
					 layout[c].vmalloc };
			struct scatterlist one;
			struct op refop = { .tfm = ref, .src = &one, .len = len };
			struct digest actual, expected;
			int ret, expected_ret;

			get_random_bytes(data, len + 128);
			split(sgs, layout[c].entries, data, len, layout[c].extra,
			      layout[c].holes);
			sg_init_one(&one, data, len);
			ret = run(&op, &actual);
			expected_ret = run(&refop, &expected);
			if (ret || expected_ret ||
			    !digest_matches(&actual, &expected, digest_size(ref))) {
				tap_note("round %u: %d, expected %d", round, ret,
					 expected_ret);
				wrong++;
			}
		}
		tap_result(!wrong, "%s: correct results", layout[c].name);
	}
	tap_result(sgs, "scatterlists are allocated");
	kfree(sgs);
}

/* Messages at virtual addresses, also in memory that cannot be mapped for DMA. */
static void test_virtual_addresses(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	u8 stack[64], *vmalloced = vmalloc(SZ_64K);
	unsigned int round, wrong = 0;

	for (round = 0; vmalloced && round < 60; round++) {
		struct op op = { .tfm = tfm, .atomic = round & 1 };
		struct op refop = { .tfm = ref };
		struct digest actual, expected;

		switch (round % 3) {
		case 0:
			op.virt = stack;
			op.len = get_random_u32_below(sizeof(stack));
			get_random_bytes(stack, sizeof(stack));
			break;
		case 1:
			op.virt = vmalloced;
			op.len = get_random_u32_below(SZ_64K);
			get_random_bytes(vmalloced, op.len);
			break;
		case 2:
			op.virt = data + round;
			op.len = get_random_u32_below(SZ_64K);
			break;
		}
		refop.virt = op.virt;
		refop.len = op.len;
		if (run(&op, &actual) || run(&refop, &expected) ||
		    !digest_matches(&actual, &expected, digest_size(ref))) {
			tap_note("round %u, %u bytes", round, op.len);
			wrong++;
		}
		digest_poison(&actual);
		if (crypto_hash_digest(tfm, op.virt, op.len, actual.bytes) ||
		    !digest_matches(&actual, &expected, digest_size(ref))) {
			tap_note("round %u, request on the stack", round);
			wrong++;
		}
	}
	tap_result(vmalloced && !wrong, "messages at virtual addresses, and requests on the stack");
	vfree(vmalloced);
}

/*
 * Hashes a message incrementally, with state export and import at random. With
 * @alternate, the other implementation imports the exported state.
 */
static int digest_incrementally(struct crypto_ahash *tfm, struct crypto_ahash *ref,
				bool alternate, u8 *data, unsigned int len, struct digest *digest)
{
	unsigned int remaining = len, size = crypto_ahash_statesize(tfm);
	u8 *state = kmalloc(size + GUARD, GFP_KERNEL);
	struct op op = { .tfm = tfm };
	struct ahash_request *req = op_request(&op);
	int ret = -ENOMEM;

	digest_poison(digest);
	if (!state || !req)
		goto out;
	ret = op_call(&op, req, crypto_ahash_init);
	while (!ret) {
		struct scatterlist sg[3];
		bool last = !get_random_u32_below(5);

		op.len = last ? remaining : get_random_u32_inclusive(0, min(remaining, 700));
		op.atomic = get_random_u32_below(2);
		op.virt = get_random_u32_below(2) ? data : NULL;
		op.src = sg;
		if (op.len > 10)
			split(sg, 3, data, op.len, 0, false);
		else
			sg_init_one(sg, data, op.len);
		op_source(&op, req, digest->bytes);
		if (last)
			break;
		ret = op_call(&op, req, crypto_ahash_update);
		data += op.len;
		remaining -= op.len;
		if (ret || get_random_u32_below(2))
			continue;

		/* Continue with a new request, which imports the state. */
		memset(state, 0x5a, size + GUARD);
		ret = crypto_ahash_export(req, state);
		if (!ret && memchr_inv(state + size, 0x5a, GUARD))
			ret = -EOVERFLOW;
		kfree(req);
		if (alternate)
			op.tfm = op.tfm == tfm ? ref : tfm;
		req = op_request(&op);
		ret = ret ?: req ? crypto_ahash_import(req, state) : -ENOMEM;
	}
	if (!ret && !digest_is_poison(digest))
		ret = -EFAULT;
	if (!ret && op.len && get_random_u32_below(2)) {
		ret = op_call(&op, req, crypto_ahash_update);
		ret = ret ?: op_call(&op, req, crypto_ahash_final);
	} else if (!ret) {
		ret = op_call(&op, req, crypto_ahash_finup);
	}
out:
	kfree(req);
	kfree(state);
	return ret;
}

static void test_incremental(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	unsigned int round, wrong[2] = {};

	for (round = 0; round < 200; round++) {
		unsigned int len = get_random_u32_below(3000);
		struct scatterlist sg;
		struct op op = { .tfm = ref, .src = &sg, .len = len };
		struct digest actual, expected;
		int ret;

		sg_init_one(&sg, data, len);
		ret = run(&op, &expected);
		ret = ret ?: digest_incrementally(tfm, ref, round & 1, data, len, &actual);
		if (ret || !digest_matches(&actual, &expected, digest_size(ref))) {
			tap_note("round %u, %u bytes: %d", round, len, ret);
			wrong[round & 1]++;
		}
	}
	tap_result(!wrong[0], "incremental hashing: same digests as the reference");
	tap_result(!wrong[1], "incremental hashing continued by the other implementation");
}

static void test_abandoned(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	struct op op = { .tfm = tfm }, refop = { .tfm = ref };
	unsigned int round, wrong = 0;
	struct scatterlist sg;

	for (round = 0; round < 50; round++) {
		struct ahash_request *req = op_request(&op);
		struct digest actual, expected;
		int ret = -ENOMEM;

		if (!req) {
			wrong++;
			break;
		}
		sg_init_one(&sg, data, 100 + round);
		op.src = &sg;
		refop.src = &sg;
		op.len = 100 + round;
		refop.len = op.len;
		digest_poison(&actual);
		op_source(&op, req, actual.bytes);
		ret = op_call(&op, req, crypto_ahash_init);
		ret = ret ?: op_call(&op, req, crypto_ahash_update);
		/* Abandon the update and reuse the request. */
		ret = ret ?: op_call(&op, req, crypto_ahash_digest);
		ret = ret ?: run(&refop, &expected);
		wrong += ret || !digest_matches(&actual, &expected, digest_size(ref));
		/* Free a request after an update, without a final. */
		ret = op_call(&op, req, crypto_ahash_init);
		ret = ret ?: op_call(&op, req, crypto_ahash_update);
		wrong += !!ret;
		kfree(req);
	}
	tap_result(!wrong, "abandoned updates do not affect later requests");
}

/* A request that its own completion callback submits again. */

struct chain {
	struct ahash_request *req;
	struct completion done;
	struct digest actual;
	struct digest expected;
	unsigned int size;
	unsigned int rounds_left;
	unsigned int wrong;
};

static void chain_done(void *data, int err);

/* Submits the request until it is in flight or the number of rounds is reached. */
static void chain_next(struct chain *chain)
{
	int ret;

	while (chain->rounds_left) {
		chain->rounds_left--;
		digest_poison(&chain->actual);
		ahash_request_set_callback(chain->req, CRYPTO_TFM_REQ_MAY_BACKLOG,
					   chain_done, chain);
		ret = crypto_ahash_digest(chain->req);
		if (ret == -EINPROGRESS || ret == -EBUSY)
			return;
		chain->wrong += ret || !digest_matches(&chain->actual, &chain->expected,
						       chain->size);
	}
	complete(&chain->done);
}

static void chain_done(void *data, int err)
{
	struct chain *chain = data;

	if (err == -EINPROGRESS)
		return;
	if (WARN_ON_ONCE(!in_softirq()))
		chain->wrong++;
	chain->wrong += err || !digest_matches(&chain->actual, &chain->expected, chain->size);
	chain_next(chain);
}

static void test_completion_chain(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	struct chain *chain = kzalloc(sizeof(*chain), GFP_KERNEL);
	struct op op = { .tfm = tfm, .len = 300 };
	struct scatterlist sg;
	bool good = false;

	if (!chain)
		goto out;
	chain->req = op_request(&op);
	chain->size = digest_size(ref);
	chain->rounds_left = 200;
	init_completion(&chain->done);
	sg_init_one(&sg, data, op.len);
	op.src = &sg;
	op.tfm = ref;
	if (!chain->req || run(&op, &chain->expected))
		goto out;
	ahash_request_set_crypt(chain->req, &sg, chain->actual.bytes, op.len);
	chain_next(chain);
	if (!wait_for_completion_timeout(&chain->done, 60 * HZ)) {
		/* The request may complete later. Do not free its memory. */
		chain = NULL;
		goto out;
	}
	good = !chain->wrong;
out:
	tap_result(good, "requests submitted from a completion callback");
	if (chain)
		kfree(chain->req);
	kfree(chain);
}

void messages(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	test_lengths(tfm, ref, data);
	test_sg_layouts(tfm, ref, data);
	test_virtual_addresses(tfm, ref, data);
	test_incremental(tfm, ref, data);
	test_abandoned(tfm, ref, data);
	test_completion_chain(tfm, ref, data);
}
