// SPDX-License-Identifier: GPL-2.0
/*
 * Exercises a hash beyond what the crypto self-tests do, and compares it with
 * another implementation: bad use, odd scatterlists, messages in parts, contexts,
 * and many requests in flight. The result is in the log, in TAP, and in what
 * insmod returns: the module never stays loaded.
 */
#include <crypto/hash.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static char *driver = "sha256-virtio";
module_param(driver, charp, 0444);
MODULE_PARM_DESC(driver, "Implementation to exercise");

static char *reference = "sha256";
module_param(reference, charp, 0444);
MODULE_PARM_DESC(reference, "Implementation to compare it with, a synchronous one");

static unsigned int key_len;
module_param(key_len, uint, 0444);
MODULE_PARM_DESC(key_len, "Bytes of a key that is right, 0 if the hash has none");

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

#define MAX_KEY		200
#define MAX_SG		128
#define GUARD		16
#define BIG		(SZ_1M + SZ_512K)

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

/* A digest, and what must stay as it is behind it. */
struct digest {
	u8 bytes[HASH_MAX_DIGESTSIZE + GUARD];
};

static void digest_poison(struct digest *digest)
{
	memset(digest->bytes, 0xa5, sizeof(digest->bytes));
}

static bool digest_is_poison(const struct digest *digest)
{
	return !memchr_inv(digest->bytes, 0xa5, sizeof(digest->bytes));
}

/* Are the first @size bytes the same, and those behind untouched? */
static bool digest_is(const struct digest *digest, const struct digest *other,
		      unsigned int size)
{
	return !memcmp(digest->bytes, other->bytes, size) &&
	       !memchr_inv(digest->bytes + size, 0xa5,
			   sizeof(digest->bytes) - size);
}

/* A message for one implementation, waited for. */
struct op {
	struct crypto_ahash *tfm;
	struct scatterlist *src;
	const u8 *virt;
	unsigned int len;
	bool atomic;
	bool vmalloc;
};

static u32 op_flags(const struct op *op)
{
	return CRYPTO_TFM_REQ_MAY_BACKLOG |
	       (op->atomic ? 0 : CRYPTO_TFM_REQ_MAY_SLEEP);
}

static struct ahash_request *op_request(const struct op *op)
{
	size_t size = sizeof(struct ahash_request) +
		      crypto_ahash_reqsize(op->tfm);
	struct ahash_request *req;

	req = op->vmalloc ? vmalloc(size) : kmalloc(size, GFP_KERNEL);
	if (!req)
		return NULL;
	/* As consumers do: only what has to be is initialised. */
	memset(req, 0xa5, size);
	req->base.flags = 0;
	ahash_request_set_tfm(req, op->tfm);
	return req;
}

static void op_source(const struct op *op, struct ahash_request *req, u8 *out)
{
	if (op->virt)
		ahash_request_set_virt(req, op->virt, out, op->len);
	else
		ahash_request_set_crypt(req, op->src, out, op->len);
}

static int op_call(const struct op *op, struct ahash_request *req,
		   int (*call)(struct ahash_request *req))
{
	DECLARE_CRYPTO_WAIT(wait);
	int ret;

	ahash_request_set_callback(req, op_flags(op), crypto_req_done, &wait);
	if (op->atomic)
		local_bh_disable();
	ret = call(req);
	if (op->atomic)
		local_bh_enable();
	return crypto_wait_req(ret, &wait);
}

static int run(const struct op *op, struct digest *digest)
{
	struct ahash_request *req = op_request(op);
	int ret = -ENOMEM;

	if (!req)
		return ret;
	digest_poison(digest);
	op_source(op, req, digest->bytes);
	ret = op_call(op, req, crypto_ahash_digest);
	kvfree(req);
	return ret;
}

static unsigned int digest_size(struct crypto_ahash *tfm)
{
	return crypto_ahash_digestsize(tfm);
}

