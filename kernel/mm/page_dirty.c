/* SPDX-License-Identifier: MIT */
/*
 * page_dirty.c - is this page dirty, and who says so.
 *
 * Owns:  page->dirty, PG_d_seen, PG_writeback, TAG_DIRTY and TAG_WRITEBACK, the global counts.
 * Not:   PTEs (rmap.c, memory.c), when to write (writeback.c), how (the file system).
 * Locks: the page lock for page->dirty; tree_lock (irqsave) for tags; i_mmap_rwsem (read) from
 *        cleaning PTEs to taking PG_d_seen.
 * Key fact: the page lock is the serialization point. A store's fault sets the PTE and the state
 *        under it; cleaning takes the PTEs and decides under it; so a store is either seen by the
 *        cleaning in progress or faults afterwards.
 */
#include "kernel/mm/page_dirty.h"

#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/rmap.h"
#include "kernel/mm/writeback.h"

s64 nr_dirty;		 /* a */
static s64 nr_writeback; /* a */

u64 nr_dirty_pages(void)
{
	return (u64)max(atomic_load(&nr_dirty), (s64)0);
}

u64 nr_writeback_pages(void)
{
	return (u64)max(atomic_load(&nr_writeback), (s64)0);
}

/* CLEAN to @state: tag, count, list. */
static __always_inline void leave_clean(struct page *page, struct address_space *mapping,
					enum page_dirtiness state)
{
	bool listed;
	u64 flags;

	page->dirty = state;
	flags = spin_lock_irqsave(&mapping->tree_lock);
	radix_tag_set(&mapping->pages, page->index, TAG_DIRTY);
	/* Read inside: the flusher takes the mapping off its list before it looks at the tags, so
	 * either it finds this tag or we find the mapping off the list (rule 39). */
	listed = READ_ONCE(mapping->on_dirty_list);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	atomic_add_return(&nr_dirty, 1);
	if (unlikely(!listed))
		mapping_mark_dirty(mapping);
}

/* To CLEAN outside of writeback: the tags go with it. */
static void become_clean(struct page *page)
{
	struct address_space *mapping = page->mapping;
	u64 flags;

	page->dirty = PAGE_CLEAN;
	flags = spin_lock_irqsave(&mapping->tree_lock);
	radix_retag(&mapping->pages, page->index, 0, 1 << TAG_DIRTY | 1 << TAG_TOWRITE);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	atomic_sub_return(&nr_dirty, 1);
}

bool set_page_dirty(struct page *page)
{
	struct address_space *mapping = page->mapping;
	u8 was = page->dirty;

	assert_page_locked(page);
	if (unlikely(was == PAGE_DIRTY || !mapping_writeback(mapping)))
		return false;
	if (likely(was == PAGE_CLEAN))
		leave_clean(page, mapping, PAGE_DIRTY);
	else
		page->dirty = PAGE_DIRTY;
	stat_inc(STAT_PAGES_DIRTIED);
	trace_page(TRACE_DIRTIED, mapping->ino, page->index);
	return true;
}

void page_set_maybe_dirty(struct page *page)
{
	assert_page_locked(page);
	if (page->dirty != PAGE_CLEAN || !mapping_writeback(page->mapping))
		return;
	leave_clean(page, page->mapping, PAGE_MAYBE_DIRTY);
	stat_inc(STAT_PAGES_MAYBE);
}

void page_harvest(struct page *page)
{
	assert_page_locked(page);
	if (page->dirty == PAGE_DIRTY)
		return;
	if (page->dirty == PAGE_CLEAN)
		leave_clean(page, page->mapping, PAGE_DIRTY);
	else
		page->dirty = PAGE_DIRTY;
	stat_inc(STAT_PAGES_HARVESTED);
}

void page_note_d_seen(struct page *page)
{
	if (!test_bit(&page->flags, PG_d_seen))
		set_bit(&page->flags, PG_d_seen);
	stat_inc(STAT_PAGES_D_SEEN);
}

bool cancel_page_dirty(struct page *page)
{
	assert_page_locked(page);
	BUG_ON(page->mapcount);
	clear_bit(&page->flags, PG_d_seen);
	if (page->dirty == PAGE_CLEAN)
		return false;
	become_clean(page);
	stat_inc(STAT_PAGES_CANCELLED);
	return true;
}

void redirty_page(struct page *page)
{
	assert_page_locked(page);
	if (page->dirty == PAGE_CLEAN)
		leave_clean(page, page->mapping, PAGE_DIRTY);
	else
		page->dirty = PAGE_DIRTY;
	stat_inc(STAT_PAGES_REDIRTIED);
}

/*
 * What this page is after its PTEs were cleaned. True: its data must be written. A MAYBE_DIRTY page
 * without any D was not stored to: nothing to write.
 */
