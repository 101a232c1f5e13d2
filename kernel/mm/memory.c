/* SPDX-License-Identifier: MIT */
/*
 * memory.c - from a fault to a PTE.
 *
 * Owns:  installing PTEs of mapped areas, copy-on-write.
 * Not:   removing them (zap.c), cleaning them (rmap.c), who may fault (fault.c), file contents
 *        (filemap.c), dirty state (page_dirty.c).
 * Locks: mmap_lock (read) by the caller; page lock while a PTE of a file page is installed;
 *        pgtable.lock for the comparison and the change.
 * Key fact: everything that can fail comes before the PTE becomes writable (rule 3), and the page
 *        stays locked from page_mkwrite until it is marked dirty (rule 5). After any sleep the PTE
 *        is compared with what the fault began with; if it changed, the CPU tries again (rule 7).
 */
#include <string.h>
#include <sys/errno.h>

#include "arch/x86_64/tlb.h"
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/policy.h"

/* A, and NX unless the area is executable; W and D are decided by the caller. */
static pte_t area_pte(const struct vm_area *vma, const struct page *page)
{
	return pte_make(page_to_phys(page), PTE_P | PTE_A | (vma->flags & VM_EXEC ? 0 : PTE_NX));
}

static struct pgtable *vmf_pgt(const struct vm_fault *vmf)
{
	return &vmf->vma->mm->pgt;
}

/* Put @pte where nothing was. Takes over the caller's page reference. False: somebody was faster;
 * the reference is still the caller's. */
static bool install_absent(struct vm_fault *vmf, struct page *page, pte_t pte)
{
	struct pgtable *pgt = vmf_pgt(vmf);
	bool mine;

	spin_lock(&pgt->lock);
	mine = !pte_present(ptep_get(vmf->ptep));
	if (mine) {
		atomic_inc(&page->mapcount);
		ptep_set_absent(vmf->ptep, pte);
	}
	spin_unlock(&pgt->lock);
	return mine;
}

/* --- stores to shared file pages: steps 6 to 10 of the journey --- */

static __always_inline enum policy_grant policy_grant(struct address_space *mapping,
						      struct page *page)
{
	const struct dirty_policy *policy = mapping_policy(mapping);
	struct policy_page pp;

	if (likely(!policy->on_write_fault))
		return POLICY_GRANT_DIRTY;
	pp = policy_page_of(page);
	return policy->on_write_fault(&pp);
}

/*
 * The file system agreed; vmf->page is locked, in the file, inside EOF. Make the page dirty, and
 * then the PTE writable if it is still what the fault saw. In this order: other threads store
 * from the instant the PTE is writable, and a sync that begins after such a store looks for tags
 * without the page lock. Cleaning, which needs the lock, sees both or neither; a page that was
 * made dirty for nothing is written once for nothing (rule 8). An upgrade needs no shootdown
 * (rule 51): a CPU with the read-only entry walks again or faults once for nothing (rule 9).
 */
static __always_inline vm_fault_t finish_mkwrite_fault(struct vm_fault *vmf)
{
	struct page *page = vmf->page;
	struct address_space *mapping = page->mapping;
	pte_t new = pte_mkyoung(pte_mkwrite(vmf->orig));
	bool same;

	/* A store is about to happen that the times do not show yet: they are owed from here on; a
	 * later one to the same writable page is noted when its D is found (rules C.2.1). */
	if (unlikely(!test_bit(&mapping->flags, AS_CMTIME)))
		set_bit(&mapping->flags, AS_CMTIME);
	if (policy_grant(mapping, page) == POLICY_GRANT_DIRTY) {
		new = pte_mkdirty(new); /* saves the CPU the walk (rule 19) */
		set_page_dirty(page);
	} else {
		page_set_maybe_dirty(page);
	}
	/* No pgtable.lock: nothing but the entry changes, and the comparison is in the
	 * instruction. */
	same = ptep_cmpxchg(vmf->ptep, vmf->orig, new);
	delay_point("mkwrite_pte_set", page);
	if (unlikely(!same)) {
		stat_inc(STAT_RETRY_FAULTS);
		return VM_FAULT_NOPAGE;
	}
	stat_inc(STAT_WRITE_FAULTS);
	return VM_FAULT_NOPAGE | VM_FAULT_DIRTIED;
}

