// SPDX-License-Identifier: GPL-2.0
/*
 * Requests on the data queue. Each has five descriptors, like a request of virtio_crypto_rs:
 * header, IV, source, destination, status.
 */
#include <crypto/skcipher.h>
#include <linux/err.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <uapi/linux/virtio_crypto.h>

#include "mark.h"
#include "ring.h"

#define ROUND_TIMEOUT	(60 * HZ)
#define WARM_UP		200
/* Descriptors that the device reads, and descriptors that it writes. */
#define READABLE	3
#define WRITABLE	2

struct ring_request {
	struct virtio_crypto_op_data_req header;
	u8 iv[AES_BLOCK_SIZE];
	u8 *data;
	struct scatterlist sg[READABLE + WRITABLE];
	struct scatterlist *sgs[READABLE + WRITABLE];
	u8 status ____cacheline_aligned;
};

static void record_error(struct ring *ring, int err)
{
	if (err && !ring->err)
		ring->err = err;
}

/* Adds a request to the ring. */
static void post(struct ring *ring, struct ring_request *request)
{
	int ret;

	request->status = VIRTIO_CRYPTO_ERR;
	ret = virtqueue_add_sgs(ring->data, request->sgs, READABLE, WRITABLE, request, GFP_ATOMIC);
	record_error(ring, ret);
	if (!ret) {
		ring->remaining--;
		ring->active++;
	}
}

/* Handles used requests, and posts them again. Called with interrupts disabled. */
void ring_used(struct virtqueue *vq)
{
	struct ring *ring = vq->vdev->priv;
	struct ring_request *request;
	unsigned int len;

	do {
		virtqueue_disable_cb(vq);
		while ((request = virtqueue_get_buf(vq, &len))) {
			ring->active--;
			record_error(ring, request->status == VIRTIO_CRYPTO_OK ? 0 : -EIO);
			if (ring->remaining && !ring->err)
				post(ring, request);
		}
		virtqueue_kick(vq);
	} while (!virtqueue_enable_cb(vq));
	if (!ring->active)
		complete(&ring->done);
}

/* Makes @count requests with c->depth in flight, between marks if @mark is not 0. */
static int make_round(struct ring *ring, struct ring_request *requests, struct command *c,
		      u32 count, u32 mark, u64 *ns)
{
	unsigned long flags;
	ktime_t begin;
	u32 i;

	reinit_completion(&ring->done);
	ring->remaining = count;
	ring->active = 0;
	ring->err = 0;
	begin = ktime_get();
	if (mark)
		mark_begin(mark);
	local_irq_save(flags);
	for (i = 0; i < c->depth && !ring->err; i++)
		post(ring, &requests[i]);
	if (!ring->active)
		complete(&ring->done);
	virtqueue_kick(ring->data);
	local_irq_restore(flags);
	if (!wait_for_completion_timeout(&ring->done, ROUND_TIMEOUT))
		return -ETIMEDOUT;
	if (mark)
		mark_end(mark);
	if (ns)
		*ns = ktime_to_ns(ktime_sub(ktime_get(), begin));
	return ring->err;
}

static int init_request(struct ring *ring, struct ring_request *request, const struct command *c)
{
	struct virtio_crypto_cipher_para *para = &request->header.u.sym_req.u.cipher.para;
	u32 i;

	request->data = kmalloc(c->size, GFP_KERNEL);
	if (!request->data)
		return -ENOMEM;
	for (i = 0; i < c->size; i++)
		request->data[i] = i * 7 + i / 256;
	memset(request->iv, 0x5a, sizeof(request->iv));
	request->header.header.opcode = cpu_to_le32(VIRTIO_CRYPTO_CIPHER_ENCRYPT);
	request->header.header.algo = cpu_to_le32(VIRTIO_CRYPTO_CIPHER_AES_CBC);
	request->header.header.session_id = cpu_to_le64(ring->session);
	para->iv_len = cpu_to_le32(sizeof(request->iv));
	para->src_data_len = cpu_to_le32(c->size);
	para->dst_data_len = cpu_to_le32(c->size);
	request->header.u.sym_req.op_type = cpu_to_le32(VIRTIO_CRYPTO_SYM_OP_CIPHER);
	sg_init_one(&request->sg[0], &request->header, sizeof(request->header));
	sg_init_one(&request->sg[1], request->iv, sizeof(request->iv));
	sg_init_one(&request->sg[2], request->data, c->size);
	sg_init_one(&request->sg[3], request->data, c->size);
	sg_init_one(&request->sg[4], &request->status, sizeof(request->status));
	for (i = 0; i < ARRAY_SIZE(request->sg); i++)
		request->sgs[i] = &request->sg[i];
	return 0;
}

