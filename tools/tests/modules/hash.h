/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of vc_hash have in common.
 */
#ifndef HASH_H
#define HASH_H

#include <crypto/hash.h>
#include <linux/scatterlist.h>

#include "tap.h"

#define GUARD		16
#define BIG		(SZ_1M + SZ_512K)

/* A digest, and what must stay as it is behind it. */
struct digest {
	u8 bytes[HASH_MAX_DIGESTSIZE + GUARD];
};

/* A message for one implementation, waited for. */
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
bool digest_is(const struct digest *digest, const struct digest *other,
	       unsigned int size);
struct ahash_request *op_request(const struct op *op);
void op_source(const struct op *op, struct ahash_request *req, u8 *out);
int op_call(const struct op *op, struct ahash_request *req,
	    int (*call)(struct ahash_request *req));
int run(const struct op *op, struct digest *digest);
unsigned int digest_size(struct crypto_ahash *tfm);
bool same(struct crypto_ahash *tfm, struct crypto_ahash *ref, const u8 *data,
	  unsigned int len);
void split(struct scatterlist *sg, unsigned int entries, u8 *buf,
	   unsigned int len, unsigned int extra, bool holes);

/* Messages as they may come: @data has BIG bytes. */
void messages(struct crypto_ahash *tfm, struct crypto_ahash *ref, u8 *data);

/* Many at once. */
bool load_is_sensible(void);
void loaded(struct crypto_ahash *tfm, struct crypto_ahash *ref);

#endif /* HASH_H */
