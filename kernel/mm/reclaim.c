/* SPDX-License-Identifier: MIT */
/*
 * reclaim.c - which cached page leaves when memory is wanted, and how it leaves.
 *
 * Owns:  the clock; PG_used once it is set; the order lock - unmap - flush - decide - free.
 * Not:   PTEs (unmap.c), dirtiness (page_dirty.c), when it is time (kreclaimd.c).
 * Locks: page locks and i_mmap_rwsem, tried only, so that whoever finds no memory may call this
 *        with locks held; tree_lock while a page is taken out of its file.
 * Key fact: page->refs tells a cached page from all others (PAGE_CACHED), and a reference is taken
 *        in the same instruction. So the hands go over the frames by their numbers and there are
 *        no lists: a page that is found, read or stored to pays for none. A page leaves in one
 *        compare-exchange as well: refs from "the tree and we" to 0 under tree_lock, under which
 *        alone the tree gives references. Whoever else has one keeps the page where it is.
 *
 * A clock with two hands. The front hand takes the marks of use: the A bits of all PTEs, and
 * PG_used of who read or wrote without a mapping. The back hand follows some distance behind and
 * takes out what nobody has used since. So the distance, not the size of memory, says how long a
 * page has time to be used again; and what was read once, in one long read, has no mark.
 *
 * Hands, not lists by age: those cost each use of a page, or forget which page was used; struct
 * page has no room for links; and frames that leave in the order of their numbers become large
 * blocks again, which slabs want. The price is that the hands also look at frames that are no
 * cached pages: a load each.
 *
 * Both hands work on one batch, with one shootdown: it flushes what the back hand has unmapped, and
 * lets CPUs set again the A bits that the front hand has taken.
 */
#include "kernel/mm/reclaim.h"

#include "kernel/core/delay.h"
#include "kernel/core/sched.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/unmap.h"
#include "kernel/mm/writeback.h"

#define CHUNK_ORDER 6
#define CHUNK	    (1ul << CHUNK_ORDER) /* frames that a hand goes over at once */
#define BATCH	    256			 /* pages unmapped under one shootdown at most */
#define SCAN_BATCH  1024		 /* frames passed for one shootdown, if it finds little */
/* How far the hands are apart: a quarter of memory, and 1 GiB at most. */
#define DISTANCE_MAX ((1ul << 30) / PAGE_SIZE / CHUNK)

struct victim {
	struct page *page;
	u32 ptes; /* that were removed */
	bool d;	  /* one of them had D */
};

struct batch {
	struct unmap unmap;
	enum reclaim_whom whom;
	unsigned int nr;
	u64 freed, used, dirty, unmapped, scanned;
	struct victim victim[BATCH];
};

static u64 hand; /* a: chunks that the back hand has begun */

bool reclaim_possible(void)
{
	const struct thread *t = current_thread();

	return t && !preempt_count() && !in_irq() && irqs_enabled() && !t->in_reclaim;
}

u64 reclaim_revolution(void)
{
	return nr_frame_blocks() << MAX_ORDER;
}

/* --- a page --- */

/* The file's pages may be read again, and nothing of this one is only in memory. Page locked.
 * Stale answers do no harm: they are asked again when it leaves. */
static bool is_candidate(const struct page *page)
{
	const struct address_space *mapping = page->mapping;

	return mapping && !page_replaced(page) && mapping_writeback(mapping) &&
	       !page_writeback(page) && !page_pinned(page);
}

/* Dirty, and nobody uses it: the flusher shall write it, and then it may go. */
static void leave_to_flusher(struct batch *b, struct page *page)
{
	struct writeback *wb = page->mapping->wb;

	b->dirty++;
	if (!READ_ONCE(wb->kick))
		writeback_kick(wb);
}

/* Referenced by us, locked by us, unmapped and settled, CLEAN. True: it has left its file and has
 * no reference left; the lock is gone with it. */
static bool take_out(struct page *page, unsigned int our_refs)
{
	struct address_space *mapping = page->mapping;
	bool mine;
	u64 flags;

	if (mapping->a_ops->release_page && mapping->a_ops->release_page(mapping, page))
		return false;
	flags = spin_lock_irqsave(&mapping->tree_lock);
	mine = atomic_cas(&page->refs, (int)(PAGE_CACHED + our_refs), 0);
	if (likely(mine)) {
		radix_delete(&mapping->pages, page->index);
		page->mapping = NULL;
	}
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	return mine;
}

/* After the flush. True: the page is gone. */
static bool finish(struct batch *b, const struct victim *v)
{
	struct page *page = v->page;

	if (v->ptes && atomic_sub_return(&page->mapcount, (int)v->ptes))
		goto stays; /* of mlock() */
	if (unlikely(atomic_load(&page->mapcount)))
		goto stays;
	if (v->d)
		page_harvest(page);
	if (!page_settle_unmapped(page)) {
		leave_to_flusher(b, page);
		goto stays;
	}
	if (!take_out(page, 1 + v->ptes))
		goto stays;
	if (unlikely(debug_checks))
		page_lock_handed_to_io(page); /* nobody unlocks it */
	page->flags = 0;
	free_unreferenced(page);
	b->freed++;
	return true;
stays:
	atomic_sub_return(&page->refs, (int)v->ptes);
	unlock_page(page);
	page_put(page);
	return false;
}

/* The locked, referenced @page shall go. False: not now; nothing was changed. */
static bool choose(struct batch *b, struct page *page)
{
	struct victim *v = &b->victim[b->nr];

	v->page = page;
	v->ptes = 0;
	v->d = false;
	if (atomic_load(&page->mapcount)) {
		v->ptes = unmap_page(&b->unmap, page, &v->d);
		b->unmapped += v->ptes;
		if (!v->ptes)
			return false;
	}
	b->nr++;
	return true;
}

