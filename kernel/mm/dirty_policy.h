/* SPDX-License-Identifier: MIT */
/*
 * dirty_policy.h - all that the mechanism asks, and all that a policy may know.
 *
 * How does the kernel learn that a page of a shared file mapping was written, and what does
 * cleaning leave in the PTE? A policy answers these questions in one file of kernel/mm/policy/;
 * it sees no page table, no TLB, no inode. A wrong answer may cost faults, shootdowns or writes; it
 * cannot lose a store: the mechanism accounts for every writable PTE whatever the answer was. The
 * one exception is said aloud: a policy that refuses to harvest must declare in @breaks what that
 * breaks, or it is not asked.
 *
 * Answers are given under the page lock (and pgtable.lock), may not sleep, and may run on several
 * CPUs at once. Rank 0 includes only.
 */
#ifndef KERNEL_MM_DIRTY_POLICY_H
#define KERNEL_MM_DIRTY_POLICY_H

#include "kernel/lib/sections.h"
#include "kernel/lib/types.h"

/*
 * What happened to a file so far. Counted without a lock, so that events which race may count as
 * one: good for estimates.
 */
#define POLICY_HISTORY 3
struct policy_history {
	u64 passes;		    /* syncs, flusher's passes, also with nothing to do */
	u64 harvests;		    /* that read PTEs */
	s64 ptes;		    /* read by a harvest, on the average of some 8 */
	s64 memory[POLICY_HISTORY]; /* the policy's own; zero at first, or another's */
};

/* What a policy is told about the page in question, and the area that is concerned. */
struct policy_page {
	u64 file;			/* a number that stands for the file */
	struct policy_history *history; /* of the file */
	u64 index;			/* in pages */
	bool dirty;			/* stored to since it was cleaned, as far as is known */
	bool writeback;			/* its I/O is in flight */
	bool locked;			/* the area is mlock()ed */
	bool asked;			/* the area asked: MADV_STAY_WRITABLE, MADV_WILL_WRITE */
};

/* Argument scope=: which areas a policy that leaves pages writable does it for. policy.c. */
enum policy_scope { SCOPE_ALL, SCOPE_LOCKED, SCOPE_ASKED };
extern unsigned int policy_scope;

static inline bool policy_in_scope(const struct policy_page *page)
{
	return policy_scope == SCOPE_ALL || (policy_scope == SCOPE_LOCKED && page->locked) ||
	       (policy_scope == SCOPE_ASKED && page->asked);
}

/* A page of a writable shared mapping is about to be mapped by a read fault. */
enum policy_map {
	POLICY_MAP_READONLY, /* the first store shall fault */
	POLICY_MAP_WRITABLE, /* no notice: the page becomes MAYBE_DIRTY; page_mkwrite runs first */
};

/* A store faulted; the file system agreed. The PTE becomes writable in any case. */
enum policy_grant {
	POLICY_GRANT_DIRTY, /* D set, the page is DIRTY: written once for this fault */
	POLICY_GRANT_CLEAN, /* D clear, MAYBE_DIRTY: only the hardware knows from here on */
	POLICY_GRANT_LOG,   /* D set; a page that is MAYBE_DIRTY stays so and goes into the log of
			     * this CPU (else as GRANT_DIRTY): harvest reads the log, not the PTE */
	POLICY_GRANT_FORK,  /* a page under I/O is replaced by a copy, which becomes DIRTY; else as
			     * GRANT_DIRTY */
};

/* The page is being written out, or was asked for by on_harvest(). Asked for each area that maps
 * it; page->dirty false: a MAYBE_DIRTY page without dirt. */
enum policy_clean {
	POLICY_CLEAN_PROTECT, /* take W and D: the next store faults */
	POLICY_CLEAN_CLEAR_D, /* take D only: the page becomes MAYBE_DIRTY, stores stay silent */
	POLICY_CLEAN_LOG,     /* take W and D, but the page becomes MAYBE_DIRTY: its next store is
			       * logged (POLICY_GRANT_LOG) instead of tagged */
};

/* Who wants to know whether pages that may be dirty are. Truncation and unmapping do not ask. */
enum policy_harvest_why {
	HARVEST_MSYNC,	  /* msync(MS_SYNC) of the area's range */
	HARVEST_FSYNC,	  /* fsync, fdatasync, sync, unmount */
	HARVEST_PERIODIC, /* the flusher */
	HARVEST_TIMES,	  /* stat, msync(MS_ASYNC) and others that look at the file's times */
};

