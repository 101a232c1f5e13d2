/* SPDX-License-Identifier: MIT */
/*
 * page_dirty.h - the one owner of a page's dirty state.
 *
 * from, to               when                                             function
 * CLEAN to DIRTY         a notified store, or write()                     set_page_dirty
 * CLEAN to MAYBE_DIRTY   mapped writable without notice, every D clear    page_set_maybe_dirty
 * MAYBE_DIRTY to DIRTY   a notified store, write(), a D bit was found     set_page_dirty, ...
 * flag PG_d_seen         a D bit was found while unmapping or asking      page_note_d_seen
 * DIRTY/MAYBE to CLEAN   cleaned; nothing may store to it silently        clear_pages_dirty_for_io
 * DIRTY to MAYBE_DIRTY   cleaned; a PTE was left that may                 the same
 * any to CLEAN           the data is discarded by truncate; no PTE is left  cancel_page_dirty
 * MAYBE_DIRTY to CLEAN   no PTE is left, and none had D                   page_settle_unmapped
 * flag PG_kept           a write failed (wberr=keep): CLEAN, yet dirty    page_keep
 * WRITEBACK on           I/O is about to start; dirtiness not touched     set_pages_writeback
 * WRITEBACK off          I/O finished; dirtiness not touched              end_page_writeback
 *
 * Promises (design section 6): P1 CLEAN implies no writable PTE and no CPU with a writable
 * translation. P2 a PTE with D implies not CLEAN. P3 TAG_DIRTY if and only if DIRTY, TAG_MAYBE if
 * and only if MAYBE_DIRTY. P4 a store during writeback leaves the page DIRTY or MAYBE_DIRTY after
 * it. P5 the bytes given to the device were read after the shootdown was acknowledged. P6 a frame
 * is freed only after the flush of its last translation. P7 a page that is not DIRTY and has
 * PG_d_seen has TAG_TOWRITE: the next pass over the file visits it. Between a fault's PTE and its
 * set_page_dirty, and inside cleaning, the page lock covers the difference.
 *
 * P7 is kept by who does not hold the page lock: who sets PG_d_seen does so before it looks, under
 * tree_lock, whether the page is DIRTY and if not tags it; who takes TAG_TOWRITE off looks, under
 * tree_lock, whether PG_d_seen is set and if so leaves the tag. Whoever comes second sees the
 * other.
 */
#ifndef KERNEL_MM_PAGE_DIRTY_H
#define KERNEL_MM_PAGE_DIRTY_H

#include "kernel/mm/mapping.h"
#include "kernel/mm/page.h"

/* Page locked, in a mapping with writeback. True if it was not DIRTY before. Puts the mapping on
 * its device's dirty list. */
bool set_page_dirty(struct page *page);
/* Page locked: a PTE is about to become writable with D clear, and nobody will be told of stores.
 * CLEAN becomes MAYBE_DIRTY; a page that is not DIRTY makes the file AS_SILENT. */
void page_set_maybe_dirty(struct page *page);
/* The page's PTEs were asked and one had D: page locked. */
void page_harvest(struct page *page);
/* From zap: i_mmap_rwsem held for write. Any page of a file with writeback that a PTE mapped until
 * now. The caller notes the store for the times when its flush is done. */
void page_note_d_seen(struct page *page);
/* Stores happened that the file's times do not show yet (rules C.2.1: at every transfer of a D, and
 * after the flush: a CPU may store through its stale entry until then). */
static inline void mapping_note_store(struct address_space *mapping)
{
	if (!test_bit(&mapping->flags, AS_CMTIME))
		set_bit(&mapping->flags, AS_CMTIME);
}
/* Page locked, not under I/O, i_mmap_rwsem held: every mapping loses W and D, and what is
 * MAYBE_DIRTY becomes DIRTY if one had D, else CLEAN. May sleep. */
void page_settle(struct page *page);
/* Page locked, no PTE maps it. True if it was dirty. */
bool cancel_page_dirty(struct page *page);
/* Page locked, no PTE maps it, so that nobody stores to it silently any more. True: nobody has
 * since it was cleaned, and it is CLEAN now; false: its data must be written. */
bool page_settle_unmapped(struct page *page);
/*
 * The write of @page, which still is under I/O, failed, and its data shall not be lost (rule 75).
 * In interrupt context, so page->dirty cannot follow: PG_d_seen and TAG_TOWRITE tell the next pass
 * as they do of a store that was found while unmapping (P7), and the flusher, which lists a file
 * for as long as it has that tag. What is neither DIRTY nor MAYBE_DIRTY gets PG_kept, and counts as
 * dirty until it is dirtied, picked, or discarded. Not counted as newly dirtied (rule 35).
 */
void page_keep(struct page *page);
/* Page locked: it could not be written; DIRTY again and not counted as newly dirtied (rule 35). */
void redirty_page(struct page *page);
/* tree_lock held: @nr pages of @mapping have got TAG_MAYBE (or lost it: less than 0). Also says
 * anew whether the file's policy gives throttling up; with 0, nothing else. */
void mapping_count_maybe(struct address_space *mapping, s64 nr);
/* @pages: locked, ascending: TAG_TOWRITE for all, again. */
void pages_pick_again(struct address_space *mapping, struct page_list *pages);
/* Page locked: a running pass has nothing to do with it, TAG_TOWRITE goes (but see P7). */
void page_unpick(struct page *page);

