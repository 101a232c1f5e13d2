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
	bool stop, kick, look; /* a: all files, or those that were named, shall be written */
	int parked;	       /* >0: tests hold it still */
	bool busy;
	struct address_space *current; /* list_lock: the file being written */
	char name[16];
	/* Throttling: pages whose I/O ended so far (a); and by list_lock: what there was of them at
	 * the start of the window, and when; when the rate was asked for last; pages a second, 0:
	 * not known; when the last turn given away is. */
	u64 pages_done, window_done;
	ktime_t window_start, rate_asked;
	u64 rate;
	ktime_t turn;
	/* Also written each pass: the file systems' metadata (buffers). May be NULL. */
	int (*sync_metadata)(struct writeback *wb, enum sync_mode mode);
};

/* Start the flusher thread "flush-@name". 0 or -ENOMEM. */
int writeback_start(struct writeback *wb, const char *name);
/* Writes what is left, ends the thread. */
void writeback_stop(struct writeback *wb);
/* The flusher looks now. Any context. */
void writeback_kick(struct writeback *wb);
/* The same for @mapping alone: it counts as old, if it is dirty. Any thread context. */
void writeback_kick_file(struct address_space *mapping);
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

/* @fn of every mapping there is; it may not sleep. */
void mappings_for_each(void (*fn)(struct address_space *mapping));

#endif
