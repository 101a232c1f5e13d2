/* SPDX-License-Identifier: MIT */
/*
 * page_dirty.c - is this page dirty, and who says so.
 *
 * Owns:  page->dirty, PG_d_seen, PG_writeback, the tags of mapping->pages and AS_SILENT, the global
 *        counts.
 * Not:   PTEs (rmap.c, memory.c, harvest.c), when to write (writeback.c), how (the file system).
 * Locks: the page lock for page->dirty; tree_lock (irqsave) for tags; i_mmap_rwsem (read) from
 *        cleaning PTEs to taking PG_d_seen.
 * Key fact: the page lock is the serialization point. A store's fault sets the PTE and the state
 *        under it; cleaning takes the PTEs and decides under it; so a store is either seen by the
 *        cleaning in progress or faults afterwards.
 *
 * Counts follow the tags, under tree_lock: nr_dirty is the number of pages with TAG_DIRTY or
 * TAG_MAYBE, nr_maybe of those with TAG_MAYBE. AS_SILENT goes when the last TAG_MAYBE goes, and
 * comes after a TAG_MAYBE that the setter's page lock keeps:
 *
 *	F (fault)				T (truncate, another page)
 *	AS_SILENT
 *						takes the last TAG_MAYBE off, and AS_SILENT
 *	tags its page, PTE writable		(nobody asks that PTE for D)
 */
#include "kernel/mm/page_dirty.h"

#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/lib/bitmap.h"
#include "kernel/mm/page_fork.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/rmap.h"
#include "kernel/mm/writeback.h"

s64 nr_dirty;		 /* a */
static s64 nr_maybe;	 /* a */
static s64 maybe_peak;	 /* a */
static s64 nr_writeback; /* a */

u64 nr_dirty_pages(void)
{
	return (u64)max(atomic_load(&nr_dirty), (s64)0);
}

u64 nr_maybe_pages(void)
{
	return (u64)max(atomic_load(&nr_maybe), (s64)0);
}

u64 nr_writeback_pages(void)
{
	return (u64)max(atomic_load(&nr_writeback), (s64)0);
}

u64 nr_maybe_peak(void)
{
	return (u64)max(atomic_load(&maybe_peak), (s64)0);
}

void nr_maybe_peak_reset(void)
{
	atomic_store(&maybe_peak, atomic_load(&nr_maybe));
}

/* tree_lock held, @nr pages of @mapping have got TAG_MAYBE (or lost it: less than 0). */
static void count_maybe(struct address_space *mapping, s64 nr)
{
	s64 now = atomic_add_return(&nr_maybe, nr), peak = atomic_load(&maybe_peak);

	while (now > peak && !atomic_cas(&maybe_peak, peak, now))
		peak = atomic_load(&maybe_peak);
	if (nr > 0)
		stat_add(STAT_PAGES_MAYBE, (u64)nr);
	if (!radix_tagged(&mapping->pages, TAG_MAYBE))
		clear_bit(&mapping->flags, AS_SILENT);
}

/* CLEAN to @state: tag, count, list. */
static __always_inline void leave_clean(struct page *page, struct address_space *mapping,
					enum page_dirtiness state)
{
	bool listed;
	u64 flags;

	page->dirty = state;
	flags = spin_lock_irqsave(&mapping->tree_lock);
	radix_tag_set(&mapping->pages, page->index,
		      state == PAGE_MAYBE_DIRTY ? TAG_MAYBE : TAG_DIRTY);
	if (state == PAGE_MAYBE_DIRTY)
		count_maybe(mapping, 1);
	/* Read inside: the flusher takes the mapping off its list before it looks at the tags, so
	 * either it finds this tag or we find the mapping off the list (rule 39). */
	listed = READ_ONCE(mapping->on_dirty_list);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	atomic_add_return(&nr_dirty, 1);
	if (unlikely(!listed))
		mapping_mark_dirty(mapping);
}

static __noinline void maybe_to_dirty(struct page *page)
{
	struct address_space *mapping = page->mapping;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);

	page->dirty = PAGE_DIRTY;
	radix_retag(&mapping->pages, page->index, 1 << TAG_DIRTY, 1 << TAG_MAYBE);
	count_maybe(mapping, -1);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
}

