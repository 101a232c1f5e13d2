/* SPDX-License-Identifier: MIT */
/*
 * page_fork.c - how does a store go on while a device reads the page?
 *
 * Owns:  PG_copy, PAGE_REPLACED, mapping->nr_replaced: which frame carries the I/O of which page.
 * Not:   when to fork (policy/, memory.c), the I/O itself.
 * Locks: the page lock of old and copy; i_mmap_rwsem (write) inside, for unmapping; tree_lock for
 *        the moment in which the copy takes the place of the old one.
 * Key fact: an I/O belongs to a frame, and waiting for it to a place in the file. So the copy takes
 *        over PG_writeback and the tag of its place, and the old frame keeps PG_writeback too; the
 *        completion clears both. Whether the I/O has ended is decided by TAG_WRITEBACK under
 *        tree_lock: completion clears it there, and then looks for copies.
 *
 * Only a CLEAN page is forked. No PTE can be stored through then, so that all its bytes are in the
 * frame; and no sync has picked it, which would miss the copy after it found the old frame:
 *
 *	S (sync)			F (fault)
 *	finds the old frame by its
 *	tag, waits for its lock
 *					forks it; unlocks
 *	locks it: not in the file,
 *	passes it over
 *
 * Truncation, which picks any page, can do the same. It publishes the new size first; we look at
 * the size again under tree_lock, under which it picks: either it finds the copy, or we see the
 * size. Others who lock a page that they found look it up again.
 */
#include "kernel/mm/page_fork.h"

#include <string.h>

#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/policy.h"

static bool may_fork(const struct page *page)
{
	/* Into a pinned frame a device may be about to write: it has to stay the file's. */
	return page_under_io(page) && page->dirty == PAGE_CLEAN &&
	       !test_bit(&page->flags, PG_d_seen) && !page_pinned(page);
}

/* Make the new frame @copy what @old is, but for the tree: locked, one reference for the tree and
 * one for the caller. What a completion does to @old meanwhile is not taken over. */
static void fill_copy(struct page *copy, const struct page *old)
{
	const unsigned long kept = 1ul << PG_uptodate | 1ul << PG_blocks | 1ul << PG_used;
	unsigned long flags;

	memcpy(page_address(copy), page_address(old), PAGE_SIZE);
	copy->mapping = old->mapping;
	copy->index = old->index;
	/* The flags first: whoever finds blocks for the I/O that is under way sets the number and
	 * then PG_blocks, and holds no page lock (writepages). */
	flags = READ_ONCE(old->flags) & kept;
	copy->private = READ_ONCE(old->private);
	copy->dirty = PAGE_CLEAN;
	copy->flags |= flags | 1ul << PG_writeback | 1ul << PG_copy;
	BUG_ON(!trylock_page(copy));
	page_get_tree(copy);
}

/* False: the I/O has ended, or the page is beyond the end of the file; nothing changed. */
static bool take_place(struct page *old, struct page *copy)
{
	struct address_space *mapping = old->mapping;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	/* PG_d_seen: its write has failed just now, which is noted on @old (page_keep()). */
	bool ok = radix_tag_get(&mapping->pages, old->index, TAG_WRITEBACK) &&
		  !test_bit(&old->flags, PG_d_seen) &&
		  old->index << PAGE_SHIFT < READ_ONCE(mapping->size);

	if (ok) {
		radix_replace(&mapping->pages, old->index, copy);
		mapping->nr_replaced++;
		WRITE_ONCE(old->mapping, (void *)((u64)mapping | PAGE_REPLACED));
	}
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	return ok;
}

/* @copy never was in a file. */
static void forget_copy(struct page *copy)
{
	copy->mapping = NULL;
	copy->flags &= ~(1ul << PG_writeback | 1ul << PG_copy);
	unlock_page(copy);
	page_put_tree(copy);
	page_put(copy);
}

enum page_fork page_fork(struct page **page)
{
	struct page *old = *page, *copy;

	assert_page_locked(old);
	if (!may_fork(old))
		return PAGE_FORK_NEEDLESS;
	copy = alloc_page(ALLOC_NORMAL);
	if (!copy) {
		wait_on_page_writeback(old);
		return PAGE_FORK_NEEDLESS;
	}
	/* The page lock keeps new PTEs away until the copy is in its place. */
	unmap_mapping_range(old->mapping, old->index, old->index, ZAP_FILE_ONLY);
	BUG_ON(atomic_load(&old->mapcount));
	fill_copy(copy, old);
	delay_point("fork_copied", old);
	if (!take_place(old, copy)) {
		forget_copy(copy);
		return PAGE_FORK_TRY_AGAIN;
	}
	stat_inc(STAT_PAGES_FORKED);
	unlock_page(old);
	page_put_tree(old);
	page_put(old); /* the caller's; the I/O has its own */
	*page = copy;
	return PAGE_FORK_DONE;
}

void page_fork_end(struct address_space *mapping, struct page *page, const struct page *end)
{
	for (; page != end; page = page->next) {
		struct page *copy;

		if (!page_replaced(page))
			continue;
		copy = radix_lookup(&mapping->pages, page->index);
		BUG_ON(!copy || !test_bit(&copy->flags, PG_copy));
		clear_bit(&copy->flags, PG_copy);
		page_get(copy);
		mapping->nr_replaced--;
		WRITE_ONCE(page->mapping, NULL);
		copy->next = page->next;
		page->next = copy;
		page = copy;
	}
}

void wait_for_stable_page_slow(struct page *page)
{
	assert_page_locked(page);
	if (wants_stable_pages(page->mapping))
		wait_on_page_writeback(page);
}
