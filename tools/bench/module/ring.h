/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Declarations that the source files of vc_ring share.
 */
#ifndef RING_H
#define RING_H

#include <crypto/aes.h>
#include <linux/completion.h>
#include <linux/scatterlist.h>
#include <linux/types.h>
#include <linux/virtio.h>

#include "command.h"

/* The device that vc_ring is bound to. */
struct ring {
	struct virtio_device *vdev;
	struct virtqueue *data;
	struct virtqueue *control;
	u64 session;
	/* State of a round. */
	u32 remaining;	/* requests that have not been added */
	u32 active;	/* in flight */
	int err;	/* the first error */
	struct completion done;
};

/* A prepared request. */
struct ring_request;

/* Creates a session for encryption with cbc(aes). */
int ring_create_session(struct ring *ring, const u8 *key, u32 key_len);
void ring_destroy_session(struct ring *ring);
/* Runs a command. Returns -ETIMEDOUT if requests are still in flight. */
int ring_measure(struct ring *ring, struct command *command);
/* The callback of the data queue. */
void ring_used(struct virtqueue *vq);

#endif /* RING_H */