static void flags(struct crypto_ahash *tfm, struct crypto_ahash *ref)
{
	struct crypto_ahash *other;
	struct crypto_shash *shash;

	other = crypto_alloc_ahash(driver, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
	result(!IS_ERR(other), "taken by who cannot have memory allocated (dm-integrity)");
	if (!IS_ERR(other))
		crypto_free_ahash(other);

	other = crypto_alloc_ahash(driver, 0, CRYPTO_ALG_ASYNC);
	result(IS_ERR(other), "not taken by who wants it synchronous (AF_ALG)");
	if (!IS_ERR(other))
		crypto_free_ahash(other);

	shash = crypto_alloc_shash(driver, 0, 0);
	result(IS_ERR(shash), "not taken by who has no requests");
	if (!IS_ERR(shash))
		crypto_free_shash(shash);

	result(digest_size(tfm) == digest_size(ref) &&
	       crypto_ahash_blocksize(tfm) == crypto_ahash_blocksize(ref) &&
	       crypto_ahash_statesize(tfm) == crypto_ahash_statesize(ref),
	       "digests of %u bytes, blocks of %u, states of %u",
	       digest_size(tfm), crypto_ahash_blocksize(tfm),
	       crypto_ahash_statesize(tfm));
}

static void no_key(struct crypto_ahash *tfm)
{
	struct op op = { .tfm = tfm };
	struct ahash_request *req;
	struct digest digest;
	int init = -ENOMEM;

	req = op_request(&op);
	if (req) {
		op_source(&op, req, digest.bytes);
		init = op_call(&op, req, crypto_ahash_init);
	}
	kfree(req);
	result(run(&op, &digest) == -ENOKEY && init == -ENOKEY &&
	       digest_is_poison(&digest), "nothing is done without a key");
}

static int random_key(struct crypto_ahash *tfm, struct crypto_ahash *ref,
		      unsigned int len)
{
	u8 key[MAX_KEY];
	int is, should;

	get_random_bytes(key, sizeof(key));
	is = crypto_ahash_setkey(tfm, key, len);
	should = crypto_ahash_setkey(ref, key, len);
	memzero_explicit(key, sizeof(key));
	if (is != should) {
		pr_info("TAP # key of %u bytes: %d instead of %d\n", len, is,
			should);
		return -EIO;
	}
	return is;
}

/* Do both make the same of @len bytes of @data? */
static bool same(struct crypto_ahash *tfm, struct crypto_ahash *ref,
		 const u8 *data, unsigned int len)
{
	struct op op = { .tfm = tfm, .len = len };
	struct digest is, should;
	struct scatterlist sg;
	int ret, expected;

	if (len) {
		sg_init_one(&sg, data, len);
		op.src = &sg;
	}
	ret = run(&op, &is);
	op.tfm = ref;
	expected = run(&op, &should);
	if (!ret && !expected && digest_is(&is, &should, digest_size(ref)))
		return true;
	pr_info("TAP # %u bytes: %d instead of %d\n", len, ret, expected);
	return false;
}

static void set_keys(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	unsigned int len, good = 0, wrong = 0;
	u8 key[MAX_KEY];

	for (len = 0; len <= MAX_KEY; len++) {
		int ret = random_key(tfm, ref, len);

		if (ret == -EIO) {
			wrong++;
		} else if (!ret) {
			good++;
			wrong += !same(tfm, ref, data, 100);
		} else {
			struct op op = { .tfm = tfm };
			struct digest digest;

			wrong += run(&op, &digest) != -ENOKEY;
		}
	}
	result(!wrong && good, "keys of any length are taken or refused as they should: %u taken",
	       good);

	for (len = 0, wrong = 0; len < 100; len++) {
		/* Every third key is the one that was set before. */
		if (len % 3 != 2)
			get_random_bytes(key, key_len);
		if (crypto_ahash_setkey(tfm, key, key_len) ||
		    crypto_ahash_setkey(ref, key, key_len) ||
		    !same(tfm, ref, data, get_random_u32_below(1000)))
			wrong++;
	}
	memzero_explicit(key, sizeof(key));
	result(!wrong, "a new key counts at once");
}

static void lengths(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data)
{
	static const unsigned int big[] = {
		4095, 4096, 4097, 65535, 65536, SZ_512K + 7, SZ_1M - 200,
		SZ_1M, SZ_1M + 1, BIG,
	};
	unsigned int i, wrong = 0;

	for (i = 0; i <= 300; i++)
		wrong += !same(tfm, ref, data, i);
	result(!wrong, "messages of 0 to 300 bytes");
	for (i = 0, wrong = 0; i < ARRAY_SIZE(big); i++)
		wrong += !same(tfm, ref, data, big[i]);
	result(!wrong, "messages of 4095 to %u bytes", BIG);
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
				pr_info("TAP # turn %u: %d instead of %d\n",
					turn, ret, expected);
				wrong++;
			}
		}
		result(!wrong, "%s", shape[c].what);
	}
	result(sgs, "scatterlists");
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
			pr_info("TAP # turn %u, %u bytes\n", turn, op.len);
			wrong++;
		}
		digest_poison(&is);
		if (crypto_hash_digest(tfm, op.virt, op.len, is.bytes) ||
		    !digest_is(&is, &should, digest_size(ref))) {
			pr_info("TAP # turn %u, request on the stack\n", turn);
			wrong++;
		}
	}
	result(far && !wrong, "messages that are an address, and requests on a stack");
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
			pr_info("TAP # turn %u, %u bytes: %d\n", turn, len, ret);
			wrong[turn & 1]++;
		}
	}
	result(!wrong[0], "messages in parts");
	result(!wrong[1], "messages in parts, by both implementations in turns");
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
	result(!wrong, "messages that are begun and not ended");
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
	result(good, "requests made by a completion");
	if (chain)
		kfree(chain->req);
	kfree(chain);
}

