/* SPDX-License-Identifier: MIT */
/*
 * mapping.h - struct address_space: the cached pages of one file, who maps them, what they owe.
 *
 * The file system embeds one in each inode and fills a_ops; mm reaches the file system through
 * a_ops and vm_operations only, and never names an inode.
 */
#ifndef KERNEL_MM_MAPPING_H
#define KERNEL_MM_MAPPING_H

#include <sys/queue.h>

#include "kernel/core/sleeplock.h"
#include "kernel/core/spinlock.h"
#include "kernel/lib/errseq.h"
#include "kernel/lib/radix.h"
#include "kernel/mm/dirty_policy.h"
#include "kernel/mm/i_mmap.h"
#include "kernel/mm/page.h"

struct address_space;
struct dirty_policy;
struct writeback;
struct writeback_control;

/* Tags of mapping->pages. */
enum {
	TAG_DIRTY,     /* page->dirty == PAGE_DIRTY (P3) */
	TAG_WRITEBACK, /* PG_writeback */
	TAG_TOWRITE,   /* picked by a running sync: it ends although stores go on (rule 32) */
	TAG_MAYBE,     /* page->dirty == PAGE_MAYBE_DIRTY (P3) */
};

enum sync_mode {
	SYNC_NONE, /* background: skip what is busy, start I/O, do not wait */
	SYNC_DATA, /* fdatasync, MS_SYNC: data and what is needed to find it */
	SYNC_FULL, /* fsync: times too */
};

/*
 * Method matrix. "page" = page lock held, "may sleep" everywhere.
 *
 * | method		| called by		| locks held				|
 * | readpages		| filemap.c		| page locks of the list (invalidate r)	|
 * | prepare_write	| filemap.c, memory.c	| page (i_rwsem w if from write())	|
 * | make_room		| filemap.c		| no page (i_rwsem w, mmap_lock r)	|
 * | writepages		| writeback.c		| none; every page has PG_writeback	|
 * | invalidate_page	| truncate.c		| page					|
 * | release_page	| truncate.c, reclaim	| page					|
 * | fsync		| msync.c, file.c	| none					|
 * | write_inode	| writeback.c		| none					|
 * | flush_cmtime	| flusher.c		| none					|
 * | note_store	| memory.c, grant.c	| mmap_lock r				|
 */
struct address_space_operations {
	/*
	 * Read @pages: locked, in the tree, not up to date, contiguous indices. Returns after
	 * submission. Each page ends PG_uptodate or PG_error, and unlocked by
	 * filemap_end_read(page, error) (from any context). Holes and bytes past EOF read as zeros.
	 */
	void (*readpages)(struct address_space *mapping, struct page_list *pages);
	/*
	 * Bytes [@from, @to) of the locked, up-to-date @page (or one that will be overwritten
	 * whole) are about to be stored to: find or reserve blocks. Idempotent and cheap when that
	 * was done before (PG_blocks). -ENOSPC, -EIO, ...: nothing changed. NULL: nothing to do.
	 */
	int (*prepare_write)(struct address_space *mapping, struct page *page, unsigned int from,
			     unsigned int to);
	/* prepare_write() has said -ENOSPC: true if it may say something else now, since others did
	 * not need all that they were promised (rule 96). May write files. NULL: no. */
	bool (*make_room)(struct address_space *mapping);
	/*
	 * Write @pages: PG_writeback set, unlocked, referenced, ascending indices with gaps. The
	 * callee starts I/O and returns; each page ends by end_page_writeback(), which also drops
	 * the reference. page->next belongs to the I/O while PG_writeback is set. What cannot be
	 * written is told by page_write_failed() before its end_page_writeback().
	 */
	void (*writepages)(struct address_space *mapping, struct page_list *pages,
			   struct writeback_control *wbc);
	/* The locked @page leaves the file, and with it whatever was stored to it: what
	 * prepare_write() reserved for it goes back. No PTE maps it, no I/O is under way. NULL:
	 * nothing to do. */
	void (*invalidate_page)(struct address_space *mapping, struct page *page);
	/* May the locked, clean, unmapped @page leave the cache? 0, and then it does; or -EBUSY: it
	 * stays, and who asked is told (P21). Does not wait. NULL: it may. */
	int (*release_page)(struct address_space *mapping, struct page *page);
	/* Make [first, last] (pages) durable: data, blocks, size; SYNC_FULL: times too; then the
	 * device's cache. @why: HARVEST_MSYNC or HARVEST_FSYNC. Goes on past errors; 0 or the first
	 * one, but for those of pages: these are in wb_err, from where each open file is told by
	 * itself. NULL: nothing to do (ramfs). */
	int (*fsync)(struct address_space *mapping, pgoff_t first, pgoff_t last,
		     enum sync_mode mode, enum policy_harvest_why why);
	/* Write the inode into its block (the buffer becomes dirty). NULL: nothing to do. */
	int (*write_inode)(struct address_space *mapping, enum sync_mode mode);
	/* AS_CMTIME was noted, and pages were cleaned for write-out: settle the file times. The
	 * callee tests and clears the flag before it reads the clock (rules C.2.1). NULL: no
	 * times. */
	void (*flush_cmtime)(struct address_space *mapping);
	/* With AS_NOTE_STORE: a fault made pages writable, and the store comes next. See arm.h. */
	void (*note_store)(struct address_space *mapping);
};

