/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of vc_fault share: an implementation of an algorithm, and one
 * request that two of them are compared by.
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
/* Of what is signed. */
#define DIGEST		32
#define SIZE		(AAD + TEXT + HASH_MAX_DIGESTSIZE)

enum kind { SKCIPHER, AEAD, AHASH, AKCIPHER, SIG };

/* One implementation. */
struct side {
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

int side_open(struct side *side, enum kind kind, const char *name, u32 mask);
void side_close(struct side *side);

/* Of key pairs it is a private key that RSA takes, and a public one that is to verify. */
int side_set_key(struct side *side, const u8 *key, unsigned int len);
unsigned int side_reqsize(const struct side *side);

/*
 * Makes a request, and returns what the implementation does. A signature of @len
 * bytes is verified, with the digest behind it.
 */
int side_send(struct side *side, void *memory, struct scatterlist *src,
	      struct scatterlist *dst, unsigned int len, u8 *iv, bool encrypt,
	      crypto_completion_t done, void *data);

/*
 * Makes a request and waits for it, in place but for a digest. A cipher leaves the
 * IV of the next request in @iv.
 */
int side_run(struct side *side, u8 *from, u8 *to, unsigned int len, u8 *iv,
	     bool encrypt);

/* A request, and all that belongs to it. */
struct trial {
	struct completion done;
	atomic_t finished;
	void *req;
	struct scatterlist src;
	struct scatterlist dst;
	u8 *in;
	u8 *out;
	u8 *expect;
	u8 iv[MAX_IV];		/* of the request, which may change it */
	u8 first_iv[MAX_IV];	/* before the request */
	u8 next_iv[MAX_IV];	/* after a cipher's request that succeeds */
	unsigned int size;	/* of each buffer */
	unsigned int len;
	bool encrypt;
	bool in_place;
	int must;	/* be returned */
	int ret;
};

/* What a number of requests are about. */
struct subject {
	struct side side;
	struct side reference;
	/* Of signatures: one that is right, and the digest behind it. */
	const u8 *signature;
	unsigned int signature_len;
	/* Bytes of text of a cipher, AEAD or hash; 0: any length up to TEXT. */
	unsigned int text;
	/* 1: in place, 0: not, -1: by turns. Not of hashes and signatures. */
	int in_place;
};

/* Makes up a request, and what has to come of it. */
int trial_make(struct trial *trial, struct subject *subject, unsigned int number);
void trial_free(struct trial *trial);
void trial_start(struct trial *trial, struct side *side);

/* The result is that of the reference; for requests that return what they must. */
bool trial_is_right(const struct trial *trial, const struct side *side);

/*
 * Returns true if a cipher's IV is the next one after success, and the first one
 * after an error.
 */
bool trial_iv_is_right(const struct trial *trial, const struct side *side);

/* Returns true if the context of a public key request has no trace of its data. */
bool trial_is_wiped(const struct trial *trial, const struct side *side);

#endif /* FAULT_H */
