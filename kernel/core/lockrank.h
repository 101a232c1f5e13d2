/* SPDX-License-Identifier: MIT */
/*
 * lockrank.h - the one lock order, outermost first, executed.
 *
 * With debug=1 every acquisition checks that its rank is below (greater than) every rank the thread
 * holds, and panics with both names otherwise. Two locks of one rank may be held together only
 * where noted, in the order noted.
 */
#ifndef KERNEL_CORE_LOCKRANK_H
#define KERNEL_CORE_LOCKRANK_H

#include "kernel/lib/types.h"

enum lock_rank {
	RANK_NONE,	 /* not checked: locks of tests */
	RANK_LIBC,	 /* newlib's locks, fd table; several together: recursive by nature */
	RANK_MOUNT,	 /* mount table */
	RANK_NAMESPACE,	 /* sb->namespace: names and directories of one file system */
	RANK_I_RWSEM,	 /* inode->i_rwsem: size and contents against write, truncate */
	RANK_MMAP_LOCK,	 /* mm->mmap_lock: areas of one address space */
	RANK_INVALIDATE, /* mapping->invalidate_lock: faults against truncate and punch */
	RANK_PAGE,	 /* page lock; several of one mapping by rising index */
	RANK_I_MMAP,	 /* mapping->i_mmap_rwsem */
	RANK_FS_ALLOC,	 /* block maps and bitmaps of one file system */
	RANK_BUF,	 /* one metadata buffer; several by rising block number */
	RANK_PGTABLE,	 /* pgtable.lock, spinlock */
	RANK_DIRTY_LOG,	 /* a CPU's log of first stores, spinlock */
	RANK_TREE,	 /* mapping->tree_lock, irqsave */
	RANK_WB_LIST,	 /* wb->list_lock, spinlock */
	RANK_INODE_LIST, /* inode cache, spinlock */
	RANK_DEVICE,	 /* a device's queue, irqsave */
	RANK_VMAP,	 /* address space of vmap, spinlock */
	RANK_SLAB,	 /* an object cache, irqsave */
	RANK_ZONE,	 /* frames, irqsave */
	RANK_WAIT,	 /* a wait queue, irqsave */
	RANK_RUNQUEUE,	 /* irqsave */
	RANK_TIMER,	 /* irqsave */
	RANK_TRACE,
	RANK_CONSOLE,
	NR_RANKS
};

const char *lockrank_name(enum lock_rank rank);

/* debug=1 only; see spinlock.h and sleeplock.h, which call these. @order orders locks of one rank:
 * 0 means two are forbidden, else it must rise. Called before a lock is taken (trylock: after). */
void lockrank_acquire(const void *lock, enum lock_rank rank, u64 order, const char *name);
/* The lock was got without waiting, in whatever order: nobody can be kept waiting by that. */
void lockrank_tried(const void *lock, enum lock_rank rank, u64 order, const char *name);
void lockrank_release(const void *lock);
/* Is @lock held by the current thread? Exact only with debug=1. */
bool lockrank_holds(const void *lock);
/* Panics unless no ranked lock is held by the current thread. */
void lockrank_assert_none(const char *where);
/* The same for locks inside @rank. */
void lockrank_assert_none_inside(enum lock_rank rank, const char *where);
/* One line per held lock of the current thread, for panic. */
void lockrank_dump(void);

#endif
