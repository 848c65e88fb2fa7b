/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared declarations of vc_fault: an implementation of an algorithm, and a
 * request whose result is compared with that of another implementation.
 */
#ifndef FAULT_H
#define FAULT_H

#include <crypto/aead.h>
#include <crypto/akcipher.h>
#include <crypto/hash.h>
#include <crypto/sig.h>
#include <crypto/skcipher.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/types.h>

#define MAX_IV		16
#define AAD		16
#define TAG		16
#define TEXT		2048
#define MAX_TEXT	SZ_1M
#define DIGEST		32	/* bytes of a signed digest */
#define SIZE		(AAD + TEXT + HASH_MAX_DIGESTSIZE)

enum kind { SKCIPHER, AEAD, AHASH, AKCIPHER, SIG };

/* An implementation of an algorithm. */
struct impl {
	enum kind kind;
	bool may_backlog;
	union {
		struct crypto_skcipher *skcipher;
		struct crypto_aead *aead;
		struct crypto_ahash *ahash;
		struct crypto_akcipher *akcipher;
		struct crypto_sig *sig;
	};
};

int impl_alloc(struct impl *impl, enum kind kind, const char *name, u32 mask);
void impl_free(struct impl *impl);

/* The key of an akcipher is a private key, that of a signature a public key. */
int impl_set_key(struct impl *impl, const u8 *key, unsigned int len);
unsigned int impl_reqsize(const struct impl *impl);

/*
 * Submits a request and returns the return value of the implementation. The kind
 * SIG verifies a signature of @len bytes; the digest follows the signature.
 */
int impl_submit(struct impl *impl, void *memory, struct scatterlist *src,
		struct scatterlist *dst, unsigned int len, u8 *iv, bool encrypt,
		crypto_completion_t done, void *data);

/*
 * Submits a request and waits for its completion. A cipher leaves the IV of the
 * next request in @iv.
 */
int impl_run(struct impl *impl, u8 *from, u8 *to, unsigned int len, u8 *iv,
	     bool encrypt);

/* A request with its buffers and its expected result. */
struct fault_request {
	struct completion done;
	atomic_t finished;
	void *req;
	struct scatterlist src;
	struct scatterlist dst;
	u8 *in;
	u8 *out;
	u8 *expected;
	u8 iv[MAX_IV];		/* the IV buffer of the request */
	u8 first_iv[MAX_IV];	/* the IV before the request */
	u8 next_iv[MAX_IV];	/* the IV after a successful cipher request */
	unsigned int size;	/* of each buffer */
	unsigned int len;
	bool encrypt;
	bool in_place;
	int expected_ret;
	int ret;
};

/* The parameters of a test. */
struct fault_test {
	struct impl impl;
	struct impl reference;
	/* SIG only: a valid signature, followed by the digest. */
	const u8 *signature;
	unsigned int signature_len;
	/* Bytes of text of a cipher, AEAD or hash; 0: random, up to TEXT. */
	unsigned int text;
	/* 1: in place, 0: not in place, -1: both. Unused for hashes and signatures. */
	int in_place;
};

/* Prepares a random request and computes its expected result. */
int request_prepare(struct fault_request *request, struct fault_test *test, unsigned int number);
void request_free(struct fault_request *request);
void request_start(struct fault_request *request, struct impl *impl);

/*
 * Returns true if the data is that of the reference. The return value of the
 * request must be the expected one.
 */
bool request_is_correct(const struct fault_request *request, const struct impl *impl);

/*
 * Returns true if the IV buffer of a cipher request has the next IV after success
 * or the unchanged IV after an error.
 */
bool request_iv_is_correct(const struct fault_request *request, const struct impl *impl);

/* Returns true if the context of a public key request does not contain its data. */
bool request_is_wiped(const struct fault_request *request, const struct impl *impl);

#endif /* FAULT_H */
