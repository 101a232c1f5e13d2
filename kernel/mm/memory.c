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
#include "kernel/mm/dirty_log.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/grant.h"
#include "kernel/mm/memory.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/page_fork.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/throttle.h"
#include "kernel/mm/reclaim.h"

bool install_absent(struct vm_fault *vmf, struct page *page, pte_t pte)
{
	struct pgtable *pgt = &vmf->vma->mm->pgt;
	bool mine;

	spin_lock(&pgt->lock);
	mine = pte_vacant(ptep_get(vmf->ptep));
	if (mine) {
		atomic_inc(&page->mapcount);
		ptep_set_absent(vmf->ptep, pte);
	}
	spin_unlock(&pgt->lock);
	return mine;
}

/* --- stores to shared file pages: steps 6 to 10 of the journey --- */

/* vmf->page is locked, and is what it shall be by the PTE @new. An upgrade needs no shootdown (rule
 * 51): a CPU with the read-only entry walks again or faults once for nothing (rule 9). No
 * pgtable.lock: nothing but the entry changes, and the comparison is in the instruction. */
static __always_inline vm_fault_t upgrade_pte(struct vm_fault *vmf, pte_t new)
{
	bool same = ptep_cmpxchg(vmf->ptep, vmf->orig, new);

	delay_point("mkwrite_pte_set", vmf->page);
	if (unlikely(!same)) {
		stat_inc(STAT_RETRY_FAULTS);
		return VM_FAULT_NOPAGE;
	}
	stat_inc(STAT_WRITE_FAULTS);
	return VM_FAULT_NOPAGE | VM_FAULT_DIRTIED;
}

/* vmf->page is the copy of a page under I/O: nothing maps it, and the entry is empty. */
static vm_fault_t finish_on_copy(struct vm_fault *vmf)
{
	struct page *page = vmf->page;

	set_page_dirty(page);
	page_get(page); /* the PTE's */
	if (!install_absent(vmf, page, pte_mkdirty(pte_mkwrite(area_pte(vmf->vma, page))))) {
		page_put(page);
		stat_inc(STAT_RETRY_FAULTS);
		return VM_FAULT_NOPAGE;
	}
	stat_inc(STAT_WRITE_FAULTS);
	return VM_FAULT_NOPAGE | VM_FAULT_DIRTIED;
}

/* Before the PTE: see dirty_log.c. */
static void log_store(struct page *page)
{
	dirty_log_add(page);
	delay_point("logged_before_pte", page);
}

/* The same, where the policy has a say. */
static __noinline vm_fault_t finish_as_asked(struct vm_fault *vmf,
					     const struct dirty_policy *policy, pte_t new)
{
	struct policy_page pp = policy_page_in(vmf->vma, vmf->page);
	enum policy_grant grant = policy->on_write_fault(&pp);
	enum page_fork fork = PAGE_FORK_NEEDLESS;

	if (grant == POLICY_GRANT_CLEAN) {
		page_set_maybe_dirty(vmf->page);
		return upgrade_pte(vmf, new);
	}
	if (grant == POLICY_GRANT_FORK)
		fork = page_fork(&vmf->page);
	if (fork == PAGE_FORK_DONE)
		return finish_on_copy(vmf);
	if (fork == PAGE_FORK_TRY_AGAIN) {
		stat_inc(STAT_RETRY_FAULTS);
		return VM_FAULT_NOPAGE;
	}
	if (grant == POLICY_GRANT_LOG && vmf->page->dirty == PAGE_MAYBE_DIRTY)
		log_store(vmf->page);
	else
		set_page_dirty(vmf->page);
	return upgrade_pte(vmf, pte_mkdirty(new));
}

/*
 * The file system agreed; vmf->page is locked, in the file, inside EOF. Make the page dirty, and
 * then the PTE writable if it is still what the fault saw. In this order: other threads store
 * from the instant the PTE is writable, and a sync that begins after such a store looks for tags
 * without the page lock. Cleaning, which needs the lock, sees both or neither; a page that was
 * made dirty for nothing is written once for nothing (rule 8).
 */
static __always_inline vm_fault_t finish_mkwrite_fault(struct vm_fault *vmf)
{
	const struct dirty_policy *policy = area_policy(vmf->vma);
	pte_t new = pte_mkyoung(pte_mkwrite(vmf->orig));

	if (unlikely(policy->on_write_fault))
		return finish_as_asked(vmf, policy, new);
	set_page_dirty(vmf->page);
	return upgrade_pte(vmf, pte_mkdirty(new)); /* D saves the CPU the walk (rule 19) */
}

/* Ask the file system, then finish. vmf->page referenced, not locked; the reference is dropped. It
 * may become another page on the way (page_fork). */
