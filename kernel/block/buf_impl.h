/* SPDX-License-Identifier: MIT */
/*
 * buf_impl.h - what buf.c and bsync.c share; nobody else includes it.
 */
#ifndef KERNEL_BLOCK_BUF_IMPL_H
#define KERNEL_BLOCK_BUF_IMPL_H

#include "kernel/block/buf.h"

#define BUF_BATCH 32 /* copies in flight at once */

RB_HEAD(buf_tree, buf);
RB_HEAD(buf_dirty_tree, buf);

/* s: at creation   c: lock   y: who set syncing   a: atomic */
struct buf_cache {
	struct blkdev *dev; /* s */
	u32 block_size;	    /* s */
	struct spinlock lock;
	struct buf_tree tree;	      /* c: all but the forgotten */
	struct buf_dirty_tree dirty;  /* c */
	TAILQ_HEAD(, buf) lru;	      /* c: clean and unreferenced, oldest first */
	unsigned int nr_lru;	      /* c */
	unsigned int nr_unclean;      /* c: dirty or being written; may be read without */
	bool syncing;		      /* c */
	struct wait_queue wait;	      /* for: syncing false, a buf's writing false */
	u8 *copies;		      /* y: BUF_BATCH blocks */
	struct buf *batch[BUF_BATCH]; /* y: what they are copies of, rising */
	int error[BUF_BATCH];	      /* y: written by completions */
	unsigned int nr_batch;	      /* y */
	int pending;		      /* a: requests of the batch in flight, and their submitter */
	unsigned long busy;	      /* a: bit 0: pending is not 0 */
};

/* The cache lock is held in all of these. */
void buf_get_ref(struct buf_cache *c, struct buf *b);
/* Returns a buf that has to be given to buf_free(), without the lock, or NULL. */
struct buf *buf_drop_ref(struct buf_cache *c, struct buf *b);
void buf_tree_set_dirty(struct buf_cache *c, struct buf *b);
void buf_tree_clear_dirty(struct buf_cache *c, struct buf *b);

void buf_free(struct buf *b); /* NULL is allowed */

/* The buf's mutex, told to lockrank with its place in the order. */
void buf_lock(struct buf *b);
bool buf_trylock(struct buf *b);
void buf_unlock(struct buf *b);

#endif
