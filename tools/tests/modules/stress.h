/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of vc_stress share: the ciphers under stress, and one request
 * among many.
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
#define MAX_PARTS	12

/* How long a request may take before it counts as lost. */
#define LOST		(60 * HZ)

/* A cipher under stress, and what it is like. */
struct cipher {
	const char *driver;
	const char *reference;
	unsigned int block;	/* bytes that belong together */
	unsigned int iv_size;
	unsigned int key_size;
	bool any_length;	/* data need not be whole blocks */
	bool chains;		/* the IV of the next request is defined */
};

/* A cipher, and the software it is compared with, that have the same key. */
struct pair {
	const struct cipher *cipher;
	struct crypto_skcipher *tfm;
	struct crypto_sync_skcipher *ref;
};

/* What has been seen; one for all threads. */
struct tally {
	atomic_t requests;	/* made; two in one are two */
	atomic_t sleeping;	/* might sleep */
	atomic_t atomic;	/* were made with bottom halves off */
	atomic_t again;		/* undid another, most from its completion */
	atomic_t waited;	/* were answered later */
	atomic_t busy;		/* had to wait for room */
	atomic_t full;		/* times that there was no room */
	atomic_t wrong;		/* result, or answer */
	atomic_t lost;		/* never completed */
	atomic_t doubled;	/* completed or notified more often than answered */
};

extern struct tally tally;

/* The longest request in bytes. */
extern unsigned int max_len;

/* A request, and all that belongs to it. */
struct job {
	struct skcipher_request *req;
	struct completion done;
	struct scatterlist src[MAX_PARTS];
	struct scatterlist dst[MAX_PARTS];
	const struct pair *pair;
	u8 *in;
	u8 *out;
	u8 *expect;
	u8 iv[MAX_BLOCK];	/* the consumer's: the driver updates it */
	u8 start[MAX_BLOCK];
	u8 next_iv[MAX_BLOCK];
	unsigned int len;
	bool encrypt;
	bool backlog;
	bool sleep;
	bool atomic;
	bool again;		/* undo it when it is done */
	bool in_flight;		/* the thread's own: to be waited for */
	int ret;
	/* Who still uses it: the device, and whoever submits it. */
	atomic_t holds;
	/* What was answered, and what came of it. */
	atomic_t accepted;
	atomic_t busy;
	atomic_t finished;
	atomic_t notified;
};

/* Allocates what a job needs, for requests with contexts of @reqsize bytes. */
int job_alloc(struct job *job, unsigned int reqsize);
void job_free(struct job *job);

/*
 * Makes up a request and sends it; waits for room if it must not be
 * backlogged. It has to be collected before the next.
 */
void job_start(struct job *job, const struct pair *pair, struct rnd_state *rnd);

/*
 * Waits for the request and looks at the result. Returns false if it is lost: its
 * memory, and this module, have to stay then.
 */
bool job_collect(struct job *job);

#endif /* STRESS_H */
