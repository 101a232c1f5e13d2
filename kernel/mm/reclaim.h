/* SPDX-License-Identifier: MIT */
/*
 * reclaim.h - frames of cached pages become free again.
 */
#ifndef KERNEL_MM_RECLAIM_H
#define KERNEL_MM_RECLAIM_H

#include "kernel/mm/page.h"

/* --- reclaim.c: which page goes --- */

/*
 * Turn the clock until @target cached pages have left and their frames are free, or @scan frames
 * were passed. Returns how many left. Pages that should leave but are dirty are left to the
 * flusher, which is woken. Waits for no lock and no I/O, allocates nothing; interrupts on and no
 * spinlock held, since it may have to wait for a shootdown.
 */
u64 reclaim_pages(u64 target, u64 scan);
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

#endif