enum mapping_flag {
	AS_CMTIME,     /* D bits were taken for which the times were not moved yet */
	AS_LOST,       /* a page that could not be written was dropped: the disk has older bytes */
	AS_DIRTY_TIME, /* the inode's times differ from the disk's */
	AS_DIRTY_META, /* size or blocks differ: fdatasync needs write_inode */
	AS_SILENT, /* a PTE may be stored through that neither a DIRTY page nor the log tells of */
	AS_LOG_LOST,	 /* the log overflowed: the next harvest must scan */
	AS_DEFERRED,	 /* CPUs may store through entries whose PTEs lost W or D: preclean.h */
	AS_NOTE_STORE,	 /* i: a_ops->note_store wants to hear of stores' faults; arm.c */
	AS_ARMED,	 /* i to set: the next store traps, whatever its page; arm.c */
	AS_NO_WRITEBACK, /* memory only (ramfs): no write-notify faults (P3 of seeds) */
};

/* t: tree_lock   i: i_mmap_rwsem   w: wb->list_lock   s: at creation   a: atomic */
struct address_space {
	const struct address_space_operations *a_ops; /* s */
	void *host;				      /* s: the file system's inode; opaque here */
	u64 ino;				      /* s: for traces and messages */
	u64 size; /* file size in bytes. a: written under i_rwsem (fs); read by anyone, untorn */
	unsigned long flags;	   /* a: AS_* */
	u32 wb_err;		   /* a: failed writes, for who has the file open: errseq.h */
	u32 nr_failed;		   /* a: how many pages; for who waits and tells nobody */
	struct spinlock tree_lock; /* irqsave: completions clear tags */
	struct radix_tree pages;   /* t */
	struct rwsem i_mmap_rwsem;
	struct i_mmap i_mmap; /* i: shared and private areas that map this file */
	struct rwsem invalidate_lock;
	const struct dirty_policy *policy; /* a: NULL: the global one */
	struct policy_history history;	   /* no lock: estimates, for policies */
	struct writeback *wb;		   /* s: the device's; NULL with AS_NO_WRITEBACK */
	/* Side by side: a store's fault wants to know both by one look. */
	u8 on_dirty_list;		       /* w */
	u8 has_kept;			       /* t: nr_kept is not 0 */
	u32 nr_kept;			       /* t: pages with PG_kept */
	ktime_t dirtied_when;		       /* w: when it came on the list; 0: write it now */
	ktime_t turn;			       /* w: throttle.c */
	TAILQ_ENTRY(address_space) dirty_link; /* w */
	TAILQ_ENTRY(address_space) all_link;   /* flusher.c's list of all, for audits */
	u64 nr_writeback; /* t: pages with TAG_WRITEBACK; truncate and evict wait */
	u64 nr_unwritten; /* t: pages with TAG_DIRTY or TAG_MAYBE, and nr_writeback */
	u64 nr_maybe;	  /* t: pages with TAG_MAYBE */
	s64 nr_waived;	  /* t: those that throttling does not count: mapping_count_maybe() */
	/* a: what throttling compares nr_unwritten with (throttle.c), in pages. */
	u64 background, dirty_limit;
	bool own_limit;	 /* a: not what the argument says */
	u64 nr_replaced; /* t: frames under I/O whose place a copy has taken; page_fork.c */
};

/* @wb NULL: memory only. The host's lifetime covers every use. */
void mapping_init(struct address_space *mapping, const struct address_space_operations *a_ops,
		  void *host, u64 ino, struct writeback *wb);
/* Before the host dies: no area maps it, all pages written or dropped. May sleep. */
void mapping_destroy(struct address_space *mapping);

static inline bool mapping_writeback(const struct address_space *mapping)
{
	return mapping->wb != NULL;
}

/* A fault has just made a page writable: tell who wants to hear of it. No page lock held. */
static inline void mapping_tell_store(struct address_space *mapping)
{
	if (unlikely(test_bit(&mapping->flags, AS_NOTE_STORE)) && mapping->a_ops->note_store)
		mapping->a_ops->note_store(mapping);
}

/*
 * A write of the file failed (rule 74), and before PG_writeback goes (rule 81). Whatever the device
 * said, a file knows two errors: -ENOSPC is told as that, all others as -EIO (rule 80). True: it is
 * news; false: nobody has been told yet of the one before. Any context.
 */
bool mapping_set_error(struct address_space *mapping, int error);
/* The same, of the page under I/O @page, before end_page_writeback(). wberr=keep: its data will be
 * written again; drop: never. Any context. */
bool page_write_failed(struct page *page, int error);
/* For the kernel's own waiters, which must not use up what a program is to be told (B20): 0, or the
 * error, if a write has failed since mapping->nr_failed was @before. */
static inline int mapping_failed_since(const struct address_space *mapping, u32 before)
{
	return likely(READ_ONCE(mapping->nr_failed) == before) ? 0 : errseq_last(&mapping->wb_err);
}

#endif
