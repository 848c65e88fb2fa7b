// SPDX-License-Identifier: GPL-2.0
/*
 * One request among many: made up at random, sent, waited for, compared.
 */
#include <linux/bottom_half.h>
#include <linux/delay.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "stress.h"

/* Bytes before and behind the result that nobody may write. */
#define GUARD	32
#define POISON	0xa5

int job_alloc(struct job *job, unsigned int reqsize)
{
	job->in = kmalloc(max_len, GFP_KERNEL);
	job->expect = kmalloc(max_len, GFP_KERNEL);
	job->out = kmalloc(max_len + 2 * GUARD, GFP_KERNEL);
	job->req = kzalloc(sizeof(*job->req) + reqsize, GFP_KERNEL);
	init_completion(&job->done);
	return job->in && job->expect && job->out && job->req ? 0 : -ENOMEM;
}

void job_free(struct job *job)
{
	kfree(job->in);
	kfree(job->expect);
	kfree(job->out);
	kfree(job->req);
}

static bool chance(struct rnd_state *rnd, unsigned int percent)
{
	return prandom_u32_state(rnd) % 100 < percent;
}

static unsigned int between(struct rnd_state *rnd, unsigned int least, unsigned int most)
{
	return least + prandom_u32_state(rnd) % (most - least + 1);
}

/* Most are short, some are sectors or pages, a few are as long as they may be. */
static unsigned int pick_len(const struct cipher *cipher, struct rnd_state *rnd)
{
	unsigned int most, least, len, kind = between(rnd, 0, 99);

	if (kind < 70)
		most = 160;
	else if (kind < 92)
		most = 512;
	else if (kind < 99)
		most = 4096;
	else
		most = max_len;
	/* XTS has nothing shorter than a block. */
	least = cipher->any_length && cipher->chains ? 1 : cipher->block;
	len = between(rnd, least, min(most, max_len));
	if (!cipher->any_length || chance(rnd, 50))
		len = max(len - len % cipher->block, cipher->block);
	return len;
}

/* Cuts @len bytes of @buf into a few parts, or one. */
static void split(struct scatterlist *sg, u8 *buf, unsigned int len, struct rnd_state *rnd)
{
	unsigned int i, part, parts;

	parts = chance(rnd, 50) ? 1 : between(rnd, 1, chance(rnd, 10) ? MAX_PARTS : 4);
	parts = min(parts, len);
	sg_init_table(sg, parts);
	for (i = 0; i < parts; i++) {
		part = len;
		/* Each of those that follow gets a byte at least. */
		if (i != parts - 1)
			part = between(rnd, 1, min(len - (parts - 1 - i),
						   2 * len / (parts - i)));
		sg_set_buf(&sg[i], buf, part);
		buf += part;
		len -= part;
	}
}

static int crypt(struct skcipher_request *req, bool encrypt)
{
	return encrypt ? crypto_skcipher_encrypt(req) : crypto_skcipher_decrypt(req);
}

/* Has software find out what must come of a request. */
static int expect(struct job *job)
{
	SYNC_SKCIPHER_REQUEST_ON_STACK(req, job->pair->ref);
	struct scatterlist sg;
	int ret;

	memcpy(job->expect, job->in, job->len);
	memcpy(job->next_iv, job->start, MAX_BLOCK);
	sg_init_one(&sg, job->expect, job->len);
	skcipher_request_set_sync_tfm(req, job->pair->ref);
	skcipher_request_set_callback(req, 0, NULL, NULL);
	skcipher_request_set_crypt(req, &sg, &sg, job->len, job->next_iv);
	ret = crypt(req, job->encrypt);
	skcipher_request_zero(req);
	/* What is undone is as it was, but has gone through the same IVs. */
	if (job->again)
		memcpy(job->expect, job->in, job->len);
	return ret;
}

static void let_go(struct job *job)
{
	if (atomic_dec_and_test(&job->holds))
		complete(&job->done);
}

static void undo(struct job *job);

/* Sends a request once. Returns false if there was no room for it. */
static bool submit(struct job *job, bool encrypt)
{
	int ret;

	/* One for us, one for the result. */
	atomic_add(2, &job->holds);
	ret = crypt(job->req, encrypt);
	switch (ret) {
	case -EBUSY:
		atomic_inc(&job->busy);
		atomic_inc(&tally.busy);
		fallthrough;
	case -EINPROGRESS:
		atomic_inc(&job->accepted);
		atomic_inc(&tally.waited);
		break;
	default:
		job->ret = ret;
		if (!ret && job->again)
			undo(job);
		let_go(job);
	}
	if (ret == -ENOSPC && !job->backlog) {
		atomic_inc(&tally.full);
		atomic_dec(&job->holds);
		return false;
	}
	atomic_inc(&tally.requests);
	let_go(job);
	return true;
}

/* Undoes in place what was done, from where its result was learned. */
static void undo(struct job *job)
{
	job->again = false;
	memcpy(job->iv, job->start, MAX_BLOCK);
	skcipher_request_set_crypt(job->req, job->dst, job->dst, job->len, job->iv);
	atomic_inc(&tally.again);
	submit(job, !job->encrypt);
}

