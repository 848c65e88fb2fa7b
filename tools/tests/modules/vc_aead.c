// SPDX-License-Identifier: GPL-2.0
/*
 * vc_aead: tests authenticated encryption beyond the crypto self-tests and compares
 * the results with those of another implementation: error cases, tag lengths,
 * scatterlist layouts, forged messages and many requests in flight.
 *
 * The module prints TAP lines to the log. Its init function always fails, so the
 * module never stays loaded: with EAGAIN if all tests passed, otherwise with EIO.
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
MODULE_PARM_DESC(driver, "Implementation to test");

static char *reference = "gcm-aes-lib";
module_param(reference, charp, 0444);
MODULE_PARM_DESC(reference, "Implementation to compare it with");

static unsigned int key_size = 16;
module_param(key_size, uint, 0444);
MODULE_PARM_DESC(key_size, "Length of the (cipher) key in bytes (default 16)");

static unsigned int auth_key_size;
module_param(auth_key_size, uint, 0444);
MODULE_PARM_DESC(auth_key_size, "Length of authenc()'s MAC key in bytes, or 0 (default 0)");

static unsigned int threads = 2;
module_param(threads, uint, 0444);
MODULE_PARM_DESC(threads, "Threads of the stress test (default 2)");

static unsigned int depth = 64;
module_param(depth, uint, 0444);
MODULE_PARM_DESC(depth, "Requests that each thread has in flight (default 64)");

static unsigned int rounds = 10;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "Batches of requests of each thread (default 10)");

static unsigned int max_len = 2048;
module_param(max_len, uint, 0444);
MODULE_PARM_DESC(max_len, "Maximum text length under stress, 64 to 65536 (default 2048)");

static bool backlog = true;
module_param(backlog, bool, 0444);
MODULE_PARM_DESC(backlog, "Requests of the stress test may be backlogged (default Y)");

#define MAX_IV		16
#define MAX_TAG		64
#define MAX_KEY		256
#define MAX_AAD		4096
#define MAX_SG		128
#define SIZE		16384	/* bytes of a buffer for any message */

/* Properties of the tested algorithm. */
static unsigned int iv_size;
static unsigned int max_tag;
static unsigned int block;	/* block size: the text has whole blocks */
static bool esp;		/* the AAD is that of IPsec and ends with the IV */
static bool ccm;		/* the first byte of the IV is a field size */

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

