// SPDX-License-Identifier: GPL-2.0
/*
 * Exercises authenticated encryption beyond what the crypto self-tests do, and
 * compares it with another implementation: bad use, tags of all lengths, odd
 * scatterlists, messages that are not authentic, and many requests in flight.
 * The result is in the log, in TAP, and in what insmod returns: the module never
 * stays loaded.
 */
#include <crypto/aead.h>
#include <crypto/authenc.h>
#include <crypto/internal/aead.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/rtnetlink.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static char *driver = "gcm-aes-virtio";
module_param(driver, charp, 0444);
MODULE_PARM_DESC(driver, "Implementation to exercise");

static char *reference = "gcm-aes-lib";
module_param(reference, charp, 0444);
MODULE_PARM_DESC(reference, "Implementation to compare it with");

static unsigned int key_size = 16;
module_param(key_size, uint, 0444);
MODULE_PARM_DESC(key_size, "Length of the key, of the cipher's in a chain, in bytes");

static unsigned int auth_key_size;
module_param(auth_key_size, uint, 0444);
MODULE_PARM_DESC(auth_key_size, "Length of the MAC's key in bytes, if it is a chain");

static unsigned int threads = 2;
module_param(threads, uint, 0444);
MODULE_PARM_DESC(threads, "Threads that load it");

static unsigned int depth = 64;
module_param(depth, uint, 0444);
MODULE_PARM_DESC(depth, "Requests each thread has in flight");

static unsigned int rounds = 10;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "How often each thread submits as many");

static unsigned int max_len = 2048;
module_param(max_len, uint, 0444);
MODULE_PARM_DESC(max_len, "Longest text under load, in bytes");

static bool backlog = true;
module_param(backlog, bool, 0444);
MODULE_PARM_DESC(backlog, "Whether requests under load may be backlogged");

#define MAX_IV		16
#define MAX_TAG		64
#define MAX_KEY		256
#define MAX_AAD		4096
#define MAX_SG		128
#define SIZE		16384	/* of a buffer that everything fits in */

/* What the algorithm is like. */
static unsigned int iv_size;
static unsigned int max_tag;
static unsigned int block;	/* text has a multiple of this many bytes */
static bool esp;		/* the associated data is IPsec's, and ends with the IV */
static bool ccm;		/* the first byte of the IV is a length */

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
	struct crypto_aead *tfm;
	struct scatterlist *src;
	struct scatterlist *dst;
	unsigned int aad;
	unsigned int len;	/* without the tag */
	u8 *iv;
	bool encrypt;
	bool atomic;
	bool vmalloc;
};

static void set_data(struct aead_request *req, const struct op *op)
{
	unsigned int tag = crypto_aead_authsize(op->tfm);

	aead_request_set_crypt(req, op->src, op->dst,
			       op->len + (op->encrypt ? 0 : tag), op->iv);
	aead_request_set_ad(req, op->aad);
}

static int run(const struct op *op)
{
	size_t size = sizeof(struct aead_request) + crypto_aead_reqsize(op->tfm);
	struct aead_request *req;
	DECLARE_CRYPTO_WAIT(wait);
	int ret;

	req = op->vmalloc ? vzalloc(size) : kzalloc(size, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	aead_request_set_tfm(req, op->tfm);
	aead_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				  (op->atomic ? 0 : CRYPTO_TFM_REQ_MAY_SLEEP),
				  crypto_req_done, &wait);
	set_data(req, op);
	if (op->atomic)
		local_bh_disable();
	ret = op->encrypt ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req);
	if (op->atomic)
		local_bh_enable();
	ret = crypto_wait_req(ret, &wait);
	kvfree(req);
	return ret;
}

static void look_at(struct crypto_aead *tfm)
{
	const char *name = crypto_aead_alg(tfm)->base.cra_name;

	iv_size = crypto_aead_ivsize(tfm);
	max_tag = crypto_aead_maxauthsize(tfm);
	block = crypto_aead_blocksize(tfm);
	esp = strstarts(name, "rfc4") || strstarts(name, "rfc7539esp");
	ccm = strstarts(name, "ccm");
}

