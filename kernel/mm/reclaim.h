/* SPDX-License-Identifier: MIT */
/*
 * reclaim.h - frames of cached pages become free again.
 */
#ifndef KERNEL_MM_RECLAIM_H
#define KERNEL_MM_RECLAIM_H

#include "kernel/mm/page.h"

#include "kernel/mm/page_alloc.h"

/* --- reclaim.c: which page goes --- */

enum reclaim_whom {
	RECLAIM_UNUSED,
	RECLAIM_ANY, /* used ones, too: nothing else is left */
};

/*
 * Turn the clock until @target cached pages have left and their frames are free, or @scan frames
 * were passed. Returns how many left. Pages that should leave but are dirty are left to the
 * flusher, which is woken. Waits for no lock and no I/O, allocates nothing; interrupts on and no
 * spinlock held, since it may have to wait for a shootdown.
 */
u64 reclaim_pages(u64 target, u64 scan, enum reclaim_whom whom);
/* May it be called here? Not by who is inside. */
bool reclaim_possible(void);
/* How far the clock goes round: frames that have a struct page. */
u64 reclaim_revolution(void);

/*
 * One page, used or not: unmap it and take it out of its file. @page is not locked; the caller's
 * reference is given up. False: it stays (locked, dirty, under I/O, of mlock(), referenced by
 * others); then PTEs of it may be gone. For tests. The conditions of reclaim_pages().
 */
bool reclaim_page(struct page *page);

/* --- kreclaimd.c: when it is time --- */

/* Boot: the marks, and the thread. */
void reclaim_start(void);
/* Free memory is low. Any context. */
void reclaim_wake(void);
/* Tests: the thread is idle when this returns, and stays so. May sleep. */
void reclaim_park(void);
void reclaim_unpark(void);

/* How often somebody has tried; all zero at first. */
struct patience {
	unsigned int rounds, fruitless;
	u64 progress;
};
/*
 * There was no memory for something that the caller waits for: true, perhaps after sleeping, when
 * it is worth trying again; false: the system is out of memory, or the thread is told to end. The
 * conditions of ALLOC_WAIT. Where nothing can be made free at all it ends soon; where pages are
 * being written it waits for that, and if none comes for oom_patience= milliseconds it ends.
 */
bool wait_for_memory(struct patience *p, unsigned int order);
/* The rest of alloc_pages(), ALLOC_WAIT. */
struct page *alloc_pages_waiting(unsigned int order, enum alloc_flags flags);
/* Without waiting for anything but shootdowns, in any context: where it is allowed, some clean
 * pages leave. True: try again. */
bool make_room_now(unsigned int order);

/* --- oom.c: where memory went --- */

/* Frames. Anonymous: mapped, and of no file; tables: of all address spaces and the kernel. */
struct memory_use {
	u64 total, free, cache, mapped, dirty, writeback, anonymous, slabs, tables;
};
/* Looks at every frame. Any context. */
void memory_use(struct memory_use *use);
/* One line on the console. */
void memory_report(void);

#endif
