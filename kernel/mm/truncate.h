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
 * - growing: what was stored behind the old end stays outside, the page that straddles it is
 *   write-protected (rule 101; B17, B38).
 * Caller holds i_rwsem for write. Takes invalidate_lock for write. 0, or -EIO, -ENOMEM when the
 * partial last page could not be read (then nothing changed). May sleep.
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

/* --- what truncate.c and punch.c share: one page --- */

/* The page with byte @pos, inside EOF: up to date, locked, referenced; read if need be. -EIO,
 * -ENOMEM. May sleep. */
int lock_page_at(struct address_space *mapping, u64 pos, struct page **out);
/* Bytes [@from, @to) of the locked, up-to-date @page become zeros, and by the next writeback on the
 * disk. Waits for its I/O. A page that has zeros there already is not dirtied: it may be a hole, to
 * which nobody has promised a block. May sleep. */
void zero_page_part(struct page *page, unsigned int from, unsigned int to);
/* Whatever prepare_write() has said of the locked @page does not hold any longer: the next store
 * faults, on all CPUs, and asks again. Its dirtiness stays. May sleep. */
void page_forget_blocks(struct page *page);

#endif
