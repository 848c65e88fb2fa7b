/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of vc_exercise share: the cipher that is exercised, the one it
 * is compared with, and how a single request is made.
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

/* What the cipher is like. */
extern unsigned int block;	/* bytes that belong together */
extern unsigned int iv_size;
extern unsigned int key_size;
extern bool any_length;		/* data need not be whole blocks */

/* One operation of one implementation. */
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

/* Does it, and waits for it. */
int run(const struct op *op);

/* Whether two IVs are the same, as far as the mode defines them afterwards. */
bool same_iv(const u8 *a, const u8 *b);

/* The tests: bad use, and data of all shapes. */
void misuse_without_key(void);
void misuse(struct crypto_skcipher *tfm, struct crypto_skcipher *ref);
void lengths(struct crypto_skcipher *tfm, struct crypto_skcipher *ref);
void shapes(struct crypto_skcipher *tfm, struct crypto_skcipher *ref);

#endif /* EXERCISE_H */