/* Ask the file system, then finish. vmf->page referenced, not locked; the reference is dropped. */
static __always_inline vm_fault_t mkwrite(struct vm_fault *vmf)
{
	struct page *page = vmf->page;
	vm_fault_t ret = VM_FAULT_LOCKED;

	if (vmf->vma->ops->page_mkwrite) {
		stat_inc(STAT_MKWRITE);
		ret = vmf->vma->ops->page_mkwrite(vmf);
	} else {
		lock_page(page);
		if (page->mapping != vmf->vma->mapping) {
			unlock_page(page);
			ret = VM_FAULT_NOPAGE;
		}
	}
	if (ret & VM_FAULT_LOCKED) {
		delay_point("mkwrite_done", page);
		ret = finish_mkwrite_fault(vmf);
		unlock_page(page);
	}
	page_put(page);
	return ret;
}

/* The page that vmf->orig maps, referenced: looked up under pgtable.lock, since a truncate may be
 * about to unmap and free it. NULL: the PTE changed. */
static __always_inline struct page *get_mapped_page(struct vm_fault *vmf)
{
	struct pgtable *pgt = vmf_pgt(vmf);
	struct page *page = NULL;

	spin_lock(&pgt->lock);
	if (pte_same(ptep_get(vmf->ptep), vmf->orig)) {
		page = phys_to_page(pte_paddr(vmf->orig));
		page_get(page);
	}
	spin_unlock(&pgt->lock);
	return page;
}

/* --- private areas --- */

/*
 * Replace the read-only entry of @old by a writable one of @copy. Going from one frame to another
 * passes through not-present and a flush, so that no CPU reads the old frame once somebody wrote
 * the new one (rule 60). A fault that comes in between may map the file's page again; then we
 * retry.
 */
static vm_fault_t replace_with_copy(struct vm_fault *vmf, struct page *old, struct page *copy)
{
	pte_t new = pte_mkdirty(pte_mkwrite(area_pte(vmf->vma, copy)));
	TLB_BATCH(batch, TLB_WHY_COW);
	struct pgtable *pgt = vmf_pgt(vmf);
	bool mine;

	spin_lock(&pgt->lock);
	mine = pte_same(ptep_get(vmf->ptep), vmf->orig);
	if (mine) {
		ptep_get_and_clear(vmf->ptep);
		tlb_batch_add(&batch, pgt, vmf->addr);
	}
	spin_unlock(&pgt->lock);
	if (!mine)
		return VM_FAULT_NOPAGE;
	tlb_batch_flush(&batch);
	atomic_sub_return(&old->mapcount, 1);
	page_put(old); /* the PTE's */
	delay_point("cow_before_install", old);
	if (!install_absent(vmf, copy, new))
		return VM_FAULT_NOPAGE;
	page_get(copy); /* the PTE's; the caller keeps its own */
	stat_inc(STAT_COW_FAULTS);
	return VM_FAULT_NOPAGE;
}

/* A store to a private page that is mapped read-only. @old referenced. Its lock keeps a truncate
 * from dropping it until the copy is mapped: the second unmapping finds the copy then (rule 99),
 * and mapcount tells the truth. */
static __noinline vm_fault_t wp_private(struct vm_fault *vmf, struct page *old)
{
	struct page *copy = alloc_page(ALLOC_NORMAL);
	vm_fault_t ret;

	if (!copy) {
		page_put(old);
		return VM_FAULT_OOM;
	}
	lock_page(old);
	memcpy(page_address(copy), page_address(old), PAGE_SIZE);
	ret = replace_with_copy(vmf, old, copy);
	unlock_page(old);
	page_put(copy);
	page_put(old);
	return ret;
}

static __always_inline vm_fault_t do_wp_page(struct vm_fault *vmf)
{
	struct page *page = get_mapped_page(vmf);

	if (!page) {
		stat_inc(STAT_RETRY_FAULTS);
		return VM_FAULT_NOPAGE;
	}
	if (!(vmf->vma->flags & VM_SHARED))
		return wp_private(vmf, page);
	vmf->page = page;
	return mkwrite(vmf);
}

/* --- absent pages --- */

static __noinline vm_fault_t do_anonymous_page(struct vm_fault *vmf)
{
	struct page *page = alloc_page(ALLOC_ZERO);
	pte_t pte;

	if (!page)
		return VM_FAULT_OOM;
	pte = area_pte(vmf->vma, page);
	if (vmf->vma->flags & VM_WRITE)
		pte = pte_mkdirty(pte_mkwrite(pte));
	if (install_absent(vmf, page, pte))
		stat_inc(STAT_ANON_FAULTS);
	else
		page_put(page);
	return VM_FAULT_NOPAGE;
}

