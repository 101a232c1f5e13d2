/* SPDX-License-Identifier: MIT */
/*
 * writeback.c - taking dirty pages of a file in batches and handing them to the file system.
 *
 * Owns:  which pages are picked (TOWRITE), the order lock - clean - mark - unlock - submit.
 * Not:   cleaning (page_dirty.c, rmap.c), blocks and bios (the file system), the thread that does
 *        it by itself (flusher.c).
 * Locks: page locks of a batch by rising index; nothing else of this file's.
 * Key fact: all pages of a batch stay locked from before their PTEs are cleaned until PG_writeback
 *        is set, so that one shootdown serves them all and nobody sees a page that is neither dirty
 *        nor under I/O although its data is not on disk (B37).
 *
 * Waiting for a page's I/O with other page locks held is safe: completion takes no page lock, and
 * whoever set PG_writeback submits without taking one.
 */
#include "kernel/mm/writeback.h"

#include <string.h>
#include <sys/errno.h>

#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/lib/bitmap.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/harvest.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/preclean.h"

#define GANG 64

/* Up to GANG pages from @index on that carry @tag, referenced. */
static unsigned int gang_get(struct address_space *mapping, pgoff_t index, pgoff_t last,
			     unsigned int tag, struct page **pages)
{
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	unsigned int n = radix_gang_tag(&mapping->pages, index, last, (void **)pages, GANG, tag);

	for (unsigned int i = 0; i < n; i++)
		page_get(pages[i]);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	return n;
}

/*
 * Lock @page for writing it. False: not now, not dirty, or gone; then it is not locked. A sync
 * waits for I/O that is in flight, since it may have begun before the store that the sync is for
 * (rule 31); background skips such pages.
 */
static __always_inline bool lock_for_write(struct address_space *mapping, struct page *page,
					   enum sync_mode mode)
{
	if (mode != SYNC_NONE)
		lock_page(page);
	else if (page_writeback(page) || !trylock_page(page))
		return false;
	if (page->mapping != mapping)
		goto no;
	if (page->dirty == PAGE_CLEAN && !test_bit(&page->flags, PG_d_seen)) {
		page_unpick(page);
		goto no;
	}
	if (page_writeback(page)) {
		if (mode == SYNC_NONE)
			goto no;
		wait_on_page_writeback(page);
	}
	return true;
no:
	unlock_page(page);
	return false;
}

/*
 * Add pages of one leaf to @batch, in order, as long as nothing has to be waited for or looked at
 * twice: tags say that they may be dirty and are not under I/O, which stays true once we have the
 * lock; and while tree_lock is held nobody takes a page out of the tree without the page's lock.
 * *@index moves behind what was looked at. Returns the page that it stopped at, referenced, which
 * is to be locked the slow way (locks are taken by rising index); NULL: it did not stop, or
 * (*@done) nothing is left.
 */
static struct page *lock_leaf(struct address_space *mapping, struct writeback_control *wbc,
			      pgoff_t *index, struct page_list *batch, bool *done)
{
	struct page **link = batch->last ? &batch->last->next : &batch->first;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock), bits, hard, easy;
	struct page *page = NULL;
	struct radix_leaf leaf;

	bits = radix_next_leaf(&mapping->pages, index, wbc->last, TAG_TOWRITE, &leaf);
	if (!bits) {
		spin_unlock_irqrestore(&mapping->tree_lock, flags);
		*done = true;
		return NULL;
	}
	/* debug=1 wants to see every lock being taken. */
	hard = debug_checks ? bits :
			      bits & (leaf.tags[TAG_WRITEBACK] |
				      ~(leaf.tags[TAG_DIRTY] | leaf.tags[TAG_MAYBE]));
	bits &= (hard & -hard) - 1; /* those before the first hard one */
	for (easy = bits; easy; easy &= easy - 1) {
		page = leaf.items[(u64)__builtin_ctzl(easy)];
		if (unlikely(test_and_set_bit(&page->flags, PG_locked)))
			break;
		/* The tag goes first when I/O ends. */
		if (unlikely(page_writeback(page))) {
			page_clear_bit_wake(page, PG_locked);
			break;
		}
		page_get(page);
		*link = page;
		link = &page->next;
	}
	*link = NULL;
	if (easy)
		hard = easy;
	if (bits != easy) {
		batch->last = container_of(link, struct page, next);
		batch->nr += popcount64(bits ^ easy);
	}
	page = NULL;
	*index &= ~63ul;
	if (unlikely(hard)) {
		page = leaf.items[__builtin_ctzl(hard)];
		page_get(page);
		*index += (unsigned int)__builtin_ctzl(hard) + 1;
	} else {
		*index += 64;
	}
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	*done = *index > wbc->last || !*index;
	return page;
}

