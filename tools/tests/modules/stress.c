// SPDX-License-Identifier: GPL-2.0
/*
 * vc_stress: many requests at a time, of several ciphers and of all sizes, by
 * several threads, each compared with what software makes of it. The result is in
 * the log, in TAP, and in what insmod returns. The module stays only if a
 * request was lost, which may come back yet.
 */
#include <linux/kthread.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "stress.h"

#define MAX_CIPHERS	32
#define MAX_THREADS	64
/* Most requests with one key. */
#define MAX_TURN	400

static char *ciphers[MAX_CIPHERS] = { "cbc-aes-virtio:cbc-aes-lib" };
static int cipher_count = 1;
module_param_array(ciphers, charp, &cipher_count, 0444);
MODULE_PARM_DESC(ciphers, "DRIVER:REFERENCE,... to stress, and to compare them with");

static unsigned int threads = 4;
module_param(threads, uint, 0444);
MODULE_PARM_DESC(threads, "Threads that make requests");

static unsigned int depth = 64;
module_param(depth, uint, 0444);
MODULE_PARM_DESC(depth, "Requests each thread has in flight");

static int requests = 10000;
module_param(requests, int, 0444);
MODULE_PARM_DESC(requests, "Requests to make, by all threads together");

unsigned int max_len = 8192;
module_param(max_len, uint, 0444);
MODULE_PARM_DESC(max_len, "Longest request in bytes");

static ulong seed;
module_param(seed, ulong, 0444);
MODULE_PARM_DESC(seed, "What the random choices begin with [something random]");

struct tally tally;
unsigned int tap_tests;
unsigned int tap_failures;

static struct cipher under_stress[MAX_CIPHERS];
/* One for each cipher, used by all threads. */
static struct pair shared[MAX_CIPHERS];
static unsigned int reqsize;
/* Requests that are still to be made. */
static atomic_t left;
/* Turns that threads have had: the ciphers have the same share of them. */
static atomic_t turns;
/* Requests with one key: with few to make, all ciphers are to have their turn. */
static unsigned int turn_len;

struct worker {
	struct task_struct *task;
	struct completion ended;
	struct rnd_state rnd;
	struct pair own;
	struct job *jobs;
	bool lost;
};

static void pair_close(struct pair *pair)
{
	if (pair->tfm)
		crypto_free_skcipher(pair->tfm);
	if (pair->ref)
		crypto_free_sync_skcipher(pair->ref);
	memset(pair, 0, sizeof(*pair));
}

static int pair_set_key(struct pair *pair)
{
	unsigned int size = pair->cipher->key_size;
	u8 key[MAX_KEY];
	int ret;

	get_random_bytes(key, size);
	ret = crypto_skcipher_setkey(pair->tfm, key, size);
	if (!ret)
		ret = crypto_sync_skcipher_setkey(pair->ref, key, size);
	memzero_explicit(key, sizeof(key));
	return ret;
}

/* Allocates both; they have no key yet. */
static int pair_open(struct pair *pair, const struct cipher *cipher)
{
	int ret = 0;

	pair->cipher = cipher;
	pair->tfm = crypto_alloc_skcipher(cipher->driver, 0, 0);
	if (IS_ERR(pair->tfm)) {
		ret = PTR_ERR(pair->tfm);
		pair->tfm = NULL;
	}
	pair->ref = crypto_alloc_sync_skcipher(cipher->reference, 0, 0);
	if (IS_ERR(pair->ref)) {
		ret = PTR_ERR(pair->ref);
		pair->ref = NULL;
	}
	if (ret)
		tap_note("%s, %s: %d", cipher->driver, cipher->reference, ret);
	return ret;
}

/* One of those that all threads use, or one of its own with a new key. */
static const struct pair *pick_pair(struct worker *w)
{
	u32 dice = prandom_u32_state(&w->rnd);
	unsigned int i = (unsigned int)atomic_inc_return(&turns) % cipher_count;
	int ret = 0;

	if (dice & 1)
		return &shared[i];
	if (!w->own.tfm || dice & 2) {
		pair_close(&w->own);
		ret = pair_open(&w->own, &under_stress[i]);
	}
	if (!ret && crypto_skcipher_reqsize(w->own.tfm) > reqsize)
		ret = -EOVERFLOW;
	if (!ret)
		ret = pair_set_key(&w->own);
	if (!ret)
		return &w->own;
	tap_note("%s: no transform with a key: %d", under_stress[i].driver, ret);
	return NULL;
}

/* Makes requests with one key. Returns false if there is nothing more to do. */
static bool turn(struct worker *w)
{
	const struct pair *pair = pick_pair(w);
	bool more = true;
	unsigned int n;

	if (!pair) {
		atomic_inc(&tally.wrong);
		return false;
	}
	for (n = 0; n < turn_len && !w->lost; n++) {
		struct job *job = &w->jobs[n % depth];

		more = atomic_dec_if_positive(&left) >= 0;
		if (!more)
			break;
		w->lost |= !job_collect(job);
		if (!w->lost)
			job_start(job, pair, &w->rnd);
		cond_resched();
	}
	for (n = 0; n < depth; n++)
		w->lost |= !job_collect(&w->jobs[n]);
	return more && !w->lost;
}

