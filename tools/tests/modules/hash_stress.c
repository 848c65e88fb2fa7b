// SPDX-License-Identifier: GPL-2.0
/*
 * Many requests in flight, from several threads, with bottom halves enabled and
 * disabled.
 */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "hash.h"

static unsigned int threads = 2;
module_param(threads, uint, 0444);
MODULE_PARM_DESC(threads, "Threads of the stress test (default 2)");

static unsigned int depth = 64;
module_param(depth, uint, 0444);
MODULE_PARM_DESC(depth, "Requests that each thread has in flight (default 64)");

static unsigned int rounds = 10;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "Batches of requests of each thread (default 10)");

static unsigned int max_len = 4096;
module_param(max_len, uint, 0444);
MODULE_PARM_DESC(max_len, "Maximum message length in bytes, 64 to 1048576 (default 4096)");

static bool backlog = true;
module_param(backlog, bool, 0444);
MODULE_PARM_DESC(backlog, "Requests of the stress test may be backlogged (default Y)");

static bool stop;
module_param(stop, bool, 0644);
MODULE_PARM_DESC(stop, "Write Y to end the stress test");

struct stress_request {
	struct ahash_request *req;
	struct completion done;
	struct scatterlist src[3];
	u8 *in;
	struct digest actual;
	struct digest expected;
	unsigned int len;
	int submit_ret;
	int ret;
	atomic_t notified;
	atomic_t finished;
};

struct stress_thread {
	struct crypto_ahash *tfm;
	struct crypto_ahash *ref;
	struct stress_request *requests;
	struct completion ended;
	bool started;
	unsigned int done;
	unsigned int busy;
	unsigned int full;
	unsigned int wrong;
};

static void request_done(void *data, int err)
{
	struct stress_request *request = data;

	if (WARN_ON_ONCE(!in_softirq()))
		err = -EDEADLK;
	if (err == -EINPROGRESS) {
		atomic_inc(&request->notified);
		return;
	}
	request->ret = err;
	if (atomic_inc_return(&request->finished) == 1)
		complete(&request->done);
}

static int request_prepare(struct stress_thread *thread, struct stress_request *request)
{
	struct scatterlist one;
	struct op op = { .tfm = thread->ref, .src = &one };

	request->len = get_random_u32_inclusive(16, max_len);
	get_random_bytes(request->in, request->len);
	sg_init_one(&one, request->in, request->len);
	op.len = request->len;
	split(request->src, 3, request->in, request->len, 0, false);

	init_completion(&request->done);
	atomic_set(&request->notified, 0);
	atomic_set(&request->finished, 0);
	digest_poison(&request->actual);
	ahash_request_set_tfm(request->req, thread->tfm);
	ahash_request_set_callback(request->req,
				   backlog ? CRYPTO_TFM_REQ_MAY_BACKLOG : 0,
				   request_done, request);
	ahash_request_set_crypt(request->req, request->src, request->actual.bytes, request->len);
	return run(&op, &request->expected);
}

static bool request_is_correct(struct stress_thread *thread, struct stress_request *request)
{
	bool async = request->submit_ret == -EINPROGRESS || request->submit_ret == -EBUSY;
	bool good = digest_matches(&request->actual, &request->expected, digest_size(thread->ref));
	int ret = async ? request->ret : request->submit_ret;

	if (atomic_read(&request->finished) != async ||
	    atomic_read(&request->notified) != (request->submit_ret == -EBUSY)) {
		tap_note("submit returned %d, %d EINPROGRESS callbacks, %d completions",
			 request->submit_ret, atomic_read(&request->notified),
			 atomic_read(&request->finished));
		return false;
	}
	if (ret || !good)
		tap_note("%u bytes: %d, %s digest", request->len, ret,
			 good ? "correct" : "wrong");
	return !ret && good;
}

static int stress_thread_run(void *data)
{
	struct stress_thread *thread = data;
	unsigned int round, i;

	for (round = 0; round < rounds && !READ_ONCE(stop); round++) {
		for (i = 0; i < depth; i++)
			if (request_prepare(thread, &thread->requests[i]))
				thread->wrong++;
		for (i = 0; i < depth; i++) {
			struct stress_request *request = &thread->requests[i];
			unsigned int tries = 0;

			do {
				/* Disable bottom halves for every second request. */
				if (i & 1)
					local_bh_disable();
				request->submit_ret = crypto_ahash_digest(request->req);
				if (i & 1)
					local_bh_enable();
				if (request->submit_ret != -ENOSPC || backlog)
					break;
				thread->full++;
				fsleep(1000);
			} while (++tries < 10000);
			thread->busy += request->submit_ret == -EBUSY;
		}
		for (i = 0; i < depth; i++) {
			struct stress_request *request = &thread->requests[i];

			if ((request->submit_ret == -EINPROGRESS ||
			     request->submit_ret == -EBUSY) &&
			    !wait_for_completion_timeout(&request->done, 60 * HZ)) {
				tap_note("a request did not complete within 60 s");
				thread->wrong++;
				/* The request may complete later. Do not free its memory. */
				request->req = NULL;
				goto out;
			}
		}
		for (i = 0; i < depth; i++) {
			thread->wrong += !request_is_correct(thread, &thread->requests[i]);
			thread->done++;
		}
		cond_resched();
	}
out:
	kthread_complete_and_exit(&thread->ended, 0);
}

static void requests_free(struct stress_request *requests)
{
	unsigned int i;

	for (i = 0; requests && i < depth; i++) {
		kfree(requests[i].in);
		ahash_request_free(requests[i].req);
	}
	kvfree(requests);
}

static struct stress_request *requests_alloc(struct crypto_ahash *tfm)
{
	struct stress_request *requests = kvcalloc(depth, sizeof(*requests), GFP_KERNEL);
	unsigned int i;

	for (i = 0; requests && i < depth; i++) {
		struct stress_request *request = &requests[i];

		request->in = kmalloc(max_len, GFP_KERNEL);
		request->req = ahash_request_alloc(tfm, GFP_KERNEL);
		if (!request->in || !request->req) {
			requests_free(requests);
			return NULL;
		}
	}
	return requests;
}

bool stress_params_are_valid(void)
{
	return max_len >= 64 && max_len <= SZ_1M && depth && threads;
}

void stress(struct crypto_ahash *tfm, struct crypto_ahash *ref)
{
	struct stress_thread *workers = kcalloc(threads, sizeof(*workers), GFP_KERNEL);
	unsigned int i, done = 0, busy = 0, full = 0, wrong = 0;

	for (i = 0; workers && i < threads; i++) {
		struct stress_thread *thread = &workers[i];

		thread->tfm = tfm;
		thread->ref = ref;
		thread->requests = requests_alloc(tfm);
		if (!thread->requests)
			continue;
		init_completion(&thread->ended);
		thread->started = !IS_ERR(kthread_run(stress_thread_run, thread, "vc_load/%u", i));
	}
	for (i = 0; workers && i < threads; i++) {
		struct stress_thread *thread = &workers[i];

		if (thread->started) {
			wait_for_completion(&thread->ended);
			done += thread->done;
			busy += thread->busy;
			full += thread->full;
			wrong += thread->wrong;
		}
		if (!thread->wrong)
			requests_free(thread->requests);
	}
	kfree(workers);
	tap_note("%u requests, %u of them backlogged; ring full %u times", done,
		 busy, full);
	tap_result(done && (stop || done == threads * depth * rounds) && !wrong,
		   "%u requests by %u threads, depth %u, %s backlog: %u wrong",
		   done, threads, depth, backlog ? "with" : "without", wrong);
}
