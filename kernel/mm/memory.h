/* SPDX-License-Identifier: MIT */
/*
 * memory.h - the steps of one fault that memory.c, grant.c and page_fork.c share.
 */
#ifndef KERNEL_MM_MEMORY_H
#define KERNEL_MM_MEMORY_H

#include "kernel/core/stat.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/vm_area.h"

/* A, and NX unless the area is executable; W and D are decided by the caller. */
static inline pte_t area_pte(const struct vm_area *vma, const struct page *page)
{
	return pte_make(page_to_phys(page), PTE_P | PTE_A | (vma->flags & VM_EXEC ? 0 : PTE_NX));
}

/* Put @pte where nothing was. Takes over the caller's page reference. False: somebody was faster;
 * the reference is still the caller's. */
bool install_absent(struct vm_fault *vmf, struct page *page, pte_t pte);

/* pgtable_walk_alloc(), and what ALLOC_WAIT does when there is no memory for the tables. */
pte_t *make_tables(struct pgtable *pgt, vaddr_t va);

/* The page that vmf->orig maps, referenced: looked up under pgtable.lock, since a truncate may be
 * about to unmap and free it. NULL: the PTE changed. */
static inline struct page *get_mapped_page(struct vm_fault *vmf)
{
	struct pgtable *pgt = &vmf->vma->mm->pgt;
	struct page *page = NULL;

	spin_lock(&pgt->lock);
	if (pte_same(ptep_get(vmf->ptep), vmf->orig)) {
		page = phys_to_page(pte_paddr(vmf->orig));
		page_get(page);
	}
	spin_unlock(&pgt->lock);
	return page;
}

/* grant_first.c. What mkwrite() in memory.c does, with the PTE writable before the file system is
 * asked: vmf->page referenced, not locked; the reference is dropped. */
vm_fault_t mkwrite_granted_first(struct vm_fault *vmf);

/*
 * Lock vmf->page (referenced), look again whether it is in the file, and ask the file system.
 * VM_FAULT_LOCKED: locked and fit to be stored to; else not locked, nothing changed: NOPAGE (try
 * again), SIGBUS (vmf->error).
 */
static __always_inline vm_fault_t page_mkwrite(struct vm_fault *vmf)
{
	struct page *page = vmf->page;

	if (likely(vmf->vma->ops->page_mkwrite)) {
		stat_inc(STAT_MKWRITE);
		return vmf->vma->ops->page_mkwrite(vmf);
	}
	lock_page(page);
	if (page->mapping == vmf->vma->mapping)
		return VM_FAULT_LOCKED;
	unlock_page(page);
	return VM_FAULT_NOPAGE;
}

#endif
