/* SPDX-License-Identifier: MIT */
/*
 * page.c - references to a page, its lock, and waiting for its bits.
 *
 * Owns:  PG_locked and PG_waiters.
 * Not:   what the lock protects (page.h), PG_writeback's meaning (page_dirty.c), frames
 *        (page_alloc.c).
 * Locks: none held; a hashed wait queue's inside wait.c.
 * Key fact: a waiter queues itself, sets PG_waiters, then looks at its bit; a clearer clears the
 *        bit and sees PG_waiters as it was at that instant. All are locked operations on one word:
 *        either the waiter sees the bit clear or the clearer sees PG_waiters. No wake-up is lost.
 *
 * Everybody who waits for any bit of the page is woken and looks again, setting PG_waiters again if
 * need be. The fast halves are in page.h.
 */
#include "kernel/mm/page.h"

#include "kernel/core/lockrank.h"
#include "kernel/core/sched.h"
#include "kernel/core/wait.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/page_dirty.h"

_Static_assert(PG_waiters == 7, "the sign of the low byte of page->flags");
_Static_assert(PG_locked < 7 && PG_writeback < 7, "in the same byte as PG_waiters");

void page_release(struct page *page)
{
	if (READ_ONCE(page->refs) < 0)
		panic("page_put: frame %#lx was free already", (unsigned long)page_to_pfn(page));
	free_unreferenced(page);
}

/* By address only: the page may be gone. */
void page_wake(struct page *page)
{
	wake_up_key(wait_hash(page), page);
}

/*
 * PG_waiters is set already. As long as our bit is set too the page is ours, and both may be
 * cleared together. Where PG_waiters comes between the caller's look and its clearing, it stays
 * set instead, and the next clearer wakes nobody, once.
 */
void page_clear_bit_slow(struct page *page, unsigned int bit)
{
	if (!test_bit(&page->flags, bit))
		panic("page %lu of mapping %p: bit %u was to be cleared and is clear: flags %#lx",
		      (unsigned long)page->index, (void *)page->mapping, bit, page->flags);
	atomic_and(&page->flags, ~(1UL << PG_waiters | 1UL << bit));
	page_wake(page);
}

void lock_page_slow(struct page *page)
{
	struct wait_queue *wq = wait_hash(page);
	bool locked;

	assert_can_sleep();
	do {
		struct waiter w;

		wait_prepare(wq, &w, page);
		set_bit(&page->flags, PG_waiters);
		locked = !test_and_set_bit(&page->flags, PG_locked);
		if (!locked)
			wait_sleep(0);
		wait_finish(wq, &w);
	} while (!locked && test_and_set_bit(&page->flags, PG_locked));
}

static void note_locked(struct page *page)
{
	lockrank_acquire(page, RANK_PAGE, page->index + 1, "page");
}

/* debug=1, before waiting for the lock. */
void page_note_lock(struct page *page)
{
	assert_can_sleep();
	note_locked(page);
}

/* debug=1, before the lock is dropped. */
void page_note_unlock(struct page *page)
{
	assert_page_locked(page);
	page_assert_state(page);
	lockrank_release(page);
}

bool trylock_page(struct page *page)
{
	if (test_and_set_bit(&page->flags, PG_locked))
		return false;
	if (unlikely(debug_checks))
		lockrank_tried(page, RANK_PAGE, page->index + 1, "page");
	return true;
}

void page_lock_handed_to_io(struct page *page)
{
	assert_page_locked(page);
	if (unlikely(debug_checks))
		lockrank_release(page);
}

void wait_on_page_writeback(struct page *page)
{
	while (unlikely(page_writeback(page))) {
		struct wait_queue *wq = wait_hash(page);
		struct waiter w;

		wait_prepare(wq, &w, page);
		set_bit(&page->flags, PG_waiters);
		if (page_writeback(page))
			wait_sleep(0);
		wait_finish(wq, &w);
	}
}
