/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared declarations of vc_stress: the tested ciphers, the counts and a request.
 */
#ifndef STRESS_H
#define STRESS_H

#include <crypto/internal/skcipher.h>
#include <crypto/skcipher.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/prandom.h>
#include <linux/scatterlist.h>

#include "tap.h"

#define MAX_BLOCK	16
#define MAX_KEY		64
#define MAX_SEGMENTS	12

/* A request that takes longer counts as lost. */
#define REQUEST_TIMEOUT		(60 * HZ)

/* A tested cipher and its properties. */
struct cipher {
	const char *driver;
	const char *reference;
	unsigned int block;	/* chunk size in bytes */
	unsigned int iv_size;
	unsigned int key_size;
	bool any_length;	/* accepts incomplete blocks */
	bool updates_iv;	/* stores the IV of the next request */
};

/* A transform of the tested cipher and one of the reference, with the same key. */
struct pair {
	const struct cipher *cipher;
	struct crypto_skcipher *tfm;
	struct crypto_sync_skcipher *ref;
};

/* The counts of all threads. */
struct tally {
	atomic_t requests;	/* submitted, including those that undo another */
	atomic_t sleeping;	/* may sleep */
	atomic_t atomic;	/* submitted with bottom halves disabled */
	atomic_t undone;	/* undo another, most from its completion callback */
	atomic_t waited;	/* completed asynchronously */
	atomic_t busy;		/* backlogged */
	atomic_t full;		/* submissions that failed with ENOSPC */
	atomic_t wrong;		/* wrong result or return value */
	atomic_t lost;		/* not completed in time */
	atomic_t doubled;	/* too many completions or EINPROGRESS callbacks */
};

extern struct tally tally;

/* The maximum length of a request in bytes. */
extern unsigned int max_len;

/* A request with its buffers and its expected result. */
struct stress_request {
	struct skcipher_request *req;
	struct completion done;
	struct scatterlist src[MAX_SEGMENTS];
	struct scatterlist dst[MAX_SEGMENTS];
	const struct pair *pair;
	u8 *in;
	u8 *out;
	u8 *expected;
	u8 iv[MAX_BLOCK];	/* the IV buffer, which the driver updates */
	u8 first_iv[MAX_BLOCK];
	u8 next_iv[MAX_BLOCK];
	unsigned int len;
	bool encrypt;
	bool backlog;
	bool sleep;
	bool atomic;
	bool undo_next;		/* undo the result after success */
	bool in_flight;		/* set from submission to collection */
	int ret;
	/* References of the submitter and of the pending result. */
	atomic_t refs;
	/* Counts of return values (EINPROGRESS or EBUSY, EBUSY) and of callbacks. */
	atomic_t accepted;
	atomic_t busy;
	atomic_t finished;
	atomic_t notified;
};

/* Allocates the buffers of a request with a context of @reqsize bytes. */
int request_alloc(struct stress_request *request, unsigned int reqsize);
void request_free(struct stress_request *request);

/*
 * Prepares a random request and submits it. Retries while the ring is full, if the
 * request may not be backlogged. The request must be collected before its reuse.
 */
void request_start(struct stress_request *request, const struct pair *pair, struct rnd_state *rnd);

/*
 * Waits for the completion of the request and checks the result. Returns false if
 * the request is lost. The caller must not free its memory or unload the module then.
 */
bool request_collect(struct stress_request *request);

#endif /* STRESS_H */