static void become_dirty(struct page *page)
{
	if (page->dirty == PAGE_CLEAN)
		leave_clean(page, page->mapping, PAGE_DIRTY);
	else if (page->dirty == PAGE_MAYBE_DIRTY)
		maybe_to_dirty(page);
}

/* To CLEAN outside of writeback: the tags go with it. No PTE of the page can have D. */
static void become_clean(struct page *page)
{
	struct address_space *mapping = page->mapping;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	bool maybe = page->dirty == PAGE_MAYBE_DIRTY;

	page->dirty = PAGE_CLEAN;
	radix_retag(&mapping->pages, page->index, 0,
		    1 << TAG_DIRTY | 1 << TAG_MAYBE | 1 << TAG_TOWRITE);
	if (maybe)
		count_maybe(mapping, -1);
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
		maybe_to_dirty(page);
	stat_inc(STAT_PAGES_DIRTIED);
	trace_page(TRACE_DIRTIED, mapping->ino, page->index);
	return true;
}

void page_set_maybe_dirty(struct page *page)
{
	struct address_space *mapping = page->mapping;

	assert_page_locked(page);
	if (page->dirty == PAGE_DIRTY || !mapping_writeback(mapping))
		return;
	if (page->dirty == PAGE_CLEAN)
		leave_clean(page, mapping, PAGE_MAYBE_DIRTY);
	if (!test_bit(&mapping->flags, AS_SILENT))
		set_bit(&mapping->flags, AS_SILENT);
}

void page_harvest(struct page *page)
{
	assert_page_locked(page);
	if (page->dirty == PAGE_DIRTY)
		return;
	become_dirty(page);
	stat_inc(STAT_PAGES_HARVESTED);
}

void page_note_d_seen(struct page *page)
{
	struct address_space *mapping = page->mapping;
	u64 flags;

	stat_inc(STAT_PAGES_D_SEEN);
	if (!test_bit(&page->flags, PG_d_seen))
		set_bit(&page->flags, PG_d_seen);
	/* P7; most pages with D are DIRTY, and their tag is enough. */
	flags = spin_lock_irqsave(&mapping->tree_lock);
	if (!radix_tag_get(&mapping->pages, page->index, TAG_DIRTY))
		radix_tag_set(&mapping->pages, page->index, TAG_TOWRITE);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
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
	become_dirty(page);
	stat_inc(STAT_PAGES_REDIRTIED);
}

void page_unpick(struct page *page)
{
	struct address_space *mapping = page->mapping;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);

	assert_page_locked(page);
	if (!test_bit(&page->flags, PG_d_seen))
		radix_retag(&mapping->pages, page->index, 0, 1 << TAG_TOWRITE);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
}

/* A picked page that is not to be written after all; what may store to it silently is known. */
static __noinline void settle_unwritten(struct page *page)
{
	if (page->dirty == PAGE_MAYBE_DIRTY && !page->left) {
		become_clean(page);
		return;
	}
	/* It keeps TAG_MAYBE as long as we have its lock, and so AS_SILENT stays. */
	if (page->left & PAGE_LEFT_SILENT && !test_bit(&page->mapping->flags, AS_SILENT))
		set_bit(&page->mapping->flags, AS_SILENT);
	page->left = 0;
	page_unpick(page);
}

/*
 * What this page is after its PTEs were cleaned. True: its data must be written. A MAYBE_DIRTY page
 * without any D was not stored to: nothing to write. Tags stay until set_pages_writeback(): a sync
 * that looks now must find the page.
 */
static __always_inline bool decide(struct page *page, bool *silent)
{
	bool d = test_bit(&page->flags, PG_d_seen) && test_and_clear_bit(&page->flags, PG_d_seen);

	if (unlikely(page->dirty != PAGE_DIRTY)) {
		if (!d) {
			settle_unwritten(page);
			return false;
		}
		*silent = true;
		stat_inc(STAT_PAGES_HARVESTED);
		/* With D it was not clean, whatever was believed. */
		if (page->dirty == PAGE_CLEAN)
			leave_clean(page, page->mapping, PAGE_DIRTY);
	}
	page->dirty = unlikely(page->left) ? PAGE_MAYBE_DIRTY : PAGE_CLEAN;
	return true;
}

static void pick_again(struct address_space *mapping, struct page *page);

