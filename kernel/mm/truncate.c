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

/* Lock @page, of which this takes over a reference, to throw it away; or the copy that has taken
 * its place while we waited (page_fork.c): it is the file's page there, and would stay. NULL:
 * neither is there any more. */
static struct page *lock_to_drop(struct address_space *mapping, struct page *page)
{
	pgoff_t index = page->index;

	lock_page(page);
	if (unlikely(page->mapping != mapping)) {
		unlock_page(page);
		page_put(page);
		page = find_lock_page(mapping, index);
	}
	return page;
}

/* Take one page out, and drop the caller's reference; true if it went. */
static bool drop_page(struct address_space *mapping, struct page *page, enum drop_mode mode)
{
	bool gone = true;

	if (mode == DROP_DIRTY) {
		page = lock_to_drop(mapping, page);
		if (!page)
			return true;
	} else if (!trylock_page(page)) {
		page_put(page);
		return false;
	}
	if (page->mapping != mapping)
		goto out;
	if (mode == DROP_CLEAN_ONLY &&
	    (page->dirty != PAGE_CLEAN || page_writeback(page) || atomic_load(&page->mapcount) ||
	     page_pinned(page) || test_bit(&page->flags, PG_d_seen))) {
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
	page_put(page);
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
		}
	} while (n == GANG && first <= last && first);
	return left;
}

void page_forget_blocks(struct page *page)
{
	assert_page_locked(page);
	/* Its dirtiness stays: D goes to the page's state. */
	if (mapping_writeback(page->mapping) && page_mkclean(page))
		page_harvest(page);
	clear_bit(&page->flags, PG_blocks);
}

/* @page, locked, is the last of the file: what lies behind EOF in it is not the file's, and not
 * dirt either. */
static void zero_tail_of(struct page *page, unsigned int offset)
{
	if (!page_uptodate(page))
		return;
	wait_for_stable_page(page);
	memset((char *)page_address(page) + offset, 0, PAGE_SIZE - offset);
}

void zero_old_tail(struct address_space *mapping, u64 size)
{
	struct page *page;

	if (!(size & ~PAGE_MASK))
		return;
	page = find_lock_page(mapping, size >> PAGE_SHIFT);
	if (!page)
		return;
	zero_tail_of(page, size & ~PAGE_MASK);
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
	page_forget_blocks(page);
	unlock_page(page);
	page_put(page);
}

int lock_page_at(struct address_space *mapping, u64 pos, struct page **out)
{
	struct page *page;
	int err;

	for (;;) {
		err = read_mapping_page(mapping, pos >> PAGE_SHIFT, NULL, &page);
		if (err)
			return err;
		lock_page(page);
		if (likely(page->mapping == mapping))
			break;
		unlock_page(page);
		page_put(page);
	}
	*out = page;
	return 0;
}

void zero_page_part(struct page *page, unsigned int from, unsigned int to)
{
	char *bytes = page_address(page);
	unsigned int i = from;

	assert_page_locked(page);
	wait_on_page_writeback(page); /* blocks in it may be free next (rule 103) */
	while (i < to && !bytes[i])
		i++;
	if (i == to)
		return;
	memset(bytes + i, 0, to - i);
	set_page_dirty(page);
}

static int shrink(struct address_space *mapping, u64 size)
{
	pgoff_t first = DIV_ROUND_UP(size, PAGE_SIZE);
	unsigned int offset = size & ~PAGE_MASK;
	struct page *tail = NULL;
	int err = 0;

	down_write(&mapping->invalidate_lock);
	if (offset)
		err = lock_page_at(mapping, size, &tail);
	if (err) {
		up_write(&mapping->invalidate_lock);
		return err;
	}
	WRITE_ONCE(mapping->size, size);
	if (tail) {
		/* It keeps its head. The tail is zeros from now on, in the cache and by the next
		 * writeback on the disk; blocks behind the end are not its any more. */
		zero_page_part(tail, offset, PAGE_SIZE);
		clear_bit(&tail->flags, PG_blocks);
		unlock_page(tail);
		page_put(tail);
	}
	delay_point("truncate_size_published", mapping);
	unmap_mapping_range(mapping, first, ~0ul, ZAP_COWS);
	drop_mapping_pages(mapping, first, ~0ul, DROP_DIRTY);
	/* Private copies made between the two: their owners must see SIGBUS too (rule 99). */
	unmap_mapping_range(mapping, first, ~0ul, ZAP_COWS);
	up_write(&mapping->invalidate_lock);
	return 0;
}

/*
 * The page that straddles the old end is in the way of the store that is on the other side of it:
 * what was stored there before stays outside (B38), what comes later asks for its blocks (B17), and
 * a writeback that would zero it as its tail is done, or sees the new size (B38c). So W goes, the
 * tail is zeroed and the size published in one hold of its lock; and invalidate_lock keeps a page
 * from coming in that was read with the old size.
 */
static void grow(struct address_space *mapping, u64 old, u64 size)
{
	unsigned int offset = old & ~PAGE_MASK;
	struct page *page = NULL;

	down_write(&mapping->invalidate_lock);
	if (offset)
		page = find_lock_page(mapping, old >> PAGE_SHIFT);
	if (page) {
		page_forget_blocks(page);
		zero_tail_of(page, offset);
	}
	delay_point("grow_before_size", mapping);
	WRITE_ONCE(mapping->size, size);
	if (page) {
		unlock_page(page);
		page_put(page);
	}
	up_write(&mapping->invalidate_lock);
}

int truncate_setsize(struct address_space *mapping, u64 size)
{
	u64 old = READ_ONCE(mapping->size);

	trace(TRACE_TRUNCATE, mapping->ino, size);
	if (size < old)
		return shrink(mapping, size);
	if (size > old)
		grow(mapping, old, size);
	return 0;
}
