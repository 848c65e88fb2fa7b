// SPDX-License-Identifier: GPL-2.0
/*
 * Messages as they may come: of any length, in lists of any shape, as addresses, in
 * parts, and one after the other.
 */
#include <linux/completion.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "hash.h"

#define MAX_SG		128

static void lengths(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	static const unsigned int big[] = {
		4095, 4096, 4097, 65535, 65536, SZ_512K + 7, SZ_1M - 200,
		SZ_1M, SZ_1M + 1, BIG,
	};
	unsigned int i, wrong = 0;

	for (i = 0; i <= 300; i++)
		wrong += !same(tfm, ref, data, i);
	tap_result(!wrong, "messages of 0 to 300 bytes");
	for (i = 0, wrong = 0; i < ARRAY_SIZE(big); i++)
		wrong += !same(tfm, ref, data, big[i]);
	tap_result(!wrong, "messages of 4095 to %u bytes", BIG);
}

static void shapes(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	static const struct {
		const char *what;
		unsigned int entries;
		unsigned int extra;
		bool holes;
		bool atomic;
		bool vmalloc;
	} shape[] = {
		{ "one segment", 1 },
		{ "a list that is longer than the message", 1, .extra = 48 },
		{ "a list that is longer than the message, in parts", 3, .extra = 100 },
		{ "many odd segments", 61 },
		{ "many odd segments and a tail", 61, .extra = 33 },
		/* As many as the driver can leave out: software ends there. */
		{ "empty segments", 5, .holes = true },
		{ "bottom halves off", 2, .atomic = true },
		{ "a request that no device can reach", 2, .vmalloc = true },
	};
	struct scatterlist *sgs = kcalloc(MAX_SG, sizeof(*sgs), GFP_KERNEL);
	unsigned int c, turn;

	for (c = 0; sgs && c < ARRAY_SIZE(shape); c++) {
		unsigned int wrong = 0;

		for (turn = 0; turn < 20; turn++) {
			unsigned int len = get_random_u32_inclusive(400, 4000);
			struct op op = { tfm, sgs, NULL, len, shape[c].atomic,
					 shape[c].vmalloc };
			struct scatterlist one;
			struct op refop = { .tfm = ref, .src = &one, .len = len };
			struct digest is, should;
			int ret, expected;

			get_random_bytes(data, len + 128);
			split(sgs, shape[c].entries, data, len, shape[c].extra,
			      shape[c].holes);
			sg_init_one(&one, data, len);
			ret = run(&op, &is);
			expected = run(&refop, &should);
			if (ret || expected ||
			    !digest_is(&is, &should, digest_size(ref))) {
				tap_note("turn %u: %d instead of %d", turn, ret,
					 expected);
				wrong++;
			}
		}
		tap_result(!wrong, "%s", shape[c].what);
	}
	tap_result(sgs, "scatterlists");
	kfree(sgs);
}

/* Messages that are an address, which need not be one for devices. */
static void virtual(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	u8 stack[64], *far = vmalloc(SZ_64K);
	unsigned int turn, wrong = 0;

	for (turn = 0; far && turn < 60; turn++) {
		struct op op = { .tfm = tfm, .atomic = turn & 1 };
		struct op refop = { .tfm = ref };
		struct digest is, should;

		switch (turn % 3) {
		case 0:
			op.virt = stack;
			op.len = get_random_u32_below(sizeof(stack));
			get_random_bytes(stack, sizeof(stack));
			break;
		case 1:
			op.virt = far;
			op.len = get_random_u32_below(SZ_64K);
			get_random_bytes(far, op.len);
			break;
		case 2:
			op.virt = data + turn;
			op.len = get_random_u32_below(SZ_64K);
			break;
		}
		refop.virt = op.virt;
		refop.len = op.len;
		if (run(&op, &is) || run(&refop, &should) ||
		    !digest_is(&is, &should, digest_size(ref))) {
			tap_note("turn %u, %u bytes", turn, op.len);
			wrong++;
		}
		digest_poison(&is);
		if (crypto_hash_digest(tfm, op.virt, op.len, is.bytes) ||
		    !digest_is(&is, &should, digest_size(ref))) {
			tap_note("turn %u, request on the stack", turn);
			wrong++;
		}
	}
	tap_result(far && !wrong, "messages that are an address, and requests on a stack");
	vfree(far);
}

/*
 * A message in parts, by turns of both implementations, one of which gets the
 * other's state. @both: whether there are turns.
 */
