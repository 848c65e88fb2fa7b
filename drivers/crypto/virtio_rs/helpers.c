// SPDX-License-Identifier: GPL-2.0
/*
 * Wrappers that let Rust code call static inline functions and macros. In Rust,
 * the wrappers have no rust_helper_vc_ prefix (vc: virtio crypto). A wrapper
 * without a comment only calls the function of the same name.
 */
#include <crypto/algapi.h>
#include <crypto/internal/aead.h>
#include <crypto/internal/akcipher.h>
#include <crypto/internal/hash.h>
#include <crypto/internal/sig.h>
#include <crypto/internal/skcipher.h>
#include <crypto/scatterwalk.h>
#include <crypto/utils.h>
#include <linux/bottom_half.h>
#include <linux/completion.h>
#include <linux/device.h>
#include <linux/fips.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/task_stack.h>
#include <linux/scatterlist.h>
#include <linux/semaphore.h>
#include <linux/string.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/workqueue.h>

/* memory, execution context and work items */

void rust_helper_vc_memzero_explicit(void *s, size_t count)
{
	memzero_explicit(s, count);
}

unsigned long rust_helper_vc_memneq(const void *a, const void *b, size_t size)
{
	return crypto_memneq(a, b, size);
}

/*
 * Returns the page of @ptr, or NULL if the memory must not be mapped for DMA: it
 * is outside the linear map or on a stack. With VMAP_STACK, stacks are outside
 * the linear map.
 */
struct page *rust_helper_vc_linear_page(const void *ptr)
{
	if (is_vmalloc_or_module_addr(ptr) ||
	    (!IS_ENABLED(CONFIG_VMAP_STACK) && object_is_on_stack(ptr)))
		return NULL;
	return virt_to_page(ptr);
}

void rust_helper_vc_local_bh_disable(void)
{
	local_bh_disable();
}

/* Returns false in a softirq, where bottom halves are disabled anyway. */
bool rust_helper_vc_local_bh_disable_unless_softirq(void)
{
	if (in_serving_softirq())
		return false;
	local_bh_disable();
	return true;
}

void rust_helper_vc_local_bh_enable(void)
{
	local_bh_enable();
}

/*
 * Unlike call_rcu(), call_rcu_hurry() does not delay the callback to save power.
 * The callback may free a key, which should be wiped soon.
 */
void rust_helper_vc_call_rcu_hurry(struct rcu_head *head, rcu_callback_t func)
{
	call_rcu_hurry(head, func);
}

void rust_helper_vc_sema_init(struct semaphore *sem, int val)
{
	sema_init(sem, val);
}

/*
 * Initialises a work item of the BH workqueue. Work items of process context
 * have another initialiser, because lockdep puts all work items that one source
 * line initialises into one class.
 */
void rust_helper_vc_init_bh_work(struct work_struct *work, work_func_t func)
{
	INIT_WORK(work, func);
}

void rust_helper_vc_init_delayed_work(struct delayed_work *work,
				      work_func_t func)
{
	INIT_DELAYED_WORK(work, func);
}

/* Queues a work item on the BH workqueue of the current CPU. */
bool rust_helper_vc_queue_bh_work(struct work_struct *work)
{
	return queue_work(system_bh_wq, work);
}

/* Queues the work item to run now, even if it is queued with a delay. */
bool rust_helper_vc_mod_delayed_work(struct workqueue_struct *wq,
				     struct delayed_work *work)
{
	return mod_delayed_work(wq, work, 0);
}

bool rust_helper_vc_queue_delayed_work(struct workqueue_struct *wq,
				       struct delayed_work *work,
				       unsigned long delay)
{
	return queue_delayed_work(wq, work, delay);
}

/* Allocates a workqueue that memory reclaim may wait for. */
struct workqueue_struct *rust_helper_vc_alloc_reclaim_workqueue(const char *name)
{
	return alloc_workqueue("%s", WQ_UNBOUND | WQ_MEM_RECLAIM | WQ_HIGHPRI, 0,
			       name);
}