static void random_iv(u8 *iv)
{
	get_random_bytes(iv, MAX_IV);
	if (ccm)
		iv[0] = get_random_u32_inclusive(1, 7);
}

/*
 * A key of @len bytes, or a chain's with so many for the cipher; returns how many
 * it is. No two parts of a triple DES key are the same.
 */
static unsigned int random_key(u8 *key, unsigned int len)
{
	struct rtattr *rta = (struct rtattr *)key;
	struct crypto_authenc_key_param *param = RTA_DATA(rta);

	get_random_bytes(key, MAX_KEY);
	if (!auth_key_size)
		return len;
	rta->rta_len = RTA_LENGTH(sizeof(*param));
	rta->rta_type = CRYPTO_AUTHENC_KEYA_PARAM;
	param->enckeylen = cpu_to_be32(len);
	return RTA_SPACE(sizeof(*param)) + auth_key_size + len;
}

/* Associated data that every implementation takes. */
static unsigned int some_aad(unsigned int most)
{
	return esp ? get_random_u32_below(2) ? 16 : 20 :
		     get_random_u32_inclusive(0, most);
}

static unsigned int some_len(unsigned int most)
{
	return get_random_u32_inclusive(0, most / block) * block;
}

/* Associated data and text; IPsec has a copy of the IV at the end of the former. */
static void fill(u8 *buf, unsigned int aad, unsigned int len, const u8 *iv)
{
	get_random_bytes(buf, aad + len);
	if (esp && aad >= iv_size)
		memcpy(buf + aad - iv_size, iv, iv_size);
}

static void copy_iv(u8 *to, const u8 *from)
{
	memcpy(to, from, MAX_IV);
}

/* Encrypts @buf in place: associated data, text, room for the tag. */
static int seal(struct crypto_aead *tfm, u8 *buf, unsigned int aad,
		unsigned int len, const u8 *iv)
{
	unsigned int tag = crypto_aead_authsize(tfm);
	u8 copy[MAX_IV];
	struct scatterlist sg;
	struct op op = { tfm, &sg, &sg, aad, len, copy, true };

	copy_iv(copy, iv);
	sg_init_one(&sg, buf, aad + len + tag);
	return run(&op);
}

static int unseal(struct crypto_aead *tfm, u8 *buf, unsigned int aad,
		  unsigned int len, const u8 *iv)
{
	unsigned int tag = crypto_aead_authsize(tfm);
	u8 copy[MAX_IV];
	struct scatterlist sg;
	struct op op = { tfm, &sg, &sg, aad, len, copy };

	copy_iv(copy, iv);
	sg_init_one(&sg, buf, aad + len + tag);
	return run(&op);
}

/*
 * Does the one make what the other makes, and does each take what the other has
 * made? Errors have to be the same.
 */
static bool agree(struct crypto_aead *tfm, struct crypto_aead *ref, u8 *a, u8 *b,
		  unsigned int aad, unsigned int len)
{
	unsigned int all = aad + len + crypto_aead_authsize(tfm);
	u8 iv[MAX_IV];
	int is, should;

	random_iv(iv);
	fill(a, aad, len, iv);
	get_random_bytes(a + aad + len, SIZE - aad - len);
	memcpy(b, a, SIZE);
	is = seal(tfm, a, aad, len, iv);
	should = seal(ref, b, aad, len, iv);
	if (is != should || (!is && memcmp(a, b, SIZE))) {
		pr_info("TAP # encrypting %u and %u bytes: %d instead of %d\n",
			aad, len, is, should);
		return false;
	}
	if (is) {
		is = unseal(tfm, a, aad, len, iv);
		should = unseal(ref, b, aad, len, iv);
		if (is != should)
			pr_info("TAP # decrypting %u and %u bytes: %d instead of %d\n",
				aad, len, is, should);
		return is == should;
	}
	is = unseal(tfm, a, aad, len, iv);
	should = unseal(ref, b, aad, len, iv);
	if (is || should || memcmp(a, b, aad + len) ||
	    memcmp(a + all, b + all, SIZE - all)) {
		pr_info("TAP # decrypting %u and %u bytes: %d instead of %d\n",
			aad, len, is, should);
		return false;
	}
	return true;
}

