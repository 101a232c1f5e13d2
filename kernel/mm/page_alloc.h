/* SPDX-License-Identifier: MIT */
/*
 * page_alloc.h - frames: a buddy allocator with per-CPU caches of single frames.
 */
#ifndef KERNEL_MM_PAGE_ALLOC_H
#define KERNEL_MM_PAGE_ALLOC_H

#include "kernel/mm/page.h"

struct boot_info;

#define MAX_ORDER 10 /* largest block: 2^10 pages, 4 MiB */

/* Boot, in this order. early_init: what is free, from the memory map; too little memory is a
 * sentence and the end. early_alloc: a zeroed frame below 4 GiB, for pgtable_boot(); panics when
 * there is none; not after page_alloc_init. page_alloc_init: struct pages for all memory, the buddy
 * lists, page tables' memory; needs the final tables and this CPU's %gs. */
void early_init(const struct boot_info *info);
paddr_t early_alloc(void);
void page_alloc_init(const struct boot_info *info);

/* Between early.c and page_alloc.c: up to @want contiguous frames, *@got of them, not zeroed; what
 * is left in the end, sorted. */
struct boot_range;
paddr_t early_take(u64 want, u64 *got);
const struct boot_range *early_left(unsigned int *nr);

enum alloc_flags {
	ALLOC_NORMAL = 0,
	ALLOC_ZERO = 1,
	/* Worth waiting for: makes room (kreclaimd.c) and sleeps until there is some; NULL: out of
	 * memory. No lock held of rank RANK_I_MMAP or below, none that writing a page out needs;
	 * page locks only of pages that nobody could write or use yet. */
	ALLOC_WAIT = 2,
	/* The reserve too, as threads with ->writes_out and interrupts may: what is needed to write
	 * pages out can always be had, so that there will be room again (rule 130). */
	ALLOC_RESERVE = 4,
};

/* 2^@order contiguous frames, refs 1 on the first; NULL if there are none. Without ALLOC_WAIT it
 * does not sleep; any context. */
struct page *alloc_pages(unsigned int order, enum alloc_flags flags);
static inline struct page *alloc_page(enum alloc_flags flags)
{
	return alloc_pages(0, flags);
}
/* @page as returned by alloc_pages(@order), refs 1: somebody else's reference is a bug. */
void free_pages(struct page *page, unsigned int order);
/* page_put() at zero: a single frame whose refs just became 0. */
void free_unreferenced(struct page *page);

/* Frames that have a struct page, reserved ones and holes included, as blocks of 2^MAX_ORDER: how
 * many there are, and the first of the @n-th. */
u64 nr_frame_blocks(void);
struct page *frame_block(u64 n);

/* Of the frames in the lists of all CPUs: fewer than @low, and reclaim_wake() is called; the last
 * @reserve are kept. */
void page_alloc_set_marks(u64 reserve, u64 low);
u64 nr_shared_pages(void);   /* frames in those lists */
void drain_page_cache(void); /* this CPU's cache goes back to them; any context */
/* Injection (rule 130): so many allocations of frames or objects succeed, and then @alloc_fail_nr
 * fail. */
extern u64 alloc_fail_after, alloc_fail_nr;
bool alloc_fails_slow(void);
static inline bool alloc_fails(void)
{
	return unlikely(READ_ONCE(alloc_fail_nr)) && alloc_fails_slow();
}

u64 nr_total_pages(void); /* handed to the allocator at boot */
u64 nr_free_pages(void);  /* per-CPU caches included; exact when the others are quiet */
/* Give the per-CPU caches of all CPUs back to the buddy lists: for tests. May sleep. */
void drain_page_caches(void);

#endif