static __always_inline vm_fault_t mkwrite(struct vm_fault *vmf)
{
	vm_fault_t ret;

	if (policy_grants_first(area_policy(vmf->vma)))
		return mkwrite_granted_first(vmf);
	ret = page_mkwrite(vmf);
	if (ret & VM_FAULT_LOCKED) {
		delay_point("mkwrite_done", vmf->page);
		ret = finish_mkwrite_fault(vmf);
		unlock_page(vmf->page);
		/* The times: D is the mark of this store (kernel/fs/cmtime.h), unless somebody
		 * wants to be told. After the PTE: see arm.h. */
		if (likely(ret & VM_FAULT_DIRTIED))
			mapping_tell_store(vmf->vma->mapping);
	}
	page_put(vmf->page);
	return ret;
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
	struct pgtable *pgt = &vmf->vma->mm->pgt;
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

/*
 * A page of no file that only this entry maps, because the other side of a fork has let it go or
 * mprotect() took W: it is ours again. Nobody maps it meanwhile: only a fork of this address space
 * could, which waits for mmap_lock; and mapcount falls after the flush of the other entry.
 */
static bool reuse(struct vm_fault *vmf, const struct page *page)
{
	if (page->mapping || atomic_load(&page->mapcount) != 1)
		return false;
	if (ptep_cmpxchg(vmf->ptep, vmf->orig, pte_mkdirty(pte_mkyoung(pte_mkwrite(vmf->orig)))))
		stat_inc(STAT_COW_REUSED);
	else
		stat_inc(STAT_RETRY_FAULTS);
	return true;
}

/* A store to a private page that is mapped read-only. @old referenced. Its lock keeps a truncate
 * from dropping it until the copy is mapped: the second unmapping finds the copy then (rule 99),
 * and mapcount tells the truth. */
static __noinline vm_fault_t wp_private(struct vm_fault *vmf, struct page *old)
{
	struct page *copy;
	vm_fault_t ret;

	if (reuse(vmf, old)) {
		page_put(old);
		return VM_FAULT_NOPAGE;
	}
	copy = alloc_page(ALLOC_WAIT);
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
	struct page *page = alloc_page(ALLOC_ZERO | ALLOC_WAIT);
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
	struct page *copy = alloc_page(ALLOC_WAIT);
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

/* A read of a writable shared page, when the policy would rather have no notice at all. Locked. Not
 * when there is much dirt: the store shall wait, and the load need not. */
static bool wants_grant_on_read(const struct vm_area *vma, const struct page *page)
{
	const struct dirty_policy *policy = area_policy(vma);
	struct policy_page pp;

	if (likely(!policy->on_read_fault) || !mapping_writeback(vma->mapping) ||
	    !dirt_is_low(vma->mapping) ||
	    (vma->flags & (VM_SHARED | VM_WRITE)) != (VM_SHARED | VM_WRITE))
		return false;
	pp = policy_page_in(vma, page);
	return policy->on_read_fault(&pp) == POLICY_MAP_WRITABLE;
}

/* Map the locked page for reading (rule 2: clean pages never writable), or writable at once where
 * dirtiness means nothing (seeds P3). True if what the access wants more than that needs the page
 * read-only in vmf->orig, as it is now. Unlocks. */
static bool map_file_page(struct vm_fault *vmf, bool more)
{
	struct page *page = vmf->page;
	bool mine, unasked = writable_unasked(vmf->vma);

	vmf->orig = area_pte(vmf->vma, page);
	if (unasked)
		vmf->orig = pte_mkwrite(vmf->orig);
	delay_point("fault_before_install", page);
	page_get(page); /* the PTE's */
	mine = install_absent(vmf, page, vmf->orig);
	unlock_page(page);
	if (mine)
		stat_inc(STAT_READ_FAULTS);
	else
		page_put(page);
	return mine && more && !unasked;
}

/*
 * Mapped read-only first, whatever the access: a store's second half is a write fault like any
 * other, and a load is served even where the file system refuses a store.
 */
static __noinline vm_fault_t do_file_page(struct vm_fault *vmf)
{
	struct vm_area *vma = vmf->vma;
	bool silent;
	vm_fault_t ret;

	if (vmf->write && !(vma->flags & VM_SHARED))
		return do_cow_fault(vmf);
	ret = vma->ops->fault(vmf);
	if (!(ret & VM_FAULT_LOCKED))
		return ret;
	silent = !vmf->write && wants_grant_on_read(vma, vmf->page);
	if (!map_file_page(vmf, vmf->write || silent)) {
		page_put(vmf->page);
		return VM_FAULT_NOPAGE;
	}
	if (!silent)
		return mkwrite(vmf);
	ret = grant_page(vmf, GRANT_IF_EASY);
	return ret & VM_FAULT_ERROR ? VM_FAULT_NOPAGE : ret;
}

pte_t *make_tables(struct pgtable *pgt, vaddr_t va)
{
	struct patience p = { 0 };
	pte_t *ptep;

	do
		ptep = pgtable_walk_alloc(pgt, va);
	while (!ptep && wait_for_memory(&p, 0));
	return ptep;
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
	if (unlikely(!vmf.ptep)) {
		vmf.ptep = make_tables(pgt, vmf.addr);
		if (!vmf.ptep)
			return VM_FAULT_OOM;
	}
	vmf.orig = ptep_get(vmf.ptep);
	if (!pte_present(vmf.orig)) {
		ret = vma->mapping ? do_file_page(&vmf) : do_anonymous_page(&vmf);
	} else if (write && !pte_write(vmf.orig)) {
		ret = do_wp_page(&vmf);
	} else {
		stat_inc(STAT_SPURIOUS_FAULTS);
		if (write && vma->mapping)
			mapping_tell_store(vma->mapping); /* fault_fast() could not */
		ret = VM_FAULT_NOPAGE;
	}
	*error = vmf.error;
	return ret;
}