static int set_keys(struct crypto_aead *tfm, struct crypto_aead *ref)
{
	u8 key[MAX_KEY] __aligned(4);
	unsigned int len = random_key(key, key_size);
	int ret = crypto_aead_setkey(tfm, key, len) ?:
		  crypto_aead_setkey(ref, key, len);

	memzero_explicit(key, sizeof(key));
	return ret;
}

static void bad_keys(struct crypto_aead *tfm, struct crypto_aead *ref)
{
	unsigned int len, wrong = 0, taken = 0;
	u8 key[MAX_KEY] __aligned(4);

	for (len = 0; len <= 72; len++) {
		unsigned int cut, all = random_key(key, len);

		/* Of chains also those that end before they should, or say nonsense. */
		for (cut = 0; cut < (auth_key_size ? 3 : 1); cut++) {
			int is, should;

			if (cut == 1)
				all = len;
			if (cut == 2)
				key[2] ^= 1;
			is = crypto_aead_setkey(tfm, key, all);
			should = crypto_aead_setkey(ref, key, all);
			if (is != should) {
				pr_info("TAP # key of %u bytes: %d instead of %d\n",
					all, is, should);
				wrong++;
			}
			taken += !should;
		}
	}
	result(!wrong && taken, "any length of keys gets the error it should: %u are taken",
	       taken);
}

static int without_key(const char *name)
{
	u8 iv[MAX_IV] = { ccm ? 1 : 0 };
	u8 *data = kzalloc(128, GFP_KERNEL);
	struct crypto_aead *tfm = crypto_alloc_aead(name, 0, 0);
	int ret = -ENOMEM;

	if (!IS_ERR(tfm)) {
		if (data)
			ret = seal(tfm, data, 16, 16, iv);
		crypto_free_aead(tfm);
	}
	kfree(data);
	return ret;
}

static void no_key(void)
{
	int is = without_key(driver), should = without_key(reference);

	result(is == should && is == -ENOKEY, "no key: %d, should be %d", is, should);
}

static void tag_lengths(struct crypto_aead *tfm, struct crypto_aead *ref, u8 *a, u8 *b)
{
	unsigned int tag, wrong = 0, taken = 0;

	for (tag = 0; tag <= max_tag + 1; tag++) {
		int is = crypto_aead_setauthsize(tfm, tag);
		int should = crypto_aead_setauthsize(ref, tag);

		if (is != should) {
			pr_info("TAP # a tag of %u bytes: %d instead of %d\n",
				tag, is, should);
			wrong++;
		}
		if (is || should)
			continue;
		taken++;
		/* With the old key, and with a new one. */
		wrong += !agree(tfm, ref, a, b, some_aad(40), some_len(300));
		if (tag & 1)
			wrong += !!set_keys(tfm, ref);
		wrong += !agree(tfm, ref, a, b, some_aad(40), some_len(300));
	}
	crypto_aead_setauthsize(tfm, max_tag);
	crypto_aead_setauthsize(ref, max_tag);
	result(!wrong && taken,
	       "any length of tags gets the result or the error it should: %u are taken",
	       taken);
}

static void lengths(struct crypto_aead *tfm, struct crypto_aead *ref, u8 *a, u8 *b)
{
	unsigned int len, wrong = 0;

	for (len = 0; len <= 100; len++)
		wrong += !agree(tfm, ref, a, b, some_aad(100), len);
	result(!wrong, "text of any length gets the result or the error it should");

	wrong = 0;
	for (len = 0; len <= 100; len++)
		wrong += !agree(tfm, ref, a, b, len, some_len(100));
	for (len = 0; !esp && len < 8; len++)
		wrong += !agree(tfm, ref, a, b, some_aad(MAX_AAD), some_len(4096));
	result(!wrong, "associated data of any length gets the result or the error it should");

	result(agree(tfm, ref, a, b, esp ? 16 : 0, 0), "no text");
	result(agree(tfm, ref, a, b, esp ? 16 : MAX_AAD, 0), "associated data alone");
}