/* First store to a private page that is not mapped: straight to the copy. */
static __noinline vm_fault_t do_cow_fault(struct vm_fault *vmf)
{
	struct page *copy = alloc_page(ALLOC_NORMAL);
	vm_fault_t ret;

	if (!copy)
		return VM_FAULT_OOM;
	ret = vmf->vma->ops->fault(vmf);
	if (!(ret & VM_FAULT_LOCKED)) {
		page_put(copy);
		return ret;
	}
	memcpy(page_address(copy), page_address(vmf->page), PAGE_SIZE);
	delay_point("cow_before_install", vmf->page);
	/* The file's page is still locked: a truncate that drops it comes before or after, and its
	 * second unmapping finds this copy (rule 99). */
	if (install_absent(vmf, copy, pte_mkdirty(pte_mkwrite(area_pte(vmf->vma, copy)))))
		stat_inc(STAT_COW_FAULTS);
	else
		page_put(copy);
	unlock_page(vmf->page);
	page_put(vmf->page);
	return VM_FAULT_NOPAGE;
}

/* May a page of this area be mapped writable by a mere read? Only if nobody wants notice. */
static bool writable_unasked(const struct vm_area *vma)
{
	return (vma->flags & (VM_SHARED | VM_WRITE)) == (VM_SHARED | VM_WRITE) &&
	       !mapping_writeback(vma->mapping);
}

/* Map the locked page for reading (rule 2: clean pages never writable), or writable at once where
 * dirtiness means nothing (seeds P3). Consumes the reference, unlocks. */
static vm_fault_t map_file_page(struct vm_fault *vmf)
{
	struct page *page = vmf->page;
	pte_t pte = area_pte(vmf->vma, page);

	if (writable_unasked(vmf->vma))
		pte = pte_mkwrite(pte);
	delay_point("fault_before_install", page);
	if (install_absent(vmf, page, pte)) {
		stat_inc(STAT_READ_FAULTS);
		unlock_page(page);
	} else {
		unlock_page(page);
		page_put(page);
	}
	return VM_FAULT_NOPAGE;
}

static __noinline vm_fault_t do_file_page(struct vm_fault *vmf)
{
	struct vm_area *vma = vmf->vma;
	vm_fault_t ret;

	if (vmf->write && !(vma->flags & VM_SHARED))
		return do_cow_fault(vmf);
	ret = vma->ops->fault(vmf);
	if (!(ret & VM_FAULT_LOCKED))
		return ret;
	page_get(vmf->page);
	ret = map_file_page(vmf);
	if (vmf->write && !writable_unasked(vma)) {
		/* Mapped read-only first; the store's second half is a write fault like any
		 * other. */
		vmf->orig = ptep_get(vmf->ptep);
		if (pte_present(vmf->orig) && !pte_write(vmf->orig) &&
		    pte_paddr(vmf->orig) == page_to_phys(vmf->page))
			return mkwrite(vmf);
	}
	page_put(vmf->page);
	return ret;
}

/* A read of a writable shared page, when the policy would rather have no notice at all. */
static __noinline bool wants_grant_on_read(struct vm_fault *vmf)
{
	const struct dirty_policy *policy;
	struct policy_page pp;

	if (vmf->write || (vmf->vma->flags & (VM_SHARED | VM_WRITE)) != (VM_SHARED | VM_WRITE) ||
	    !mapping_writeback(vmf->vma->mapping))
		return false;
	policy = mapping_policy(vmf->vma->mapping);
	pp = (struct policy_page){ .file = vmf->vma->mapping->ino, .index = vmf->pgoff };
	return policy->on_read_fault && policy->on_read_fault(&pp) == POLICY_MAP_WRITABLE;
}

vm_fault_t handle_mm_fault(struct vm_area *vma, vaddr_t addr, bool write, int *error)
{
	struct pgtable *pgt = &vma->mm->pgt;
	struct vm_fault vmf; /* field by field: this is a hot place */
	vm_fault_t ret;

	vmf.vma = vma;
	vmf.addr = addr & PAGE_MASK;
	vmf.pgoff = vma_pgoff(vma, vmf.addr);
	vmf.write = write;
	vmf.error = 0;
	vmf.ptep = pgtable_walk(pgt, vmf.addr);
	if (!vmf.ptep)
		vmf.ptep = pgtable_walk_alloc(pgt, vmf.addr);
	if (!vmf.ptep)
		return VM_FAULT_OOM;
	vmf.orig = ptep_get(vmf.ptep);
	if (!pte_present(vmf.orig)) {
		if (vma->mapping && wants_grant_on_read(&vmf))
			vmf.write = true;
		ret = vma->mapping ? do_file_page(&vmf) : do_anonymous_page(&vmf);
	} else if (write && !pte_write(vmf.orig)) {
		ret = do_wp_page(&vmf);
	} else {
		stat_inc(STAT_SPURIOUS_FAULTS);
		ret = VM_FAULT_NOPAGE;
	}
	*error = vmf.error;
	return ret;
}
