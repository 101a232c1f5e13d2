/* SPDX-License-Identifier: MIT */
/*
 * grant.c - pages that become writable before they are stored to (write-around, D.7; T5).
 *
 * Owns:  the window, and the argument grant=.
 * Not:   the page that faulted (memory.c), who asks for a range (madvise.c), which of the pages
 *        were stored to in the end (harvest.c).
 * Locks: mmap_lock (read) by the caller. One page lock at a time, dropped before the next page is
 *        looked for; the page that faulted is unlocked before its neighbours are granted. So pages
 *        of a window never wait for each other.
 * Key fact: the file system is asked for each page, and has its block, before the PTE is writable:
 *        what it promised holds as long as the PTE, since truncation unmaps first.
 */
#include "kernel/mm/grant.h"

#include <sys/errno.h>

#include "kernel/core/args.h"
#include "kernel/core/delay.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/memory.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/page_fork.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/throttle.h"

unsigned int grant_choice;
static const char *const grant_names[] = { "1", "16", "32", "64", "128", "256", "512", NULL };
ARG_CHOICE(grant, grant_choice, grant_names, "pages that one write fault makes writable");

/* The PTE becomes writable; D stays clear. The page is locked. False: the PTE was changed. */
static bool make_writable(struct vm_fault *vmf)
{
	struct page *page = vmf->page;

	if (pte_present(vmf->orig))
		return ptep_cmpxchg(vmf->ptep, vmf->orig, pte_mkwrite(vmf->orig));
	page_get(page);
	if (install_absent(vmf, page, pte_mkwrite(area_pte(vmf->vma, page))))
		return true;
	page_put(page);
	return false;
}

/* Locked. A silent PTE lets bytes change at any time: not while the device reads them, if that was
 * promised. */
static bool may_go_silent(struct page *page, enum grant_patience how)
{
	if (how == GRANT_INSIST)
		wait_for_stable_page(page);
	else if (page_under_io(page) && wants_stable_pages(page->mapping))
		return false;
	return true;
}

vm_fault_t grant_page(struct vm_fault *vmf, enum grant_patience how)
{
	struct page *page = vmf->page;
	vm_fault_t ret = page_mkwrite(vmf);

	if (ret & VM_FAULT_LOCKED) {
		ret = VM_FAULT_NOPAGE;
		if (may_go_silent(page, how)) {
			page_set_maybe_dirty(page);
			delay_point("grant_before_pte", page);
			if (make_writable(vmf)) {
				stat_inc(STAT_PAGES_GRANTED);
				ret |= VM_FAULT_DIRTIED;
			}
		}
		unlock_page(page);
		if (ret & VM_FAULT_DIRTIED)
			mapping_tell_store(vmf->vma->mapping);
	}
	page_put(page);
	return ret;
}

/* vmf->addr is not mapped. An absent page is read together with those behind it that are absent
 * too, as far as @last and the file reach. */
static vm_fault_t bring_in(struct vm_fault *vmf, pgoff_t last)
{
	struct address_space *mapping = vmf->vma->mapping;
	pgoff_t pages = DIV_ROUND_UP(READ_ONCE(mapping->size), PAGE_SIZE);
	struct page *page = find_get_page(mapping, vmf->pgoff);

	if (page) {
		page_put(page);
	} else if (vmf->pgoff < pages) {
		down_read(&mapping->invalidate_lock);
		filemap_read_absent(mapping, vmf->pgoff, min(last, pages - 1));
		up_read(&mapping->invalidate_lock);
	}
	return vmf->vma->ops->fault(vmf);
}

static vm_fault_t grant_address(struct vm_fault *vmf, pgoff_t last, enum grant_patience how)
{
	vm_fault_t ret;

	vmf->orig = ptep_get(vmf->ptep);
	if (!pte_present(vmf->orig)) {
		ret = bring_in(vmf, last);
		if (!(ret & VM_FAULT_LOCKED))
			return ret;
		unlock_page(vmf->page);
	} else if (pte_write(vmf->orig)) {
		return VM_FAULT_DIRTIED;
	} else {
		vmf->page = get_mapped_page(vmf);
		if (!vmf->page)
			return VM_FAULT_NOPAGE;
	}
	return grant_page(vmf, how);
}

/* [start, end) lies in one leaf table. */
static vm_fault_t grant_table(struct vm_area *vma, vaddr_t start, vaddr_t end,
			      enum grant_patience how, int *error)
{
	struct vm_fault vmf = { .vma = vma, .addr = start, .write = how == GRANT_INSIST };
	pte_t *table = make_tables(&vma->mm->pgt, start);
	pgoff_t last = vma_pgoff(vma, end - PAGE_SIZE);
	vm_fault_t ret = VM_FAULT_NOPAGE;

	if (!table)
		return VM_FAULT_OOM;
	/* When there is much dirt each page shall be asked for by its own store, which may have to
	 * wait. */
	while (vmf.addr < end && !(ret & VM_FAULT_ERROR) && dirt_is_low(vma->mapping)) {
		vmf.ptep = table + ((vmf.addr - start) >> PAGE_SHIFT);
		vmf.pgoff = vma_pgoff(vma, vmf.addr);
		ret = grant_address(&vmf, last, how);
		if (how == GRANT_IF_EASY || ret & VM_FAULT_DIRTIED)
			vmf.addr += PAGE_SIZE;
	}
	*error = vmf.error;
	return ret;
}

void grant_around(struct vm_area *vma, vaddr_t addr)
{
	u64 window = PAGE_SIZE << (READ_ONCE(grant_choice) + 3);
	vaddr_t first = ALIGN_DOWN(addr, window);
	int error;

	grant_table(vma, max(first, vma->start), min(first + window, vma->end), GRANT_IF_EASY,
		    &error);
}

int grant_range(struct vm_area *vma, vaddr_t start, vaddr_t end)
{
	int error = 0;
	vm_fault_t ret = grant_table(vma, start, end, GRANT_INSIST, &error);

	if (ret & VM_FAULT_OOM)
		return -ENOMEM;
	return ret & VM_FAULT_ERROR ? error : 0;
}
