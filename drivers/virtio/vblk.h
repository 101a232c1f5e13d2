/* SPDX-License-Identifier: MIT */
/*
 * vblk.h - what virtio_blk.c (set-up) and vblk_request.c (requests) share; nobody else includes it.
 */
#ifndef DRIVERS_VIRTIO_VBLK_H
#define DRIVERS_VIRTIO_VBLK_H

#include "drivers/virtio/virtio_pci.h"
#include "kernel/block/blkdev.h"

/* q: lock   s: at set-up */
struct vblk_queue {
	struct spinlock lock;		   /* RANK_DEVICE, irqsave */
	struct virtqueue vq;		   /* q */
	TAILQ_HEAD(bio_list, bio) waiting; /* q: the ring was full; oldest first */
	int vector;			   /* s: its interrupt, or negative */
} __aligned(64);

struct vblk {
	struct blkdev dev;
	struct virtio_device v;		     /* s */
	struct vblk_queue *by_cpu[MAX_CPUS]; /* s: which queue a CPU uses */
	unsigned int nr_queues;		     /* s */
	struct wait_queue id_wait;	     /* vblk_get_id() */
	bool id_done;
	struct vblk_queue queue[];
};

extern const struct blkdev_ops vblk_ops;

/* Interrupt of a queue: @arg is its struct vblk_queue. */
void vblk_irq(void *arg);

/* The device's serial number as text. 0, the device's error, -ENOMEM, or -ETIMEDOUT if it does not
 * answer: then it must be reset before anything it knows is freed. May sleep. */
int vblk_get_id(struct vblk *vb, char id[VIRTIO_BLK_ID_BYTES + 1]);

#endif
