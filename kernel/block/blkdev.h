/* SPDX-License-Identifier: MIT */
/*
 * blkdev.h - a block device: what it can do, and the driver behind it.
 */
#ifndef KERNEL_BLOCK_BLKDEV_H
#define KERNEL_BLOCK_BLKDEV_H

#include "kernel/block/bio.h"
#include "kernel/mm/writeback.h"

struct blkdev_ops {
	/* Start @bio; it ends by bio_endio(). Any context that may take RANK_DEVICE locks. */
	void (*submit)(struct blkdev *dev, struct bio *bio);
};

/* s: at registration   a: atomic */
struct blkdev {
	char name[16];		      /* s: "vda", "ram0" */
	const struct blkdev_ops *ops; /* s */
	void *driver;		      /* s */
	u64 nr_sectors;		      /* s: 512-byte units, a multiple of the sector size */
	u32 sector_size;	      /* s: 512 or 4096 */
	u32 max_segs;		      /* s: per bio; 0: BIO_MAX_SEGS */
	u32 max_bytes;		      /* s: per READ or WRITE; 0: BLKDEV_MAX_BYTES */
	u32 max_seg_bytes;	      /* s: per segment, >= a page; 0: no limit of its own */
	u32 max_extent; /* s: bytes per DISCARD or WRITE_ZEROES; 0: BLKDEV_MAX_EXTENT */
	bool read_only, can_flush, can_discard, can_write_zeroes; /* s */
	bool in_use; /* mount.c: a file system is on it */
	struct writeback wb;
	struct buf_cache *bufs; /* buf.c */
	/*
	 * For blkdev_flush(): how many writes have completed, and how many of them a flush that has
	 * ended covers. Both only grow, so no lock is needed to compare them.
	 */
	u64 writes_done, flushed_up_to; /* a */
	u64 requests[NR_BIO_OPS];	/* a: submitted */
	TAILQ_ENTRY(blkdev) link;
};

#define BLKDEV_MAX_BYTES  (4U << 20)
#define BLKDEV_MAX_EXTENT (1U << 30)

/* Make @dev known and start its flusher. 0, -EEXIST (name), -ENOMEM, -EINVAL (the driver's fields
 * make no sense: printed). The driver filled the s-fields; limits left at 0 are set. May sleep. */
int blkdev_register(struct blkdev *dev);
/* End the flusher and forget @dev: not in use, nothing in flight. May sleep. */
void blkdev_unregister(struct blkdev *dev);
struct blkdev *blkdev_find(const char *name); /* NULL if there is none */
/* Iterate: NULL starts, NULL ends. */
struct blkdev *blkdev_next(struct blkdev *dev);

#endif
