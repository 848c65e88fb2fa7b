/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared declarations of vc_templates: the list of algorithms, deterministic data
 * and the digest of the results.
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
#define MAX_SEGMENTS	16

enum kind {
	SKCIPHER,
	AEAD,
	HASH,
};

/* An algorithm, in most cases an instance of a template. */
struct algorithm {
	const char *name;
	enum kind kind;
	unsigned int key_size;		/* cipher or MAC key; 0 if there is none */
	unsigned int auth_key_size;	/* MAC key of authenc(); 0 if there is none */
	unsigned int aad_size;		/* AEAD only, without a generated IV */
	/* IV generators only: the AEAD below, which decrypts with the IV. */
	const char *inner;
	bool in_place;			/* only supports in-place requests */
	bool iv_in_aad;			/* the AAD ends with a copy of the IV */
};

extern const struct algorithm algorithms[];
extern const unsigned int nr_algorithms;

/* Three buffers of SIZE bytes. Tests do not run concurrently. */
extern u8 *plain;
extern u8 *buf1;
extern u8 *buf2;

/* Fills a buffer with bytes that only depend on @seed. */
void fill(u8 *buf, size_t len, u32 seed);

/* Generates the key of an algorithm, the same in each run. Returns its length. */
unsigned int make_key(const struct algorithm *alg, u8 *key);

/*
 * Splits @len bytes at @buf into segments of growing length. The first segment has
 * @first bytes.
 */
void make_segments(struct scatterlist *sg, u8 *buf, unsigned int len,
		   unsigned int first);

/* The results of one allocation. */
struct results {
	u64 digest;	/* FNV-1a hash of all results, not cryptographic */
	bool wrong;	/* a decryption or a digest in parts had a wrong result */
};

#define RESULTS_INIT	{ .digest = 0xcbf29ce484222325ULL }

void add_bytes(struct results *results, const u8 *buf, size_t len);
void add_error(struct results *results, int error);

/*
 * Prints the results of an algorithm with an allocation method. @driver is NULL if
 * the allocation failed with @ret.
 */
void report(const struct algorithm *alg, const char *method, const char *driver,
	    int ret, const struct results *results);

/* Allocate and use an algorithm by all methods. */
void test_skcipher(const struct algorithm *alg);
void test_aead(const struct algorithm *alg);
void test_hash(const struct algorithm *alg);

#endif /* TEMPLATES_H */