static int in_parts(struct crypto_ahash *tfm, struct crypto_ahash *ref,
		    bool both, u8 *data, unsigned int len, struct digest *digest)
{
	unsigned int left = len, size = crypto_ahash_statesize(tfm);
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

		op.len = last ? left : get_random_u32_inclusive(0, min(left, 700));
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
		left -= op.len;
		if (ret || get_random_u32_below(2))
			continue;

		/* Another request goes on, or another implementation. */
		memset(state, 0x5a, size + GUARD);
		ret = crypto_ahash_export(req, state);
		if (!ret && memchr_inv(state + size, 0x5a, GUARD))
			ret = -EOVERFLOW;
		kfree(req);
		if (both)
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

static void part_by_part(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	unsigned int turn, wrong[2] = {};

	for (turn = 0; turn < 200; turn++) {
		unsigned int len = get_random_u32_below(3000);
		struct scatterlist sg;
		struct op op = { .tfm = ref, .src = &sg, .len = len };
		struct digest is, should;
		int ret;

		sg_init_one(&sg, data, len);
		ret = run(&op, &should);
		ret = ret ?: in_parts(tfm, ref, turn & 1, data, len, &is);
		if (ret || !digest_is(&is, &should, digest_size(ref))) {
			tap_note("turn %u, %u bytes: %d", turn, len, ret);
			wrong[turn & 1]++;
		}
	}
	tap_result(!wrong[0], "messages in parts");
	tap_result(!wrong[1], "messages in parts, by both implementations in turns");
}

static void abandoned(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	struct op op = { .tfm = tfm }, refop = { .tfm = ref };
	unsigned int turn, wrong = 0;
	struct scatterlist sg;

	for (turn = 0; turn < 50; turn++) {
		struct ahash_request *req = op_request(&op);
		struct digest is, should;
		int ret = -ENOMEM;

		if (!req) {
			wrong++;
			break;
		}
		sg_init_one(&sg, data, 100 + turn);
		op.src = &sg;
		refop.src = &sg;
		op.len = 100 + turn;
		refop.len = op.len;
		digest_poison(&is);
		op_source(&op, req, is.bytes);
		ret = op_call(&op, req, crypto_ahash_init);
		ret = ret ?: op_call(&op, req, crypto_ahash_update);
		/* No more of that, and the same request again. */
		ret = ret ?: op_call(&op, req, crypto_ahash_digest);
		ret = ret ?: run(&refop, &should);
		wrong += ret || !digest_is(&is, &should, digest_size(ref));
		/* This one is left as it is. */
		ret = op_call(&op, req, crypto_ahash_init);
		ret = ret ?: op_call(&op, req, crypto_ahash_update);
		wrong += !!ret;
		kfree(req);
	}
	tap_result(!wrong, "messages that are begun and not ended");
}

/* each digest is asked for by the completion of the one before */

struct chain {
	struct ahash_request *req;
	struct completion done;
	struct digest is;
	struct digest should;
	unsigned int size;
	unsigned int left;
	unsigned int wrong;
};

static void chain_done(void *data, int err);

/* Goes on until a request is under way, or there is nothing left to do. */
static void chain_next(struct chain *chain)
{
	int ret;

	while (chain->left) {
		chain->left--;
		digest_poison(&chain->is);
		ahash_request_set_callback(chain->req, CRYPTO_TFM_REQ_MAY_BACKLOG,
					   chain_done, chain);
		ret = crypto_ahash_digest(chain->req);
		if (ret == -EINPROGRESS || ret == -EBUSY)
			return;
		chain->wrong += ret || !digest_is(&chain->is, &chain->should,
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
	chain->wrong += err || !digest_is(&chain->is, &chain->should, chain->size);
	chain_next(chain);
}

static void chained(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	struct chain *chain = kzalloc(sizeof(*chain), GFP_KERNEL);
	struct op op = { .tfm = tfm, .len = 300 };
	struct scatterlist sg;
	bool good = false;

	if (!chain)
		goto out;
	chain->req = op_request(&op);
	chain->size = digest_size(ref);
	chain->left = 200;
	init_completion(&chain->done);
	sg_init_one(&sg, data, op.len);
	op.src = &sg;
	op.tfm = ref;
	if (!chain->req || run(&op, &chain->should))
		goto out;
	ahash_request_set_crypt(chain->req, &sg, chain->is.bytes, op.len);
	chain_next(chain);
	if (!wait_for_completion_timeout(&chain->done, 60 * HZ)) {
		/* It may come yet: the memory is not freed. */
		chain = NULL;
		goto out;
	}
	good = !chain->wrong;
out:
	tap_result(good, "requests made by a completion");
	if (chain)
		kfree(chain->req);
	kfree(chain);
}

void messages(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	lengths(tfm, ref, data);
	shapes(tfm, ref, data);
	virtual(tfm, ref, data);
	part_by_part(tfm, ref, data);
	abandoned(tfm, ref, data);
	chained(tfm, ref, data);
}