/* Fill @batch with locked, referenced pages from *@index on; moves *@index behind the last looked
 * at. Stops at WRITEBACK_BATCH pages, at the budget, or at the end (*@done). */
static void collect(struct address_space *mapping, struct writeback_control *wbc, pgoff_t *index,
		    struct page_list *batch, bool *done)
{
	/* Up to the end of the leaf must fit. */
	while (!*done && batch->nr + 64 - (*index & 63) <= WRITEBACK_BATCH &&
	       batch->nr < wbc->nr_to_write) {
		struct page *page = lock_leaf(mapping, wbc, index, batch, done);

		if (!page)
			continue;
		if (lock_for_write(mapping, page, wbc->mode))
			page_list_add(batch, page);
		else
			page_put(page);
	}
	*done |= batch->nr >= wbc->nr_to_write;
}

/*
 * Bytes behind EOF in the last page go to the disk as zeros (rule 40). The page is locked and its
 * PTEs are clean: a store that races faults and waits, so that this cannot wipe out data that a
 * growing file has meanwhile made its own (B38c).
 */
static void zero_tail(struct address_space *mapping, struct page *page)
{
	u64 size = READ_ONCE(mapping->size);

	if (page->index == size >> PAGE_SHIFT && (size & ~PAGE_MASK))
		memset((char *)page_address(page) + (size & ~PAGE_MASK), 0,
		       PAGE_SIZE - (size & ~PAGE_MASK));
}

/* The last step: locked pages that are under writeback already go to the file system. */
static void submit_batch(struct address_space *mapping, struct page_list *batch,
			 struct writeback_control *wbc)
{
	struct page *page;

	/* They stay for the I/O's reference. */
	if (unlikely(debug_checks))
		for (page = batch->first; page; page = page->next)
			unlock_page(page);
	else
		for (page = batch->first; page; page = page->next)
			page_clear_known_bit_wake(page, PG_locked);
	wbc->written += batch->nr;
	mapping->a_ops->writepages(mapping, batch, wbc);
}

/* Steps 12 to 15 of a store's journey, for a batch. */
static void write_batch(struct address_space *mapping, struct page_list *batch,
			struct writeback_control *wbc)
{
	enum page_dirtiness became = PAGE_CLEAN;
	struct page_list hot = { 0 };

	if (unlikely(wbc->precleaned))
		preclean_set_aside(mapping, batch, &hot);
	if (likely(batch->nr))
		became = clear_pages_dirty_for_io(
			mapping, batch, wbc->protect ? CLEAN_PROTECT : CLEAN_AS_POLICY_SAYS);
	if (batch->nr) {
		zero_tail(mapping, batch->last);
		set_pages_writeback(mapping, batch, became);
		submit_batch(mapping, batch, wbc);
	}
	if (unlikely(hot.nr)) {
		set_dirty_pages_writeback(mapping, &hot);
		submit_batch(mapping, &hot, wbc);
	}
}

/*
 * TAG_TOWRITE for all that this pass shall visit. The harvest has given it to pages that were
 * stored to silently, and to those that the policy wants to look at; a pass that protects visits
 * whatever may be dirty, and needs no harvest. False: there is nothing.
 */