/* Arguments of one request. */
struct op {
	struct crypto_aead *tfm;
	struct scatterlist *src;
	struct scatterlist *dst;
	unsigned int aad;
	unsigned int len;	/* excludes the tag */
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

static void read_properties(struct crypto_aead *tfm)
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
 * Generates a key of @len bytes, or a key of authenc() whose cipher key has @len
 * bytes. Returns its length. The parts of a random triple DES key differ.
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

/* Returns a random AAD length that the algorithm supports. */
static unsigned int rand_aad_len(unsigned int most)
{
	return esp ? get_random_u32_below(2) ? 16 : 20 :
		     get_random_u32_inclusive(0, most);
}

static unsigned int rand_text_len(unsigned int most)
{
	return get_random_u32_inclusive(0, most / block) * block;
}

/* Fills @buf with random AAD and text. The AAD of IPsec ends with a copy of the IV. */
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

/* Encrypts @buf in place. The buffer has AAD, text and space for the tag. */
static int encrypt_in_place(struct crypto_aead *tfm, u8 *buf, unsigned int aad,
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

static int decrypt_in_place(struct crypto_aead *tfm, u8 *buf, unsigned int aad,
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
 * Returns true if both implementations encrypt to the same ciphertext and decrypt
 * it again, or fail with the same errors.
 */
static bool matches_reference(struct crypto_aead *tfm, struct crypto_aead *ref, u8 *a, u8 *b,
			      unsigned int aad, unsigned int len)
{
	unsigned int total = aad + len + crypto_aead_authsize(tfm);
	u8 iv[MAX_IV];
	int actual, expected;

	random_iv(iv);
	fill(a, aad, len, iv);
	get_random_bytes(a + aad + len, SIZE - aad - len);
	memcpy(b, a, SIZE);
	actual = encrypt_in_place(tfm, a, aad, len, iv);
	expected = encrypt_in_place(ref, b, aad, len, iv);
	if (actual != expected || (!actual && memcmp(a, b, SIZE))) {
		pr_info("TAP # encryption, AAD %u, text %u bytes: %d, expected %d\n",
			aad, len, actual, expected);
		return false;
	}
	if (actual) {
		actual = decrypt_in_place(tfm, a, aad, len, iv);
		expected = decrypt_in_place(ref, b, aad, len, iv);
		if (actual != expected)
			pr_info("TAP # decryption, AAD %u, text %u bytes: %d, expected %d\n",
				aad, len, actual, expected);
		return actual == expected;
	}
	actual = decrypt_in_place(tfm, a, aad, len, iv);
	expected = decrypt_in_place(ref, b, aad, len, iv);
	if (actual || expected || memcmp(a, b, aad + len) ||
	    memcmp(a + total, b + total, SIZE - total)) {
		pr_info("TAP # decryption, AAD %u, text %u bytes: %d, expected %d\n",
			aad, len, actual, expected);
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

static void test_bad_keys(struct crypto_aead *tfm, struct crypto_aead *ref)
{
	unsigned int len, wrong = 0, accepted = 0;
	u8 key[MAX_KEY] __aligned(4);

	for (len = 0; len <= 72; len++) {
		unsigned int cut, key_len = random_key(key, len);

		/* For authenc() also a truncated key and a key with a wrong type. */
		for (cut = 0; cut < (auth_key_size ? 3 : 1); cut++) {
			int actual, expected;

			if (cut == 1)
				key_len = len;
			if (cut == 2)
				key[2] ^= 1;
			actual = crypto_aead_setkey(tfm, key, key_len);
			expected = crypto_aead_setkey(ref, key, key_len);
			if (actual != expected) {
				pr_info("TAP # key of %u bytes: %d, expected %d\n",
					key_len, actual, expected);
				wrong++;
			}
			accepted += !expected;
		}
	}
	result(!wrong && accepted,
	       "keys of 0 to 72 bytes: same errors as the reference (%u accepted)", accepted);
}

static int without_key(const char *name)
{
	u8 iv[MAX_IV] = { ccm ? 1 : 0 };
	u8 *data = kzalloc(128, GFP_KERNEL);
	struct crypto_aead *tfm = crypto_alloc_aead(name, 0, 0);
	int ret = -ENOMEM;

	if (!IS_ERR(tfm)) {
		if (data)
			ret = encrypt_in_place(tfm, data, 16, 16, iv);
		crypto_free_aead(tfm);
	}
	kfree(data);
	return ret;
}

static void test_no_key(void)
{
	int actual = without_key(driver), expected = without_key(reference);

	result(actual == expected && actual == -ENOKEY,
	       "a request without a key: %d, expected %d", actual, expected);
}

static void test_tag_lengths(struct crypto_aead *tfm, struct crypto_aead *ref, u8 *a, u8 *b)
{
	unsigned int tag, wrong = 0, accepted = 0;

	for (tag = 0; tag <= max_tag + 1; tag++) {
		int actual = crypto_aead_setauthsize(tfm, tag);
		int expected = crypto_aead_setauthsize(ref, tag);

		if (actual != expected) {
			pr_info("TAP # tag of %u bytes: %d, expected %d\n",
				tag, actual, expected);
			wrong++;
		}
		if (actual || expected)
			continue;
		accepted++;
		/* Test with the old key and with a new key. */
		wrong += !matches_reference(tfm, ref, a, b, rand_aad_len(40), rand_text_len(300));
		if (tag & 1)
			wrong += !!set_keys(tfm, ref);
		wrong += !matches_reference(tfm, ref, a, b, rand_aad_len(40), rand_text_len(300));
	}
	crypto_aead_setauthsize(tfm, max_tag);
	crypto_aead_setauthsize(ref, max_tag);
	result(!wrong && accepted,
	       "tags of 0 to %u bytes: same results as the reference (%u accepted)",
	       max_tag + 1, accepted);
}

static void test_lengths(struct crypto_aead *tfm, struct crypto_aead *ref, u8 *a, u8 *b)
{
	unsigned int len, wrong = 0;

	for (len = 0; len <= 100; len++)
		wrong += !matches_reference(tfm, ref, a, b, rand_aad_len(100), len);
	result(!wrong, "text of 0 to 100 bytes: same results as the reference");

	wrong = 0;
	for (len = 0; len <= 100; len++)
		wrong += !matches_reference(tfm, ref, a, b, len, rand_text_len(100));
	for (len = 0; !esp && len < 8; len++)
		wrong += !matches_reference(tfm, ref, a, b, rand_aad_len(MAX_AAD),
					    rand_text_len(4096));
	result(!wrong, "AAD of many lengths: same results as the reference");

	result(matches_reference(tfm, ref, a, b, esp ? 16 : 0, 0),
	       "no text and minimum AAD: same results as the reference");
	result(matches_reference(tfm, ref, a, b, esp ? 16 : MAX_AAD, 0),
	       "AAD without text: same results as the reference");
}

/* IVs with each first byte. Some algorithms reject some of these IVs. */
static void test_ivs(struct crypto_aead *tfm, struct crypto_aead *ref, u8 *a, u8 *b)
{
	unsigned int first, wrong = 0, rejected = 0;

	for (first = 0; first < 256; first++) {
		u8 iv[MAX_IV];
		int actual, expected;

		random_iv(iv);
		iv[0] = first;
		fill(a, 16, 64, iv);
		memcpy(b, a, 80);
		actual = encrypt_in_place(tfm, a, 16, 64, iv);
		expected = encrypt_in_place(ref, b, 16, 64, iv);
		if (actual != expected || (!actual && memcmp(a, b, 80 + max_tag))) {
			pr_info("TAP # IV %u: %d, expected %d\n", first, actual, expected);
			wrong++;
		}
		rejected += !!expected;
	}
	result(!wrong, "IVs with any first byte: same results as the reference (%u rejected)",
	       rejected);
}

/* Messages with one inverted bit in the AAD, the ciphertext or the tag. */
static void test_forged(struct crypto_aead *tfm, struct crypto_aead *ref, u8 *a, u8 *b)
{
	unsigned int round, wrong = 0, leaked = 0;

	for (round = 0; round < 60; round++) {
		unsigned int aad = rand_aad_len(60), len = block + rand_text_len(600);
		unsigned int aad_end = esp ? aad - iv_size : aad;
		bool is_secret;
		unsigned int at;
		u8 iv[MAX_IV];
		int ret;

		random_iv(iv);
		fill(a, aad, len, iv);
		memcpy(b, a, aad + len);
		if (encrypt_in_place(ref, a, aad, len, iv)) {
			wrong++;
			continue;
		}
		is_secret = len >= 16 && memcmp(a + aad, b + aad, len);
		if (round % 3 == 0 && aad_end)
			at = get_random_u32_below(aad_end);
		else if (round % 3 == 1)
			at = aad + get_random_u32_below(len);
		else
			at = aad + len + get_random_u32_below(max_tag);
		a[at] ^= 1 << get_random_u32_below(8);
		ret = decrypt_in_place(tfm, a, aad, len, iv);
		if (ret != -EBADMSG) {
			pr_info("TAP # forged byte %u, AAD %u, text %u bytes: %d\n",
				at, aad, len, ret);
			wrong++;
		}
		/* With a forged tag, the buffer has the plaintext unless the driver wiped it. */
		leaked += is_secret && at >= aad + len && !memcmp(a + aad, b + aad, len);
	}
	result(!wrong, "decryption of a forged message: EBADMSG");
	result(!leaked, "decryption of a forged message: no plaintext in the destination");
}

/*
 * Splits @len bytes of @buf into @entries segments, none of them empty. The last
 * segment also has @extra bytes after the data.
 */
static void split(struct scatterlist *sg, unsigned int entries, u8 *buf,
		  unsigned int len, unsigned int extra)
{
	unsigned int i, remaining = len + extra;

	sg_init_table(sg, entries);
	for (i = 0; i < entries; i++) {
		unsigned int part = remaining;

		if (i != entries - 1)
			part = get_random_u32_inclusive(1, min(2 * (len / entries) + 1,
							       remaining - (entries - 1 - i)));
		sg_set_buf(&sg[i], buf, part);
		buf += part;
		remaining -= part;
	}
}

static const struct layout {
	const char *name;
	unsigned int entries;
	unsigned int extra;
	bool in_place;
	bool vmalloc;
	bool atomic;
} layout[] = {
	{ "one segment", 1 },
	{ "one segment, in place", 1, .in_place = true },
	{ "one segment, longer than the data", 1, .extra = 48 },
	{ "3 segments, longer than the data", 3, .extra = 100 },
	{ "5 segments", 5 },
	{ "5 segments, in place", 5, .in_place = true },
	{ "61 segments", 61 },
	{ "61 segments, in place", 61, .in_place = true },
	{ "61 segments, longer than the data", 61, .extra = 33 },
	{ "bottom halves disabled", 2, .atomic = true },
	{ "request in vmalloc memory", 2, .vmalloc = true },
};

static bool layout_is_correct(struct crypto_aead *tfm, struct crypto_aead *ref,
			      const struct layout *s, bool encrypt,
			      struct scatterlist *sgs, u8 *src, u8 *dst, u8 *expect)
{
	unsigned int aad = rand_aad_len(200), len = 128 + rand_text_len(2000);
	unsigned int in = aad + len + (encrypt ? 0 : max_tag);
	unsigned int out = aad + len + (encrypt ? max_tag : 0);
	struct scatterlist *to = sgs;
	u8 iv[MAX_IV], copy[MAX_IV];
	struct op op = { tfm, sgs, NULL, aad, len, copy, encrypt,
			 s->atomic, s->vmalloc };
	u8 *got = s->in_place ? src : dst;
	int actual, expected;

	random_iv(iv);
	copy_iv(copy, iv);
	get_random_bytes(src, SIZE);
	get_random_bytes(dst, SIZE);
	fill(src, aad, len, iv);
	if (!encrypt && encrypt_in_place(ref, src, aad, len, iv))
		return false;
	/* The bytes after the data must not change. */
	memcpy(expect, got, SIZE);
	memcpy(expect, src, in);
	expected = encrypt ? encrypt_in_place(ref, expect, aad, len, iv) :
			   decrypt_in_place(ref, expect, aad, len, iv);
	if (!s->in_place && !encrypt)
		memcpy(expect + out, got + out, SIZE - out);

	split(sgs, s->entries, src, s->in_place ? max(in, out) : in, s->extra);
	if (!s->in_place) {
		to = sgs + MAX_SG;
		split(to, s->entries, dst, out, s->extra);
	}
	op.dst = to;
	actual = run(&op);
	/* Do not compare the AAD: implementations may or may not copy it. */
	if (actual || expected || memcmp(got + aad, expect + aad, out - aad) ||
	    memcmp(got + max(in, out), expect + max(in, out), SIZE - max(in, out))) {
		pr_info("TAP # %scryption, AAD %u, text %u bytes: %d, expected %d\n",
			encrypt ? "en" : "de", aad, len, actual, expected);
		return false;
	}
	return true;
}

static void test_sg_layouts(struct crypto_aead *tfm, struct crypto_aead *ref,
			    u8 *src, u8 *dst, u8 *expect)
{
	struct scatterlist *sgs = kcalloc(2 * MAX_SG, sizeof(*sgs), GFP_KERNEL);
	unsigned int c, round;

	if (!sgs) {
		result(false, "no memory");
		return;
	}
	for (c = 0; c < ARRAY_SIZE(layout); c++) {
		unsigned int wrong = 0;

		for (round = 0; round < 20; round++)
			wrong += !layout_is_correct(tfm, ref, &layout[c], round & 1,
						    sgs, src, dst, expect);
		result(!wrong, "%s: correct results", layout[c].name);
	}
	kfree(sgs);
}

static void test_flags(void)
{
	bool sync = strstr(driver, "-sync");
	struct crypto_aead *tfm;

	/* Template instances do not inherit all flags. */
	if (strchr(driver, '('))
		return;
	tfm = crypto_alloc_aead(driver, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
	result(!IS_ERR(tfm), "available to users that exclude ALLOCATES_MEMORY (dm-crypt)");
	if (!IS_ERR(tfm))
		crypto_free_aead(tfm);

	tfm = crypto_alloc_aead(driver, 0, CRYPTO_ALG_ASYNC |
				CRYPTO_ALG_KERN_DRIVER_ONLY |
				CRYPTO_ALG_ALLOCATES_MEMORY);
	result(IS_ERR(tfm) != sync, "%savailable to synchronous users (AF_ALG)",
	       sync ? "" : "not ");
	if (!IS_ERR(tfm))
		crypto_free_aead(tfm);
}

/* The stress test: many requests in flight. */

struct stress_request {
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
	int submit_ret;
	int ret;
	atomic_t notified;
	atomic_t finished;
	bool encrypt;
	bool in_place;
	bool forged;
};

struct stress_thread {
	struct crypto_aead *tfm;
	struct crypto_aead *ref;
	struct stress_request *requests;
	struct task_struct *task;
	struct completion ended;
	unsigned int done;
	unsigned int busy;
	unsigned int full;
	unsigned int forged;
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

/* Splits @buf at a random position. The segment in the middle has one byte. */
static void split_in_three(struct scatterlist *sg, u8 *buf, unsigned int len)
{
	unsigned int cut = get_random_u32_inclusive(1, len - 2);

	sg_init_table(sg, 3);
	sg_set_buf(&sg[0], buf, cut);
	sg_set_buf(&sg[1], buf + cut, 1);
	sg_set_buf(&sg[2], buf + cut + 1, len - cut - 1);
}

static int request_prepare(struct stress_thread *thread, struct stress_request *request)
{
	unsigned int total;
	int ret;

	request->aad = rand_aad_len(64);
	/* Each list needs at least 3 bytes for its segments. */
	request->len = 16 + rand_text_len(max_len - 16);
	request->encrypt = get_random_u32_below(2);
	request->in_place = get_random_u32_below(2);
	request->forged = !request->encrypt && !get_random_u32_below(4);
	total = request->aad + request->len + max_tag;
	random_iv(request->iv);
	fill(request->in, request->aad, request->len, request->iv);
	memcpy(request->expect, request->in, total);
	ret = encrypt_in_place(thread->ref, request->encrypt ? request->expect : request->in,
			       request->aad, request->len, request->iv);
	if (request->forged)
		request->in[total - 1 - get_random_u32_below(max_tag)] ^= 0x80;

	split_in_three(request->src, request->in,
		       total - (request->encrypt && !request->in_place ? max_tag : 0));
	split_in_three(request->dst, request->out, total - (request->encrypt ? 0 : max_tag));
	init_completion(&request->done);
	atomic_set(&request->notified, 0);
	atomic_set(&request->finished, 0);
	aead_request_set_tfm(request->req, thread->tfm);
	aead_request_set_callback(request->req,
				  backlog ? CRYPTO_TFM_REQ_MAY_BACKLOG : 0,
				  request_done, request);
	aead_request_set_crypt(request->req, request->src,
			       request->in_place ? request->src : request->dst,
			       request->len + (request->encrypt ? 0 : max_tag), request->iv);
	aead_request_set_ad(request->req, request->aad);
	return ret;
}

static bool request_is_correct(struct stress_request *request)
{
	bool async = request->submit_ret == -EINPROGRESS || request->submit_ret == -EBUSY;
	unsigned int len = request->len + (request->encrypt ? max_tag : 0);
	u8 *got = (request->in_place ? request->in : request->out) + request->aad;
	int ret = async ? request->ret : request->submit_ret;

	if (atomic_read(&request->finished) != async ||
	    atomic_read(&request->notified) != (request->submit_ret == -EBUSY)) {
		pr_info("TAP # submit returned %d, %d EINPROGRESS callbacks, %d completions\n",
			request->submit_ret, atomic_read(&request->notified),
			atomic_read(&request->finished));
		return false;
	}
	if (request->forged && ret == -EBADMSG)
		return true;
	if (request->forged || ret || memcmp(got, request->expect + request->aad, len)) {
		pr_info("TAP # %scryption, AAD %u, text %u bytes%s: %d, %s data\n",
			request->encrypt ? "en" : "de", request->aad, request->len,
			request->forged ? ", forged" : "", ret,
			memcmp(got, request->expect + request->aad, len) ? "wrong" : "correct");
		return false;
	}
	return true;
}

static void stress_rounds(struct stress_thread *thread)
{
	unsigned int round, i;

	for (round = 0; round < rounds; round++) {
		for (i = 0; i < depth; i++)
			if (request_prepare(thread, &thread->requests[i]))
				thread->wrong++;
		for (i = 0; i < depth; i++) {
			struct stress_request *request = &thread->requests[i];
			unsigned int tries = 0;

			do {
				request->submit_ret = request->encrypt ?
					crypto_aead_encrypt(request->req) :
					crypto_aead_decrypt(request->req);
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
				pr_info("TAP # a request did not complete within 60 s\n");
				thread->wrong++;
				/* The request may complete later. Do not free its memory. */
				request->req = NULL;
				return;
			}
		}
		for (i = 0; i < depth; i++) {
			thread->wrong += !request_is_correct(&thread->requests[i]);
			thread->forged += thread->requests[i].forged;
			thread->done++;
		}
		cond_resched();
	}
}

static int stress_thread_run(void *data)
{
	struct stress_thread *thread = data;

	stress_rounds(thread);
	complete(&thread->ended);
	return 0;
}

static void requests_free(struct stress_request *requests)
{
	unsigned int i;

	for (i = 0; requests && i < depth; i++) {
		kfree(requests[i].in);
		kfree(requests[i].out);
		kfree(requests[i].expect);
		aead_request_free(requests[i].req);
	}
	kvfree(requests);
}

static struct stress_request *requests_alloc(struct crypto_aead *tfm)
{
	struct stress_request *requests = kvcalloc(depth, sizeof(*requests), GFP_KERNEL);
	unsigned int i;

	for (i = 0; requests && i < depth; i++) {
		const size_t size = max_len + 64 + MAX_TAG;
		struct stress_request *request = &requests[i];

		request->in = kmalloc(size, GFP_KERNEL);
		request->out = kmalloc(size, GFP_KERNEL);
		request->expect = kmalloc(size, GFP_KERNEL);
		request->req = aead_request_alloc(tfm, GFP_KERNEL);
		if (!request->in || !request->out || !request->expect || !request->req) {
			requests_free(requests);
			return NULL;
		}
	}
	return requests;
}

static void stress(struct crypto_aead *tfm, struct crypto_aead *ref)
{
	struct stress_thread *workers = kcalloc(threads, sizeof(*workers), GFP_KERNEL);
	unsigned int i, done = 0, busy = 0, full = 0, forged = 0, wrong = 0;

	for (i = 0; workers && i < threads; i++) {
		struct stress_thread *thread = &workers[i];

		thread->tfm = tfm;
		thread->ref = ref;
		init_completion(&thread->ended);
		thread->requests = requests_alloc(tfm);
		if (!thread->requests)
			continue;
		thread->task = kthread_create(stress_thread_run, thread, "vc_load/%u", i);
		if (IS_ERR(thread->task))
			continue;
		get_task_struct(thread->task);
		wake_up_process(thread->task);
	}
	for (i = 0; workers && i < threads; i++) {
		struct stress_thread *thread = &workers[i];

		if (!IS_ERR_OR_NULL(thread->task)) {
			/* A kthread that is stopped before it starts never runs. */
			wait_for_completion(&thread->ended);
			kthread_stop_put(thread->task);
			done += thread->done;
			busy += thread->busy;
			full += thread->full;
			forged += thread->forged;
			wrong += thread->wrong;
		}
		if (!thread->wrong)
			requests_free(thread->requests);
	}
	kfree(workers);
	pr_info("TAP # %u requests, %u of them forged, %u backlogged; ring full %u times\n",
		done, forged, busy, full);
	result(done == threads * depth * rounds && !wrong && forged,
	       "%u requests by %u threads, depth %u, %s backlog: %u wrong",
	       done, threads, depth, backlog ? "with" : "without", wrong);
}

static void exercise(struct crypto_aead *tfm, struct crypto_aead *ref)
{
	u8 *a = kmalloc(SIZE, GFP_KERNEL);
	u8 *b = kmalloc(SIZE, GFP_KERNEL);
	u8 *c = kmalloc(SIZE, GFP_KERNEL);

	if (!a || !b || !c || set_keys(tfm, ref)) {
		result(false, "a key is set");
	} else {
		test_tag_lengths(tfm, ref, a, b);
		test_lengths(tfm, ref, a, b);
		test_ivs(tfm, ref, a, b);
		test_forged(tfm, ref, a, b);
		test_sg_layouts(tfm, ref, a, b, c);
		stress(tfm, ref);
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
	read_properties(tfm);
	if (iv_size > MAX_IV || max_tag > MAX_TAG ||
	    strcmp(crypto_aead_alg(tfm)->base.cra_name,
		   crypto_aead_alg(ref)->base.cra_name)) {
		crypto_free_aead(ref);
		crypto_free_aead(tfm);
		return -EINVAL;
	}

	test_flags();
	test_no_key();
	test_bad_keys(tfm, ref);
	exercise(tfm, ref);
	crypto_free_aead(ref);
	crypto_free_aead(tfm);
	pr_info("TAP 1..%u\n", tests);
	return failures ? -EIO : -EAGAIN;
}

module_init(vc_aead_init);

MODULE_DESCRIPTION("Tests authenticated encryption beyond the crypto self-tests");
MODULE_LICENSE("GPL");
