/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Declarations that the source files of vc_bench share. A bench is an implementation with a key and
 * a number of slots. Each slot has a request and makes it repeatedly.
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

/* A request with its buffers. */
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
	u8 *out;	/* equal to in if requests are in place */
	struct scatterlist *src;
	struct scatterlist *dst;
	u8 iv[MAX_IV];
};

/* A type of the crypto API. */
struct service {
	const char *type;
	/*
	 * Allocates a transform, sets the key, and sets in_len and out_len of @bench. After an
	 * error the caller calls bench_close().
	 */
	int (*open)(struct bench *bench, const char *driver);
	void (*close)(struct bench *bench);
	/* Allocates a slot's request, if the type has request structures. */
	int (*alloc)(struct slot *slot);
	void (*free)(struct slot *slot);
	/* Initialises the request. */
	void (*fill)(struct slot *slot);
	/* Makes the request. Returns the result of the crypto API. */
	int (*submit)(struct slot *slot);
	/*
	 * Verifies the results of all slots with the reference, if results vary and cannot be
	 * compared, like signatures. May be NULL.
	 */
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
	bool decrypts;	/* the source is a ciphertext of the reference */
	bool accepted_invalid;	/* an invalid signature was accepted */
	u32 flags;	/* of the requests */
	u32 in_len;	/* bytes of the source */
	u32 out_len;	/* bytes of the destination */
	struct slot *slots;
	u32 depth;
	/* State of a round. */
	atomic_t remaining;	/* requests that have not been made */
	atomic_t active;	/* slots that have not finished */
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
/* Initialises all requests. Their source is @input, or a fixed pattern if @input is NULL. */
void bench_fill(struct bench *bench, const u8 *input);
/*
 * Makes @requests requests, between marks if @mark is not 0. Returns -ETIMEDOUT if some of them are
 * still in flight after a minute.
 */
int bench_round(struct bench *bench, u32 requests, u32 mark, u64 *ns);

#endif /* BENCH_H */