/* many requests at once */

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
		pr_info("TAP # answered %d, notified %d times, finished %d times\n",
			job->answer, atomic_read(&job->notified),
			atomic_read(&job->finished));
		return false;
	}
	if (ret || !good)
		pr_info("TAP # %u bytes: %d, %s digest\n", job->len, ret,
			good ? "right" : "wrong");
	return !ret && good;
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
				pr_info("TAP # a request was lost\n");
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

static void loaded(struct crypto_ahash *tfm, struct crypto_ahash *ref)
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
	pr_info("TAP # %u requests, %u of them backlogged, %u times no room\n",
		done, busy, full);
	result(done == threads * depth * rounds && !wrong,
	       "%u requests by %u threads, %u at a time each, %s backlog: %u wrong",
	       done, threads, depth, backlog ? "with" : "without", wrong);
}

static int __init vc_hash_init(void)
{
	struct crypto_ahash *tfm, *ref;
	u8 *data;

	if (max_len < 64 || max_len > SZ_1M || !depth || !threads ||
	    key_len > MAX_KEY)
		return -EINVAL;
	tfm = crypto_alloc_ahash(driver, 0, 0);
	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	ref = crypto_alloc_ahash(reference, 0, CRYPTO_ALG_ASYNC);
	if (IS_ERR(ref)) {
		crypto_free_ahash(tfm);
		return PTR_ERR(ref);
	}
	data = kmalloc(BIG, GFP_KERNEL);
	if (!data) {
		crypto_free_ahash(ref);
		crypto_free_ahash(tfm);
		return -ENOMEM;
	}
	get_random_bytes(data, BIG);

	flags(tfm, ref);
	if (key_len) {
		no_key(tfm);
		set_keys(tfm, ref, data);
	} else {
		int ret = random_key(tfm, ref, 16);

		result(ret && ret != -EIO, "there is no key to set");
	}
	if (key_len && random_key(tfm, ref, key_len)) {
		result(false, "setting a key");
	} else {
		lengths(tfm, ref, data);
		shapes(tfm, ref, data);
		virtual(tfm, ref, data);
		part_by_part(tfm, ref, data);
		abandoned(tfm, ref, data);
		chained(tfm, ref, data);
		loaded(tfm, ref);
	}
	kfree(data);
	crypto_free_ahash(ref);
	crypto_free_ahash(tfm);
	pr_info("TAP 1..%u\n", tests);
	/* There is nothing to stay for. */
	return failures ? -EIO : -EAGAIN;
}

module_init(vc_hash_init);

MODULE_DESCRIPTION("Exercises a hash beyond the crypto self-tests");
MODULE_LICENSE("GPL");