/* Encrypts the data of init_request() with the reference. Returns NULL on failure. */
static u8 *expected_result(const struct command *c)
{
	struct crypto_sync_skcipher *tfm = crypto_alloc_sync_skcipher(c->reference, 0, 0);
	u8 iv[AES_BLOCK_SIZE], *data;
	struct scatterlist sg;
	int ret;
	u32 i;

	if (IS_ERR(tfm))
		return NULL;
	data = kmalloc(c->size, GFP_KERNEL);
	ret = data ? crypto_sync_skcipher_setkey(tfm, c->key, c->key_len) : -ENOMEM;
	if (!ret) {
		SYNC_SKCIPHER_REQUEST_ON_STACK(req, tfm);

		for (i = 0; i < c->size; i++)
			data[i] = i * 7 + i / 256;
		memset(iv, 0x5a, sizeof(iv));
		sg_init_one(&sg, data, c->size);
		skcipher_request_set_sync_tfm(req, tfm);
		skcipher_request_set_callback(req, 0, NULL, NULL);
		skcipher_request_set_crypt(req, &sg, &sg, c->size, iv);
		ret = crypto_skcipher_encrypt(req);
		skcipher_request_zero(req);
	}
	crypto_free_sync_skcipher(tfm);
	if (!ret)
		return data;
	kfree(data);
	return NULL;
}

/* Compares the result of each request with the reference once, then measures. */
static int verify_and_measure(struct ring *ring, struct ring_request *requests, struct command *c)
{
	u8 *expected = expected_result(c);
	u32 i;
	int ret;

	if (!expected)
		return command_fail(c, -EINVAL, "%s: cannot be used", c->reference);
	ret = make_round(ring, requests, c, c->depth, 0, NULL);
	for (i = 0; !ret && i < c->depth; i++)
		if (memcmp(requests[i].data, expected, c->size))
			ret = -EBADMSG;
	if (!ret)
		ret = make_round(ring, requests, c, max(c->depth, min(c->requests, WARM_UP)), 0,
				 NULL);
	for (i = 0; !ret && i < c->rounds; i++)
		ret = make_round(ring, requests, c, c->requests, c->mark ? c->mark + i : 0,
				 &c->ns[i]);
	kfree(expected);
	return ret ? command_fail(c, ret, "the device failed: %d", ret) : 0;
}

int ring_measure(struct ring *ring, struct command *c)
{
	struct ring_request *requests;
	u32 i;
	int ret;

	ret = ring_create_session(ring, c->key, c->key_len);
	if (ret)
		return command_fail(c, ret, "the device did not create a session: %d", ret);
	requests = kcalloc(c->depth, sizeof(*requests), GFP_KERNEL);
	ret = requests ? 0 : -ENOMEM;
	for (i = 0; !ret && i < c->depth; i++)
		ret = init_request(ring, &requests[i], c);
	if (!ret)
		ret = verify_and_measure(ring, requests, c);
	/* After a timeout the device may still use the requests: do not free them. */
	if (ret == -ETIMEDOUT)
		return ret;
	for (i = 0; requests && i < c->depth; i++)
		kfree(requests[i].data);
	kfree(requests);
	ring_destroy_session(ring);
	return ret;
}
