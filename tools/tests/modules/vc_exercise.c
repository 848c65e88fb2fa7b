// SPDX-License-Identifier: GPL-2.0
/*
 * Exercises a cipher beyond what the crypto self-tests do, and compares it with
 * another implementation: bad use, odd scatterlists, contexts, and many
 * requests in flight. The result is in the log, in TAP, and in what insmod
 * returns: the module never stays loaded.
 */
#include <crypto/internal/skcipher.h>
#include <crypto/skcipher.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static char *driver = "cbc-aes-virtio";
module_param(driver, charp, 0444);
MODULE_PARM_DESC(driver, "Implementation to exercise");

static char *reference = "cbc-aes-lib";
module_param(reference, charp, 0444);
MODULE_PARM_DESC(reference, "Implementation to compare it with");

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
MODULE_PARM_DESC(max_len, "Longest request under load, in bytes");

static bool backlog = true;
module_param(backlog, bool, 0444);
MODULE_PARM_DESC(backlog, "Whether requests under load may be backlogged");

#define MAX_BLOCK	16
#define MAX_KEY		64
#define MAX_SG		128

/* What the cipher is like. */
static unsigned int block;	/* bytes that belong together */
static unsigned int iv_size;
static unsigned int key_size;
static bool any_length;		/* data need not be whole blocks */
static bool chains;		/* the IV of the next request is defined */

static unsigned int tests;
static unsigned int failures;

