/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared declarations of vc_hash.
 */
#ifndef HASH_H
#define HASH_H

#include <crypto/hash.h>
#include <linux/scatterlist.h>

#include "tap.h"

/* The number of bytes after a buffer that must not change. */
#define GUARD		16
/* The length of the longest message in bytes. */
#define BIG		(SZ_1M + SZ_512K)

/* A digest, followed by bytes that must not change. */
struct digest {
	u8 bytes[HASH_MAX_DIGESTSIZE + GUARD];
};

/* Arguments of one request. The message is @virt, if it is set, or @src. */
struct op {
	struct crypto_ahash *tfm;
	struct scatterlist *src;
	const u8 *virt;
	unsigned int len;
	bool atomic;
	bool vmalloc;
};

void digest_poison(struct digest *digest);
bool digest_is_poison(const struct digest *digest);
bool digest_matches(const struct digest *digest, const struct digest *other,
		    unsigned int size);
struct ahash_request *op_request(const struct op *op);
void op_source(const struct op *op, struct ahash_request *req, u8 *out);
int op_call(const struct op *op, struct ahash_request *req,
	    int (*call)(struct ahash_request *req));
int run(const struct op *op, struct digest *digest);
unsigned int digest_size(struct crypto_ahash *tfm);
bool digests_match(struct crypto_ahash *tfm, struct crypto_ahash *ref, const u8 *data,
		   unsigned int len);
void split(struct scatterlist *sg, unsigned int entries, u8 *buf,
	   unsigned int len, unsigned int extra, bool holes);

/* Tests lengths, layouts and incremental hashing. @data has BIG bytes. */
void messages(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data);

/* The stress test: many requests in flight. */
bool stress_params_are_valid(void);
void stress(struct crypto_ahash *tfm, struct crypto_ahash *ref);

#endif /* HASH_H */
