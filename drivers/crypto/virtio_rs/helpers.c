// SPDX-License-Identifier: GPL-2.0
/*
 * Wrappers of the static inline functions and macros this driver uses, for
 * Rust to call. Each does what its name says and nothing else; the Rust name is
 * the one behind rust_helper_vc_.
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

/* memory and context */

void rust_helper_vc_memzero_explicit(void *s, size_t count)
{
	memzero_explicit(s, count);
}

unsigned long rust_helper_vc_memneq(const void *a, const void *b, size_t size)
{
	return crypto_memneq(a, b, size);
}

/*
 * The page of @ptr and where @ptr is in it, if it may be mapped for a device:
 * in the linear map, and not on a stack. With VMAP_STACK no stack is there.
 */
struct page *rust_helper_vc_linear_page(const void *ptr, unsigned int *offset)
{
	if (is_vmalloc_or_module_addr(ptr) ||
	    (!IS_ENABLED(CONFIG_VMAP_STACK) && object_is_on_stack(ptr)))
		return NULL;
	*offset = offset_in_page(ptr);
	return virt_to_page(ptr);
}

void rust_helper_vc_local_bh_disable(void)
{
	local_bh_disable();
}

void rust_helper_vc_local_bh_enable(void)
{
	local_bh_enable();
}

/* Not lazy: what is freed may hold a key, which is wiped then. */
void rust_helper_vc_call_rcu_hurry(struct rcu_head *head, rcu_callback_t func)
{
	call_rcu_hurry(head, func);
}

void rust_helper_vc_sema_init(struct semaphore *sem, int val)
{
	sema_init(sem, val);
}

/*
 * One initialiser for each context: lockdep takes all work that is initialised
 * by the same line for the same.
 */
void rust_helper_vc_init_bh_work(struct work_struct *work, work_func_t func)
{
	INIT_WORK(work, func);
}

void rust_helper_vc_init_process_work(struct delayed_work *work,
				      work_func_t func)
{
	INIT_DELAYED_WORK(work, func);
}

bool rust_helper_vc_queue_bh_work(struct work_struct *work)
{
	return queue_work(system_bh_wq, work);
}

bool rust_helper_vc_queue_process_work(struct workqueue_struct *wq,
				       struct delayed_work *work)
{
	return mod_delayed_work(wq, work, 0);
}

bool rust_helper_vc_queue_process_work_in(struct workqueue_struct *wq,
					  struct delayed_work *work,
					  unsigned long delay)
{
	return queue_delayed_work(wq, work, delay);
}

struct workqueue_struct *rust_helper_vc_alloc_reclaim_workqueue(const char *name)
{
	return alloc_workqueue("%s", WQ_UNBOUND | WQ_MEM_RECLAIM, 0, name);
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

/* There is no high memory where this driver is built: every page has an address. */
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

/* crypto framework */

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

/* As the device has it: little-endian. @len is the width of the access. */
void rust_helper_vc_virtio_config_get(struct virtio_device *vdev,
				      unsigned int offset, void *buf,
				      unsigned int len)
{
	vdev->config->get(vdev, offset, buf, len);
}

u32 rust_helper_vc_virtio_config_generation(struct virtio_device *vdev)
{
	return vdev->config->generation ? vdev->config->generation(vdev) : 0;
}

u8 rust_helper_vc_virtio_get_status(struct virtio_device *vdev)
{
	return vdev->config->get_status(vdev);
}

/* Waits until no callback runs. */
void rust_helper_vc_virtio_synchronize_cbs(struct virtio_device *vdev)
{
	virtio_synchronize_cbs(vdev);
}

int rust_helper_vc_virtio_find_vqs(struct virtio_device *vdev,
				   unsigned int nvqs, struct virtqueue **vqs,
				   struct virtqueue_info *info)
{
	return virtio_find_vqs(vdev, nvqs, vqs, info, NULL);
}

/* 0, or why the transport does not take the wish. */
int rust_helper_vc_virtqueue_set_affinity(struct virtqueue *vq,
					  const struct cpumask *cpus)
{
	return virtqueue_set_affinity(vq, cpus);
}

/* nvqs is as for find_vqs: the list may have a queue of the transport's, too. */
void rust_helper_vc_virtio_del_vqs(struct virtio_device *vdev,
				   unsigned int nvqs)
{
	struct virtqueue *vq;

	/* The transport forgets to where queues share an interrupt. */
	virtio_device_for_each_vq(vdev, vq)
		if (vq->index < nvqs)
			virtqueue_set_affinity(vq, NULL);
	vdev->config->del_vqs(vdev);
}

/*
 * What the core does before it has a driver set up the queues of a device that
 * was reset: it is told of its driver and of the features, as before.
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
