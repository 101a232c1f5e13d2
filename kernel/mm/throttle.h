/* SPDX-License-Identifier: MIT */
/*
 * throttle.h - may this thread dirty a page now, or has it to wait for the disk?
 *
 * Who dirties pages asks before each of them, holding no lock that the flusher needs: no page lock,
 * nothing inside it, and no mmap_lock, since others want to go on in the same address space (rule
 * 12). i_rwsem may be held, and is, by write() and by read() into a mapping: the flusher never
 * takes it (rule 128).
 */
#ifndef KERNEL_MM_THROTTLE_H
#define KERNEL_MM_THROTTLE_H

#include "kernel/mm/page_dirty.h"

/* Compute the limits, from the arguments and the size of memory: at boot, and when an argument was
 * set. Any thread context. */
void throttle_init(void);

/* Pages that are not on the disk before anybody has to look closer; all files together. */
extern s64 background_limit;

/*
 * The one question of every fault and every page of a write(), and all of throttling below the
 * limits: figure throttle_off. The counts are exact and common to all CPUs, so that no thread
 * carries a part of them away when it ends (rule 126; B45).
 */
static __always_inline bool dirt_is_low(const struct address_space *mapping)
{
	return likely(READ_ONCE(nr_unwritten) <= READ_ONCE(background_limit) &&
		      READ_ONCE(mapping->nr_unwritten) <= READ_ONCE(mapping->background));
}

/*
 * Dirt is not low, and this thread is about to dirty a page of @mapping. 0: it may. Else the
 * nanoseconds that it shall give to throttle_sleep(), and then ask again, with @waited, since the
 * limit itself holds however long one waits. Wakes the flusher. Does not sleep; @mapping may be
 * gone after the sleep, unless the caller keeps it.
 */
u64 dirty_pause(struct address_space *mapping, bool waited);
/* False: the thread was killed, and has nothing to wait for any more (rule 125). */
bool throttle_sleep(u64 ns);

/* Both, for who keeps @mapping: 0, or -EINTR: killed, dirty nothing. May sleep. */
int balance_dirty_pages_slow(struct address_space *mapping);
static inline int balance_dirty_pages(struct address_space *mapping)
{
	return dirt_is_low(mapping) ? 0 : balance_dirty_pages_slow(mapping);
}

/* From now on at most @pages of @mapping are to wait for the disk (P11); 0: what the argument
 * file_dirty_pages= says, which is the case at first. Any thread context. */
void mapping_limit_dirty(struct address_space *mapping, u64 pages);

/* The flusher's question: shall what may be dirty in silence be protected now, so that its next
 * store is counted? */
bool too_much_dirt(const struct address_space *mapping);

#endif
