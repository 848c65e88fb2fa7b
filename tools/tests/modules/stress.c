// SPDX-License-Identifier: GPL-2.0
/*
 * vc_stress: several threads with many requests in flight, of several ciphers and
 * random lengths. Each result is compared with that of another implementation.
 *
 * The module prints TAP lines to the log. Its init function fails with EAGAIN if
 * all tests passed, otherwise with EIO. The module stays loaded only if a request
 * was lost, because the request may complete later.
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
/* The maximum number of consecutive requests of a thread with one key. */
#define MAX_BATCH	400

static char *ciphers[MAX_CIPHERS] = { "cbc-aes-virtio:cbc-aes-lib" };
static int cipher_count = 1;
module_param_array(ciphers, charp, &cipher_count, 0444);
MODULE_PARM_DESC(ciphers, "DRIVER:REFERENCE,...: ciphers to test and to compare them with");

static unsigned int threads = 4;
module_param(threads, uint, 0444);
MODULE_PARM_DESC(threads, "Threads, 1 to 64 (default 4)");

static unsigned int depth = 64;
module_param(depth, uint, 0444);
MODULE_PARM_DESC(depth, "Requests that each thread has in flight (default 64)");

static int requests = 10000;
module_param(requests, int, 0444);
MODULE_PARM_DESC(requests, "Requests of all threads together (default 10000)");

unsigned int max_len = 8192;
module_param(max_len, uint, 0444);
MODULE_PARM_DESC(max_len, "Maximum request length in bytes, 256 to 1048576 (default 8192)");

static ulong seed;
module_param(seed, ulong, 0444);
MODULE_PARM_DESC(seed, "Seed of the random choices, 0 for a random seed (default 0)");

struct tally tally;
unsigned int tap_tests;
unsigned int tap_failures;

static struct cipher tested[MAX_CIPHERS];
/* A pair for each cipher, which all threads use. */
static struct pair shared[MAX_CIPHERS];
static unsigned int reqsize;
/* The number of requests that are not yet made. */
static atomic_t remaining;
/* The number of batches so far. Each cipher gets the same share of the batches. */
static atomic_t batches;
/* The length of a batch. With few requests it is short, so each cipher gets a batch. */
static unsigned int batch_len;

struct worker {
	struct task_struct *task;
	struct completion ended;
	struct rnd_state rnd;
	struct pair own;
	struct stress_request *requests_in_flight;
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

/* Allocates both transforms, without a key. */
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

/* Returns a shared pair, or the thread's own pair with a new key. */
static const struct pair *pick_pair(struct worker *w)
{
	u32 dice = prandom_u32_state(&w->rnd);
	unsigned int i = (unsigned int)atomic_inc_return(&batches) % cipher_count;
	int ret = 0;

	if (dice & 1)
		return &shared[i];
	if (!w->own.tfm || dice & 2) {
		pair_close(&w->own);
		ret = pair_open(&w->own, &tested[i]);
	}
	if (!ret && crypto_skcipher_reqsize(w->own.tfm) > reqsize)
		ret = -EOVERFLOW;
	if (!ret)
		ret = pair_set_key(&w->own);
	if (!ret)
		return &w->own;
	tap_note("%s: failed to allocate a transform or set its key: %d", tested[i].driver, ret);
	return NULL;
}

/* Makes requests with one key. Returns false if no requests remain or one was lost. */
static bool run_batch(struct worker *w)
{
	const struct pair *pair = pick_pair(w);
	bool more = true;
	unsigned int n;

	if (!pair) {
		atomic_inc(&tally.wrong);
		return false;
	}
	for (n = 0; n < batch_len && !w->lost; n++) {
		struct stress_request *request = &w->requests_in_flight[n % depth];

		more = atomic_dec_if_positive(&remaining) >= 0;
		if (!more)
			break;
		w->lost |= !request_collect(request);
		if (!w->lost)
			request_start(request, pair, &w->rnd);
		cond_resched();
	}
	for (n = 0; n < depth; n++)
		w->lost |= !request_collect(&w->requests_in_flight[n]);
	return more && !w->lost;
}

static int worker_run(void *data)
{
	struct worker *w = data;

	while (run_batch(w))
		;
	complete(&w->ended);
	return 0;
}

static void worker_free(struct worker *w)
{
	unsigned int i;

	for (i = 0; w->requests_in_flight && i < depth; i++)
		request_free(&w->requests_in_flight[i]);
	kvfree(w->requests_in_flight);
	pair_close(&w->own);
}

static int worker_start(struct worker *w, unsigned int number)
{
	unsigned int i;

	init_completion(&w->ended);
	prandom_seed_state(&w->rnd, seed + number);
	w->requests_in_flight = kvcalloc(depth, sizeof(*w->requests_in_flight), GFP_KERNEL);
	if (!w->requests_in_flight)
		return -ENOMEM;
	for (i = 0; i < depth; i++)
		if (request_alloc(&w->requests_in_flight[i], reqsize))
			return -ENOMEM;
	w->task = kthread_create(worker_run, w, "vc_stress/%u", number);
	if (IS_ERR(w->task))
		return PTR_ERR(w->task);
	get_task_struct(w->task);
	wake_up_process(w->task);
	return 0;
}

/* Waits for the end of a worker, in steps that do not trigger the hung task detector. */
static void worker_wait(struct worker *w)
{
	while (!wait_for_completion_timeout(&w->ended, 60 * HZ))
		tap_note("%d requests remain", atomic_read(&remaining));
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
	atomic_set(&remaining, requests);
	batch_len = clamp(requests / cipher_count, 1, MAX_BATCH);
	for (i = 0; i < threads; i++) {
		if (worker_start(&workers[i], i)) {
			tap_note("failed to start thread %u", i);
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

	tap_note("%u threads, depth %u, seed %lu", threads, depth, seed);
	tap_note("%d may sleep, %d with bottom halves disabled, %d undid another request",
		 atomic_read(&tally.sleeping), atomic_read(&tally.atomic),
		 atomic_read(&tally.undone));
	tap_note("%d completed asynchronously, %d of them backlogged; ring full %d times",
		 atomic_read(&tally.waited), atomic_read(&tally.busy),
		 atomic_read(&tally.full));
	tap_result(made >= requests && atomic_read(&tally.waited) &&
		   !wrong && !lost && !doubled,
		   "%d requests of %d ciphers: %d wrong, %d lost, %d doubled",
		   made, cipher_count, wrong, lost, doubled);
}

/* Reads the properties of a cipher and allocates its shared pair. */
static int prepare(unsigned int i)
{
	struct cipher *cipher = &tested[i];
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
	cipher->updates_iv = !strstarts(cipher->driver, "xts");
	cipher->any_length = !cipher->updates_iv || crypto_skcipher_blocksize(pair->tfm) == 1;
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
			/* The lost request may complete later. Stay loaded. */
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
	return tap_failures ? -EIO : -EAGAIN;
}

module_init(vc_stress_init);

MODULE_DESCRIPTION("Stress test of ciphers");
MODULE_LICENSE("GPL");
