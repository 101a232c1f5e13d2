/* SPDX-License-Identifier: MIT */
/*
 * page_writeback.c - pages go under I/O, and come back: the tags of many at once.
 *
 * Owns:  PG_writeback's end, TAG_WRITEBACK, and the moment at which the other tags follow what
 *        page_dirty.c has decided.
 * Not:   that decision, I/O itself (the file system).
 * Locks: tree_lock (irqsave), once for a list; page locks on the way to the I/O, none on the way
 *        back, which is in interrupt context.
 * Key fact: TAG_DIRTY goes when TAG_WRITEBACK comes, in one hold of tree_lock, so that no sync
 *        finds neither (B37).
 */
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/lib/bitmap.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/page_fork.h"
#include "kernel/mm/writeback.h"

static s64 nr_writeback; /* a */

u64 nr_writeback_pages(void)
{
	return (u64)max(atomic_load(&nr_writeback), (s64)0);
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

	return (struct leaf_run){ .first = index - from,
				  .clean = (~0ul >> (64 - nr)) << from,
				  .nr = nr };
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
void pages_pick_again(struct address_space *mapping, struct page_list *pages)
{
	struct page *page = pages->first;

	while (page) {
		struct leaf_run run = leaf_run(page);
		u64 flags = spin_lock_irqsave(&mapping->tree_lock);

		radix_retag_leaf(&mapping->pages, run.first, run.clean | run.maybe,
				 1 << TAG_TOWRITE, 0);
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
	radix_retag_leaf(&mapping->pages, run->first, run->maybe,
			 1 << TAG_WRITEBACK | 1 << TAG_MAYBE, 1 << TAG_DIRTY);
	radix_retag_leaf(&mapping->pages, run->first, run->maybe & ~keep, 0, 1 << TAG_TOWRITE);
	radix_retag_leaf(&mapping->pages, run->first, keep, 1 << TAG_TOWRITE, 0);
	if (left & PAGE_LEFT_SILENT)
		set_bit(&mapping->flags, AS_SILENT);
}

/* tree_lock held. The state of the pages of @run was decided; now the tags and counts say it. */
static void tag_run(struct address_space *mapping, const struct leaf_run *run)
{
	unsigned int gone = 1 << TAG_DIRTY | 1 << TAG_TOWRITE;
	struct radix_leaf leaf;
	u64 was_maybe = 0;

	mapping->nr_writeback += run->nr;
	if (unlikely(radix_tagged(&mapping->pages, TAG_MAYBE))) {
		BUG_ON(!radix_leaf(&mapping->pages, run->first, &leaf));
		was_maybe = leaf.tags[TAG_MAYBE] & (run->clean | run->maybe);
		gone |= 1 << TAG_MAYBE;
	}
	if (run->clean)
		radix_retag_leaf(&mapping->pages, run->first, run->clean, 1 << TAG_WRITEBACK, gone);
	if (unlikely(run->maybe))
		tag_maybe(mapping, run);
	if (unlikely(was_maybe | run->maybe))
		mapping_count_maybe(mapping, (s64)popcount64(run->maybe) - popcount64(was_maybe));
}

void set_pages_writeback(struct address_space *mapping, struct page_list *pages,
			 enum page_dirtiness became)
{
	pgoff_t index = pages->first->index, last = pages->last->index;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	unsigned int nr_maybe_dirty = 0;
	struct leaf_run run;

	if (likely(became == PAGE_CLEAN && is_dense(pages))) {
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
	/* Who goes from dirty to under I/O stays unwritten, and some are both from here on. */
	mapping->nr_unwritten += nr_maybe_dirty;
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	atomic_add_return(&nr_writeback, pages->nr);
	if (unlikely(nr_maybe_dirty))
		atomic_add_return(&nr_unwritten, nr_maybe_dirty);
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
	mapping->nr_unwritten += pages->nr;
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	atomic_add_return(&nr_writeback, pages->nr);
	atomic_add_return(&nr_unwritten, pages->nr);
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
 * replaced meanwhile gets its copy put behind it; then the list is gone through page by page. */
static void untag_writeback(struct address_space *mapping, struct page_list *pages)
{
	pgoff_t index = pages->first->index, last = pages->last->index;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	struct leaf_run run;

	mapping->nr_unwritten -= pages->nr;
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
	atomic_sub_return(&nr_unwritten, pages->nr);
	atomic_sub_return(&nr_writeback, pages->nr);
	atomic_add_return(&mapping->wb->pages_done, pages->nr);
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
