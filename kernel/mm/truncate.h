/* SPDX-License-Identifier: MIT */
/*
 * truncate.h - pages leave a file.
 */
#ifndef KERNEL_MM_TRUNCATE_H
#define KERNEL_MM_TRUNCATE_H

#include "kernel/mm/mapping.h"

/*
 * The file's new size is @size (bytes): publishes mapping->size, and
 * - shrinking: unmaps [new end, old end) everywhere, drops the pages (lock, wait for I/O, cancel
 *   dirtiness), unmaps again for copies made in the race, zeroes the tail of the last page
 *   (rules 99, 102). The caller frees the blocks afterwards: no I/O to them is in flight (rule
 *   103).
 * - growing: zero_old_tail() before, pagecache_isize_extended() after (rule 101).
 * Caller holds i_rwsem for write. Takes invalidate_lock for write when shrinking. 0, or -EIO when
 * the partial last page could not be read (then nothing changed). May sleep.
 */
int truncate_setsize(struct address_space *mapping, u64 size);

/* The size is about to grow from @size: what was stored behind EOF in the cached last page must not
 * become visible (B38). Caller holds i_rwsem w. May sleep. */
void zero_old_tail(struct address_space *mapping, u64 size);

/* The size has grown from @from: write-protect the page that straddles the old end, so that the
 * next store calls prepare_write for blocks that are now inside (B17). Caller holds i_rwsem w. May
 * sleep. */
void pagecache_isize_extended(struct address_space *mapping, u64 from);

/* Drop every page of [first, last]; DROP_DIRTY discards data (truncate, eviction of an unlinked
 * file), else dirty, mapped and busy pages stay. Returns pages left. May sleep. */
enum drop_mode { DROP_CLEAN_ONLY, DROP_DIRTY };
u64 drop_mapping_pages(struct address_space *mapping, pgoff_t first, pgoff_t last,
		       enum drop_mode mode);

#endif