static bool pick(struct address_space *mapping, struct writeback_control *wbc)
{
	u64 flags;

	/* Nobody maps the file: nothing may store to it any more, and then none of its pages shall
	 * be called MAYBE_DIRTY (an unused inode could never be thrown out). If somebody maps it
	 * just now, its pages are protected once for nothing. */
	if (i_mmap_empty(&mapping->i_mmap))
		wbc->protect = true;
	if (!wbc->protect && !wbc->precleaned && radix_tagged(&mapping->pages, TAG_MAYBE))
		mapping_harvest(mapping, wbc->first, wbc->last, wbc->why);
	/* A sync may look without the lock: the stores it is for have retired long ago. The
	 * flusher may not: it has just taken the file off the list, and who tags a page now looks
	 * there under the lock (rule 39). */
	if (wbc->mode != SYNC_NONE &&
	    !radix_tagged_any(&mapping->pages, 1 << TAG_DIRTY | 1 << TAG_TOWRITE | 1 << TAG_MAYBE))
		return false;
	flags = spin_lock_irqsave(&mapping->tree_lock);
	radix_tag_range(&mapping->pages, wbc->first, wbc->last, TAG_DIRTY, TAG_TOWRITE);
	if (wbc->protect)
		radix_tag_range(&mapping->pages, wbc->first, wbc->last, TAG_MAYBE, TAG_TOWRITE);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	delay_point("tagged_towrite", mapping);
	return radix_tagged(&mapping->pages, TAG_TOWRITE);
}

/* A sync of one page: pick() and collect() in one look, since one page needs no tag to come to an
 * end. False: @batch stays empty. */
static bool take_one(struct address_space *mapping, struct writeback_control *wbc,
		     struct page_list *batch)
{
	unsigned int slot = wbc->first & 63;
	struct page *page = NULL;
	struct radix_leaf leaf;
	u64 flags, tagged;

	flags = spin_lock_irqsave(&mapping->tree_lock);
	if (radix_leaf(&mapping->pages, wbc->first - slot, &leaf)) {
		tagged = leaf.tags[TAG_DIRTY] | leaf.tags[TAG_TOWRITE];
		if (tagged >> slot & 1) {
			page = leaf.items[slot];
			page_get(page);
		}
	}
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	delay_point("tagged_towrite", mapping);
	if (!page)
		return false;
	if (!lock_for_write(mapping, page, wbc->mode)) {
		page_put(page);
		return false;
	}
	page_list_add(batch, page);
	return true;
}

static void write_range(struct address_space *mapping, struct writeback_control *wbc)
{
	pgoff_t index = wbc->first;
	bool done;

	mapping->history.passes++;
	/* Where nothing can be dirty in silence. */
	if (wbc->first == wbc->last && wbc->mode != SYNC_NONE && !wbc->protect &&
	    !wbc->precleaned && !radix_tagged(&mapping->pages, TAG_MAYBE)) {
		struct page_list one = { 0 };

		if (take_one(mapping, wbc, &one))
			write_batch(mapping, &one, wbc);
		return;
	}
	done = !pick(mapping, wbc);
	while (!done) {
		struct page_list batch = { 0 };

		collect(mapping, wbc, &index, &batch, &done);
		if (batch.nr)
			write_batch(mapping, &batch, wbc);
	}
}

int filemap_fdatawrite_range(struct address_space *mapping, struct writeback_control *wbc)
{
	struct thread *t = current_thread();

	if (!mapping_writeback(mapping))
		return 0;
	/* What is written is memory soon (rule 130). */
	t->writes_out++;
	write_range(mapping, wbc);
	t->writes_out--;
	return 0;
}

void filemap_fdatawait_range(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	struct page *pages[GANG];
	unsigned int n, i;

	while (radix_tagged(&mapping->pages, TAG_WRITEBACK)) {
		n = gang_get(mapping, first, last, TAG_WRITEBACK, pages);
		for (i = 0; i < n; i++) {
			first = pages[i]->index + 1;
			wait_on_page_writeback(pages[i]);
			page_put(pages[i]);
		}
		if (!n || first > last || !first)
			break;
	}
}

int filemap_write_and_wait_range(struct address_space *mapping, pgoff_t first, pgoff_t last,
				 enum policy_harvest_why why)
{
	struct writeback_control wbc = {
		.mode = SYNC_DATA, .why = why, .first = first, .last = last, .nr_to_write = ~0ul
	};
	u32 failed = READ_ONCE(mapping->nr_failed);
	int err = filemap_fdatawrite_range(mapping, &wbc);

	filemap_fdatawait_range(mapping, first, last);
	return err ? err : mapping_failed_since(mapping, failed);
}