/* IVs that some algorithms refuse. */
static void ivs(struct crypto_aead *tfm, struct crypto_aead *ref, u8 *a, u8 *b)
{
	unsigned int first, wrong = 0, refused = 0;

	for (first = 0; first < 256; first++) {
		u8 iv[MAX_IV];
		int is, should;

		random_iv(iv);
		iv[0] = first;
		fill(a, 16, 64, iv);
		memcpy(b, a, 80);
		is = seal(tfm, a, 16, 64, iv);
		should = seal(ref, b, 16, 64, iv);
		if (is != should || (!is && memcmp(a, b, 80 + max_tag))) {
			pr_info("TAP # IV %u: %d instead of %d\n", first, is, should);
			wrong++;
		}
		refused += !!should;
	}
	result(!wrong, "any IV gets the result or the error it should: %u are refused",
	       refused);
}

/* Messages of which one bit is not what it was. */
static void forged(struct crypto_aead *tfm, struct crypto_aead *ref, u8 *a, u8 *b)
{
	unsigned int turn, wrong = 0, left = 0;

	for (turn = 0; turn < 60; turn++) {
		unsigned int aad = some_aad(60), len = block + some_len(600);
		unsigned int ends = esp ? aad - iv_size : aad;
		bool is_secret;
		unsigned int at;
		u8 iv[MAX_IV];
		int ret;

		random_iv(iv);
		fill(a, aad, len, iv);
		memcpy(b, a, aad + len);
		if (seal(ref, a, aad, len, iv)) {
			wrong++;
			continue;
		}
		is_secret = len >= 16 && memcmp(a + aad, b + aad, len);
		if (turn % 3 == 0 && ends)
			at = get_random_u32_below(ends);
		else if (turn % 3 == 1)
			at = aad + get_random_u32_below(len);
		else
			at = aad + len + get_random_u32_below(max_tag);
		a[at] ^= 1 << get_random_u32_below(8);
		ret = unseal(tfm, a, aad, len, iv);
		if (ret != -EBADMSG) {
			pr_info("TAP # byte %u of %u and %u is wrong: %d\n",
				at, aad, len, ret);
			wrong++;
		}
		/* All of it is the same only if it was decrypted, and left. */
		left += is_secret && at >= aad + len && !memcmp(a + aad, b + aad, len);
	}
	result(!wrong, "what is not authentic is refused, with EBADMSG");
	result(!left, "nothing is left of what was decrypted then");
}

/* Splits @len bytes of @buf into parts, and adds @extra. None may be empty here. */
static void split(struct scatterlist *sg, unsigned int entries, u8 *buf,
		  unsigned int len, unsigned int extra)
{
	unsigned int i, left = len + extra;

	sg_init_table(sg, entries);
	for (i = 0; i < entries; i++) {
		unsigned int part = left;

		if (i != entries - 1)
			part = get_random_u32_inclusive(1, min(2 * (len / entries) + 1,
							       left - (entries - 1 - i)));
		sg_set_buf(&sg[i], buf, part);
		buf += part;
		left -= part;
	}
}

static const struct shape {
	const char *what;
	unsigned int entries;
	unsigned int extra;
	bool in_place;
	bool vmalloc;
	bool atomic;
} shape[] = {
	{ "one segment", 1 },
	{ "one segment, in place", 1, .in_place = true },
	{ "lists that are longer than the data", 1, .extra = 48 },
	{ "lists that are longer than the data, in parts", 3, .extra = 100 },
	{ "some segments", 5 },
	{ "some segments, in place", 5, .in_place = true },
	{ "many odd segments", 61 },
	{ "many odd segments, in place", 61, .in_place = true },
	{ "many odd segments and a tail", 61, .extra = 33 },
	{ "bottom halves off", 2, .atomic = true },
	{ "a request that no device can reach", 2, .vmalloc = true },
};

