/* SPDX-License-Identifier: MIT */
/*
 * page_dirty.c - is this page dirty, and who says so.
 *
 * Owns:  page->dirty, PG_d_seen, the tags of mapping->pages and AS_SILENT, the global counts.
 * Not:   PTEs (rmap.c, memory.c, harvest.c), tags of pages that go under I/O (page_writeback.c),
 *        when to write (writeback.c), how (the file system).
 * Locks: the page lock for page->dirty; tree_lock (irqsave) for tags; i_mmap_rwsem (read) from
 *        cleaning PTEs to taking PG_d_seen.
 * Key fact: the page lock is the serialization point. A store's fault sets the PTE and the state
 *        under it; cleaning takes the PTEs and decides under it; so a store is either seen by the
 *        cleaning in progress or faults afterwards.
 *
 * Counts follow the tags, under tree_lock: nr_unwritten is the number of pages with TAG_DIRTY,
 * TAG_MAYBE or PG_kept, of which no page has two, and of those with TAG_WRITEBACK, nr_maybe of
 * those with TAG_MAYBE. AS_SILENT goes when the last TAG_MAYBE goes, and comes after a TAG_MAYBE
 * that the setter's page lock keeps:
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
#include "kernel/mm/policy.h"
#include "kernel/mm/rmap.h"
#include "kernel/mm/writeback.h"

s64 nr_unwritten;      /* a */
static s64 nr_maybe;   /* a */
static s64 maybe_peak; /* a */
static s64 nr_waived;  /* a */

u64 nr_dirty_pages(void)
{
	s64 all, writeback;

	/* Who starts I/O counts it first, who ends it last: so this may be too few for a moment,
	 * and never too many. */
	do {
		writeback = (s64)nr_writeback_pages();
		all = atomic_load(&nr_unwritten);
	} while (writeback != (s64)nr_writeback_pages());
	return (u64)max(all - writeback, (s64)0);
}

u64 mapping_nr_dirty(struct address_space *mapping)
{
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	u64 nr = mapping->nr_unwritten - mapping->nr_writeback;

	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	return nr;
}

u64 nr_maybe_pages(void)
{
	return (u64)max(atomic_load(&nr_maybe), (s64)0);
}

u64 nr_waived_pages(void)
{
	return (u64)max(atomic_load(&nr_waived), (s64)0);
}

u64 nr_maybe_peak(void)
{
	return (u64)max(atomic_load(&maybe_peak), (s64)0);
}

void nr_maybe_peak_reset(void)
{
	atomic_store(&maybe_peak, atomic_load(&nr_maybe));
}

/* tree_lock held. A policy is chosen for a file or for all at any time; what a file has is counted
 * by what its policy says when it changes, or when the flusher comes by. */
static void count_waived(struct address_space *mapping)
{
	bool waived = mapping_policy(mapping)->breaks & BREAKS(THROTTLED);
	s64 change = (waived ? (s64)mapping->nr_maybe : 0) - mapping->nr_waived;

	if (change) {
		mapping->nr_waived += change;
		atomic_add_return(&nr_waived, change);
	}
}

void mapping_count_maybe(struct address_space *mapping, s64 nr)
{
	s64 now = atomic_add_return(&nr_maybe, nr), peak = atomic_load(&maybe_peak);

	mapping->nr_maybe += (u64)nr;
	count_waived(mapping);
	while (now > peak && !atomic_cas(&maybe_peak, peak, now))
		peak = atomic_load(&maybe_peak);
	if (nr > 0)
		stat_add(STAT_PAGES_MAYBE, (u64)nr);
	if (!radix_tagged(&mapping->pages, TAG_MAYBE))
		clear_bit(&mapping->flags, AS_SILENT);
}

/* tree_lock held: is the CLEAN @page counted as dirty, since a write failed? Not any more. */
static __noinline bool take_kept(struct page *page, struct address_space *mapping)
{
	if (!test_bit(&page->flags, PG_kept))
		return false;
	clear_bit(&page->flags, PG_kept);
	mapping->has_kept = --mapping->nr_kept != 0;
	return true;
}

void page_keep(struct page *page)
{
	struct address_space *mapping = page_io_mapping(page);
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);

	/* What is cached in its place: the frame under I/O may have been replaced (page_fork.c). */
	page = radix_lookup(&mapping->pages, page->index);
	if (radix_tag_get(&mapping->pages, page->index, TAG_DIRTY))
		goto out;
	set_bit(&page->flags, PG_d_seen);
	radix_retag(&mapping->pages, page->index, 1 << TAG_TOWRITE, 0);
	if (!radix_tag_get(&mapping->pages, page->index, TAG_MAYBE)) {
		set_bit(&page->flags, PG_kept);
		mapping->has_kept = true;
		mapping->nr_kept++;
		mapping->nr_unwritten++;
		atomic_add_return(&nr_unwritten, 1);
	}
	stat_inc(STAT_PAGES_REDIRTIED);