#define result(good, fmt, ...)						\
	do {								\
		bool good_ = (good);					\
									\
		tests++;						\
		failures += !good_;					\
		pr_info("TAP %sok %u - " fmt "\n", good_ ? "" : "not ",	\
			tests, ##__VA_ARGS__);				\
	} while (0)

/* One operation of one implementation, waited for. */
struct op {
	struct crypto_skcipher *tfm;
	struct scatterlist *src;
	struct scatterlist *dst;
	unsigned int len;
	u8 *iv;
	bool encrypt;
	bool atomic;
	bool vmalloc;
};

static int run(const struct op *op)
{
	size_t size = sizeof(struct skcipher_request) +
		      crypto_skcipher_reqsize(op->tfm);
	struct skcipher_request *req;
	DECLARE_CRYPTO_WAIT(wait);
	int ret;

	req = op->vmalloc ? vzalloc(size) : kzalloc(size, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	skcipher_request_set_tfm(req, op->tfm);
	skcipher_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				      (op->atomic ? 0 : CRYPTO_TFM_REQ_MAY_SLEEP),
				      crypto_req_done, &wait);
	skcipher_request_set_crypt(req, op->src, op->dst, op->len, op->iv);
	if (op->atomic)
		local_bh_disable();
	ret = op->encrypt ? crypto_skcipher_encrypt(req) :
			    crypto_skcipher_decrypt(req);
	if (op->atomic)
		local_bh_enable();
	ret = crypto_wait_req(ret, &wait);
	kvfree(req);
	return ret;
}

static void look_at(struct crypto_skcipher *tfm)
{
	block = crypto_skcipher_chunksize(tfm);
	iv_size = crypto_skcipher_ivsize(tfm);
	key_size = crypto_skcipher_max_keysize(tfm);
	chains = !strstr(reference, "xts");
	any_length = !chains || crypto_skcipher_blocksize(tfm) == 1;
}

static bool same_iv(const u8 *a, const u8 *b)
{
	return !chains || !memcmp(a, b, iv_size);
}

static void bad_keys(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
{
	unsigned int len, wrong = 0;
	u8 key[MAX_KEY + 2];

	get_random_bytes(key, sizeof(key));
	for (len = 0; len <= sizeof(key); len++) {
		int is = crypto_skcipher_setkey(tfm, key, len);
		int should = crypto_skcipher_setkey(ref, key, len);

		if (is != should) {
			pr_info("TAP # key of %u bytes: %d instead of %d\n",
				len, is, should);
			wrong++;
		}
	}
	result(!wrong, "keys of any length get the error they should");
}

/* Keys with parts that are the same, or weak, with and without leave to refuse them. */
static void weak_keys(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
{
	/* Of DES: a weak one, a semi-weak one, with other parities, and a good one. */
	static const u8 part[][8] = {
		{ 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01 },
		{ 0x1f, 0xe0, 0x1f, 0xe0, 0x0e, 0xf1, 0x0e, 0xf1 },
		{ 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00 },
		{ 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef },
	};
	unsigned int forbid, i, at, wrong = 0, refused = 0;
	u8 key[MAX_KEY];

	for (forbid = 0; forbid < 2; forbid++) {
		u32 flag = CRYPTO_TFM_REQ_FORBID_WEAK_KEYS;

		crypto_skcipher_clear_flags(tfm, flag);
		crypto_skcipher_clear_flags(ref, flag);
		if (forbid) {
			crypto_skcipher_set_flags(tfm, flag);
			crypto_skcipher_set_flags(ref, flag);
		}
		for (i = 0; i < 3 * ARRAY_SIZE(part); i++) {
			int is, should;

			get_random_bytes(key, sizeof(key));
			/* The same all over, or but for the first, or the last part. */
			for (at = 0; at < key_size; at += 8)
				if (!(i % 3 == 1 && at == 0) &&
				    !(i % 3 == 2 && at == key_size - 8))
					memcpy(key + at, part[i / 3], 8);
			is = crypto_skcipher_setkey(tfm, key, key_size);
			should = crypto_skcipher_setkey(ref, key, key_size);
			if (is != should) {
				pr_info("TAP # key %u: %d instead of %d\n",
					i, is, should);
				wrong++;
			}
			refused += !!should;
		}
	}
	crypto_skcipher_clear_flags(tfm, CRYPTO_TFM_REQ_FORBID_WEAK_KEYS);
	crypto_skcipher_clear_flags(ref, CRYPTO_TFM_REQ_FORBID_WEAK_KEYS);
	memzero_explicit(key, sizeof(key));
	result(!wrong, "weak keys get the error they should: %u are refused", refused);
}

static void no_key(void)
{
	struct scatterlist sg;
	u8 iv[MAX_BLOCK] = {};
	struct op op = { .src = &sg, .dst = &sg, .len = MAX_BLOCK, .iv = iv };
	u8 *data = kzalloc(MAX_BLOCK, GFP_KERNEL);
	int is = -ENOMEM, should = -ENOMEM;

	if (!data)
		goto out;
	sg_init_one(&sg, data, MAX_BLOCK);
	op.tfm = crypto_alloc_skcipher(driver, 0, 0);
	if (!IS_ERR(op.tfm)) {
		is = run(&op);
		crypto_free_skcipher(op.tfm);
	}
	op.tfm = crypto_alloc_skcipher(reference, 0, 0);
	if (!IS_ERR(op.tfm)) {
		should = run(&op);
		crypto_free_skcipher(op.tfm);
	}
out:
	kfree(data);
	result(is == should && is == -ENOKEY, "no key: %d, should be %d", is, should);
}

static void lengths(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
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
			int is, should;

			get_random_bytes(a, 128);
			memcpy(b, a, 128);
			get_random_bytes(iva, MAX_BLOCK);
			/* Half of the counters are about to wrap. */
			if (len & 1)
				memset(iva, 0xff, MAX_BLOCK);
			memcpy(ivb, iva, MAX_BLOCK);
			sg_init_one(&sga, a, len);
			sg_init_one(&sgb, b, len);
			is = run(&opa);
			should = run(&opb);
			if (is != should || (!is && (memcmp(a, b, 128) ||
						     !same_iv(iva, ivb)))) {
				pr_info("TAP # %u bytes: %d instead of %d\n",
					len, is, should);
				wrong++;
			}
		}
	}
	result(a && b && !wrong, "data of any length gets the result or the error it should");
	kfree(a);
	kfree(b);
}

/* Splits @len bytes of @buf into parts, some of them empty, and adds @extra. */
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

static void shapes(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
{
	static const struct {
		const char *what;
		unsigned int entries;
		unsigned int extra;
		bool holes;
		bool in_place;
		bool vmalloc;
		bool atomic;
	} shape[] = {
		{ "one segment", 1 },
		{ "one segment, in place", 1, .in_place = true },
		{ "lists that are longer than the data", 1, .extra = 48 },
		{ "lists that are longer than the data, in parts", 3, .extra = 100 },
		{ "many odd segments", 61 },
		{ "many odd segments, in place", 61, .in_place = true },
		{ "many odd segments and a tail", 61, .extra = 33 },
		{ "empty segments", 5, .holes = true },
		{ "many segments, some empty", 90, .holes = true, .extra = 7 },
		{ "bottom halves off", 2, .atomic = true },
		{ "a request that no device can reach", 2, .vmalloc = true },
	};
	struct scatterlist *sgs = kcalloc(2 * MAX_SG, sizeof(*sgs), GFP_KERNEL);
	const unsigned int size = 4096;
	u8 *src = kmalloc(size, GFP_KERNEL);
	u8 *dst = kmalloc(size, GFP_KERNEL);
	u8 *expect = kmalloc(size, GFP_KERNEL);
	unsigned int c, turn;

	if (!sgs || !src || !dst || !expect) {
		result(false, "no memory");
		goto out;
	}
	for (c = 0; c < ARRAY_SIZE(shape); c++) {
		unsigned int wrong = 0;

		for (turn = 0; turn < 20; turn++) {
			/* Each direction with whole blocks and without. */
			unsigned int len = 2048 - (any_length && turn & 2 ?
						   1 + turn % (block - 1) : 0);
			struct scatterlist one, *to = sgs;
			u8 iva[MAX_BLOCK], ivb[MAX_BLOCK];
			struct op op = { tfm, sgs, NULL, len, iva, turn & 1,
					 shape[c].atomic, shape[c].vmalloc };
			struct op refop = { ref, &one, &one, len, ivb, turn & 1 };
			int is, should;

			get_random_bytes(src, size);
			get_random_bytes(dst, size);
			get_random_bytes(iva, MAX_BLOCK);
			memcpy(ivb, iva, MAX_BLOCK);
			/* What is behind the data must stay as it is. */
			memcpy(expect, shape[c].in_place ? src : dst, size);
			memcpy(expect, src, len);
			sg_init_one(&one, expect, len);
			should = run(&refop);

			split(sgs, shape[c].entries, src, len, shape[c].extra,
			      shape[c].holes);
			if (!shape[c].in_place) {
				to = sgs + MAX_SG;
				split(to, shape[c].entries, dst, len,
				      shape[c].extra, shape[c].holes);
			}
			op.dst = to;
			is = run(&op);
			if (is || should || !same_iv(iva, ivb) ||
			    memcmp(shape[c].in_place ? src : dst, expect, size)) {
				pr_info("TAP # turn %u: %d instead of %d\n",
					turn, is, should);
				wrong++;
			}
		}
		result(!wrong, "%s", shape[c].what);
	}
out:
	kfree(sgs);
	kfree(src);
	kfree(dst);
	kfree(expect);
}

static void flags(void)
{
	bool sync = strstr(driver, "-sync");
	struct crypto_skcipher *tfm;

	tfm = crypto_alloc_skcipher(driver, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
	result(!IS_ERR(tfm), "taken by who cannot have memory allocated (dm-crypt)");
	if (!IS_ERR(tfm))
		crypto_free_skcipher(tfm);

	tfm = crypto_alloc_skcipher(driver, 0, CRYPTO_ALG_ASYNC |
				    CRYPTO_ALG_KERN_DRIVER_ONLY |
				    CRYPTO_ALG_ALLOCATES_MEMORY);
	result(IS_ERR(tfm) != sync, "%staken by who wants it synchronous (AF_ALG)",
	       sync ? "" : "not ");
	if (!IS_ERR(tfm))
		crypto_free_skcipher(tfm);

	tfm = (void *)crypto_alloc_sync_skcipher(driver, 0, 0);
	result(IS_ERR(tfm), "not taken by who puts requests on the stack");
	if (!IS_ERR(tfm))
		crypto_free_skcipher(tfm);
}

/* many requests at once */

struct job {
	struct skcipher_request *req;
	struct completion done;
	struct scatterlist src[2];
	struct scatterlist dst[3];
	u8 *in;
	u8 *out;
	u8 *expect;
	u8 iv[MAX_BLOCK];
	u8 next_iv[MAX_BLOCK];
	unsigned int len;
	int answer;
	int ret;
	atomic_t notified;
	atomic_t finished;
	bool encrypt;
};

struct loader {
	struct crypto_skcipher *tfm;
	struct crypto_skcipher *ref;
	struct job *jobs;
	struct task_struct *task;
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
	struct op op = { l->ref, &one, &one, 0, job->next_iv };
	unsigned int cut;

	if (any_length && !get_random_u32_below(4))
		job->len = get_random_u32_inclusive(block, max_len);
	else
		job->len = block * get_random_u32_inclusive(1, max_len / block);
	job->encrypt = get_random_u32_below(2);
	get_random_bytes(job->in, job->len);
	get_random_bytes(job->iv, MAX_BLOCK);
	memcpy(job->next_iv, job->iv, MAX_BLOCK);
	memcpy(job->expect, job->in, job->len);
	sg_init_one(&one, job->expect, job->len);
	op.len = job->len;
	op.encrypt = job->encrypt;

	cut = get_random_u32_inclusive(1, job->len - 1);
	sg_init_table(job->src, 2);
	sg_set_buf(&job->src[0], job->in, cut);
	sg_set_buf(&job->src[1], job->in + cut, job->len - cut);
	cut = get_random_u32_inclusive(1, job->len - 2);
	sg_init_table(job->dst, 3);
	sg_set_buf(&job->dst[0], job->out, cut);
	sg_set_buf(&job->dst[1], job->out + cut, 1);
	sg_set_buf(&job->dst[2], job->out + cut + 1, job->len - cut - 1);

	init_completion(&job->done);
	atomic_set(&job->notified, 0);
	atomic_set(&job->finished, 0);
	skcipher_request_set_tfm(job->req, l->tfm);
	skcipher_request_set_callback(job->req,
				      backlog ? CRYPTO_TFM_REQ_MAY_BACKLOG : 0,
				      job_done, job);
	skcipher_request_set_crypt(job->req, job->src, job->dst, job->len, job->iv);
	return run(&op);
}

static bool job_is_right(struct job *job)
{
	bool waited = job->answer == -EINPROGRESS || job->answer == -EBUSY;
	int ret = waited ? job->ret : job->answer;

	if (atomic_read(&job->finished) != waited ||
	    atomic_read(&job->notified) != (job->answer == -EBUSY)) {
		pr_info("TAP # answered %d, notified %d times, finished %d times\n",
			job->answer, atomic_read(&job->notified),
			atomic_read(&job->finished));
		return false;
	}
	if (ret || memcmp(job->out, job->expect, job->len) ||
	    !same_iv(job->iv, job->next_iv)) {
		pr_info("TAP # %u bytes: %d, %s data\n", job->len, ret,
			memcmp(job->out, job->expect, job->len) ? "wrong" : "right");
		return false;
	}
	return true;
}

static int load(void *data)
{
	struct loader *l = data;
	unsigned int round, i;

	for (round = 0; round < rounds; round++) {
		for (i = 0; i < depth; i++)
			if (job_prepare(l, &l->jobs[i]))
				l->wrong++;
		for (i = 0; i < depth; i++) {
			struct job *job = &l->jobs[i];
			unsigned int tries = 0;

			do {
				job->answer = job->encrypt ?
					crypto_skcipher_encrypt(job->req) :
					crypto_skcipher_decrypt(job->req);
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
				pr_info("TAP # a request was lost\n");
				l->wrong++;
				/* It may come yet: its memory is not freed. */
				job->req = NULL;
				return 0;
			}
		}
		for (i = 0; i < depth; i++) {
			l->wrong += !job_is_right(&l->jobs[i]);
			l->done++;
		}
		cond_resched();
	}
	return 0;
}

static void jobs_free(struct job *jobs)
{
	unsigned int i;

	for (i = 0; jobs && i < depth; i++) {
		kfree(jobs[i].in);
		kfree(jobs[i].out);
		kfree(jobs[i].expect);
		skcipher_request_free(jobs[i].req);
	}
	kvfree(jobs);
}

static struct job *jobs_alloc(struct crypto_skcipher *tfm)
{
	struct job *jobs = kvcalloc(depth, sizeof(*jobs), GFP_KERNEL);
	unsigned int i;

	for (i = 0; jobs && i < depth; i++) {
		struct job *job = &jobs[i];

		job->in = kmalloc(max_len, GFP_KERNEL);
		job->out = kmalloc(max_len, GFP_KERNEL);
		job->expect = kmalloc(max_len, GFP_KERNEL);
		job->req = skcipher_request_alloc(tfm, GFP_KERNEL);
		if (!job->in || !job->out || !job->expect || !job->req) {
			jobs_free(jobs);
			return NULL;
		}
	}
	return jobs;
}

static void loaded(struct crypto_skcipher *tfm, struct crypto_skcipher *ref)
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
		l->task = kthread_create(load, l, "vc_load/%u", i);
		if (IS_ERR(l->task))
			continue;
		get_task_struct(l->task);
		wake_up_process(l->task);
	}
	for (i = 0; loaders && i < threads; i++) {
		struct loader *l = &loaders[i];

		if (!IS_ERR_OR_NULL(l->task)) {
			kthread_stop_put(l->task);
			done += l->done;
			busy += l->busy;
			full += l->full;
			wrong += l->wrong;
		}
		if (!l->wrong)
			jobs_free(l->jobs);
	}
	kfree(loaders);
	pr_info("TAP # %u requests, %u of them backlogged, %u times no room\n",
		done, busy, full);
	result(done == threads * depth * rounds && !wrong,
	       "%u requests by %u threads, %u at a time each, %s backlog: %u wrong",
	       done, threads, depth, backlog ? "with" : "without", wrong);
}

static int __init vc_exercise_init(void)
{
	struct crypto_skcipher *tfm, *ref;
	u8 key[MAX_KEY];

	if (max_len < 2 * MAX_BLOCK || max_len > SZ_1M || !depth || !threads)
		return -EINVAL;
	tfm = crypto_alloc_skcipher(driver, 0, 0);
	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	ref = crypto_alloc_skcipher(reference, 0, CRYPTO_ALG_ASYNC);
	if (IS_ERR(ref)) {
		crypto_free_skcipher(tfm);
		return PTR_ERR(ref);
	}
	look_at(tfm);
	if (block > MAX_BLOCK || iv_size > MAX_BLOCK || key_size > MAX_KEY) {
		crypto_free_skcipher(ref);
		crypto_free_skcipher(tfm);
		return -EINVAL;
	}

	flags();
	no_key();
	bad_keys(tfm, ref);
	weak_keys(tfm, ref);
	get_random_bytes(key, sizeof(key));
	if (crypto_skcipher_setkey(tfm, key, key_size) ||
	    crypto_skcipher_setkey(ref, key, key_size)) {
		result(false, "setting a key");
	} else {
		lengths(tfm, ref);
		shapes(tfm, ref);
		loaded(tfm, ref);
	}
	memzero_explicit(key, sizeof(key));
	crypto_free_skcipher(ref);
	crypto_free_skcipher(tfm);
	pr_info("TAP 1..%u\n", tests);
	/* There is nothing to stay for. */
	return failures ? -EIO : -EAGAIN;
}

module_init(vc_exercise_init);

MODULE_DESCRIPTION("Exercises a cipher beyond the crypto self-tests");
MODULE_LICENSE("GPL");