static void job_done(void *data, int err)
{
	struct job *job = data;

	if (!READ_ONCE(job->in_flight))
		atomic_inc(&tally.doubled);
	if (err == -EINPROGRESS) {
		atomic_inc(&job->notified);
		return;
	}
	if (WARN_ON_ONCE(!in_softirq()))
		err = -EDEADLK;
	job->ret = err;
	atomic_inc(&job->finished);
	if (!err && job->again)
		undo(job);
	let_go(job);
}

void job_start(struct job *job, const struct pair *pair, struct rnd_state *rnd)
{
	const struct cipher *cipher = pair->cipher;
	u8 *out = job->out + GUARD;
	unsigned long give_up = jiffies + LOST;
	bool in_place = chance(rnd, 50), sent;
	struct scatterlist *src = job->src;

	job->pair = pair;
	job->len = pick_len(cipher, rnd);
	job->encrypt = chance(rnd, 50);
	job->backlog = chance(rnd, 60);
	job->sleep = chance(rnd, 50);
	job->atomic = !job->sleep && chance(rnd, 50);
	/* From a completion it can neither sleep nor try again. */
	job->again = !job->sleep && job->backlog && chance(rnd, 30);
	prandom_bytes_state(rnd, job->in, job->len);
	prandom_bytes_state(rnd, job->start, MAX_BLOCK);
	/* Some counters are about to wrap. */
	if (chance(rnd, 10))
		memset(job->start, 0xff, MAX_BLOCK - 1);
	if (expect(job)) {
		tap_note("%s: software fails", cipher->reference);
		atomic_inc(&tally.wrong);
	}

	memset(job->out, POISON, GUARD);
	memset(out + job->len, POISON, GUARD);
	split(job->dst, out, job->len, rnd);
	if (in_place) {
		memcpy(out, job->in, job->len);
		src = job->dst;
	} else {
		split(job->src, job->in, job->len, rnd);
	}

	atomic_set(&job->holds, 0);
	atomic_set(&job->accepted, 0);
	atomic_set(&job->busy, 0);
	atomic_set(&job->finished, 0);
	atomic_set(&job->notified, 0);
	reinit_completion(&job->done);
	WRITE_ONCE(job->in_flight, true);
	atomic_add(job->sleep, &tally.sleeping);
	atomic_add(job->atomic, &tally.atomic);
	memcpy(job->iv, job->start, MAX_BLOCK);
	skcipher_request_set_tfm(job->req, pair->tfm);
	skcipher_request_set_callback(job->req,
				      (job->backlog ? CRYPTO_TFM_REQ_MAY_BACKLOG : 0) |
				      (job->sleep ? CRYPTO_TFM_REQ_MAY_SLEEP : 0),
				      job_done, job);
	skcipher_request_set_crypt(job->req, src, job->dst, job->len, job->iv);
	for (;;) {
		if (job->atomic)
			local_bh_disable();
		sent = submit(job, job->encrypt);
		if (job->atomic)
			local_bh_enable();
		if (sent || time_after(jiffies, give_up))
			break;
		usleep_range(50, 200);
	}
	if (!sent) {
		tap_note("%s: no room for a minute", cipher->driver);
		atomic_inc(&tally.wrong);
		complete(&job->done);
	}
}

static bool guards_are_whole(const struct job *job)
{
	return !memchr_inv(job->out, POISON, GUARD) &&
	       !memchr_inv(job->out + GUARD + job->len, POISON, GUARD);
}

static void check(struct job *job)
{
	const struct cipher *cipher = job->pair->cipher;
	int accepted = atomic_read(&job->accepted), finished = atomic_read(&job->finished);
	int busy = atomic_read(&job->busy), notified = atomic_read(&job->notified);
	bool right = !memcmp(job->out + GUARD, job->expect, job->len);
	bool iv = !cipher->chains || !memcmp(job->iv, job->next_iv, cipher->iv_size);

	if (accepted != finished || busy != notified) {
		tap_note("%s: answered %d times, %d of them busy; finished %d times, notified %d",
			 cipher->driver, accepted, busy, finished, notified);
		if (finished > accepted || notified > busy)
			atomic_inc(&tally.doubled);
		else
			atomic_inc(&tally.lost);
	}
	if (job->ret || !right || !iv || !guards_are_whole(job)) {
		tap_note("%s: %s of %u bytes: %d, %s data, %s IV, %s around it",
			 cipher->driver, job->encrypt ? "encryption" : "decryption",
			 job->len, job->ret, right ? "right" : "wrong",
			 iv ? "right" : "wrong",
			 guards_are_whole(job) ? "nothing" : "something");
		atomic_inc(&tally.wrong);
	}
}

bool job_collect(struct job *job)
{
	if (!job->in_flight)
		return true;
	if (!wait_for_completion_timeout(&job->done, LOST)) {
		tap_note("%s: a request of %u bytes was lost", job->pair->cipher->driver,
			 job->len);
		atomic_inc(&tally.lost);
		return false;
	}
	WRITE_ONCE(job->in_flight, false);
	check(job);
	return true;
}