static bool shape_is_right(struct crypto_aead *tfm, struct crypto_aead *ref,
			   const struct shape *s, bool encrypt,
			   struct scatterlist *sgs, u8 *src, u8 *dst, u8 *expect)
{
	unsigned int aad = some_aad(200), len = 128 + some_len(2000);
	unsigned int in = aad + len + (encrypt ? 0 : max_tag);
	unsigned int out = aad + len + (encrypt ? max_tag : 0);
	struct scatterlist *to = sgs;
	u8 iv[MAX_IV], copy[MAX_IV];
	struct op op = { tfm, sgs, NULL, aad, len, copy, encrypt,
			 s->atomic, s->vmalloc };
	u8 *got = s->in_place ? src : dst;
	int is, should;

	random_iv(iv);
	copy_iv(copy, iv);
	get_random_bytes(src, SIZE);
	get_random_bytes(dst, SIZE);
	fill(src, aad, len, iv);
	if (!encrypt && seal(ref, src, aad, len, iv))
		return false;
	/* What is behind the data must stay as it is. */
	memcpy(expect, got, SIZE);
	memcpy(expect, src, in);
	should = encrypt ? seal(ref, expect, aad, len, iv) :
			   unseal(ref, expect, aad, len, iv);
	if (!s->in_place && !encrypt)
		memcpy(expect + out, got + out, SIZE - out);

	split(sgs, s->entries, src, s->in_place ? max(in, out) : in, s->extra);
	if (!s->in_place) {
		to = sgs + MAX_SG;
		split(to, s->entries, dst, out, s->extra);
	}
	op.dst = to;
	is = run(&op);
	/* Whether associated data is copied is up to the implementation. */
	if (is || should || memcmp(got + aad, expect + aad, out - aad) ||
	    memcmp(got + max(in, out), expect + max(in, out), SIZE - max(in, out))) {
		pr_info("TAP # %scrypting %u and %u bytes: %d instead of %d\n",
			encrypt ? "en" : "de", aad, len, is, should);
		return false;
	}
	return true;
}

static void shapes(struct crypto_aead *tfm, struct crypto_aead *ref,
		   u8 *src, u8 *dst, u8 *expect)
{
	struct scatterlist *sgs = kcalloc(2 * MAX_SG, sizeof(*sgs), GFP_KERNEL);
	unsigned int c, turn;

	if (!sgs) {
		result(false, "no memory");
		return;
	}
	for (c = 0; c < ARRAY_SIZE(shape); c++) {
		unsigned int wrong = 0;

		for (turn = 0; turn < 20; turn++)
			wrong += !shape_is_right(tfm, ref, &shape[c], turn & 1,
						 sgs, src, dst, expect);
		result(!wrong, "%s", shape[c].what);
	}
	kfree(sgs);
}

