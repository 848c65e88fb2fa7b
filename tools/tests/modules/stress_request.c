// SPDX-License-Identifier: GPL-2.0
/*
 * A random request: preparation, submission, completion and check of the result.
 */
#include <linux/bottom_half.h>
#include <linux/delay.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "stress.h"

/* The number of bytes before and after the result that must not change. */
#define GUARD	32
#define POISON	0xa5

int request_alloc(struct stress_request *request, unsigned int reqsize)
{
	request->in = kmalloc(max_len, GFP_KERNEL);
	request->expected = kmalloc(max_len, GFP_KERNEL);
	request->out = kmalloc(max_len + 2 * GUARD, GFP_KERNEL);
	request->req = kzalloc(sizeof(*request->req) + reqsize, GFP_KERNEL);
	init_completion(&request->done);
	return request->in && request->expected && request->out && request->req ? 0 : -ENOMEM;
}

void request_free(struct stress_request *request)
{
	kfree(request->in);
	kfree(request->expected);
	kfree(request->out);
	kfree(request->req);
}

static bool chance(struct rnd_state *rnd, unsigned int percent)
{
	return prandom_u32_state(rnd) % 100 < percent;
}

static unsigned int random_between(struct rnd_state *rnd, unsigned int least, unsigned int most)
{
	return least + prandom_u32_state(rnd) % (most - least + 1);
}

/* 70 % are short, 22 % up to a sector, 7 % up to a page, 1 % up to the maximum. */
static unsigned int pick_len(const struct cipher *cipher, struct rnd_state *rnd)
{
	unsigned int most, least, len, kind = random_between(rnd, 0, 99);

	if (kind < 70)
		most = 160;
	else if (kind < 92)
		most = 512;
	else if (kind < 99)
		most = 4096;
	else
		most = max_len;
	/* XTS requires at least a block. */
	least = cipher->any_length && cipher->updates_iv ? 1 : cipher->block;
	len = random_between(rnd, least, min(most, max_len));
	if (!cipher->any_length || chance(rnd, 50))
		len = max(len - len % cipher->block, cipher->block);
	return len;
}

/* Splits @len bytes of @buf into a random number of segments. */
static void split(struct scatterlist *sg, u8 *buf, unsigned int len, struct rnd_state *rnd)
{
	unsigned int i, segment, segments;

	segments = chance(rnd, 50) ? 1 : random_between(rnd, 1, chance(rnd, 10) ? MAX_SEGMENTS : 4);
	segments = min(segments, len);
	sg_init_table(sg, segments);
	for (i = 0; i < segments; i++) {
		segment = len;
		/* Leave a byte for each of the following segments. */
		if (i != segments - 1)
			segment = random_between(rnd, 1, min(len - (segments - 1 - i),
							     2 * len / (segments - i)));
		sg_set_buf(&sg[i], buf, segment);
		buf += segment;
		len -= segment;
	}
}

static int crypt(struct skcipher_request *req, bool encrypt)
{
	return encrypt ? crypto_skcipher_encrypt(req) : crypto_skcipher_decrypt(req);
}

/* Computes the expected result of a request with the reference. */
static int compute_expected(struct stress_request *request)
{
	SYNC_SKCIPHER_REQUEST_ON_STACK(req, request->pair->ref);
	struct scatterlist sg;
	int ret;

	memcpy(request->expected, request->in, request->len);
	memcpy(request->next_iv, request->first_iv, MAX_BLOCK);
	sg_init_one(&sg, request->expected, request->len);
	skcipher_request_set_sync_tfm(req, request->pair->ref);
	skcipher_request_set_callback(req, 0, NULL, NULL);
	skcipher_request_set_crypt(req, &sg, &sg, request->len, request->next_iv);
	ret = crypt(req, request->encrypt);
	skcipher_request_zero(req);
	/* A request that is undone has its source as result, and the same next IV. */
	if (request->undo_next)
		memcpy(request->expected, request->in, request->len);
	return ret;
}

static void request_put(struct stress_request *request)
{
	if (atomic_dec_and_test(&request->refs))
		complete(&request->done);
}

static void undo(struct stress_request *request);

/* Submits a request. Returns false if the ring is full and the request must be retried. */
static bool submit(struct stress_request *request, bool encrypt)
{
	int ret;

	/* One reference for this function, one for the result. */
	atomic_add(2, &request->refs);
	ret = crypt(request->req, encrypt);
	switch (ret) {
	case -EBUSY:
		atomic_inc(&request->busy);
		atomic_inc(&tally.busy);
		fallthrough;
	case -EINPROGRESS:
		atomic_inc(&request->accepted);
		atomic_inc(&tally.waited);
		break;
	default:
		request->ret = ret;
		if (!ret && request->undo_next)
			undo(request);
		request_put(request);
	}
	if (ret == -ENOSPC && !request->backlog) {
		atomic_inc(&tally.full);
		atomic_dec(&request->refs);
		return false;
	}
	atomic_inc(&tally.requests);
	request_put(request);
	return true;
}

/* Submits the inverse operation in place, in the context of the result. */
static void undo(struct stress_request *request)
{
	request->undo_next = false;
	memcpy(request->iv, request->first_iv, MAX_BLOCK);
	skcipher_request_set_crypt(request->req, request->dst, request->dst, request->len,
				   request->iv);
	atomic_inc(&tally.undone);
	submit(request, !request->encrypt);
}

