// SPDX-License-Identifier: GPL-2.0
/*
 * The algorithms that vc_templates allocates: those of the device, and each
 * template of the kernel with one of them.
 */
#include <linux/kernel.h>

#include "templates.h"

#define CIPHER(name_, key)						\
	{ .name = name_, .kind = SKCIPHER, .key_size = key }
#define PLAIN_AEAD(name_, key, aad)					\
	{ .name = name_, .kind = AEAD, .key_size = key, .aad_size = aad }
#define ESP(name_, key)							\
	{ .name = name_, .kind = AEAD, .key_size = key, .aad_size = 20,	\
	  .iv_in_aad = true }
#define CHAIN(name_, key, auth_key)					\
	{ .name = name_, .kind = AEAD, .key_size = key,			\
	  .auth_key_size = auth_key, .aad_size = 32 }
#define ESSIV(name_, key, auth_key)					\
	{ .name = name_, .kind = AEAD, .key_size = key,			\
	  .auth_key_size = auth_key, .aad_size = 32, .in_place = true }
#define GENIV(name_, below, key, auth_key)				\
	{ .name = name_, .kind = AEAD, .key_size = key,			\
	  .auth_key_size = auth_key, .aad_size = 12, .inner = below }
#define DIGEST(name_)							\
	{ .name = name_, .kind = HASH }
#define MAC(name_, key)							\
	{ .name = name_, .kind = HASH, .key_size = key }

const struct algorithm algorithms[] = {
	/* ciphers of the device */
	CIPHER("ecb(aes)", 16),
	CIPHER("cbc(aes)", 32),
	CIPHER("ctr(aes)", 24),
	CIPHER("xts(aes)", 64),
	CIPHER("ecb(des)", 8),
	CIPHER("cbc(des)", 8),
	CIPHER("ecb(des3_ede)", 24),
	CIPHER("cbc(des3_ede)", 24),
	CIPHER("ctr(des3_ede)", 24),

	/* templates of ciphers */
	CIPHER("cts(cbc(aes))", 16),
	CIPHER("cts(cbc(des3_ede))", 24),
	CIPHER("essiv(cbc(aes),sha256)", 16),
	CIPHER("essiv(cbc(aes),sha256)", 32),
	CIPHER("lrw(aes)", 32),
	CIPHER("lrw(ecb-aes-virtio)", 32),
	CIPHER("lrw(ecb-aes-virtio-sync)", 32),
	CIPHER("xts(ecb-aes-virtio)", 64),
	CIPHER("xts(ecb-aes-virtio-sync)", 64),
	CIPHER("rfc3686(ctr(aes))", 20),
	CIPHER("xctr(aes)", 32),
	CIPHER("hctr2(aes)", 32),
	CIPHER("adiantum(xchacha12,aes)", 32),
	CIPHER("adiantum(xchacha20,aes)", 32),

	/* authenticated encryption of the device */
	PLAIN_AEAD("gcm(aes)", 16, 32),
	PLAIN_AEAD("ccm(aes)", 32, 32),
	PLAIN_AEAD("rfc7539(chacha20,poly1305)", 32, 32),
	CHAIN("authenc(hmac(sha256),cbc(aes))", 16, 32),
	CHAIN("authenc(hmac(sha1),cbc(des3_ede))", 24, 20),
	CHAIN("authenc(hmac(sha1),rfc3686(ctr(aes)))", 20, 20),

	/* templates of authenticated encryption */
	ESP("rfc4106(gcm(aes))", 36),
	ESP("rfc4543(gcm(aes))", 20),
	ESP("rfc4309(ccm(aes))", 19),
	ESP("rfc7539esp(chacha20,poly1305)", 36),
	PLAIN_AEAD("gcm_base(ctr-aes-virtio,ghash-lib)", 16, 32),
	PLAIN_AEAD("gcm_base(ctr-aes-virtio-sync,ghash-lib)", 16, 32),
	PLAIN_AEAD("ccm_base(ctr-aes-virtio,cbcmac-aes-lib)", 32, 32),
	PLAIN_AEAD("ccm_base(ctr-aes-virtio-sync,cbcmac-aes-lib)", 32, 32),
	CHAIN("authenc(hmac(sha512),ctr(aes))", 32, 64),
	CHAIN("authenc(cmac(aes),cbc(aes))", 16, 16),
	CHAIN("authenc(xcbc(aes),rfc3686(ctr(aes)))", 20, 16),
	CHAIN("authencesn(hmac(sha256),cbc(aes))", 16, 32),
	CHAIN("authencesn(hmac(sha1),cbc(des3_ede))", 24, 20),
	CHAIN("authenc(hmac(sha256),cts(cbc(aes)))", 16, 16),
	CHAIN("krb5enc(hmac(sha1),cts(cbc(aes)))", 32, 16),
	CHAIN("krb5enc(cmac(aes),cts(cbc(aes)))", 16, 16),
	ESSIV("essiv(authenc(hmac(sha256),cbc(aes)),sha256)", 32, 32),
	GENIV("seqiv(rfc4106(gcm(aes)))",
	      "rfc4106(gcm(aes))", 20, 0),
	GENIV("seqiv(rfc4309(ccm(aes)))",
	      "rfc4309(ccm(aes))", 19, 0),
	GENIV("seqiv(rfc7539esp(chacha20,poly1305))",
	      "rfc7539esp(chacha20,poly1305)", 36, 0),
	GENIV("seqiv(authenc(hmac(sha1),rfc3686(ctr(aes))))",
	      "authenc(hmac(sha1),rfc3686(ctr(aes)))", 20, 20),
	GENIV("echainiv(authenc(hmac(sha256),cbc(aes)))",
	      "authenc(hmac(sha256),cbc(aes))", 16, 32),
	GENIV("echainiv(authencesn(hmac(sha256),cbc(aes)))",
	      "authencesn(hmac(sha256),cbc(aes))", 16, 32),

	/* hashes and MACs */
	DIGEST("md5"),
	DIGEST("sha1"),
	DIGEST("sha256"),
	DIGEST("sha512"),
	DIGEST("sha3-256"),
	MAC("hmac(sha1)", 20),
	MAC("hmac(sha256)", 32),
	MAC("hmac(sha512)", 200),
	MAC("hmac(sha256-virtio)", 32),
	MAC("hmac(sha3-256)", 32),
	MAC("cmac(aes)", 16),
	MAC("xcbc(aes)", 16),
	MAC("cbcmac(aes)", 16),
	MAC("cmac(des3_ede)", 24),

	/*
	 * Instances of these templates have the name of the algorithm below, so they
	 * are allocated by their driver name. Later allocations of that name use the
	 * instance, so these entries must be last.
	 */
	PLAIN_AEAD("pcrypt(gcm-aes-virtio)", 16, 32),
	PLAIN_AEAD("pcrypt(ccm-aes-virtio-sync)", 32, 32),
	CHAIN("pcrypt(authenc-hmac-sha256-cbc-aes-virtio-sync)", 16, 32),
	CIPHER("cryptd(cbc-aes-virtio-sync)", 32),
	PLAIN_AEAD("cryptd(gcm-aes-virtio-sync)", 16, 32),
};

const unsigned int nr_algorithms = ARRAY_SIZE(algorithms);
