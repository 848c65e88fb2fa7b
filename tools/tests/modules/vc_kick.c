// SPDX-License-Identifier: GPL-2.0
/*
 * vc_kick: tests when the device is notified of requests that are submitted during
 * a slow completion callback. A request from the callback may wait for the end of
 * the bottom half's batch, a request from another CPU may not. Requires a guest
 * with at least two CPUs.
 *
 * The module prints TAP lines to the log. Its init function always fails, so the
 * module never stays loaded: with EAGAIN if all tests passed, otherwise with EIO.
 */
#include <crypto/skcipher.h>
#include <linux/bottom_half.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "tap.h"

static char *driver = "cbc-aes-virtio";
module_param(driver, charp, 0444);
MODULE_PARM_DESC(driver, "Asynchronous implementation to test");

#define LEN	256
#define POISON	0xa5
/* The maximum time in ms for which a callback waits for the device. */
#define MAX_WAIT_MS	5000
/* The delay in ms of a callback that does not wait for the device. */
#define DELAY_MS	200
/* The time limit in ms for a request from a callback, after the callback has returned. */
#define LIMIT_MS	2000

unsigned int tap_tests;
unsigned int tap_failures;

struct op {
	struct skcipher_request *req;
	struct scatterlist src, dst;
	u8 iv[16];
	u8 *in, *out;
	int submitted;
	int result;
	ktime_t completed_at;
	struct completion done;
};

enum { FIRST, SECOND, OTHER, OPS };

static struct op ops[OPS];
static bool from_other_cpu;
static bool other_written;	/* the device wrote the result of OTHER during the callback */
static ktime_t callback_end;	/* the time at which the slow callback returned */

static void op_submit(struct op *op)
{
	memset(op->iv, 1, sizeof(op->iv));
	op->submitted = crypto_skcipher_encrypt(op->req);
}

static bool op_written(const struct op *op)
{
	return READ_ONCE(op->out[LEN - 1]) != POISON;
}

static void op_done(void *data, int err)
{
	struct op *op = data;

	if (err == -EINPROGRESS)
		return;
	op->result = err;
	op->completed_at = ktime_get();
	complete(&op->done);
}

static void other_work(struct work_struct *work)
{
	local_bh_disable();
	op_submit(&ops[OTHER]);
	local_bh_enable();
}

static DECLARE_WORK(work, other_work);

/* The callback of FIRST: submits SECOND, then takes a long time. */
static void slow_done(void *data, int err)
{
	unsigned int cpu, ms;

	if (err == -EINPROGRESS)
		return;
	op_submit(&ops[SECOND]);
	if (from_other_cpu) {
		cpu = cpumask_any_but(cpu_online_mask, smp_processor_id());
		schedule_work_on(cpu, &work);
		for (ms = 0; ms < MAX_WAIT_MS && !op_written(&ops[OTHER]); ms++)
			mdelay(1);
		other_written = op_written(&ops[OTHER]);
	} else {
		mdelay(DELAY_MS);
	}
	callback_end = ktime_get();
	op_done(data, err);
}

static int op_init(struct op *op, struct crypto_skcipher *tfm)
{
	op->in = kmalloc(LEN, GFP_KERNEL);
	op->out = kmalloc(LEN, GFP_KERNEL);
	op->req = skcipher_request_alloc(tfm, GFP_KERNEL);
	if (!op->in || !op->out || !op->req)
		return -ENOMEM;
	memset(op->in, 7, LEN);
	memset(op->out, POISON, LEN);
	sg_init_one(&op->src, op->in, LEN);
	sg_init_one(&op->dst, op->out, LEN);
	init_completion(&op->done);
	skcipher_request_set_callback(op->req, 0,
				      op == &ops[FIRST] ? slow_done : op_done,
				      op);
	skcipher_request_set_crypt(op->req, &op->src, &op->dst, LEN, op->iv);
	return 0;
}

static void op_free(struct op *op)
{
	skcipher_request_free(op->req);
	kfree(op->out);
	kfree(op->in);
	memset(op, 0, sizeof(*op));
}

/* Returns true if the requests were submitted and have equal, successful results. */
static bool results_are_correct(unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (ops[i].submitted != -EINPROGRESS || ops[i].result ||
		    memcmp(ops[i].out, ops[FIRST].out, LEN))
			return false;
	return true;
}

/* Submits FIRST, whose slow callback submits SECOND. With @other, another CPU submits OTHER. */
static int test_slow_callback(struct crypto_skcipher *tfm, bool other)
{
	unsigned int count = other ? OPS : OTHER;
	unsigned int i;
	int ret = 0;

	from_other_cpu = other;
	other_written = false;
	for (i = 0; i < OPS && !ret; i++)
		ret = op_init(&ops[i], tfm);
	if (ret)
		goto out;

	local_bh_disable();
	op_submit(&ops[FIRST]);
	local_bh_enable();
	/* No time limit: the driver completes requests that the device does not. */
	for (i = 0; i < count; i++)
		wait_for_completion(&ops[i].done);
	flush_work(&work);
	if (other) {
		tap_result(other_written,
			   "slow callback: the device gets a request of another CPU");
		tap_result(results_are_correct(count),
			   "slow callback: correct results of other requests");
	} else {
		tap_result(ktime_ms_delta(ops[SECOND].completed_at, callback_end) < LIMIT_MS,
			   "request from a callback: sent when the batch ends");
		tap_result(results_are_correct(count), "request from a callback: correct result");
	}
out:
	for (i = 0; i < OPS; i++)
		op_free(&ops[i]);
	return ret;
}

static int __init vc_kick_init(void)
{
	struct crypto_skcipher *tfm;
	u8 key[16];
	int ret;

	if (num_online_cpus() < 2)
		return -EINVAL;
	tfm = crypto_alloc_skcipher(driver, 0, 0);
	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	get_random_bytes(key, sizeof(key));
	ret = crypto_skcipher_setkey(tfm, key, sizeof(key));
	if (!ret)
		ret = test_slow_callback(tfm, true);
	if (!ret)
		ret = test_slow_callback(tfm, false);
	crypto_free_skcipher(tfm);
	if (ret)
		return ret;
	pr_info("TAP 1..%u\n", tap_tests);
	/* Always fail, so the module does not stay loaded. */
	return tap_failures ? -EIO : -EAGAIN;
}

module_init(vc_kick_init);

MODULE_DESCRIPTION("Tests device notifications during a slow completion callback");
MODULE_LICENSE("GPL");
