/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Input of bindgen: the headers of the C interfaces that the driver uses and
 * that the kernel crate does not bind. include/bindgen_parameters selects the
 * items.
 *
 * linux/hrtimer_types.h comes first, as in rust/bindings/bindings_helper.h:
 * bindgen may choose wrong types for enums that are used before their
 * definition.
 */
#include <linux/hrtimer_types.h>

#include <crypto/algapi.h>
#include <crypto/authenc.h>
#include <crypto/internal/aead.h>
#include <crypto/internal/akcipher.h>
#include <crypto/internal/ecc.h>
#include <crypto/internal/hash.h>
#include <crypto/internal/rsa.h>
#include <crypto/internal/sig.h>
#include <crypto/internal/skcipher.h>
#include <crypto/scatterwalk.h>
#include <linux/completion.h>
#include <linux/crc32.h>
#include <linux/crypto.h>
#include <linux/scatterlist.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <linux/workqueue.h>
#include <uapi/linux/virtio_crypto.h>

/* Copies of macros that bindgen cannot evaluate. */
static const u32 VC_CRYPTO_MINALIGN = CRYPTO_MINALIGN;
static const u32 VC_CRYPTO_DMA_ALIGN = CRYPTO_DMA_ALIGN;
static const u32 VC_CRYPTO_DMA_PADDING = CRYPTO_DMA_PADDING;
static const u32 VC_HASH_MAX_DESCSIZE = HASH_MAX_DESCSIZE;
static const u32 VC_REQSIZE_LARGE = CRYPTO_ALG_SKCIPHER_REQSIZE_LARGE;
static const u32 VC_CIPHER_CREATE_SESSION = VIRTIO_CRYPTO_CIPHER_CREATE_SESSION;
static const u32 VC_CIPHER_DESTROY_SESSION = VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION;
static const u32 VC_CIPHER_ENCRYPT = VIRTIO_CRYPTO_CIPHER_ENCRYPT;
static const u32 VC_CIPHER_DECRYPT = VIRTIO_CRYPTO_CIPHER_DECRYPT;
static const u32 VC_HASH_CREATE_SESSION = VIRTIO_CRYPTO_HASH_CREATE_SESSION;
static const u32 VC_HASH_DESTROY_SESSION = VIRTIO_CRYPTO_HASH_DESTROY_SESSION;
static const u32 VC_HASH = VIRTIO_CRYPTO_HASH;
static const u32 VC_MAC_CREATE_SESSION = VIRTIO_CRYPTO_MAC_CREATE_SESSION;
static const u32 VC_MAC_DESTROY_SESSION = VIRTIO_CRYPTO_MAC_DESTROY_SESSION;
static const u32 VC_MAC = VIRTIO_CRYPTO_MAC;
static const u32 VC_AEAD_CREATE_SESSION = VIRTIO_CRYPTO_AEAD_CREATE_SESSION;
static const u32 VC_AEAD_DESTROY_SESSION = VIRTIO_CRYPTO_AEAD_DESTROY_SESSION;
static const u32 VC_AEAD_ENCRYPT = VIRTIO_CRYPTO_AEAD_ENCRYPT;
static const u32 VC_AEAD_DECRYPT = VIRTIO_CRYPTO_AEAD_DECRYPT;
static const u32 VC_AKCIPHER_CREATE_SESSION = VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION;
static const u32 VC_AKCIPHER_DESTROY_SESSION = VIRTIO_CRYPTO_AKCIPHER_DESTROY_SESSION;
static const u32 VC_AKCIPHER_ENCRYPT = VIRTIO_CRYPTO_AKCIPHER_ENCRYPT;
static const u32 VC_AKCIPHER_DECRYPT = VIRTIO_CRYPTO_AKCIPHER_DECRYPT;
static const u32 VC_AKCIPHER_SIGN = VIRTIO_CRYPTO_AKCIPHER_SIGN;
static const u32 VC_AKCIPHER_VERIFY = VIRTIO_CRYPTO_AKCIPHER_VERIFY;
