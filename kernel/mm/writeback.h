/* SPDX-License-Identifier: MIT */
/*
 * writeback.h - when dirty pages are written, and by whom.
 */
#ifndef KERNEL_MM_WRITEBACK_H
#define KERNEL_MM_WRITEBACK_H

#include "kernel/core/sched.h"
#include "kernel/mm/dirty_policy.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/page_dirty.h"

/* Pages cleaned under one shootdown at most. */
#define WRITEBACK_BATCH 1024

struct writeback_control {
	enum sync_mode mode;
	enum policy_harvest_why why; /* HARVEST_MSYNC, HARVEST_FSYNC or HARVEST_PERIODIC */
	bool protect;		     /* leave no page MAYBE_DIRTY, whatever the policy says */
	bool precleaned;	     /* after preclean(): do not harvest, hot pages stay dirty */
	pgoff_t first, last;	     /* pages, inclusive */
	u64 nr_to_write;	     /* pages left in the budget; ~0 for syncs */
	u64 written;		     /* out */
	/* Who will wait for the I/O, so that its end need not be looked for page by page; the file
	 * system's (kernel/fs/pageio.h), NULL: nobody. */
	struct data_sync *sync;
};

/* One device's dirty files and the thread that writes them. Embedded in struct blkdev. */
struct writeback {
	struct spinlock list_lock;	   /* RANK_WB_LIST */
	TAILQ_HEAD(, address_space) dirty; /* list_lock: oldest first */
	struct wait_queue wait;		   /* the flusher sleeps here */
	struct wait_queue idle;		   /* who waits for the flusher to be parked */
	struct thread *flusher;
	bool stop, kick;
	int parked; /* >0: tests hold it still */
	bool busy;
	struct address_space *current; /* list_lock: the file being written */
	char name[16];
	/* Also written each pass: the file systems' metadata (buffers). May be NULL. */
	int (*sync_metadata)(struct writeback *wb, enum sync_mode mode);
};

/* Start the flusher thread "flush-@name". 0 or -ENOMEM. */
int writeback_start(struct writeback *wb, const char *name);
/* Writes what is left, ends the thread. */
void writeback_stop(struct writeback *wb);
/* The flusher looks now. Any context. */
void writeback_kick(struct writeback *wb);
/* Tests: returns when the flusher is idle and will stay so until unparked. May sleep. */
void writeback_park(struct writeback *wb);
void writeback_unpark(struct writeback *wb);

/* Put @mapping on its device's dirty list (pages or AS_DIRTY_*). Any thread context, page lock
 * held or not. */
void mapping_mark_dirty(struct address_space *mapping);

/* Start writing the dirty pages of the range: harvest those that may be, pick all that are (so that
 * it ends although stores go on, rule 32), clean and write what was picked. SYNC_DATA/FULL: also
 * waits for I/O that was in flight on a dirty page (rule 31). Returns 0 or the first error of
 * submission. May sleep; no page locked. */
int filemap_fdatawrite_range(struct address_space *mapping, struct writeback_control *wbc);
/* Wait for all I/O of the range. What became of it: mapping_failed_since(). */
void filemap_fdatawait_range(struct address_space *mapping, pgoff_t first, pgoff_t last);
/* Both, for data. 0, or the error if a write of the file failed meanwhile; no open file has been
 * told of it by this (B20). */
int filemap_write_and_wait_range(struct address_space *mapping, pgoff_t first, pgoff_t last,
				 enum policy_harvest_why why);
/* Is there anything for the two to do? One load; the stores in question happened before. */
static inline bool mapping_needs_sync(const struct address_space *mapping)
{
	return radix_tagged_any(&mapping->pages, 1 << TAG_DIRTY | 1 << TAG_WRITEBACK |
							 1 << TAG_TOWRITE | 1 << TAG_MAYBE);
}

/* throttle.c: called by who dirtied a page of device @wb (NULL: memory only), with no lock held;
 * may sleep when there is too much dirt. */
void balance_dirty_pages_slow(struct writeback *wb);
extern s64 background_limit; /* pages; throttle.c */

static inline void balance_dirty_pages(struct writeback *wb)
{
	if (unlikely(READ_ONCE(nr_dirty) > READ_ONCE(background_limit)))
		balance_dirty_pages_slow(wb);
}

/* Boot: limits in pages from the arguments and the size of memory. */
void throttle_init(void);

#endif
