/* SPDX-License-Identifier: MIT */
/*
 * buf.h - metadata blocks in memory: bitmaps, inode tables, indirect blocks, directories.
 *
 * Block-granular, apart from the page cache, so that a metadata block and a neighbouring file block
 * never share a cached unit and a freed block's old contents can never be written over its new
 * owner's (bforget). File data is never here.
 */
#ifndef KERNEL_BLOCK_BUF_H
#define KERNEL_BLOCK_BUF_H

#include <sys/queue.h>
#include <sys/tree.h>

#include "kernel/block/blkdev.h"
#include "kernel/core/sleeplock.h"

/* s: at creation   c: cache lock   b: the buf's mutex */
struct buf {
	u64 block;	      /* s */
	struct blkdev *dev;   /* s */
	void *data;	      /* b: block_size bytes, direct map; the pointer is s */
	int refs;	      /* c */
	bool valid;	      /* b: read or made */
	bool dirty;	      /* c: on the disk it is older; in dirty_node's tree */
	bool writing;	      /* c: a copy of it is on its way to the disk */
	bool forgotten;	      /* c: no longer in the cache, freed with its last reference */
	ktime_t dirtied_when; /* c */
	struct mutex lock;    /* RANK_BUF, by rising block number */
	RB_ENTRY(buf) node, dirty_node; /* c */
	TAILQ_ENTRY(buf) lru_link;	/* c: while clean and unreferenced */
};

/* Once per mounted device. @block_size: 1024 to 4096, a multiple of the sector size (-EINVAL).
 * -ENOMEM. */
int buf_cache_init(struct blkdev *dev, u32 block_size);
/* Writes what is dirty, drops all. What cannot be written is counted in a line. None is held. */
void buf_cache_destroy(struct blkdev *dev);
/* Drop every clean unreferenced buf: leak checks, cold-cache measurements. May sleep. */
u64 buf_cache_shrink(struct blkdev *dev);

/* Locked and referenced. bread: read if need be (-EIO, -ENOMEM). bnew: zeroed, not read, dirty. */
int bread(struct blkdev *dev, u64 block, struct buf **out);
int bnew(struct blkdev *dev, u64 block, struct buf **out);
/* Locked buf was changed: it will be written by bsync or the flusher. */
void bdirty(struct buf *b);
void brelse(struct buf *b); /* unlock and drop the reference */
/* The block was freed: its contents are nobody's; never written again: a write under way has ended
 * when this returns. Call it before the block can be allocated again. Not locked by the caller; may
 * sleep, with other bufs locked too. */
void bforget(struct blkdev *dev, u64 block);
/* Write all dirty bufs (ascending) and wait. 0 or the first error; failed ones stay dirty. Does not
 * flush the device. No buf locked by the caller. */
int bsync(struct blkdev *dev);

#endif
