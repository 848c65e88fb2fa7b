// SPDX-License-Identifier: GPL-2.0
/*
 * One request, and helpers to compare digests.
 */
#include <linux/bottom_half.h>
#include <linux/minmax.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "hash.h"

void digest_poison(struct digest *digest)
{
	memset(digest->bytes, 0xa5, sizeof(digest->bytes));
}

bool digest_is_poison(const struct digest *digest)
{
	return !memchr_inv(digest->bytes, 0xa5, sizeof(digest->bytes));
}

/*
 * Returns true if the first @size bytes are equal and the bytes after them have
 * not changed.
 */
bool digest_matches(const struct digest *digest, const struct digest *other,
		    unsigned int size)
{
	return !memcmp(digest->bytes, other->bytes, size) &&
	       !memchr_inv(digest->bytes + size, 0xa5,
			   sizeof(digest->bytes) - size);
}

static u32 op_flags(const struct op *op)
{
	return CRYPTO_TFM_REQ_MAY_BACKLOG |
	       (op->atomic ? 0 : CRYPTO_TFM_REQ_MAY_SLEEP);
}

struct ahash_request *op_request(const struct op *op)
{
	size_t size = sizeof(struct ahash_request) +
		      crypto_ahash_reqsize(op->tfm);
	struct ahash_request *req;

	req = op->vmalloc ? vmalloc(size) : kmalloc(size, GFP_KERNEL);
	if (!req)
		return NULL;
	/* Poison the fields that callers need not initialise. */
	memset(req, 0xa5, size);
	req->base.flags = 0;
	ahash_request_set_tfm(req, op->tfm);
	return req;
}

void op_source(const struct op *op, struct ahash_request *req, u8 *out)
{
	if (op->virt)
		ahash_request_set_virt(req, op->virt, out, op->len);
	else
		ahash_request_set_crypt(req, op->src, out, op->len);
}

int op_call(const struct op *op, struct ahash_request *req,
	    int (*call)(struct ahash_request *req))
{
	DECLARE_CRYPTO_WAIT(wait);
	int ret;

	ahash_request_set_callback(req, op_flags(op), crypto_req_done, &wait);
	if (op->atomic)
		local_bh_disable();
	ret = call(req);
	if (op->atomic)
		local_bh_enable();
	return crypto_wait_req(ret, &wait);
}

int run(const struct op *op, struct digest *digest)
{
	struct ahash_request *req = op_request(op);
	int ret = -ENOMEM;

	if (!req)
		return ret;
	digest_poison(digest);
	op_source(op, req, digest->bytes);
	ret = op_call(op, req, crypto_ahash_digest);
	kvfree(req);
	return ret;
}

unsigned int digest_size(struct crypto_ahash *tfm)
{
	return crypto_ahash_digestsize(tfm);
}

/* Returns true if both implementations return the same digest. */
bool digests_match(struct crypto_ahash *tfm, struct crypto_ahash *ref, const u8 *data,
		   unsigned int len)
{
	struct op op = { .tfm = tfm, .len = len };
	struct digest actual, expected;
	struct scatterlist sg;
	int ret, expected_ret;

	if (len) {
		sg_init_one(&sg, data, len);
		op.src = &sg;
	}
	ret = run(&op, &actual);
	op.tfm = ref;
	expected_ret = run(&op, &expected);
	if (!ret && !expected_ret && digest_matches(&actual, &expected, digest_size(ref)))
		return true;
	tap_note("%u bytes: %d, expected %d", len, ret, expected_ret);
	return false;
}

/*
 * Splits @len bytes of @buf into @entries segments. The last segment also has
 * @extra bytes after the data. With @holes, segments may be empty.
 */
void split(struct scatterlist *sg, unsigned int entries, u8 *buf,
	   unsigned int len, unsigned int extra, bool holes)
{
	unsigned int i, left = len + extra;

	sg_init_table(sg, entries);
	for (i = 0; i < entries; i++) {
		unsigned int part = left;

		if (i != entries - 1)
			part = min(left, get_random_u32_inclusive(holes ? 0 : 1,
								  2 * (len / entries) + 1));
		sg_set_buf(&sg[i], buf, part);
		buf += part;
		left -= part;
	}
}
