// SPDX-License-Identifier: GPL-2.0
/*
 * vc_burst: submits bursts of requests of one block. The next burst follows when
 * all requests of the previous one are complete. The module supports one CPU only.
 *
 * A write to the parameter "run" makes ROUNDS bursts:
 *
 *	DRIVER ROUNDS COUNT HOLD
 *
 * DRIVER	the name of a skcipher with keys and IVs of 16 bytes
 * COUNT	the maximum number of requests of a burst, 1 to 1024
 * HOLD		milliseconds for which bottom halves are disabled, 0 to 10000
 *
 * If HOLD is 0, a burst has 1 to COUNT requests. Otherwise a burst has COUNT
 * requests. The device processes them while bottom halves are disabled, so the
 * used buffers accumulate in the ring. Reading "run" returns the counts:
 *
 *	done=N wrong=N lost=N longest=N
 *
 * "longest" is the maximum number of requests that completed while another work
 * item was pending in the BH workqueue.
 */
#include <crypto/skcipher.h>
#include <linux/atomic.h>
#include <linux/bottom_half.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#define MAX_NAME	128
#define MAX_COUNT	1024
#define BLOCK		16

static unsigned int limit = 60;
module_param(limit, uint, 0644);
MODULE_PARM_DESC(limit, "Seconds after which a request counts as lost (default 60)");

struct request {
	struct scatterlist sg;
	u8 iv[BLOCK];
	u8 *data;
	struct skcipher_request *req;
};

static struct request requests[MAX_COUNT];
static u8 expected[BLOCK];

/* The number of requests in flight, plus one during submission. */
static atomic_t pending;
static DECLARE_COMPLETION(all_done);
/* The number of requests that completed since reset_work ran. */
static atomic_t consecutive;

static struct {
	unsigned int done;
	unsigned int wrong;
	unsigned int lost;
	unsigned int longest;
} tally;

static void reset_work_run(struct work_struct *work)
{
	atomic_set(&consecutive, 0);
}

static DECLARE_WORK(reset_work, reset_work_run);

static void put_pending(void)
{
	if (atomic_dec_and_test(&pending))
		complete(&all_done);
}

static void request_done(void *data, int err)
{
	struct request *r = data;
	unsigned int count;

	if (err == -EINPROGRESS)
		return;
	if (err || memcmp(r->data, expected, BLOCK))
		tally.wrong++;
	tally.done++;
	count = atomic_inc_return(&consecutive);
	tally.longest = max(tally.longest, count);
	queue_work(system_bh_wq, &reset_work);
	put_pending();
}

static void request_start(struct request *r)
{
	int ret;

	memset(r->data, 0, BLOCK);
	memset(r->iv, 0, BLOCK);
	ret = crypto_skcipher_encrypt(r->req);
	if (ret != -EINPROGRESS && ret != -EBUSY)
		request_done(r, ret);
}

static void burst(unsigned int count, unsigned int hold)
{
	unsigned int i;

	reinit_completion(&all_done);
	atomic_set(&pending, count + 1);
	if (hold)
		local_bh_disable();
	for (i = 0; i < count; i++)
		request_start(&requests[i]);
	if (hold) {
		mdelay(hold);
		local_bh_enable();
	}
	put_pending();
	if (!wait_for_completion_timeout(&all_done, limit * HZ))
		tally.lost = atomic_read(&pending);
}

static void requests_free(void)
{
	unsigned int i;

	for (i = 0; i < MAX_COUNT; i++) {
		skcipher_request_free(requests[i].req);
		kfree(requests[i].data);
		memset(&requests[i], 0, sizeof(requests[i]));
	}
}

static int requests_alloc(struct crypto_skcipher *tfm, unsigned int count)
{
	struct request *r;

	for (r = requests; r < requests + count; r++) {
		r->data = kmalloc(BLOCK, GFP_KERNEL);
		r->req = skcipher_request_alloc(tfm, GFP_KERNEL);
		if (!r->data || !r->req)
			return -ENOMEM;
		sg_init_one(&r->sg, r->data, BLOCK);
		skcipher_request_set_callback(r->req, CRYPTO_TFM_REQ_MAY_BACKLOG,
					      request_done, r);
		skcipher_request_set_crypt(r->req, &r->sg, &r->sg, BLOCK, r->iv);
	}
	return 0;
}

/* Computes the result of all requests: zeros, encrypted with a key and IV of zeros. */
static int make_expected(struct crypto_skcipher *tfm)
{
	DECLARE_CRYPTO_WAIT(wait);
	struct request *r = &requests[0];
	int ret;

	memset(r->data, 0, BLOCK);
	memset(r->iv, 0, BLOCK);
	skcipher_request_set_callback(r->req, CRYPTO_TFM_REQ_MAY_BACKLOG, crypto_req_done, &wait);
	ret = crypto_wait_req(crypto_skcipher_encrypt(r->req), &wait);
	memcpy(expected, r->data, BLOCK);
	skcipher_request_set_callback(r->req, CRYPTO_TFM_REQ_MAY_BACKLOG, request_done, r);
	return ret;
}

static int run_set(const char *text, const struct kernel_param *kp)
{
	static const u8 key[BLOCK];
	unsigned int rounds, count, hold, i;
	struct crypto_skcipher *tfm;
	char driver[MAX_NAME];
	int ret;

	if (sscanf(text, "%127s %u %u %u", driver, &rounds, &count, &hold) != 4)
		return -EINVAL;
	if (!count || count > MAX_COUNT || hold > 10000)
		return -EINVAL;
	/* Lost requests of an earlier run still use the memory. */
	if (tally.lost)
		return -EBUSY;
	memset(&tally, 0, sizeof(tally));
	tfm = crypto_alloc_skcipher(driver, 0, 0);
	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	ret = crypto_skcipher_ivsize(tfm) == BLOCK ? 0 : -EINVAL;
	ret = ret ?: crypto_skcipher_setkey(tfm, key, BLOCK);
	ret = ret ?: requests_alloc(tfm, count);
	ret = ret ?: make_expected(tfm);
	for (i = 0; !ret && i < rounds && !tally.lost; i++)
		burst(hold ? count : get_random_u32_inclusive(1, count), hold);
	if (tally.lost) {
		/* The lost requests may complete later. Keep the module. */
		__module_get(THIS_MODULE);
		return 0;
	}
	cancel_work_sync(&reset_work);
	requests_free();
	crypto_free_skcipher(tfm);
	return ret;
}

static int run_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "done=%u wrong=%u lost=%u longest=%u\n", tally.done,
			  tally.wrong, tally.lost, tally.longest);
}

static const struct kernel_param_ops run_ops = {
	.set = run_set,
	.get = run_get,
};

module_param_cb(run, &run_ops, NULL, 0644);
MODULE_PARM_DESC(run, "Write DRIVER ROUNDS COUNT HOLD to run, read the counts");

static int __init vc_burst_init(void)
{
	return 0;
}

static void __exit vc_burst_exit(void)
{
}

module_init(vc_burst_init);
module_exit(vc_burst_exit);

MODULE_DESCRIPTION("Submits bursts of requests");
MODULE_LICENSE("GPL");
