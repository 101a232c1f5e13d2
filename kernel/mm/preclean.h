/* SPDX-License-Identifier: MIT */
/*
 * preclean.h - background cleaning that interrupts no CPU (flush=deferred, mechanism D.3).
 *
 * Cleaning takes W and D from PTEs and then needs every CPU to forget. The flusher has time, so it
 * does that in three phases instead of by a shootdown:
 *
 *   1. preclean() takes from the PTEs what cleaning will take. The pages stay DIRTY, since CPUs may
 *      still store through old entries; AS_DEFERRED says so on the mapping.
 *   2. It sleeps until every CPU has forgotten by itself (tlb_grace_wait), and takes AS_DEFERRED
 *      back.
 *   3. The ordinary pass finds nothing left to take in those PTEs, hence nothing to flush. A page
 *      that was stored to again meanwhile is hot, and preclean_set_aside() keeps it out of the
 *      cleaning: it is written as it is and stays dirty, so that its data is as old on the disk as
 *      with any other flush=, and nobody is interrupted for it.
 *
 * Whoever concludes from a PTE without W and D that nobody stores (cleaning, harvest) flushes the
 * whole table while AS_DEFERRED is set: a sync never waits for phase 2. What removes present PTEs
 * flushes their addresses anyway, which is enough: the generations tell each CPU that it missed
 * something, and it forgets all (tlb.c, serve_batch).
 */
#ifndef KERNEL_MM_PRECLEAN_H
#define KERNEL_MM_PRECLEAN_H

#include "kernel/mm/mapping.h"

struct tlb_batch;

/*
 * Phases 1 and 2 for all dirty pages of @mapping. False: not done (flush= is not deferred, nobody
 * maps the file, its policy wants to be told of harvests), and the pass cleans by shootdown. One
 * call at a time: the device's flusher. Sleeps, up to flush_deadline=; no lock held.
 */
bool preclean(struct address_space *mapping);

/*
 * @batch: locked pages of @mapping, ascending, that a pass after preclean() is about to clean.
 * Moves those whose cleaning would need a flush to @hot (or lets them go, where pages are promised
 * not to change under I/O). Cannot fail; may sleep.
 */
void preclean_set_aside(struct address_space *mapping, struct page_list *batch,
			struct page_list *hot);

/* For who holds @mapping's i_mmap_rwsem for write and is about to flush @batch: adds every table
 * that CPUs may have old entries of, so that nothing is pending any more when the flush is done.
 * True: there was some, and stores may have come through them: note them for the times. */
bool preclean_settle(struct address_space *mapping, struct tlb_batch *batch);

/* For who holds @mapping's i_mmap_rwsem: may a CPU store through a translation that the PTE does
 * not tell of? Stays true or false for as long as the lock is held; true may be a moment old. */
static inline bool preclean_pending(const struct address_space *mapping)
{
	return test_bit(&mapping->flags, AS_DEFERRED);
}

#endif