void clear_pages_dirty_for_io(struct address_space *mapping, struct page_list *pages,
			      enum clean_how how)
{
	struct page **link = &pages->first, *page;
	bool silent = false;

	/* Held until the flags are taken: see rmap.c. */
	down_read(&mapping->i_mmap_rwsem);
	mapping_mkclean(mapping, pages, how);
	delay_point("mkclean_before_decide", mapping);
	pages->last = NULL;
	while ((page = *link)) {
		if (likely(decide(page, &silent))) {
			pages->last = page;
			link = &page->next;
			continue;
		}
		*link = page->next;
		pages->nr--;
		unlock_page(page);
		page_put(page);
	}
	if (unlikely(silent))
		pick_again(mapping, pages->first);
	up_read(&mapping->i_mmap_rwsem);
	stat_add(STAT_PAGES_CLEANED, pages->nr);
	delay_point("cleaned_before_writeback", mapping);
}

/*
 * Neighbours share a leaf of the tree: one descent for all pages of a list that lie in one. Lists
 * without gaps, as nearly all are, are cut into leaves by arithmetic; the others page by page.
 */
struct leaf_run {
	pgoff_t first; /* multiple of 64 */
	u64 clean, maybe;
	struct page *page, *next; /* page by page: the first of the run, and the first behind */
	unsigned int nr;
};

/* The pages from @index to @last, of which none is missing, as far as they lie in one leaf. */
static struct leaf_run dense_run(pgoff_t index, pgoff_t last)
{
	unsigned int from = index & 63, nr = (unsigned int)min(64ul - from, last - index + 1);

	return (struct leaf_run){
		.first = index - from, .clean = (~0ul >> (64 - nr)) << from, .nr = nr
	};
}

static bool is_dense(const struct page_list *pages)
{
	return pages->last->index - pages->first->index == pages->nr - 1;
}

static struct leaf_run leaf_run(struct page *page)
{
	struct leaf_run run = { .first = page->index & ~63ul, .page = page };

	for (; page && page->index - run.first < 64; page = page->next) {
		u64 bit = 1ul << (page->index & 63);

		if (page->dirty == PAGE_CLEAN)
			run.clean |= bit;
		else
			run.maybe |= bit;
		run.nr++;
	}
	run.next = page;
	return run;
}

/*
 * The D of pages that were MAYBE_DIRTY is taken. Another sync may have written them since they were
 * picked, and taken TAG_TOWRITE off; then nothing tells of the store until PG_writeback does, and a
 * third sync, whose harvest waits for i_mmap_rwsem, would find neither D nor tag, and return.
 */
static __noinline void pick_again(struct address_space *mapping, struct page *page)
{
	while (page) {
		struct leaf_run run = leaf_run(page);
		u64 flags = spin_lock_irqsave(&mapping->tree_lock);

		radix_retag_leaf(&mapping->pages, run.first, run.clean | run.maybe, 1 << TAG_TOWRITE,
				 0);
		spin_unlock_irqrestore(&mapping->tree_lock, flags);
		page = run.next;
	}
}

/* tree_lock held: the pages of @run that something may store to silently are MAYBE_DIRTY from here
 * on. One that was unmapped with D since it was decided stays picked (P7). */
static __noinline void tag_maybe(struct address_space *mapping, const struct leaf_run *run)
{
	struct page *page = run->page;
	u64 keep = 0;
	u8 left = 0;

	for (; page != run->next; page = page->next) {
		left |= page->left;
		page->left = 0;
		if (test_bit(&page->flags, PG_d_seen))
			keep |= 1ul << (page->index & 63);
	}
	radix_retag_leaf(&mapping->pages, run->first, run->maybe, 1 << TAG_WRITEBACK | 1 << TAG_MAYBE,
			 1 << TAG_DIRTY);
	radix_retag_leaf(&mapping->pages, run->first, run->maybe & ~keep, 0, 1 << TAG_TOWRITE);
	radix_retag_leaf(&mapping->pages, run->first, keep, 1 << TAG_TOWRITE, 0);
	if (left & PAGE_LEFT_SILENT)
		set_bit(&mapping->flags, AS_SILENT);
}

