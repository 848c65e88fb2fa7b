// SPDX-License-Identifier: GPL-2.0
/*
 * vc_bench: makes requests to the implementation that a command names, and measures them. See
 * command.h.
 *
 * Each run first compares the result of each slot with that of a reference implementation, and
 * fails if they differ.
 */
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "bench.h"

/* Requests before the first round, which fill caches and slabs. */
#define WARM_UP	200

static const struct service *const services[] = {
	&skcipher_service, &aead_service, &ahash_service, &akcipher_service, &sig_service,
};

/* Encrypts with the reference. Returns the ciphertext, which is the source of decryptions. */
static u8 *ciphertext(const struct service *service, struct command *c)
{
	struct command encryption = *c;
	struct bench bench = { };
	u8 *result = NULL;
	int ret;

	encryption.op = "encrypt";
	ret = bench_open(&bench, service, &encryption, c->reference, 1);
	if (!ret) {
		bench_fill(&bench, NULL);
		ret = bench_round(&bench, 1, 0, NULL);
	}
	if (!ret)
		result = kmemdup(bench.slots[0].out, bench.out_len, GFP_KERNEL);
	bench_close(&bench);
	return result;
}

/* Lets the reference verify the signatures of all slots. */
static int verify_signatures(struct bench *bench)
{
	struct command *c = bench->command;
	int ret;

	bench_fill(bench, NULL);
	ret = bench_round(bench, bench->depth, 0, NULL);
	if (ret)
		return command_fail(c, ret, "%s: failed: %d", c->driver, ret);
	ret = bench->service->check(bench);
	if (ret)
		ret = command_fail(c, ret, "%s: %s does not verify its signature: %d", c->driver,
				   c->reference, ret);
	return ret;
}

/* Compares the results of all slots with the reference's. */
static int verify(struct bench *bench, const u8 *input)
{
	struct command *c = bench->command;
	struct bench reference = { };
	unsigned int i;
	int ret;

	ret = bench_open(&reference, bench->service, c, c->reference, 1);
	if (ret) {
		if (!*c->reason)
			ret = command_fail(c, ret, "%s: cannot be used: %d", c->reference, ret);
		goto out;
	}
	bench_fill(&reference, input);
	ret = bench_round(&reference, 1, 0, NULL);
	if (ret) {
		ret = command_fail(c, ret, "%s: failed: %d", c->reference, ret);
		goto out;
	}
	bench_fill(bench, input);
	ret = bench_round(bench, bench->depth, 0, NULL);
	if (ret) {
		ret = command_fail(c, ret, "%s: failed: %d", c->driver, ret);
		goto out;
	}
	for (i = 0; i < bench->depth; i++) {
		if (!memcmp(bench->slots[i].out, reference.slots[0].out, bench->out_len))
			continue;
		ret = command_fail(c, -EBADMSG, "%s: the result of request %u is not that of %s",
				   c->driver, i, c->reference);
		break;
	}
out:
	bench_close(&reference);
	return ret;
}

static int measure(struct bench *bench, const u8 *input)
{
	struct command *c = bench->command;
	unsigned int i;
	int ret;

	if (bench->service->check && !strcmp(c->op, "sign"))
		ret = verify_signatures(bench);
	else
		ret = verify(bench, input);
	if (ret)
		return ret;
	bench_fill(bench, input);
	ret = bench_round(bench, max(bench->depth, min(c->requests, WARM_UP)), 0, NULL);
	for (i = 0; !ret && i < c->rounds; i++)
		ret = bench_round(bench, c->requests, c->mark ? c->mark + i : 0, &c->ns[i]);
	if (ret)
		ret = command_fail(c, ret, "%s: failed: %d", c->driver, ret);
	return ret;
}

static int find_service(struct command *c, const struct service **service)
{
	unsigned int i;

	if (!c->type || !c->driver || !c->reference)
		return command_fail(c, -EINVAL, "expected type, driver and reference");
	for (i = 0; i < ARRAY_SIZE(services); i++) {
		if (strcmp(c->type, services[i]->type))
			continue;
		*service = services[i];
		if (c->in_place && *service == &aead_service && !strcmp(c->op, "decrypt"))
			return command_fail(c, -EINVAL,
					    "aead: in-place decryption cannot be repeated");
		return 0;
	}
	return command_fail(c, -EINVAL, "%s: no such type", c->type);
}

int command_run(struct command *c)
{
	const struct service *service = NULL;
	struct bench *bench;
	u8 *input = NULL;
	int ret;

	ret = find_service(c, &service);
	if (ret)
		return ret;
	bench = kzalloc_obj(*bench);
	if (!bench)
		return -ENOMEM;
	ret = bench_open(bench, service, c, c->driver, c->depth);
	if (ret) {
		if (!*c->reason)
			ret = command_fail(c, ret, "%s: cannot be used: %d", c->driver, ret);
		goto out;
	}
	if (bench->decrypts) {
		ret = -ENOMEM;
		input = ciphertext(service, c);
		if (!input)
			goto out;
	}
	ret = measure(bench, input);
out:
	kfree(input);
	if (ret == -ETIMEDOUT) {
		/* The driver may complete the remaining requests at any time: keep their memory. */
		__module_get(THIS_MODULE);
		return ret;
	}
	bench_close(bench);
	kfree(bench);
	return ret;
}

static int __init bench_init(void)
{
	return command_init("vc_bench");
}

static void __exit bench_exit(void)
{
	command_exit();
}

module_init(bench_init);
module_exit(bench_exit);

MODULE_DESCRIPTION("Makes many requests to a crypto implementation, between marks");
MODULE_LICENSE("GPL");