static void begin(struct batch *b, enum reclaim_whom whom)
{
	b->whom = whom;
	unmap_begin(&b->unmap);
	b->nr = 0;
	b->scanned = b->used = b->dirty = b->unmapped = b->freed = 0;
	current_thread()->in_reclaim = true;
}

static void end(struct batch *b)
{
	unmap_flush(&b->unmap);
	for (unsigned int i = 0; i < b->nr; i++)
		finish(b, &b->victim[i]);
	unmap_end(&b->unmap);
	current_thread()->in_reclaim = false;
	stat_add(STAT_PAGES_RECLAIMED, b->freed);
	stat_add(STAT_RECLAIM_SCANNED, b->scanned);
	stat_add(STAT_RECLAIM_USED, b->used);
	stat_add(STAT_RECLAIM_UNMAPPED, b->unmapped);
	stat_add(STAT_RECLAIM_DIRTY_SKIPPED, b->dirty);
}

/* --- the hands --- */

/* Forget that the page was used. PG_used needs no reference: of a frame that was freed meanwhile
 * nobody else has that bit. */
static void pass_front(struct batch *b, struct page *page)
{
	if (READ_ONCE(page->refs) < PAGE_CACHED)
		return;
	if (test_bit(&page->flags, PG_used))
		clear_bit(&page->flags, PG_used);
	if (!READ_ONCE(page->mapcount) || !page_get_cached(page))
		return;
	if (trylock_page(page)) {
		if (is_candidate(page) && unmap_hold(&b->unmap, page->mapping))
			unmap_ask(&b->unmap, page, UNMAP_TAKE_A);
		unlock_page(page);
	}
	page_put(page);
}

/* Has somebody used the locked page since the front hand was there? */
static bool is_used(struct batch *b, struct page *page)
{
	enum page_use most = b->whom == RECLAIM_UNUSED ? PAGE_IDLE : PAGE_IN_USE;

	if (test_bit(&page->flags, PG_used) && b->whom == RECLAIM_UNUSED)
		return true;
	return READ_ONCE(page->mapcount) && (!unmap_hold(&b->unmap, page->mapping) ||
					     unmap_ask(&b->unmap, page, UNMAP_LOOK) > most);
}

/* True: it is a victim, and stays locked and referenced. */
static bool judge(struct batch *b, struct page *page)
{
	if (!is_candidate(page))
		return false;
	if (is_used(b, page)) {
		b->used++;
		return false;
	}
	if (page->dirty == PAGE_DIRTY || test_bit(&page->flags, PG_d_seen)) {
		leave_to_flusher(b, page);
		return false;
	}
	return choose(b, page);
}

static void pass_back(struct batch *b, struct page *page)
{
	if (!page_get_cached(page))
		return;
	b->scanned++;
	if (trylock_page(page)) {
		if (judge(b, page))
			return;
		unlock_page(page);
	}
	page_put(page);
}

/* The frames of chunk @n, counted round the clock. */
static struct page *chunk(u64 n, u64 chunks)
{
	const u64 per_block = (1ul << MAX_ORDER) / CHUNK;

	n %= chunks;
	return frame_block(n / per_block) + n % per_block * CHUNK;
}

/* Is all of the chunk free? Asked without a lock: an answer that is old passes it over once. */
static bool is_free(const struct page *chunk)
{
	u64 pfn = page_to_pfn(chunk);

	for (unsigned int order = CHUNK_ORDER; order <= MAX_ORDER; order++) {
		const struct page *head = pfn_to_page(pfn & ~((1ul << order) - 1));

		if (test_bit(&head->flags, PG_buddy) && READ_ONCE(head->order) >= order)
			return true;
	}
	return false;
}

/* Both hands one chunk on. Several threads may turn the clock: each gets a chunk of its own. */
static void turn(struct batch *b)
{
	u64 chunks = reclaim_revolution() / CHUNK;
	u64 n = atomic_add_return(&hand, 1) - 1;
	struct page *front = chunk(n + min(chunks / 4, DISTANCE_MAX), chunks);
	struct page *back = chunk(n, chunks);

	if (!is_free(front))
		for (unsigned int i = 0; i < CHUNK; i++)
			pass_front(b, front + i);
	if (!is_free(back))
		for (unsigned int i = 0; i < CHUNK; i++)
			pass_back(b, back + i);
}

u64 reclaim_pages(u64 target, u64 scan, enum reclaim_whom whom)
{
	u64 freed = 0, passed = 0;
	struct batch b;

	BUG_ON(!reclaim_possible());
	while (freed < target && passed < scan) {
		u64 stop = min(scan, passed + SCAN_BATCH);

		begin(&b, whom);
		while (b.nr + CHUNK <= BATCH && freed + b.nr < target && passed < stop) {
			turn(&b);
			passed += CHUNK;
		}
		end(&b);
		freed += b.freed;
		trace(TRACE_RECLAIM, passed, freed);
	}
	return freed;
}

bool reclaim_page(struct page *page)
{
	struct batch b;

	BUG_ON(!reclaim_possible());
	if (!trylock_page(page)) {
		page_put(page);
		return false;
	}
	begin(&b, RECLAIM_ANY);
	if (!is_candidate(page) || !unmap_hold(&b.unmap, page->mapping) ||
	    unmap_ask(&b.unmap, page, UNMAP_LOOK) == PAGE_PINNED || !choose(&b, page)) {
		unlock_page(page);
		page_put(page);
	}
	end(&b);
	return b.freed;
}