static int work(void *data)
{
	struct worker *w = data;

	while (turn(w))
		;
	complete(&w->ended);
	return 0;
}

static void worker_free(struct worker *w)
{
	unsigned int i;

	for (i = 0; w->jobs && i < depth; i++)
		job_free(&w->jobs[i]);
	kvfree(w->jobs);
	pair_close(&w->own);
}

static int worker_start(struct worker *w, unsigned int number)
{
	unsigned int i;

	init_completion(&w->ended);
	prandom_seed_state(&w->rnd, seed + number);
	w->jobs = kvcalloc(depth, sizeof(*w->jobs), GFP_KERNEL);
	if (!w->jobs)
		return -ENOMEM;
	for (i = 0; i < depth; i++)
		if (job_alloc(&w->jobs[i], reqsize))
			return -ENOMEM;
	w->task = kthread_create(work, w, "vc_stress/%u", number);
	if (IS_ERR(w->task))
		return PTR_ERR(w->task);
	get_task_struct(w->task);
	wake_up_process(w->task);
	return 0;
}

/* Waits for a worker's end, in portions that no watchdog minds. */
static void worker_wait(struct worker *w)
{
	while (!wait_for_completion_timeout(&w->ended, 60 * HZ))
		tap_note("%d requests are still to be made", atomic_read(&left));
	kthread_stop_put(w->task);
}

/* Returns false if a request was lost. */
static bool stress(void)
{
	struct worker *workers = kcalloc(threads, sizeof(*workers), GFP_KERNEL);
	bool lost = false;
	unsigned int i;

	if (!workers)
		return true;
	atomic_set(&left, requests);
	turn_len = clamp(requests / cipher_count, 1, MAX_TURN);
	for (i = 0; i < threads; i++) {
		if (worker_start(&workers[i], i)) {
			tap_note("thread %u cannot be started", i);
			atomic_inc(&tally.wrong);
		}
	}
	for (i = 0; i < threads; i++) {
		if (!IS_ERR_OR_NULL(workers[i].task))
			worker_wait(&workers[i]);
		if (workers[i].lost)
			lost = true;
		else
			worker_free(&workers[i]);
	}
	if (!lost)
		kfree(workers);
	return !lost;
}

static void report(void)
{
	int made = atomic_read(&tally.requests);
	int wrong = atomic_read(&tally.wrong);
	int lost = atomic_read(&tally.lost);
	int doubled = atomic_read(&tally.doubled);

	tap_note("%u threads, %u requests at a time each, seed %lu", threads, depth, seed);
	tap_note("%d might sleep, %d were made with bottom halves off, %d undid another",
		 atomic_read(&tally.sleeping), atomic_read(&tally.atomic),
		 atomic_read(&tally.again));
	tap_note("%d answered later, %d of them had to wait for room; %d times no room",
		 atomic_read(&tally.waited), atomic_read(&tally.busy),
		 atomic_read(&tally.full));
	tap_result(made >= requests && atomic_read(&tally.waited) &&
		   !wrong && !lost && !doubled,
		   "%d requests of %d ciphers: %d wrong, %d lost, %d doubled",
		   made, cipher_count, wrong, lost, doubled);
}

/* Finds out what a cipher is like, and makes what all threads share. */
static int prepare(unsigned int i)
{
	struct cipher *cipher = &under_stress[i];
	struct pair *pair = &shared[i];
	int ret;

	cipher->reference = ciphers[i];
	cipher->driver = strsep((char **)&cipher->reference, ":");
	if (!cipher->reference)
		return -EINVAL;
	ret = pair_open(pair, cipher);
	if (ret)
		return ret;
	cipher->block = crypto_skcipher_chunksize(pair->tfm);
	cipher->iv_size = crypto_skcipher_ivsize(pair->tfm);
	cipher->key_size = crypto_skcipher_max_keysize(pair->tfm);
	cipher->chains = !strstarts(cipher->driver, "xts");
	cipher->any_length = !cipher->chains || crypto_skcipher_blocksize(pair->tfm) == 1;
	if (cipher->block > MAX_BLOCK || cipher->iv_size > MAX_BLOCK ||
	    cipher->key_size > MAX_KEY)
		return -EINVAL;
	reqsize = max(reqsize, crypto_skcipher_reqsize(pair->tfm));
	return pair_set_key(pair);
}

static int __init vc_stress_init(void)
{
	unsigned int i;
	int ret = 0;

	if (max_len < 256 || max_len > SZ_1M || !depth || requests <= 0 ||
	    !threads || threads > MAX_THREADS || !cipher_count)
		return -EINVAL;
	if (!seed)
		seed = get_random_long();
	for (i = 0; !ret && i < cipher_count; i++)
		ret = prepare(i);
	if (!ret) {
		if (!stress())
			/* A request may come back when we are long gone. */
			ret = 1;
		report();
		pr_info("TAP 1..%u\n", tap_tests);
	}
	if (ret == 1)
		return 0;
	for (i = 0; i < cipher_count; i++)
		pair_close(&shared[i]);
	if (ret)
		return ret;
	/* There is nothing to stay for. */
	return tap_failures ? -EIO : -EAGAIN;
}

module_init(vc_stress_init);

MODULE_DESCRIPTION("Has many requests of many ciphers in flight, and compares them");
MODULE_LICENSE("GPL");