unsigned int rust_helper_vc_memalloc_noio_save(void)
{
	return memalloc_noio_save();
}

void rust_helper_vc_memalloc_noio_restore(unsigned int flags)
{
	memalloc_noio_restore(flags);
}

/* devices */

void rust_helper_vc_device_lock(struct device *dev)
{
	device_lock(dev);
}

bool rust_helper_vc_device_trylock(struct device *dev)
{
	return device_trylock(dev);
}

void rust_helper_vc_device_unlock(struct device *dev)
{
	device_unlock(dev);
}

/* scatterlists */

void rust_helper_vc_sg_set_buf(struct scatterlist *sg, const void *buf,
			       unsigned int buflen)
{
	sg_set_buf(sg, buf, buflen);
}

void rust_helper_vc_sg_mark_end(struct scatterlist *sg)
{
	sg_mark_end(sg);
}

void rust_helper_vc_sg_chain(struct scatterlist *prv, unsigned int prv_nents,
			     struct scatterlist *sgl)
{
	sg_chain(prv, prv_nents, sgl);
}

struct page *rust_helper_vc_sg_page(struct scatterlist *sg)
{
	return sg_page(sg);
}

/* The driver depends on 64BIT, so no page is in high memory. */
void *rust_helper_vc_sg_virt(struct scatterlist *sg)
{
	return sg_virt(sg);
}

struct scatterlist *rust_helper_vc_sg_next(struct scatterlist *sg)
{
	return sg_next(sg);
}

bool rust_helper_vc_sg_is_last(struct scatterlist *sg)
{
	return sg_is_last(sg);
}

/* crypto API */

void rust_helper_vc_crypto_request_complete(struct crypto_async_request *req,
					    int err)
{
	crypto_request_complete(req, err);
}

unsigned int rust_helper_vc_crypto_skcipher_ivsize(struct crypto_skcipher *tfm)
{
	return crypto_skcipher_ivsize(tfm);
}

unsigned int rust_helper_vc_crypto_aead_ivsize(struct crypto_aead *tfm)
{
	return crypto_aead_ivsize(tfm);
}

/* hashes */

unsigned int rust_helper_vc_crypto_ahash_digestsize(struct crypto_ahash *tfm)
{
	return crypto_ahash_digestsize(tfm);
}

bool rust_helper_vc_ahash_request_isvirt(struct ahash_request *req)
{
	return ahash_request_isvirt(req);
}

void rust_helper_vc_ahash_request_set_tfm(struct ahash_request *req,
					  struct crypto_ahash *tfm)
{
	ahash_request_set_tfm(req, tfm);
}

/* public keys */

/* Without CONFIG_CRYPTO_FIPS, fips_enabled is a macro. */
bool rust_helper_vc_fips_enabled(void)
{
	return fips_enabled;
}

int rust_helper_vc_crypto_akcipher_set_pub_key(struct crypto_akcipher *tfm,
					       const void *key,
					       unsigned int keylen)
{
	return crypto_akcipher_set_pub_key(tfm, key, keylen);
}

int rust_helper_vc_crypto_akcipher_set_priv_key(struct crypto_akcipher *tfm,
						const void *key,
						unsigned int keylen)
{
	return crypto_akcipher_set_priv_key(tfm, key, keylen);
}

unsigned int rust_helper_vc_crypto_akcipher_maxsize(struct crypto_akcipher *tfm)
{
	return crypto_akcipher_maxsize(tfm);
}

int rust_helper_vc_crypto_sig_set_pubkey(struct crypto_sig *tfm,
					 const void *key, unsigned int keylen)
{
	return crypto_sig_set_pubkey(tfm, key, keylen);
}

int rust_helper_vc_crypto_sig_verify(struct crypto_sig *tfm,
				     const void *src, unsigned int slen,
				     const void *digest, unsigned int dlen)
{
	return crypto_sig_verify(tfm, src, slen, digest, dlen);
}

