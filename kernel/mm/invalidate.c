/* SPDX-License-Identifier: MIT */
/*
 * invalidate.c - do cache and disk say the same, and if not, which pages have to go?
 *
 * Owns:  clean pages leaving a file that goes on as it is (rule 108).
 * Not:   pages that leave with their data (truncate.c), pages that leave because memory is short,
 *        PTEs (zap.c), moving bytes (the file system).
 * Locks: one page lock at a time, i_mmap_rwsem (write) inside for unmapping.
 * Key fact: with the page lock held no PTE of the page can be installed. So once it is unmapped
 *        under the lock, what PG_d_seen and page->dirty say is the last word, and a pin (gup.c),
 *        which comes from a PTE, has been taken before or is never taken.
 *
 *	I (invalidation)			W (writer)
 *	has had the page written
 *						stores: a new fault, or silently
 *	unmaps it: PG_d_seen, or it is DIRTY
 *	keeps it: -EBUSY
 */
#include "kernel/mm/invalidate.h"

#include <sys/errno.h>

#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/writeback.h"

#define GANG 32

/* Locked, in the file. */
static int drop_locked(struct address_space *mapping, struct page *page)
{
	int err = 0;

	wait_on_page_writeback(page);
	delay_point("invalidate_before_unmap", page);
	if (atomic_load(&page->mapcount))
		unmap_mapping_range(mapping, page->index, page->index, ZAP_FILE_ONLY);
	delay_point("invalidate_unmapped", page);
	if (!page_settle_unmapped(page) || page_pinned(page))
		return -EBUSY;
	if (mapping->a_ops->release_page)
		err = mapping->a_ops->release_page(mapping, page);
	if (err)
		return err;
	/* What prepare_write() reserved for a store that never came. */
	if (mapping->a_ops->invalidate_page)
		mapping->a_ops->invalidate_page(mapping, page);
	remove_from_page_cache(page);
	stat_inc(STAT_PAGES_INVALIDATED);
	return 0;
}

static int drop(struct address_space *mapping, struct page *page)
{
	int err = 0;

	lock_page(page);
	if (likely(page->mapping == mapping))
		err = drop_locked(mapping, page);
	unlock_page(page);
	if (unlikely(err))
		stat_inc(STAT_INVALIDATE_BUSY);
	return err;
}

static unsigned int gang_get(struct address_space *mapping, pgoff_t first, pgoff_t last,
			     struct page **pages)
{
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	unsigned int n = radix_gang(&mapping->pages, first, last, (void **)pages, GANG);

	for (unsigned int i = 0; i < n; i++)
		page_get(pages[i]);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	return n;
}

int invalidate_mapping_range(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	struct page *pages[GANG];
	unsigned int n, i;
	int err = 0;

	n = gang_get(mapping, first, last, pages);
	/* All at once: a shootdown for hundreds of pages. What is mapped again meanwhile is
	 * unmapped with its page locked. */
	if (n > 1 && !i_mmap_empty(&mapping->i_mmap))
		unmap_mapping_range(mapping, first, last, ZAP_FILE_ONLY);
	while (n) {
		for (i = 0; i < n; i++) {
			int e = drop(mapping, pages[i]);

			first = pages[i]->index + 1;
			page_put(pages[i]);
			err = err ? err : e;
		}
		if (n < GANG || !first || first > last)
			break;
		n = gang_get(mapping, first, last, pages);
	}
	return err;
}

/* Protected, whatever the policy says: the pages are about to go (rules C.1.1, 9). */
static int flush(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	struct writeback_control wbc = { .mode = SYNC_DATA,
					 .why = HARVEST_FSYNC,
					 .protect = true,
					 .first = first,
					 .last = last,
					 .nr_to_write = ~0ul };
	u32 failed = READ_ONCE(mapping->nr_failed);
	int err = filemap_fdatawrite_range(mapping, &wbc);

	/* Whoever syncs the file hears of it all the same (B20). */
	filemap_fdatawait_range(mapping, first, last);
	return err ? err : mapping_failed_since(mapping, failed);
}

int flush_and_invalidate_range(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	int err = 0;

	/* One load; the stores that must not be lost happened before. */
	if (likely(!READ_ONCE(mapping->pages.nr)))
		return 0;
	if (mapping_needs_sync(mapping))
		err = flush(mapping, first, last);
	delay_point("dio_flushed", mapping);
	return err ? err : invalidate_mapping_range(mapping, first, last);
}

struct page *find_get_newer_page(struct address_space *mapping, pgoff_t index)
{
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	unsigned int slot = index & 63;
	struct page *page = NULL;
	struct radix_leaf leaf;
	u64 tagged = 0;

	/* The tags, not the page's own state: a page on its way to the disk has one of them at
	 * every moment (B37). */
	if (radix_leaf(&mapping->pages, index - slot, &leaf))
		tagged = leaf.tags[TAG_DIRTY] | leaf.tags[TAG_WRITEBACK] | leaf.tags[TAG_TOWRITE] |
			 leaf.tags[TAG_MAYBE];
	if (tagged >> slot & 1) {
		page = leaf.items[slot];
		page_get(page);
	}
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	return page;
}
