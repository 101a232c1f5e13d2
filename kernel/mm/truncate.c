/* SPDX-License-Identifier: MIT */
/*
 * truncate.c - pages leave a file: its end moved, or nobody needs them.
 *
 * Owns:  the order in which size, PTEs and pages go (rule 99).
 * Not:   freeing blocks (the file system, afterwards), PTEs themselves (memory.c).
 * Locks: i_rwsem w by the caller; invalidate_lock w while shrinking; one page lock at a time.
 * Key fact: a fault installs a PTE with the page locked, after it looked at page->mapping and at
 *        the size. We publish the size first and drop each page under its lock, so that a fault
 *        either sees the new size or installed its PTE before we came to unmap (B15).
 */
#include "kernel/mm/truncate.h"

#include <string.h>
#include <sys/errno.h>

#include "kernel/core/delay.h"
#include "kernel/core/trace.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/page_fork.h"
#include "kernel/mm/rmap.h"

#define GANG 64

/* Take one page out; true if it went. */
static bool drop_page(struct address_space *mapping, struct page *page, enum drop_mode mode)
{
	bool gone = true;

	if (mode == DROP_DIRTY)
		lock_page(page);
	else if (!trylock_page(page))
		return false;
	if (page->mapping != mapping)
		goto out;
	if (mode == DROP_CLEAN_ONLY &&
	    (page->dirty != PAGE_CLEAN || page_writeback(page) || atomic_load(&page->mapcount) ||
	     test_bit(&page->flags, PG_d_seen))) {
		gone = false;
		goto out;
	}
	if (mode == DROP_CLEAN_ONLY && mapping->a_ops->release_page &&
	    mapping->a_ops->release_page(mapping, page)) {
		gone = false;
		goto out;
	}
	wait_on_page_writeback(page);
	/* A fault that had looked at the old size may have mapped it after the first unmapping; it
	 * held the page lock then, we hold it now. */
	if (atomic_load(&page->mapcount))
		unmap_mapping_range(mapping, page->index, page->index, ZAP_FILE_ONLY);
	cancel_page_dirty(page);
	if (mode == DROP_DIRTY && mapping->a_ops->invalidate_page)
		mapping->a_ops->invalidate_page(mapping, page);
	remove_from_page_cache(page);
out:
	unlock_page(page);
	return gone;
}

u64 drop_mapping_pages(struct address_space *mapping, pgoff_t first, pgoff_t last,
		       enum drop_mode mode)
{
	struct page *pages[GANG];
	u64 flags, left = 0;
	unsigned int n, i;

	do {
		flags = spin_lock_irqsave(&mapping->tree_lock);
		n = radix_gang(&mapping->pages, first, last, (void **)pages, GANG);
		for (i = 0; i < n; i++)
			page_get(pages[i]);
		spin_unlock_irqrestore(&mapping->tree_lock, flags);
		for (i = 0; i < n; i++) {
			first = pages[i]->index + 1;
			left += !drop_page(mapping, pages[i], mode);
			page_put(pages[i]);
		}
	} while (n == GANG && first <= last && first);
	return left;
}

void zero_old_tail(struct address_space *mapping, u64 size)
{
	unsigned int offset = size & ~PAGE_MASK;
	struct page *page;

	if (!offset)
		return;
	page = find_lock_page(mapping, size >> PAGE_SHIFT);
	if (!page)
		return;
	if (page_uptodate(page)) {
		wait_for_stable_page(page);
		memset((char *)page_address(page) + offset, 0, PAGE_SIZE - offset);
	}
	unlock_page(page);
	page_put(page);
}

void pagecache_isize_extended(struct address_space *mapping, u64 from)
{
	struct page *page;

	if (!(from & ~PAGE_MASK) || !mapping_writeback(mapping))
		return;
	page = find_lock_page(mapping, from >> PAGE_SHIFT);
	if (!page)
		return;
	/* Its dirtiness stays: D goes to the page's state. */
	if (page_mkclean(page))
		page_harvest(page);
	clear_bit(&page->flags, PG_blocks);
	unlock_page(page);
	page_put(page);
}

/* The last page keeps its head; the tail becomes zeros, in the cache and by the next writeback on
 * disk. */
static int zero_partial_page(struct address_space *mapping, u64 size)
{
	unsigned int offset = size & ~PAGE_MASK;
	struct page *page;
	int err;

	if (!offset)
		return 0;
	for (;;) {
		err = read_mapping_page(mapping, size >> PAGE_SHIFT, NULL, &page);
		if (err)
			return err;
		lock_page(page);
		if (likely(page->mapping == mapping))
			break;
		unlock_page(page);
		page_put(page);
	}
	wait_on_page_writeback(page);
	memset((char *)page_address(page) + offset, 0, PAGE_SIZE - offset);
	clear_bit(&page->flags, PG_blocks);
	set_page_dirty(page);
	unlock_page(page);
	page_put(page);
	return 0;
}

static int shrink(struct address_space *mapping, u64 size)
{
	pgoff_t first = DIV_ROUND_UP(size, PAGE_SIZE);
	u64 old = READ_ONCE(mapping->size);
	int err;

	down_write(&mapping->invalidate_lock);
	WRITE_ONCE(mapping->size, size);
	err = zero_partial_page(mapping, size);
	if (err) {
		WRITE_ONCE(mapping->size, old);
		up_write(&mapping->invalidate_lock);
		return err;
	}
	delay_point("truncate_size_published", mapping);
	unmap_mapping_range(mapping, first, ~0ul, ZAP_COWS);
	drop_mapping_pages(mapping, first, ~0ul, DROP_DIRTY);
	/* Private copies made between the two: their owners must see SIGBUS too (rule 99). */
	unmap_mapping_range(mapping, first, ~0ul, ZAP_COWS);
	up_write(&mapping->invalidate_lock);
	return 0;
}

int truncate_setsize(struct address_space *mapping, u64 size)
{
	u64 old = READ_ONCE(mapping->size);

	trace(TRACE_TRUNCATE, mapping->ino, size);
	if (size < old)
		return shrink(mapping, size);
	if (size > old) {
		zero_old_tail(mapping, old);
		WRITE_ONCE(mapping->size, size);
		pagecache_isize_extended(mapping, old);
	}
	return 0;
}