static void request_done(void *data, int err)
{
	struct stress_request *request = data;

	if (!READ_ONCE(request->in_flight))
		atomic_inc(&tally.doubled);
	if (err == -EINPROGRESS) {
		atomic_inc(&request->notified);
		return;
	}
	if (WARN_ON_ONCE(!in_softirq()))
		err = -EDEADLK;
	request->ret = err;
	atomic_inc(&request->finished);
	if (!err && request->undo_next)
		undo(request);
	request_put(request);
}

void request_start(struct stress_request *request, const struct pair *pair, struct rnd_state *rnd)
{
	const struct cipher *cipher = pair->cipher;
	u8 *out = request->out + GUARD;
	unsigned long give_up = jiffies + REQUEST_TIMEOUT;
	bool in_place = chance(rnd, 50), sent;
	struct scatterlist *src = request->src;

	request->pair = pair;
	request->len = pick_len(cipher, rnd);
	request->encrypt = chance(rnd, 50);
	request->backlog = chance(rnd, 60);
	request->sleep = chance(rnd, 50);
	request->atomic = !request->sleep && chance(rnd, 50);
	/* A request that is submitted from a callback can neither sleep nor be retried. */
	request->undo_next = !request->sleep && request->backlog && chance(rnd, 30);
	prandom_bytes_state(rnd, request->in, request->len);
	prandom_bytes_state(rnd, request->first_iv, MAX_BLOCK);
	/* Let the counters of 10 % of the requests wrap. */
	if (chance(rnd, 10))
		memset(request->first_iv, 0xff, MAX_BLOCK - 1);
	if (compute_expected(request)) {
		tap_note("%s: the reference failed", cipher->reference);
		atomic_inc(&tally.wrong);
	}

	memset(request->out, POISON, GUARD);
	memset(out + request->len, POISON, GUARD);
	split(request->dst, out, request->len, rnd);
	if (in_place) {
		memcpy(out, request->in, request->len);
		src = request->dst;
	} else {
		split(request->src, request->in, request->len, rnd);
	}

	atomic_set(&request->refs, 0);
	atomic_set(&request->accepted, 0);
	atomic_set(&request->busy, 0);
	atomic_set(&request->finished, 0);
	atomic_set(&request->notified, 0);
	reinit_completion(&request->done);
	WRITE_ONCE(request->in_flight, true);
	atomic_add(request->sleep, &tally.sleeping);
	atomic_add(request->atomic, &tally.atomic);
	memcpy(request->iv, request->first_iv, MAX_BLOCK);
	skcipher_request_set_tfm(request->req, pair->tfm);
	skcipher_request_set_callback(request->req,
				      (request->backlog ? CRYPTO_TFM_REQ_MAY_BACKLOG : 0) |
				      (request->sleep ? CRYPTO_TFM_REQ_MAY_SLEEP : 0),
				      request_done, request);
	skcipher_request_set_crypt(request->req, src, request->dst, request->len, request->iv);
	for (;;) {
		if (request->atomic)
			local_bh_disable();
		sent = submit(request, request->encrypt);
		if (request->atomic)
			local_bh_enable();
		if (sent || time_after(jiffies, give_up))
			break;
		usleep_range(50, 200);
	}
	if (!sent) {
		tap_note("%s: ring full for 60 s", cipher->driver);
		atomic_inc(&tally.wrong);
		complete(&request->done);
	}
}

static bool guards_are_intact(const struct stress_request *request)
{
	return !memchr_inv(request->out, POISON, GUARD) &&
	       !memchr_inv(request->out + GUARD + request->len, POISON, GUARD);
}

static void check_result(struct stress_request *request)
{
	const struct cipher *cipher = request->pair->cipher;
	int accepted = atomic_read(&request->accepted), finished = atomic_read(&request->finished);
	int busy = atomic_read(&request->busy), notified = atomic_read(&request->notified);
	bool right = !memcmp(request->out + GUARD, request->expected, request->len);
	bool iv = !cipher->updates_iv || !memcmp(request->iv, request->next_iv, cipher->iv_size);

	if (accepted != finished || busy != notified) {
		tap_note("%s: queued %d times, %d of them EBUSY; %d completions, %d EINPROGRESS",
			 cipher->driver, accepted, busy, finished, notified);
		if (finished > accepted || notified > busy)
			atomic_inc(&tally.doubled);
		else
			atomic_inc(&tally.lost);
	}
	if (request->ret || !right || !iv || !guards_are_intact(request)) {
		tap_note("%s: %s of %u bytes: %d, %s data, %s IV, guard bytes %s",
			 cipher->driver, request->encrypt ? "encryption" : "decryption",
			 request->len, request->ret, right ? "correct" : "wrong",
			 iv ? "correct" : "wrong",
			 guards_are_intact(request) ? "unchanged" : "overwritten");
		atomic_inc(&tally.wrong);
	}
}

bool request_collect(struct stress_request *request)
{
	if (!request->in_flight)
		return true;
	if (!wait_for_completion_timeout(&request->done, REQUEST_TIMEOUT)) {
		tap_note("%s: a request of %u bytes did not complete in time",
			 request->pair->cipher->driver, request->len);
		atomic_inc(&tally.lost);
		return false;
	}
	WRITE_ONCE(request->in_flight, false);
	check_result(request);
	return true;
}
