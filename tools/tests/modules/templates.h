/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of vc_templates share: the list of algorithms, the ways to
 * allocate them, deterministic data, and the digest of the results.
 */
#ifndef TEMPLATES_H
#define TEMPLATES_H

#include <linux/crypto.h>
#include <linux/scatterlist.h>
#include <linux/types.h>

#include "tap.h"

#define SIZE		16384	/* bytes of a buffer */
#define MAX_KEY		256
#define MAX_IV		32
#define MAX_PIECES	16

enum kind {
	SKCIPHER,
	AEAD,
	HASH,
};

/* An algorithm, in most cases an instance of a template. */
struct algorithm {
	const char *name;
	enum kind kind;
	unsigned int key_size;		/* of the cipher, of the MAC; 0 if there is none */
	unsigned int auth_key_size;	/* of the MAC in a chain; 0 if there is none */
	unsigned int aad_size;		/* AEAD only, without an IV that is generated */
	/* An AEAD whose IVs are generated from random numbers: the AEAD below it. */
	const char *inner;
	bool in_place;			/* the only way that it is used */
	bool iv_in_aad;			/* the AAD ends with a copy of the IV */
};

extern const struct algorithm algorithms[];
extern const unsigned int nr_algorithms;

/* Three buffers of SIZE bytes, for one test at a time. */
extern u8 *plain;
extern u8 *one;
extern u8 *other;

/* Fills memory with bytes that are the same in each run. */
void fill(u8 *buf, size_t len, u32 seed);

/* Makes the key of an algorithm, the same in each run; returns its length. */
unsigned int make_key(const struct algorithm *alg, u8 *key);

/* Makes a list of several segments of @len bytes at @buf. */
void make_pieces(struct scatterlist *sg, u8 *buf, unsigned int len,
		 unsigned int first);

/* A digest of all results of one allocation. It finds accidents, not forgeries. */
struct results {
	u64 digest;
	bool wrong;	/* something decrypted to something else */
};

#define RESULTS_INIT	{ .digest = 0xcbf29ce484222325ULL }

void add_bytes(struct results *results, const u8 *buf, size_t len);
void add_error(struct results *results, int error);

/*
 * Says how an algorithm was allocated in one way, and what it made. @driver is
 * NULL if it was not allocated.
 */
void report(const struct algorithm *alg, const char *way, const char *driver,
	    int ret, const struct results *results);

/* Allocate and use an algorithm in every way there is. */
void test_skcipher(const struct algorithm *alg);
void test_aead(const struct algorithm *alg);
void test_hash(const struct algorithm *alg);

#endif /* TEMPLATES_H */