static void flags(void)
{
	bool sync = strstr(driver, "-sync");
	struct crypto_aead *tfm;

	/* Instances of templates do not hand all flags on. */
	if (strchr(driver, '('))
		return;
	tfm = crypto_alloc_aead(driver, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
	result(!IS_ERR(tfm), "taken by who cannot have memory allocated (dm-crypt)");
	if (!IS_ERR(tfm))
		crypto_free_aead(tfm);

	tfm = crypto_alloc_aead(driver, 0, CRYPTO_ALG_ASYNC |
				CRYPTO_ALG_KERN_DRIVER_ONLY |
				CRYPTO_ALG_ALLOCATES_MEMORY);
	result(IS_ERR(tfm) != sync, "%staken by who wants it synchronous (AF_ALG)",
	       sync ? "" : "not ");
	if (!IS_ERR(tfm))
		crypto_free_aead(tfm);
}

/* many requests at once */

struct job {
	struct aead_request *req;
	struct completion done;
	struct scatterlist src[3];
	struct scatterlist dst[3];
	u8 *in;
	u8 *out;
	u8 *expect;
	u8 iv[MAX_IV];
	unsigned int aad;
	unsigned int len;
	int answer;
	int ret;
	atomic_t notified;
	atomic_t finished;
	bool encrypt;
	bool in_place;
	bool forged;
};

struct loader {
	struct crypto_aead *tfm;
	struct crypto_aead *ref;
	struct job *jobs;
	struct task_struct *task;
	struct completion ended;
	unsigned int done;
	unsigned int busy;
	unsigned int full;
	unsigned int forged;
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

/* Where the parts of @buf meet is anywhere. */
static void cut_in_three(struct scatterlist *sg, u8 *buf, unsigned int len)
{
	unsigned int cut = get_random_u32_inclusive(1, len - 2);

	sg_init_table(sg, 3);
	sg_set_buf(&sg[0], buf, cut);
	sg_set_buf(&sg[1], buf + cut, 1);
	sg_set_buf(&sg[2], buf + cut + 1, len - cut - 1);
}

static int job_prepare(struct loader *l, struct job *job)
{
	unsigned int all;
	int ret;

	job->aad = some_aad(64);
	/* Enough to be cut in three. */
	job->len = 16 + some_len(max_len - 16);
	job->encrypt = get_random_u32_below(2);
	job->in_place = get_random_u32_below(2);
	job->forged = !job->encrypt && !get_random_u32_below(4);
	all = job->aad + job->len + max_tag;
	random_iv(job->iv);
	fill(job->in, job->aad, job->len, job->iv);
	memcpy(job->expect, job->in, all);
	ret = seal(l->ref, job->encrypt ? job->expect : job->in, job->aad,
		   job->len, job->iv);
	if (job->forged)
		job->in[all - 1 - get_random_u32_below(max_tag)] ^= 0x80;

	cut_in_three(job->src, job->in, all - (job->encrypt && !job->in_place ? max_tag : 0));
	cut_in_three(job->dst, job->out, all - (job->encrypt ? 0 : max_tag));
	init_completion(&job->done);
	atomic_set(&job->notified, 0);
	atomic_set(&job->finished, 0);
	aead_request_set_tfm(job->req, l->tfm);
	aead_request_set_callback(job->req,
				  backlog ? CRYPTO_TFM_REQ_MAY_BACKLOG : 0,
				  job_done, job);
	aead_request_set_crypt(job->req, job->src,
			       job->in_place ? job->src : job->dst,
			       job->len + (job->encrypt ? 0 : max_tag), job->iv);
	aead_request_set_ad(job->req, job->aad);
	return ret;
}

static bool job_is_right(struct job *job)
{
	bool waited = job->answer == -EINPROGRESS || job->answer == -EBUSY;
	unsigned int len = job->len + (job->encrypt ? max_tag : 0);
	u8 *got = (job->in_place ? job->in : job->out) + job->aad;
	int ret = waited ? job->ret : job->answer;

	if (atomic_read(&job->finished) != waited ||
	    atomic_read(&job->notified) != (job->answer == -EBUSY)) {
		pr_info("TAP # answered %d, notified %d times, finished %d times\n",
			job->answer, atomic_read(&job->notified),
			atomic_read(&job->finished));
		return false;
	}
	if (job->forged && ret == -EBADMSG)
		return true;
	if (job->forged || ret || memcmp(got, job->expect + job->aad, len)) {
		pr_info("TAP # %scrypting %u and %u bytes%s: %d, %s data\n",
			job->encrypt ? "en" : "de", job->aad, job->len,
			job->forged ? ", forged" : "", ret,
			memcmp(got, job->expect + job->aad, len) ? "wrong" : "right");
		return false;
	}
	return true;
}

static void load_rounds(struct loader *l)
{
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
					crypto_aead_encrypt(job->req) :
					crypto_aead_decrypt(job->req);
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
				return;
			}
		}
		for (i = 0; i < depth; i++) {
			l->wrong += !job_is_right(&l->jobs[i]);
			l->forged += l->jobs[i].forged;
			l->done++;
		}
		cond_resched();
	}
}

static int load(void *data)
{
	struct loader *l = data;

	load_rounds(l);
	complete(&l->ended);
	return 0;
}

static void jobs_free(struct job *jobs)
{
	unsigned int i;

	for (i = 0; jobs && i < depth; i++) {
		kfree(jobs[i].in);
		kfree(jobs[i].out);
		kfree(jobs[i].expect);
		aead_request_free(jobs[i].req);
	}
	kvfree(jobs);
}