/* What cleaning left of a page, ORed over its PTEs; 0: the next store faults. */
#define PAGE_LEFT_SILENT 1 /* a writable PTE */
#define PAGE_LEFT_LOGGED 2 /* a PTE whose next store is to be logged */

enum clean_how {
	CLEAN_AS_POLICY_SAYS,
	CLEAN_PROTECT, /* whatever the policy says */
};

/*
 * The serialization point. @pages: all locked, ascending, of one mapping. Cleans every mapping of
 * them (mapping_mkclean: one walk per area, one shootdown), folds D and PG_d_seen in, decides each
 * page's new state. Pages that turn out not to be dirty at all are taken off the list, unlocked and
 * put. On return the pages left have been DIRTY, have PG_writeback, still TAG_DIRTY or TAG_TOWRITE,
 * and no CPU can store to one that became CLEAN without a fault. Returns PAGE_CLEAN if all did,
 * PAGE_MAYBE_DIRTY if one or more are that now. May sleep.
 */
enum page_dirtiness clear_pages_dirty_for_io(struct address_space *mapping, struct page_list *pages,
					     enum clean_how how);

/* @pages as left by clear_pages_dirty_for_io, with what it returned, still locked: TAG_WRITEBACK
 * on, the other tags as the new state says, in one hold of tree_lock (rule 29; B37). */
void set_pages_writeback(struct address_space *mapping, struct page_list *pages,
			 enum page_dirtiness became);

/* The same for locked pages that were not cleaned (preclean.h): they stay DIRTY or MAYBE_DIRTY, and
 * writable. What was stored to them before the call is written. */
void set_dirty_pages_writeback(struct address_space *mapping, struct page_list *pages);

/* I/O of @page ended; wakes waiters and drops the reference the I/O held. Errors were noted by
 * page_write_failed() before (rule 81). Any context. */
void end_page_writeback(struct page *page);
/* The same for a whole list of one mapping (ascending): one tree_lock hold per leaf. */
void end_pages_writeback(struct page_list *pages);

/* Pages DIRTY or MAYBE_DIRTY, and pages under I/O (one that is both counts as two), in the whole
 * system: what the disk does not have yet. For throttling's comparison in every fault. */
extern s64 nr_unwritten;

/* set_page_dirty() for who cannot wait: interrupts off, debug=0. The page is CLEAN; false: it still
 * is, because the lock is busy or the file not on its dirty list. */
static inline bool try_set_page_dirty(struct page *page, struct address_space *mapping)
{
	bool usual;

	if (unlikely(!spin_trylock_irqs_off(&mapping->tree_lock)))
		return false;
	/* Inside, as in leave_clean(): who takes it off looks for the tag afterwards. On the list,
	 * and no page PG_kept, which would be counted twice. */
	usual = READ_ONCE(*(const u16 *)&mapping->on_dirty_list) == 1;
	if (likely(usual)) {
		page->dirty = PAGE_DIRTY;
		radix_tag_set(&mapping->pages, page->index, TAG_DIRTY);
		mapping->nr_unwritten++;
		atomic_add_return(&nr_unwritten, 1);
		stat_inc(STAT_PAGES_DIRTIED);
	}
	spin_unlock_irqs_off(&mapping->tree_lock);
	return usual;
}

_Static_assert(offsetof(struct address_space, has_kept) ==
		       offsetof(struct address_space, on_dirty_list) + 1,
	       "one load of 16 bits");

/* Pages DIRTY, MAYBE_DIRTY or PG_kept, those of them MAYBE_DIRTY, and those under writeback, in
 * the whole system. */
u64 nr_dirty_pages(void);
u64 nr_maybe_pages(void);
u64 nr_writeback_pages(void);
/* MAYBE_DIRTY ones of files whose policy gives throttling up: nobody waits for them. */
u64 nr_waived_pages(void);
/* Most that nr_maybe_pages() has been since the last reset (to what it is now). */
u64 nr_maybe_peak(void);
void nr_maybe_peak_reset(void);

/* Pages of a file as the kernel counts them, and as they are. */
struct dirty_count {
	u64 dirty, maybe, writeback; /* dirty: with those PG_kept */
	u64 truly;		     /* not on the disk: DIRTY, or D in some PTE, or PG_d_seen */
};
/* DIRTY and MAYBE_DIRTY pages of one file, as they are counted (P11). Any context. */
u64 mapping_nr_dirty(struct address_space *mapping);
/* For the laboratory: asks every PTE. Exact when writers are quiet. May sleep. */
struct dirty_count mapping_count_dirty(struct address_space *mapping);

/* debug=1, when a page lock is about to be dropped: checks P1-P4 of this page as far as it can be
 * seen from the page and the tree. */
void page_assert_state(struct page *page);
/* Walk a whole mapping, all its pages and all PTEs of all its areas; panics (or, with @quiet,
 * counts) on a broken promise. Needs quiet writers. May sleep. */
u64 mapping_audit(struct address_space *mapping, bool quiet);
/* Every mapping that exists. */
u64 audit_all_mappings(void);

#endif
