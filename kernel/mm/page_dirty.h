/* SPDX-License-Identifier: MIT */
/*
 * page_dirty.h - the one owner of a page's dirty state.
 *
 * from, to               when                                             function
 * CLEAN to DIRTY         a notified store, or write()                     set_page_dirty
 * CLEAN to MAYBE_DIRTY   mapped writable without notice, every D clear    page_set_maybe_dirty
 * MAYBE_DIRTY to DIRTY   a D bit was found by asking                      page_harvest
 * flag PG_d_seen         a D bit was found while unmapping                page_note_d_seen
 * DIRTY/MAYBE to CLEAN   cleaned for I/O with write-protect               clear_pages_dirty_for_io
 * DIRTY to MAYBE_DIRTY   cleaned for I/O with clear-D only                the same
 * any to CLEAN           the data is discarded by truncate; no PTE is left  cancel_page_dirty
 * WRITEBACK on           I/O is about to start; dirtiness not touched     set_pages_writeback
 * WRITEBACK off          I/O finished; dirtiness not touched              end_page_writeback
 *
 * Promises (design section 6): P1 CLEAN implies no writable PTE and no CPU with a writable
 * translation. P2 a PTE with D implies not CLEAN. P3 TAG_DIRTY if and only if not CLEAN. P4 a store
 * during writeback leaves the page DIRTY or MAYBE_DIRTY after it. P5 the bytes given to the device
 * were read after the shootdown was acknowledged. P6 a frame is freed only after the flush of its
 * last translation. Between a fault's PTE and its set_page_dirty, and inside cleaning, the page
 * lock covers the difference.
 */
#ifndef KERNEL_MM_PAGE_DIRTY_H
#define KERNEL_MM_PAGE_DIRTY_H

#include "kernel/mm/mapping.h"
#include "kernel/mm/page.h"

/* Page locked, in a mapping with writeback. True if it was not DIRTY before. Puts the mapping on
 * its device's dirty list. */
bool set_page_dirty(struct page *page);
/* Page locked and CLEAN or already MAYBE_DIRTY/DIRTY (then nothing changes). */
void page_set_maybe_dirty(struct page *page);
/* The page's PTEs were asked and one had D: page locked. */
void page_harvest(struct page *page);
/* From zap: i_mmap_rwsem held for write. Any page of a file with writeback. */
void page_note_d_seen(struct page *page);
/* Page locked, no PTE maps it. True if it was dirty. */
bool cancel_page_dirty(struct page *page);
/* Page locked: it could not be written; DIRTY again and not counted as newly dirtied (rule 35). */
void redirty_page(struct page *page);

/*
 * The serialization point. @pages: all locked, ascending, of one mapping. Cleans every mapping of
 * them (mapping_mkclean: one walk per area, one shootdown), folds D and PG_d_seen in, decides each
 * page's new state. Pages that turn out not to be dirty at all are taken off the list, unlocked and
 * put. On return the pages left have been DIRTY, still have TAG_DIRTY, and no CPU can store to one
 * that became CLEAN without a fault. AS_CMTIME is noted if a D was found. May sleep.
 */
void clear_pages_dirty_for_io(struct address_space *mapping, struct page_list *pages);

/* @pages as left by clear_pages_dirty_for_io, still locked: WRITEBACK on, TAG_DIRTY and TAG_TOWRITE
 * as the new state says, in one hold of tree_lock (rule 29; B37). */
void set_pages_writeback(struct address_space *mapping, struct page_list *pages);

/* I/O of @page ended; wakes waiters and drops the reference the I/O held. Errors were noted by
 * mapping_set_error() before (rule 81). Any context. */
void end_page_writeback(struct page *page);
/* The same for a whole list of one mapping (ascending): one tree_lock hold per leaf. */
void end_pages_writeback(struct page_list *pages);

/* What nr_dirty_pages() reads; for throttling's one comparison in every fault. */
extern s64 nr_dirty;

/* Pages DIRTY or MAYBE_DIRTY, and under writeback, in the whole system. */
u64 nr_dirty_pages(void);
u64 nr_writeback_pages(void);

/* debug=1, when a page lock is about to be dropped: checks P1-P4 of this page as far as it can be
 * seen from the page and the tree. */
void page_assert_state(struct page *page);
/* Walk a whole mapping, all its pages and all PTEs of all its areas; panics (or, with @quiet,
 * counts) on a broken promise. Needs quiet writers. May sleep. */
u64 mapping_audit(struct address_space *mapping, bool quiet);
/* Every mapping that exists. */
u64 audit_all_mappings(void);

#endif
