/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared declarations of vc_exercise: the tested cipher and its properties, and
 * the function that makes one request.
 */
#ifndef EXERCISE_H
#define EXERCISE_H

#include <crypto/internal/skcipher.h>
#include <crypto/skcipher.h>
#include <linux/scatterlist.h>

#include "tap.h"

#define MAX_BLOCK	16
#define MAX_KEY		64

extern char *driver;
extern char *reference;

/* Properties of the tested cipher. */
extern unsigned int chunk_size;	/* in bytes */
extern unsigned int iv_size;
extern unsigned int key_size;
extern bool any_length;		/* accepts incomplete blocks */

/* Arguments of one request. */
struct op {
	struct crypto_skcipher *tfm;
	struct scatterlist *src;
	struct scatterlist *dst;
	unsigned int len;
	u8 *iv;
	bool encrypt;
	bool atomic;
	bool vmalloc;
};

/* Makes a request and waits for its completion. */
int run(const struct op *op);

/* Compares the IVs after two requests, if the mode defines them. */
bool ivs_match(const u8 *a, const u8 *b);

/* The tests: error cases, data lengths and scatterlist layouts. */
void error_cases_without_key(void);
void error_cases(struct crypto_skcipher *tfm, struct crypto_skcipher *ref);
void lengths(struct crypto_skcipher *tfm, struct crypto_skcipher *ref);
void sg_layouts(struct crypto_skcipher *tfm, struct crypto_skcipher *ref);

#endif /* EXERCISE_H */