/* virtio */

bool rust_helper_vc_virtio_has_feature(const struct virtio_device *vdev,
				       unsigned int fbit)
{
	return virtio_has_feature(vdev, fbit);
}

/*
 * Unlike virtio_has_feature(), does not check that the driver declares the
 * feature.
 */
bool rust_helper_vc_virtio_test_bit(const struct virtio_device *vdev,
				    unsigned int fbit)
{
	return __virtio_test_bit(vdev, fbit);
}

void rust_helper_vc_virtio_clear_bit(struct virtio_device *vdev,
				     unsigned int fbit)
{
	__virtio_clear_bit(vdev, fbit);
}

/*
 * Accepts a feature. Returns false if the device does not offer the feature.
 */
bool rust_helper_vc_virtio_accept_bit(struct virtio_device *vdev,
				      unsigned int fbit)
{
	u64 offered[VIRTIO_FEATURES_U64S];

	virtio_get_features(vdev, offered);
	if (!virtio_features_test_bit(offered, fbit))
		return false;
	__virtio_set_bit(vdev, fbit);
	return true;
}

/*
 * Reads @len bytes of the configuration space in the device's byte order, which
 * is little-endian. @len is also the width of the access.
 */
void rust_helper_vc_virtio_config_get(struct virtio_device *vdev,
				      unsigned int offset, void *buf,
				      unsigned int len)
{
	vdev->config->get(vdev, offset, buf, len);
}

/* Returns 0 if the transport has no generation count. */
u32 rust_helper_vc_virtio_config_generation(struct virtio_device *vdev)
{
	return vdev->config->generation ? vdev->config->generation(vdev) : 0;
}

/* Reads the device status register. */
u8 rust_helper_vc_virtio_get_status(struct virtio_device *vdev)
{
	return vdev->config->get_status(vdev);
}

/* Waits until all running callbacks have returned. */
void rust_helper_vc_virtio_synchronize_cbs(struct virtio_device *vdev)
{
	virtio_synchronize_cbs(vdev);
}

/* Does not set an interrupt affinity: the last argument is NULL. */
int rust_helper_vc_virtio_find_vqs(struct virtio_device *vdev,
				   unsigned int nvqs, struct virtqueue **vqs,
				   struct virtqueue_info *info)
{
	return virtio_find_vqs(vdev, nvqs, vqs, info, NULL);
}

/* Returns 0, or an error if the transport cannot set the affinity. */
int rust_helper_vc_virtqueue_set_affinity(struct virtqueue *vq,
					  const struct cpumask *cpus)
{
	return virtqueue_set_affinity(vq, cpus);
}

/*
 * Resets the affinity of the first @nvqs virtqueues and deletes all virtqueues.
 * @nvqs must be the number of virtqueues of the driver. The transport may have
 * added a virtqueue of its own, which has no affinity.
 */
void rust_helper_vc_virtio_del_vqs(struct virtio_device *vdev,
				   unsigned int nvqs)
{
	struct virtqueue *vq;

	/* del_vqs() does not do this if virtqueues share an interrupt. */
	virtio_device_for_each_vq(vdev, vq)
		if (vq->index < nvqs)
			virtqueue_set_affinity(vq, NULL);
	vdev->config->del_vqs(vdev);
}

/*
 * Initialises a device after a reset, up to and including FEATURES_OK. The
 * virtio core does the same before it calls restore(). The negotiated features
 * stay the same. Returns -ENODEV if the device rejects the features.
 */
int rust_helper_vc_virtio_renegotiate(struct virtio_device *vdev)
{
	int ret;

	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);
	ret = vdev->config->finalize_features(vdev);
	if (ret)
		return ret;
	virtio_add_status(vdev, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK))
		return -ENODEV;
	return 0;
}

void rust_helper_vc_virtio_device_ready(struct virtio_device *vdev)
{
	virtio_device_ready(vdev);
}
