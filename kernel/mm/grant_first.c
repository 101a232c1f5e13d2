/* SPDX-License-Identifier: MIT */
/*
 * grant_first.c - a store's fault where the file system is asked after the PTE became writable
 *(P12).
 *
 * Owns:  nothing; a step of memory.c, for policies that ask for it (policy->grants_first).
 * Not:   the usual order (memory.c), which rule 3 demands.
 * Locks: the page lock around each of the two changes, not while the file system is asked; to take
 *        W back, i_mmap_rwsem (read) until the shootdown is acknowledged, as cleaning does.
 * Key fact: between the two the page is MAYBE_DIRTY: a sync that comes by asks the PTE, and writes
 *        what it finds where the file has room for it. What the file system accepts in the end is
 *        made DIRTY whatever happened meanwhile, so no accepted store is lost. What it refuses is:
 *
 *	F (fault)			S (another thread of the program)
 *	PTE writable
 *	asks; the device is full
 *					stores: no fault, nobody to be told
 *	takes W and D away; SIGBUS to F
 *	(no block, no dirty page: S's store is in memory until the page leaves it)
 */
#include "arch/x86_64/tlb.h"
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/memory.h"

/* Locked. The page's entry, if there still is one, loses W and D; true if it had D. */
static bool take_back(struct vm_fault *vmf, struct tlb_batch *batch)
{
	struct pgtable *pgt = &vmf->vma->mm->pgt;
	bool d = false;
	pte_t old;

	spin_lock(&pgt->lock);
	do {
		old = ptep_get(vmf->ptep);
		if (!pte_present(old) || !pte_write(old) ||
		    pte_paddr(old) != page_to_phys(vmf->page)) {
			spin_unlock(&pgt->lock);
			return false;
		}
	} while (!ptep_cmpxchg(vmf->ptep, old, pte_mkclean(pte_wrprotect(old))));
	d = pte_dirty(old);
	tlb_batch_add(batch, pgt, vmf->addr);
	spin_unlock(&pgt->lock);
	return d;
}

/* The file system refused, and nothing may be stored to the page by this entry. */
static void revoke(struct vm_fault *vmf)
{
	struct address_space *mapping = vmf->vma->mapping;
	struct page *page = vmf->page;
	TLB_BATCH(batch, TLB_WHY_PROTECT);
	bool d;

	lock_page(page);
	wait_on_page_writeback(page); /* page->next is the I/O's */
	down_read(&mapping->i_mmap_rwsem);
	d = take_back(vmf, &batch);
	tlb_batch_flush(&batch);
	if (likely(page->mapping == mapping)) {
		/* Who asked after us may have been told yes: then what was stored is the file's.
		 * Else it is given up. */
		if (d && test_bit(&page->flags, PG_blocks)) {
			page_harvest(page);
			mapping_note_store(mapping);
		}
		page_settle(page);
	}
	up_read(&mapping->i_mmap_rwsem);
	unlock_page(page);
	stat_inc(STAT_GRANTS_REVOKED);
}

/* The entry becomes writable, and the page MAYBE_DIRTY before. False: something changed. */
static bool grant(struct vm_fault *vmf)
{
	struct page *page = vmf->page;
	bool same = false;

	lock_page(page);
	if (page->mapping == vmf->vma->mapping) {
		page_set_maybe_dirty(page);
		same = ptep_cmpxchg(vmf->ptep, vmf->orig, pte_mkyoung(pte_mkwrite(vmf->orig)));
	}
	unlock_page(page);
	return same;
}

vm_fault_t mkwrite_granted_first(struct vm_fault *vmf)
{
	vm_fault_t ret = VM_FAULT_NOPAGE;

	if (!grant(vmf)) {
		stat_inc(STAT_RETRY_FAULTS);
		page_put(vmf->page);
		return ret;
	}
	delay_point("granted_first", vmf->page);
	ret = page_mkwrite(vmf);
	if (ret & VM_FAULT_LOCKED) {
		set_page_dirty(vmf->page);
		unlock_page(vmf->page);
		stat_inc(STAT_WRITE_FAULTS);
		mapping_tell_store(vmf->vma->mapping);
		ret = VM_FAULT_NOPAGE | VM_FAULT_DIRTIED;
	} else if (ret & VM_FAULT_ERROR) {
		revoke(vmf);
	}
	page_put(vmf->page);
	return ret;
}
