/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of vc_bench share: a bench is an implementation with a key, and requests for it,
 * one in each slot, that are made over and over.
 */
#ifndef BENCH_H
#define BENCH_H

#include <crypto/aead.h>
#include <crypto/akcipher.h>
#include <crypto/hash.h>
#include <crypto/sig.h>
#include <crypto/skcipher.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/scatterlist.h>

#include "command.h"

#define MAX_IV	16

struct bench;

/* A request. */
struct slot {
	struct bench *bench;
	union {
		void *req;
		struct skcipher_request *skcipher;
		struct aead_request *aead;
		struct ahash_request *ahash;
		struct akcipher_request *akcipher;
	};
	u8 *in;
	u8 *out;	/* the same memory if it is done in place */
	struct scatterlist *src;
	struct scatterlist *dst;
	u8 iv[MAX_IV];
};

/* A kind of implementation. */
struct service {
	const char *type;
	/* Allocates a transform, sets its key, and fills in what it takes. Does not clean up. */
	int (*open)(struct bench *bench, const char *driver);
	void (*close)(struct bench *bench);
	/* Allocates a slot's request, if there is such a thing. */
	int (*alloc)(struct slot *slot);
	void (*free)(struct slot *slot);
	/* Fills the request in. */
	void (*fill)(struct slot *slot);
	/* Makes it. Returns what the crypto API returns. */
	int (*submit)(struct slot *slot);
	/* Has the reference check results that it cannot make itself: signatures. */
	int (*check)(struct bench *bench);
};

struct bench {
	struct command *command;
	const struct service *service;
	union {
		void *tfm;
		struct crypto_skcipher *skcipher;
		struct crypto_aead *aead;
		struct crypto_ahash *ahash;
		struct crypto_akcipher *akcipher;
		struct crypto_sig *sig;
	};
	bool is_async;
	bool decrypts;
	bool wrong;	/* a wrong signature was taken for right */
	u32 flags;	/* of its requests */
	u32 in_len;
	u32 out_len;
	struct slot *slots;
	u32 depth;
	/* Of a round. */
	atomic_t left;	/* requests that are still to be made */
	atomic_t active;	/* slots that are still at it */
	int err;	/* the first error */
	struct completion done;
};

extern const struct service skcipher_service;
extern const struct service aead_service;
extern const struct service ahash_service;
extern const struct service akcipher_service;
extern const struct service sig_service;

/* The callback of every request. */
void slot_done(void *data, int err);

int bench_open(struct bench *bench, const struct service *service, struct command *command,
	       const char *driver, u32 depth);
void bench_close(struct bench *bench);
/* Fills all requests in; their source begins with @input if it is not NULL. */
void bench_fill(struct bench *bench, const u8 *input);
/* Makes @requests requests, between marks if @mark is not 0. -ETIMEDOUT: some are still there. */
int bench_round(struct bench *bench, u32 requests, u32 mark, u64 *ns);

#endif /* BENCH_H */