out:
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
}

/* CLEAN to @state: tag, count, list. */
static __always_inline void leave_clean(struct page *page, struct address_space *mapping,
					enum page_dirtiness state)
{
	bool listed, counted = false;
	u64 flags;

	page->dirty = state;
	flags = spin_lock_irqsave(&mapping->tree_lock);
	radix_tag_set(&mapping->pages, page->index,
		      state == PAGE_MAYBE_DIRTY ? TAG_MAYBE : TAG_DIRTY);
	if (state == PAGE_MAYBE_DIRTY)
		mapping_count_maybe(mapping, 1);
	if (unlikely(mapping->has_kept))
		counted = take_kept(page, mapping);
	/* Read inside: the flusher takes the mapping off its list before it looks at the tags, so
	 * either it finds this tag or we find the mapping off the list (rule 39). */
	listed = READ_ONCE(mapping->on_dirty_list);
	mapping->nr_unwritten += !counted;
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	if (likely(!counted))
		atomic_add_return(&nr_unwritten, 1);
	if (unlikely(!listed))
		mapping_mark_dirty(mapping);
}

static __noinline void maybe_to_dirty(struct page *page)
{
	struct address_space *mapping = page->mapping;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);

	page->dirty = PAGE_DIRTY;
	radix_retag(&mapping->pages, page->index, 1 << TAG_DIRTY, 1 << TAG_MAYBE);
	mapping_count_maybe(mapping, -1);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
}

static void become_dirty(struct page *page)
{
	if (page->dirty == PAGE_CLEAN)
		leave_clean(page, page->mapping, PAGE_DIRTY);
	else if (page->dirty == PAGE_MAYBE_DIRTY)
		maybe_to_dirty(page);
}

/* To CLEAN outside of writeback, with or without PG_kept: the tags go with it. No PTE of the
 * page can have D. */
static void become_clean(struct page *page)
{
	struct address_space *mapping = page->mapping;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	bool maybe = page->dirty == PAGE_MAYBE_DIRTY;

	if (unlikely(page->dirty == PAGE_CLEAN))
		take_kept(page, mapping);
	page->dirty = PAGE_CLEAN;
	radix_retag(&mapping->pages, page->index, 0,
		    1 << TAG_DIRTY | 1 << TAG_MAYBE | 1 << TAG_TOWRITE);
	if (maybe)
		mapping_count_maybe(mapping, -1);
	mapping->nr_unwritten--;
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	atomic_sub_return(&nr_unwritten, 1);
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

void page_settle(struct page *page)
{
	struct page_list one = { .first = page, .last = page, .nr = 1 };

	assert_page_locked(page);
	page->next = NULL;
	mapping_mkclean(page->mapping, &one, CLEAN_PROTECT);
	if (page->dirty != PAGE_MAYBE_DIRTY)
		return;
	if (test_and_clear_bit(&page->flags, PG_d_seen))
		page_harvest(page);
	else
		become_clean(page);
}

bool cancel_page_dirty(struct page *page)
{
	assert_page_locked(page);
	BUG_ON(page->mapcount);
	clear_bit(&page->flags, PG_d_seen);
	if (page->dirty == PAGE_CLEAN && !test_bit(&page->flags, PG_kept))
		return false;
	become_clean(page);
	stat_inc(STAT_PAGES_CANCELLED);
	return true;
}

bool page_settle_unmapped(struct page *page)
{
	assert_page_locked(page);
	BUG_ON(atomic_load(&page->mapcount));
	if (page->dirty == PAGE_DIRTY || test_bit(&page->flags, PG_d_seen))
		return false;
	if (page->dirty == PAGE_MAYBE_DIRTY)
		become_clean(page);
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

enum page_dirtiness clear_pages_dirty_for_io(struct address_space *mapping, struct page_list *pages,
					     enum clean_how how)
{
	enum page_dirtiness became = PAGE_CLEAN;
	struct page **link = &pages->first, *page;
	bool silent = false;

	/* Held until the flags are taken: see rmap.c. */
	down_read(&mapping->i_mmap_rwsem);
	mapping_mkclean(mapping, pages, how);
	delay_point("mkclean_before_decide", mapping);
	while ((page = *link)) {
		if (unlikely(!decide(page, &silent))) {
			*link = page->next;
			pages->nr--;
			unlock_page(page);
			page_put(page);
			continue;
		}
		if (unlikely(page->left))
			became = PAGE_MAYBE_DIRTY;
		/* Before the tag: who waits for I/O looks for pages by the tag, and then at the
		 * flag. */
		set_bit(&page->flags, PG_writeback);
		link = &page->next;
	}
	if (pages->nr)
		pages->last = container_of(link, struct page, next);
	if (unlikely(silent))
		pages_pick_again(mapping, pages);
	up_read(&mapping->i_mmap_rwsem);
	stat_add(STAT_PAGES_CLEANED, pages->nr);
	delay_point("cleaned_before_writeback", mapping);
	return became;
}
