// SPDX-License-Identifier: GPL-2.0
/*
 * vc_ring: a minimal driver for the crypto device. It only encrypts with cbc(aes) in place,
 * registers no algorithms, and creates its requests before a run. So the cost of a request is the
 * least that a driver can have. See command.h. The options are size, depth, requests, rounds, mark,
 * key and reference.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <uapi/linux/virtio_crypto.h>
#include <uapi/linux/virtio_ids.h>

#include "ring.h"

/* The timeout of a request on the control queue. */
#define CONTROL_MS	5000

static struct ring *the_ring;
static DEFINE_MUTEX(lock); /* protects the_ring; held during a run */

/* The buffers of a request on the control queue. */
struct control {
	struct virtio_crypto_op_ctrl_req request;
	struct virtio_crypto_session_input response;
	u8 status;
	u8 key[AES_MAX_KEY_SIZE];
};

/* Sends a request on the control queue, and waits until the device has used its buffers. */
static int send(struct ring *ring, struct scatterlist *sgs[], unsigned int in, unsigned int out)
{
	unsigned int waited, len;
	int ret;

	ret = virtqueue_add_sgs(ring->control, sgs, out, in, ring, GFP_KERNEL);
	if (ret)
		return ret;
	virtqueue_kick(ring->control);
	for (waited = 0; waited < CONTROL_MS; waited++) {
		if (virtqueue_get_buf(ring->control, &len))
			return 0;
		usleep_range(1000, 1100);
	}
	return -ETIMEDOUT;
}

int ring_create_session(struct ring *ring, const u8 *key, u32 key_len)
{
	struct control *control = kzalloc(sizeof(*control), GFP_KERNEL);
	struct scatterlist request, key_sg, response, *sgs[] = { &request, &key_sg, &response };
	struct virtio_crypto_cipher_session_para *para;
	int ret;

	if (!control)
		return -ENOMEM;
	para = &control->request.u.sym_create_session.u.cipher.para;
	control->request.header.opcode = cpu_to_le32(VIRTIO_CRYPTO_CIPHER_CREATE_SESSION);
	control->request.header.algo = cpu_to_le32(VIRTIO_CRYPTO_CIPHER_AES_CBC);
	para->algo = cpu_to_le32(VIRTIO_CRYPTO_CIPHER_AES_CBC);
	para->keylen = cpu_to_le32(key_len);
	para->op = cpu_to_le32(VIRTIO_CRYPTO_OP_ENCRYPT);
	control->request.u.sym_create_session.op_type = cpu_to_le32(VIRTIO_CRYPTO_SYM_OP_CIPHER);
	control->response.status = cpu_to_le32(VIRTIO_CRYPTO_ERR);
	memcpy(control->key, key, key_len);
	sg_init_one(&request, &control->request, sizeof(control->request));
	sg_init_one(&key_sg, control->key, key_len);
	sg_init_one(&response, &control->response, sizeof(control->response));
	ret = send(ring, sgs, 1, 2);
	/* After a timeout the device may still write to the memory: do not free it. */
	if (ret == -ETIMEDOUT)
		return ret;
	if (!ret && control->response.status != cpu_to_le32(VIRTIO_CRYPTO_OK))
		ret = -EIO;
	ring->session = le64_to_cpu(control->response.session_id);
	kfree_sensitive(control);
	return ret;
}

void ring_destroy_session(struct ring *ring)
{
	struct control *control = kzalloc(sizeof(*control), GFP_KERNEL);
	struct scatterlist request, status, *sgs[] = { &request, &status };

	if (!control)
		return;
	control->request.header.opcode = cpu_to_le32(VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION);
	control->request.u.destroy_session.session_id = cpu_to_le64(ring->session);
	sg_init_one(&request, &control->request, sizeof(control->request));
	sg_init_one(&status, &control->status, sizeof(control->status));
	if (send(ring, sgs, 1, 1) != -ETIMEDOUT)
		kfree(control);
}

int command_run(struct command *c)
{
	int ret;

	if (!c->reference)
		return command_fail(c, -EINVAL, "expected reference");
	if (c->key_len != 16 && c->key_len != 24 && c->key_len != 32)
		return command_fail(c, -EINVAL, "expected a key of 16, 24 or 32 bytes");
	mutex_lock(&lock);
	if (the_ring)
		ret = ring_measure(the_ring, c);
	else
		ret = command_fail(c, -ENODEV, "vc_ring is not bound to a device");
	mutex_unlock(&lock);
	return ret;
}

static int ring_probe(struct virtio_device *vdev)
{
	struct virtqueue_info *info;
	struct virtqueue **queues;
	struct ring *ring;
	u32 count = 0;
	int ret = -ENOMEM;

	virtio_cread_le(vdev, struct virtio_crypto_config, max_dataqueues, &count);
	count = count ?: 1;
	ring = kzalloc_obj(*ring);
	info = kcalloc(count + 1, sizeof(*info), GFP_KERNEL);
	queues = kcalloc(count + 1, sizeof(*queues), GFP_KERNEL);
	if (!ring || !info || !queues)
		goto out;
	ring->vdev = vdev;
	init_completion(&ring->done);
	/* The control queue is the last queue. Only the first data queue is used. */
	info[0] = (struct virtqueue_info){ .name = "data", .callback = ring_used };
	info[count] = (struct virtqueue_info){ .name = "control" };
	ret = virtio_find_vqs(vdev, count + 1, queues, info, NULL);
	if (ret)
		goto out;
	ring->data = queues[0];
	ring->control = queues[count];
	vdev->priv = ring;
	virtio_device_ready(vdev);
	mutex_lock(&lock);
	if (the_ring)
		ret = -EBUSY;
	else
		the_ring = ring;
	mutex_unlock(&lock);
	if (ret) {
		virtio_reset_device(vdev);
		vdev->config->del_vqs(vdev);
	}
out:
	if (ret)
		kfree(ring);
	kfree(info);
	kfree(queues);
	return ret;
}

static void ring_remove(struct virtio_device *vdev)
{
	mutex_lock(&lock);
	the_ring = NULL;
	mutex_unlock(&lock);
	virtio_reset_device(vdev);
	vdev->config->del_vqs(vdev);
	kfree(vdev->priv);
}

static const struct virtio_device_id ids[] = {
	{ VIRTIO_ID_CRYPTO, VIRTIO_DEV_ANY_ID },
	{ },
};

static struct virtio_driver driver = {
	.driver.name = "vc_ring",
	.id_table = ids,
	.probe = ring_probe,
	.remove = ring_remove,
};

static int __init ring_init(void)
{
	int ret = register_virtio_driver(&driver);

	if (ret)
		return ret;
	ret = command_init("vc_ring");
	if (ret)
		unregister_virtio_driver(&driver);
	return ret;
}

static void __exit ring_exit(void)
{
	command_exit();
	unregister_virtio_driver(&driver);
}

module_init(ring_init);
module_exit(ring_exit);

MODULE_DESCRIPTION("Sends prepared requests to a crypto device");
MODULE_LICENSE("GPL");
