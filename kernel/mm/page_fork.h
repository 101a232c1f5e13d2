/* SPDX-License-Identifier: MIT */
/*
 * page_fork.h - a page that is to be stored to while a device reads it gets a frame of its own
 * (Tux3's page forking, T21).
 */
#ifndef KERNEL_MM_PAGE_FORK_H
#define KERNEL_MM_PAGE_FORK_H

#include "kernel/mm/mapping.h"
#include "kernel/mm/page.h"

enum page_fork {
	PAGE_FORK_DONE,	     /* @page is the copy: locked, one reference, not mapped */
	PAGE_FORK_NEEDLESS,  /* not under I/O, or dirty already: store into it as it is */
	PAGE_FORK_TRY_AGAIN, /* the world changed; PTEs of the page may be gone */
};

/*
 * *@page: locked, referenced, in its file. Put a copy in its place if it is CLEAN and a device
 * reads it: every PTE that maps it goes first, on all CPUs. The old frame keeps the I/O and nothing
 * else, and is freed when that ends. The place in the file stays under writeback (PG_writeback of
 * the copy, TAG_WRITEBACK): who syncs or truncates waits, and no second request for the block
 * starts before the first has ended. Without memory: waits for the I/O, then needless. May sleep.
 */
enum page_fork page_fork(struct page **page);

/* For end_pages_writeback(): tree_lock held, TAG_WRITEBACK cleared for the pages from @page up to
 * (not with) @end. Behind each of them that was replaced, its copy is put into the list, with a
 * reference: it is to be handled like the others. */
void page_fork_end(struct address_space *mapping, struct page *page, const struct page *end);

/* The kernel is about to change the bytes of the locked @page: where the policy promised stable
 * pages, not before the device has read them. May sleep. */
void wait_for_stable_page_slow(struct page *page);

static inline void wait_for_stable_page(struct page *page)
{
	if (unlikely(page_under_io(page)))
		wait_for_stable_page_slow(page);
}

#endif
