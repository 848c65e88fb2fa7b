/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of vc_ring share.
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
	/* Of a round. */
	u32 left;	/* requests that are still to be added */
	u32 active;	/* in flight */
	int err;	/* the first error */
	struct completion done;
};

/* A request, ready to be added to the ring. */
struct ring_request;

/* Creates a session of cbc(aes) that encrypts. */
int ring_create_session(struct ring *ring, const u8 *key, u32 key_len);
void ring_destroy_session(struct ring *ring);
/* Does what the command says. -ETIMEDOUT: the device still has requests. */
int ring_measure(struct ring *ring, struct command *command);
/* The callback of the data queue. */
void ring_used(struct virtqueue *vq);

#endif /* RING_H */