static bool decide(struct page *page, bool *found_d)
{
	bool d = test_bit(&page->flags, PG_d_seen) && test_and_clear_bit(&page->flags, PG_d_seen);
	bool protected = page->clean_how == POLICY_CLEAN_PROTECT;

	*found_d |= d;
	if (page->dirty == PAGE_MAYBE_DIRTY && !d) {
		if (protected)
			become_clean(page);
		return false;
	}
	if (page->dirty == PAGE_CLEAN) {
		/* Only a D bit can make a clean page dirty here; with it, it was not clean. */
		if (!d)
			return false;
		leave_clean(page, page->mapping, PAGE_DIRTY);
	}
	if (page->dirty == PAGE_MAYBE_DIRTY)
		stat_inc(STAT_PAGES_HARVESTED);
	/* The tag stays until set_pages_writeback(): a sync that looks now must find the page. */
	page->dirty = protected ? PAGE_CLEAN : PAGE_MAYBE_DIRTY;
	if (protected)
		atomic_sub_return(&nr_dirty, 1);
	return true;
}

void clear_pages_dirty_for_io(struct address_space *mapping, struct page_list *pages)
{
	struct page_list dirty = { 0 };
	struct page *page, *next;
	bool found_d = false;

	/* Held until the flags are taken: see rmap.c. */
	down_read(&mapping->i_mmap_rwsem);
	mapping_mkclean(mapping, pages);
	delay_point("mkclean_before_decide", mapping);
	for (page = pages->first; page; page = next) {
		next = page->next;
		if (decide(page, &found_d)) {
			page_list_add(&dirty, page);
			continue;
		}
		unlock_page(page);
		page_put(page);
	}
	up_read(&mapping->i_mmap_rwsem);
	*pages = dirty;
	/* Stores happened that the times do not show yet (rules C.2.1: set at every transfer). */
	if (found_d && !test_bit(&mapping->flags, AS_CMTIME))
		set_bit(&mapping->flags, AS_CMTIME);
	stat_add(STAT_PAGES_CLEANED, dirty.nr);
	delay_point("cleaned_before_writeback", mapping);
}

/* Neighbours share a leaf of the tree: one descent for the pages of @page's leaf. */
struct leaf_run {
	pgoff_t first; /* multiple of 64 */
	u64 clean, still_dirty;
	struct page *next;
	unsigned int nr;
};

static struct leaf_run leaf_run(struct page *page)
{
	struct leaf_run run = { .first = page->index & ~63ul };

	for (; page && page->index - run.first < 64; page = page->next) {
		u64 bit = 1ul << (page->index & 63);

		if (page->dirty == PAGE_CLEAN)
			run.clean |= bit;
		else
			run.still_dirty |= bit;
		run.nr++;
	}
	run.next = page;
	return run;
}

void set_pages_writeback(struct address_space *mapping, struct page_list *pages)
{
	const unsigned int wb = 1 << TAG_WRITEBACK, both = 1 << TAG_DIRTY | 1 << TAG_TOWRITE;
	struct page *page;
	u64 flags;

	for (page = pages->first; page; page = page->next)
		set_bit(&page->flags, PG_writeback);
	for (page = pages->first; page;) {
		struct leaf_run run = leaf_run(page);

		flags = spin_lock_irqsave(&mapping->tree_lock);
		if (run.clean)
			radix_retag_leaf(&mapping->pages, run.first, run.clean, wb, both);
		if (run.still_dirty)
			radix_retag_leaf(&mapping->pages, run.first, run.still_dirty, wb,
					 1 << TAG_TOWRITE);
		mapping->nr_writeback += run.nr;
		spin_unlock_irqrestore(&mapping->tree_lock, flags);
		page = run.next;
	}
	atomic_add_return(&nr_writeback, pages->nr);
	trace(TRACE_WRITEBACK, mapping->ino, pages->nr);
}

void end_pages_writeback(struct page_list *pages)
{
	struct address_space *mapping;
	struct page *page, *next;
	u64 flags;

	if (!pages->nr)
		return;
	mapping = pages->first->mapping;
	atomic_sub_return(&nr_writeback, pages->nr);
	stat_add(STAT_PAGES_WRITTEN, pages->nr);
	trace(TRACE_WB_END, mapping->ino, pages->nr);
	/* A page stays in its mapping while it is under I/O: truncate waits for it (rule 99). */
	for (page = pages->first; page;) {
		struct leaf_run run = leaf_run(page);

		flags = spin_lock_irqsave(&mapping->tree_lock);
		radix_retag_leaf(&mapping->pages, run.first, run.clean | run.still_dirty, 0,
				 1 << TAG_WRITEBACK);
		mapping->nr_writeback -= run.nr;
		spin_unlock_irqrestore(&mapping->tree_lock, flags);
		page = run.next;
	}
	for (page = pages->first; page; page = next) {
		next = page->next;
		page_clear_bit_wake(page, PG_writeback);
		page_put(page);
	}
	*pages = (struct page_list){ 0 };
}

void end_page_writeback(struct page *page)
{
	struct page_list one = { .first = page, .last = page, .nr = 1 };

	page->next = NULL;
	end_pages_writeback(&one);
}