/* The state of the pages of @run was decided; now the tags and counts say it. */
static void tag_run(struct address_space *mapping, const struct leaf_run *run)
{
	const unsigned int gone = 1 << TAG_DIRTY | 1 << TAG_MAYBE | 1 << TAG_TOWRITE;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock), was_maybe;
	struct radix_leaf leaf;

	BUG_ON(!radix_leaf(&mapping->pages, run->first, &leaf));
	was_maybe = leaf.tags[TAG_MAYBE] & (run->clean | run->maybe);
	mapping->nr_writeback += run->nr;
	if (run->clean)
		radix_retag_leaf(&mapping->pages, run->first, run->clean, 1 << TAG_WRITEBACK, gone);
	if (unlikely(run->maybe))
		tag_maybe(mapping, run);
	if (unlikely(was_maybe | run->maybe))
		count_maybe(mapping, (s64)popcount64(run->maybe) - popcount64(was_maybe));
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
}

void set_pages_writeback(struct address_space *mapping, struct page_list *pages)
{
	pgoff_t index = pages->first->index, last = pages->last->index;
	unsigned int nr_maybe_dirty = 0;
	struct leaf_run run;
	u8 states = 0;

	/* Before the tags: who waits for I/O looks for pages by the tag, and then at the flag. */
	for (struct page *page = pages->first; page; page = page->next) {
		states |= page->dirty;
		set_bit(&page->flags, PG_writeback);
	}
	if (likely(states == PAGE_CLEAN && is_dense(pages))) {
		for (; index <= last; index += run.nr) {
			run = dense_run(index, last);
			tag_run(mapping, &run);
		}
	} else {
		for (struct page *page = pages->first; page; page = run.next) {
			run = leaf_run(page);
			tag_run(mapping, &run);
			nr_maybe_dirty += popcount64(run.maybe);
		}
	}
	atomic_sub_return(&nr_dirty, pages->nr - nr_maybe_dirty);
	atomic_add_return(&nr_writeback, pages->nr);
	trace(TRACE_WRITEBACK, mapping->ino, pages->nr);
}

void set_dirty_pages_writeback(struct address_space *mapping, struct page_list *pages)
{
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);

	for (struct page *page = pages->first; page; page = page->next) {
		unsigned int done = test_bit(&page->flags, PG_d_seen) ? 0 : 1 << TAG_TOWRITE;

		set_bit(&page->flags, PG_writeback);
		radix_retag(&mapping->pages, page->index, 1 << TAG_WRITEBACK, done);
	}
	mapping->nr_writeback += pages->nr;
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	atomic_add_return(&nr_writeback, pages->nr);
	trace(TRACE_WRITEBACK, mapping->ino, pages->nr);
}

/* tree_lock held. */
static void untag_run(struct address_space *mapping, const struct leaf_run *run)
{
	radix_retag_leaf(&mapping->pages, run->first, run->clean | run->maybe, 0,
			 1 << TAG_WRITEBACK);
	mapping->nr_writeback -= run->nr;
}

/* A page stays in its mapping while it is under I/O: truncate waits for it (rule 99). One that was
 * replaced meanwhile gets its copy put behind it, for which the list is gone through page by page. */
static void untag_writeback(struct address_space *mapping, struct page_list *pages)
{
	pgoff_t index = pages->first->index, last = pages->last->index;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	struct leaf_run run;

	if (likely(!mapping->nr_replaced && is_dense(pages))) {
		for (; index <= last; index += run.nr) {
			run = dense_run(index, last);
			untag_run(mapping, &run);
		}
	} else {
		for (struct page *page = pages->first; page; page = run.next) {
			run = leaf_run(page);
			untag_run(mapping, &run);
			if (mapping->nr_replaced)
				page_fork_end(mapping, page, run.next);
		}
	}
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
}

void end_pages_writeback(struct page_list *pages)
{
	struct address_space *mapping;
	struct page *page, *next;

	if (!pages->nr)
		return;
	mapping = page_io_mapping(pages->first);
	atomic_sub_return(&nr_writeback, pages->nr);
	stat_add(STAT_PAGES_WRITTEN, pages->nr);
	trace(TRACE_WB_END, mapping->ino, pages->nr);
	untag_writeback(mapping, pages);
	for (page = pages->first; page; page = next) {
		next = page->next;
		page_clear_known_bit_wake(page, PG_writeback);
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