static struct job *jobs_alloc(struct crypto_aead *tfm)
{
	struct job *jobs = kvcalloc(depth, sizeof(*jobs), GFP_KERNEL);
	unsigned int i;

	for (i = 0; jobs && i < depth; i++) {
		const size_t size = max_len + 64 + MAX_TAG;
		struct job *job = &jobs[i];

		job->in = kmalloc(size, GFP_KERNEL);
		job->out = kmalloc(size, GFP_KERNEL);
		job->expect = kmalloc(size, GFP_KERNEL);
		job->req = aead_request_alloc(tfm, GFP_KERNEL);
		if (!job->in || !job->out || !job->expect || !job->req) {
			jobs_free(jobs);
			return NULL;
		}
	}
	return jobs;
}

static void loaded(struct crypto_aead *tfm, struct crypto_aead *ref)
{
	struct loader *loaders = kcalloc(threads, sizeof(*loaders), GFP_KERNEL);
	unsigned int i, done = 0, busy = 0, full = 0, forged = 0, wrong = 0;

	for (i = 0; loaders && i < threads; i++) {
		struct loader *l = &loaders[i];

		l->tfm = tfm;
		l->ref = ref;
		init_completion(&l->ended);
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
			/* One that is stopped before it has begun never does. */
			wait_for_completion(&l->ended);
			kthread_stop_put(l->task);
			done += l->done;
			busy += l->busy;
			full += l->full;
			forged += l->forged;
			wrong += l->wrong;
		}
		if (!l->wrong)
			jobs_free(l->jobs);
	}
	kfree(loaders);
	pr_info("TAP # %u requests, %u of them forged, %u backlogged, %u times no room\n",
		done, forged, busy, full);
	result(done == threads * depth * rounds && !wrong && forged,
	       "%u requests by %u threads, %u at a time each, %s backlog: %u wrong",
	       done, threads, depth, backlog ? "with" : "without", wrong);
}

static void exercise(struct crypto_aead *tfm, struct crypto_aead *ref)
{
	u8 *a = kmalloc(SIZE, GFP_KERNEL);
	u8 *b = kmalloc(SIZE, GFP_KERNEL);
	u8 *c = kmalloc(SIZE, GFP_KERNEL);

	if (!a || !b || !c || set_keys(tfm, ref)) {
		result(false, "setting a key");
	} else {
		tag_lengths(tfm, ref, a, b);
		lengths(tfm, ref, a, b);
		ivs(tfm, ref, a, b);
		forged(tfm, ref, a, b);
		shapes(tfm, ref, a, b, c);
		loaded(tfm, ref);
	}
	kfree(a);
	kfree(b);
	kfree(c);
}

static int __init vc_aead_init(void)
{
	struct crypto_aead *tfm, *ref;

	if (max_len < 64 || max_len > SZ_64K || !depth || !threads ||
	    key_size + auth_key_size > MAX_KEY / 2)
		return -EINVAL;
	tfm = crypto_alloc_aead(driver, 0, 0);
	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	ref = crypto_alloc_aead(reference, 0, CRYPTO_ALG_ASYNC);
	if (IS_ERR(ref)) {
		crypto_free_aead(tfm);
		return PTR_ERR(ref);
	}
	look_at(tfm);
	if (iv_size > MAX_IV || max_tag > MAX_TAG ||
	    strcmp(crypto_aead_alg(tfm)->base.cra_name,
		   crypto_aead_alg(ref)->base.cra_name)) {
		crypto_free_aead(ref);
		crypto_free_aead(tfm);
		return -EINVAL;
	}

	flags();
	no_key();
	bad_keys(tfm, ref);
	exercise(tfm, ref);
	crypto_free_aead(ref);
	crypto_free_aead(tfm);
	pr_info("TAP 1..%u\n", tests);
	/* There is nothing to stay for. */
	return failures ? -EIO : -EAGAIN;
}

module_init(vc_aead_init);

MODULE_DESCRIPTION("Exercises authenticated encryption beyond the crypto self-tests");
MODULE_LICENSE("GPL");
