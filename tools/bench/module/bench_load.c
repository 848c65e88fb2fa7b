// SPDX-License-Identifier: GPL-2.0
/*
 * Slots, and rounds of requests. The callback of a slot's request makes the next request of the
 * slot.
 */
#include <linux/bottom_half.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "bench.h"
#include "mark.h"

#define ROUND_TIMEOUT	(60 * HZ)

/* Makes requests until one of them is in flight, or the round has no more. */
static void slot_continue(struct slot *slot)
{
	struct bench *bench = slot->bench;
	int ret;

	while (atomic_dec_if_positive(&bench->remaining) >= 0) {
		ret = bench->service->submit(slot);
		if (ret == -EINPROGRESS || ret == -EBUSY)
			return;
		if (ret && !bench->err)
			bench->err = ret;
	}
	if (atomic_dec_and_test(&bench->active))
		complete(&bench->done);
}

void slot_done(void *data, int err)
{
	struct slot *slot = data;

	/* A request that was backlogged is in flight now. */
	if (err == -EINPROGRESS)
		return;
	if (err && !slot->bench->err)
		slot->bench->err = err;
	slot_continue(slot);
}

/* Divides @len bytes at @buf into @segments parts. */
static struct scatterlist *make_list(u8 *buf, u32 len, u32 segments)
{
	struct scatterlist *list;
	u32 i, part;

	if (segments > len)
		segments = len ?: 1;
	list = kcalloc(segments, sizeof(*list), GFP_KERNEL);
	if (!list)
		return NULL;
	sg_init_table(list, segments);
	for (i = 0; i < segments; i++) {
		part = i == segments - 1 ? len : len / (segments - i);
		sg_set_buf(&list[i], buf, part);
		buf += part;
		len -= part;
	}
	return list;
}

static int slot_alloc(struct slot *slot, struct bench *bench)
{
	const struct command *c = bench->command;
	u32 size = max(bench->in_len, bench->out_len);

	slot->bench = bench;
	slot->in = kzalloc(size, GFP_KERNEL);
	slot->out = c->in_place ? slot->in : kzalloc(size, GFP_KERNEL);
	if (!slot->in || !slot->out)
		return -ENOMEM;
	slot->src = make_list(slot->in, c->in_place ? size : bench->in_len, c->segments);
	slot->dst = c->in_place ? slot->src : make_list(slot->out, bench->out_len, c->segments);
	if (!slot->src || !slot->dst)
		return -ENOMEM;
	return bench->service->alloc(slot);
}

static void slot_free(struct slot *slot)
{
	if (!slot->bench)
		return;
	if (slot->req)
		slot->bench->service->free(slot);
	if (slot->dst != slot->src)
		kfree(slot->dst);
	kfree(slot->src);
	if (slot->out != slot->in)
		kfree(slot->out);
	kfree(slot->in);
}

int bench_open(struct bench *bench, const struct service *service, struct command *command,
	       const char *driver, u32 depth)
{
	u32 i;
	int ret;

	bench->command = command;
	bench->service = service;
	bench->depth = depth;
	bench->decrypts = !strcmp(command->op, "decrypt") && service != &akcipher_service;
	init_completion(&bench->done);
	ret = service->open(bench, driver);
	if (ret)
		return ret;
	/* A failed run closes the reference, which must then have no request in flight. */
	if (bench->is_async && driver == command->reference)
		return command_fail(command, -EINVAL, "%s: a reference must be synchronous",
				    driver);
	if (!bench->is_async && depth != 1)
		return command_fail(command, -EINVAL, "%s: is synchronous, depth must be 1",
				    driver);
	bench->flags = bench->is_async ? CRYPTO_TFM_REQ_MAY_BACKLOG : CRYPTO_TFM_REQ_MAY_SLEEP;
	bench->slots = kvcalloc(depth, sizeof(*bench->slots), GFP_KERNEL);
	if (!bench->slots)
		return -ENOMEM;
	for (i = 0; !ret && i < depth; i++)
		ret = slot_alloc(&bench->slots[i], bench);
	return ret;
}

void bench_close(struct bench *bench)
{
	u32 i;

	for (i = 0; bench->slots && i < bench->depth; i++)
		slot_free(&bench->slots[i]);
	kvfree(bench->slots);
	if (bench->tfm)
		bench->service->close(bench);
}

void bench_fill(struct bench *bench, const u8 *input)
{
	struct slot *slot;
	u32 i, pos;

	for (i = 0; i < bench->depth; i++) {
		slot = &bench->slots[i];
		if (input)
			memcpy(slot->in, input, bench->in_len);
		/* The first byte is 0, so the input, as a number, is less than any modulus. */
		for (pos = 0; !input && pos < bench->in_len; pos++)
			slot->in[pos] = pos * 7 + pos / 256;
		memset(slot->iv, 0x5a, sizeof(slot->iv));
		bench->service->fill(slot);
	}
}

int bench_round(struct bench *bench, u32 requests, u32 mark, u64 *ns)
{
	ktime_t begin;
	u32 i;

	atomic_set(&bench->remaining, requests);
	atomic_set(&bench->active, bench->depth);
	bench->err = 0;
	reinit_completion(&bench->done);
	begin = ktime_get();
	if (mark)
		mark_begin(mark);
	if (bench->is_async)
		local_bh_disable();
	for (i = 0; i < bench->depth; i++)
		slot_continue(&bench->slots[i]);
	if (bench->is_async)
		local_bh_enable();
	if (!wait_for_completion_timeout(&bench->done, ROUND_TIMEOUT))
		return -ETIMEDOUT;
	if (mark)
		mark_end(mark);
	if (ns)
		*ns = ktime_to_ns(ktime_sub(ktime_get(), begin));
	return bench->err;
}
