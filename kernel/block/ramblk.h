/* SPDX-License-Identifier: MIT */
/*
 * ramblk.h - a disk in memory whose completions a test can hold, release, fail and reorder.
 */
#ifndef KERNEL_BLOCK_RAMBLK_H
#define KERNEL_BLOCK_RAMBLK_H

#include "kernel/block/blkdev.h"

/* A new disk of @size bytes, zeroed, or with @image (a boot module, used in place) as contents;
 * registered as @name. 0, -ENOMEM, -EEXIST. May sleep. */
int ramblk_create(const char *name, u64 size, void *image, u32 sector_size, struct blkdev **out);
void ramblk_destroy(struct blkdev *dev); /* nothing in flight, not mounted */

/* From now on requests of @ops (bit mask of 1 << enum bio_op) are queued; the data is moved when
 * the request is released, as by a device that had not got to it (@copy_early false), or when it is
 * queued, as by one that read memory at once (@copy_early true). */
void ramblk_hold(struct blkdev *dev, unsigned int ops, bool copy_early);
unsigned int ramblk_nr_held(struct blkdev *dev);
/* Sleep until at least @n requests are held; false after 10 s. */
bool ramblk_wait_held(struct blkdev *dev, unsigned int n);
enum ramblk_order { RAMBLK_FIFO, RAMBLK_LIFO, RAMBLK_SHUFFLE };
/* End up to @n held requests (completion runs in the caller with interrupts off, as an interrupt
 * would); returns how many. */
unsigned int ramblk_release(struct blkdev *dev, unsigned int n, enum ramblk_order order);
/* Release all and hold no more. */
void ramblk_unhold(struct blkdev *dev);
/* The @nth next request (1 = next) of @op that touches [first, last] sectors fails with @error;
 * @count times. One rule; a new call replaces it; count 0 removes it. */
void ramblk_fail(struct blkdev *dev, enum bio_op op, sector_t first, sector_t last,
		 unsigned int nth, unsigned int count, int error);
/* The bytes "on the platter", for tests: direct pointer. */
void *ramblk_data(struct blkdev *dev, sector_t sector);

#endif
