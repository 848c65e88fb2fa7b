// SPDX-License-Identifier: GPL-2.0
/*
 * Many requests at once, from several threads, in either context.
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
MODULE_PARM_DESC(threads, "Threads that load it");

static unsigned int depth = 64;
module_param(depth, uint, 0444);
MODULE_PARM_DESC(depth, "Requests each thread has in flight");

static unsigned int rounds = 10;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "How often each thread submits as many");

static unsigned int max_len = 4096;
module_param(max_len, uint, 0444);
MODULE_PARM_DESC(max_len, "Longest message under load, in bytes");

static bool backlog = true;
module_param(backlog, bool, 0444);
MODULE_PARM_DESC(backlog, "Whether requests under load may be backlogged");

static bool stop;
module_param(stop, bool, 0644);
MODULE_PARM_DESC(stop, "Ends the load, when it is written");

struct job {
	struct ahash_request *req;
	struct completion done;
	struct scatterlist src[3];
	u8 *in;
	struct digest is;
	struct digest should;
	unsigned int len;
	int answer;
	int ret;
	atomic_t notified;
	atomic_t finished;
};

struct loader {
	struct crypto_ahash *tfm;
	struct crypto_ahash *ref;
	struct job *jobs;
	struct completion ended;
	bool started;
	unsigned int done;
	unsigned int busy;
	unsigned int full;
	unsigned int wrong;
};

static void job_done(void *data, int err)
{
	struct job *job = data;

	if (WARN_ON_ONCE(!in_softirq()))
		err = -EDEADLK;
	if (err == -EINPROGRESS) {
		atomic_inc(&job->notified);
		return;
	}
	job->ret = err;
	if (atomic_inc_return(&job->finished) == 1)
		complete(&job->done);
}

static int job_prepare(struct loader *l, struct job *job)
{
	struct scatterlist one;
	struct op op = { .tfm = l->ref, .src = &one };

	job->len = get_random_u32_inclusive(16, max_len);
	get_random_bytes(job->in, job->len);
	sg_init_one(&one, job->in, job->len);
	op.len = job->len;
	split(job->src, 3, job->in, job->len, 0, false);

	init_completion(&job->done);
	atomic_set(&job->notified, 0);
	atomic_set(&job->finished, 0);
	digest_poison(&job->is);
	ahash_request_set_tfm(job->req, l->tfm);
	ahash_request_set_callback(job->req,
				   backlog ? CRYPTO_TFM_REQ_MAY_BACKLOG : 0,
				   job_done, job);
	ahash_request_set_crypt(job->req, job->src, job->is.bytes, job->len);
	return run(&op, &job->should);
}

static bool job_is_right(struct loader *l, struct job *job)
{
	bool waited = job->answer == -EINPROGRESS || job->answer == -EBUSY;
	bool good = digest_is(&job->is, &job->should, digest_size(l->ref));
	int ret = waited ? job->ret : job->answer;

	if (atomic_read(&job->finished) != waited ||
	    atomic_read(&job->notified) != (job->answer == -EBUSY)) {
		tap_note("answered %d, notified %d times, finished %d times",
			 job->answer, atomic_read(&job->notified),
			 atomic_read(&job->finished));
		return false;
	}
	if (ret || !good)
		tap_note("%u bytes: %d, %s digest", job->len, ret,
			 good ? "right" : "wrong");
	return !ret && good;
}

static int load(void *data)
{
	struct loader *l = data;
	unsigned int round, i;

	for (round = 0; round < rounds && !READ_ONCE(stop); round++) {
		for (i = 0; i < depth; i++)
			if (job_prepare(l, &l->jobs[i]))
				l->wrong++;
		for (i = 0; i < depth; i++) {
			struct job *job = &l->jobs[i];
			unsigned int tries = 0;

			do {
				/* By turns in either context. */
				if (i & 1)
					local_bh_disable();
				job->answer = crypto_ahash_digest(job->req);
				if (i & 1)
					local_bh_enable();
				if (job->answer != -ENOSPC || backlog)
					break;
				l->full++;
				fsleep(1000);
			} while (++tries < 10000);
			l->busy += job->answer == -EBUSY;
		}
		for (i = 0; i < depth; i++) {
			struct job *job = &l->jobs[i];

			if ((job->answer == -EINPROGRESS || job->answer == -EBUSY) &&
			    !wait_for_completion_timeout(&job->done, 60 * HZ)) {
				tap_note("a request was lost");
				l->wrong++;
				/* It may come yet: its memory is not freed. */
				job->req = NULL;
				goto out;
			}
		}
		for (i = 0; i < depth; i++) {
			l->wrong += !job_is_right(l, &l->jobs[i]);
			l->done++;
		}
		cond_resched();
	}
out:
	kthread_complete_and_exit(&l->ended, 0);
}

static void jobs_free(struct job *jobs)
{
	unsigned int i;

	for (i = 0; jobs && i < depth; i++) {
		kfree(jobs[i].in);
		ahash_request_free(jobs[i].req);
	}
	kvfree(jobs);
}

static struct job *jobs_alloc(struct crypto_ahash *tfm)
{
	struct job *jobs = kvcalloc(depth, sizeof(*jobs), GFP_KERNEL);
	unsigned int i;

	for (i = 0; jobs && i < depth; i++) {
		struct job *job = &jobs[i];

		job->in = kmalloc(max_len, GFP_KERNEL);
		job->req = ahash_request_alloc(tfm, GFP_KERNEL);
		if (!job->in || !job->req) {
			jobs_free(jobs);
			return NULL;
		}
	}
	return jobs;
}

bool load_is_sensible(void)
{
	return max_len >= 64 && max_len <= SZ_1M && depth && threads;
}

void loaded(struct crypto_ahash *tfm, struct crypto_ahash *ref)
{
	struct loader *loaders = kcalloc(threads, sizeof(*loaders), GFP_KERNEL);
	unsigned int i, done = 0, busy = 0, full = 0, wrong = 0;

	for (i = 0; loaders && i < threads; i++) {
		struct loader *l = &loaders[i];

		l->tfm = tfm;
		l->ref = ref;
		l->jobs = jobs_alloc(tfm);
		if (!l->jobs)
			continue;
		init_completion(&l->ended);
		l->started = !IS_ERR(kthread_run(load, l, "vc_load/%u", i));
	}
	for (i = 0; loaders && i < threads; i++) {
		struct loader *l = &loaders[i];

		if (l->started) {
			wait_for_completion(&l->ended);
			done += l->done;
			busy += l->busy;
			full += l->full;
			wrong += l->wrong;
		}
		if (!l->wrong)
			jobs_free(l->jobs);
	}
	kfree(loaders);
	tap_note("%u requests, %u of them backlogged, %u times no room", done,
		 busy, full);
	tap_result(done && (stop || done == threads * depth * rounds) && !wrong,
		   "%u requests by %u threads, %u at a time each, %s backlog: %u wrong",
		   done, threads, depth, backlog ? "with" : "without", wrong);
}