/* 64 neighbours that were just harvested; bit i is page @first + i. */
#define POLICY_MEMORY 7
struct policy_group {
	u64 file, first;
	struct policy_history *history; /* of the file */
	u64 maybe;			/* MAYBE_DIRTY pages that were asked */
	u64 dirty;   /* those of them that were stored to since the policy was told last */
	u64 *memory; /* POLICY_MEMORY words of the policy's own, zero at first, kept as long as a
		      * page of the group is cached; another policy may have left its own there */
};

/*
 * What may be promised to who uses a file: each is tested for each policy by `lab`. A policy
 * declares what it gives up by design; a cell of the table that differs fails the test.
 */
enum guarantee {
	GUARANTEE_NO_LOST_STORE,  /* a store that was followed by msync(MS_SYNC) is on disk */
	GUARANTEE_FSYNC_COMPLETE, /* the same for fsync() */
	GUARANTEE_SYNC_ENDS,	  /* msync and fsync return although stores go on */
	GUARANTEE_AGE_BOUNDED,	  /* any store is on disk after age + period */
	GUARANTEE_NR_DIRTY_EXACT, /* the count of dirty pages is that of pages stored to */
	GUARANTEE_ENOSPC_BEFORE,  /* a full disk is known before the store */
	GUARANTEE_REFUSAL_TOLD,	  /* a store that the file cannot take is refused to the thread that
				   * stored, with its address, and changes nothing */
	GUARANTEE_POSIX_TIMES,	/* st_mtime is not older than a store before the last msync, stat */
	GUARANTEE_COOKIE,	/* who caches by the change cookie never trusts a stale copy */
	GUARANTEE_STABLE_PAGES, /* a page does not change while it is under I/O */
	GUARANTEE_NO_HOT_FAULT, /* a page that is stored to for ever faults once and not again */
	GUARANTEE_THROTTLED,	/* pages that may be dirty stay below the limit */
	GUARANTEE_GONE_IS_GONE, /* what was punched out or cut off never comes back */
	GUARANTEE_DIRECT_COHERENT, /* ordered stores and direct I/O see each other, dio=coherent */
	GUARANTEE_PROTECTION,	   /* no store passes mprotect; none is lost by it, mremap, fork */
	GUARANTEE_RECLAIM,    /* a page that left memory comes back with what was stored to it */
	GUARANTEE_COPIES_END, /* write(), read() with a mapping of the same page end, bytes right */
	NR_GUARANTEES
};

struct dirty_policy {
	const char *name;
	const char *summary; /* one line for `policy` in the shell */
	/* NULL: POLICY_MAP_READONLY */
	enum policy_map (*on_read_fault)(const struct policy_page *page);
	/* NULL: POLICY_GRANT_DIRTY */
	enum policy_grant (*on_write_fault)(const struct policy_page *page);
	/* NULL: POLICY_CLEAN_PROTECT */
	enum policy_clean (*how_to_clean)(const struct policy_page *page);
	/* Returns the pages of @group->maybe & ~@group->dirty that how_to_clean() shall be asked
	 * about now (with page->dirty false). Under tree_lock: short. NULL: none. */
	u64 (*on_harvest)(const struct policy_group *group);
	/* on_harvest() is called in every so many harvests of a file, which read all PTEs, also
	 * where nothing was touched; the others cost no more than without it. 0: in each. */
	unsigned int tell_every;
	/* Shall MAYBE_DIRTY pages be asked now? False is only heeded for MSYNC and FSYNC if
	 * @breaks has GUARANTEE_FSYNC_COMPLETE, and for TIMES if it has GUARANTEE_POSIX_TIMES.
	 * NULL: yes. */
	bool (*harvest_now)(enum policy_harvest_why why);
	/* A store's fault makes the page writable before the file system is asked whether it can
	 * take it, against rule 3. Only heeded if @breaks has GUARANTEE_ENOSPC_BEFORE. */
	bool grants_first;
	u64 breaks; /* 1 << enum guarantee: given up by design */
};

#define DIRTY_POLICY(id) REGISTER(policies, struct dirty_policy, dirty_policy_##id)
#define BREAKS(what)	 (1ul << GUARANTEE_##what)

#endif
