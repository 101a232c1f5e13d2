/* SPDX-License-Identifier: MIT */
/*
 * filemap_fault.c - which page of the file does a fault get, and may it be stored to?
 *
 * Owns:  the checks between a page lock and a PTE: still in the file, inside EOF.
 * Not:   PTEs (memory.c), reading (filemap.c), blocks (a_ops->prepare_write).
 * Locks: invalidate_lock (read) while a page is brought in; returns with the page locked.
 * Key fact: truncation publishes the size before it drops pages, each under its lock. So who holds
 *        the page lock and has seen mapping and size agree may install a PTE (rules 6, 98; B15).
 *        Who gives up a part in the middle cannot say so by the size: punch.c has the table.
 */
#include <sys/errno.h>

#include "kernel/core/delay.h"
#include "kernel/mm/filemap.h"

#define ADVISED_PAGES 64 /* one fault reads, with MADV_SEQUENTIAL */

static bool inside_eof(const struct address_space *mapping, pgoff_t index)
{
	return index << PAGE_SHIFT < READ_ONCE(mapping->size);
}

/* Lock @page and look again. VM_FAULT_LOCKED, SIGBUS, or NOPAGE: it left the file meanwhile. */
static vm_fault_t lock_in_file(struct vm_fault *vmf, struct page *page)
{
	struct address_space *mapping = vmf->vma->mapping;

	lock_page(page);
	if (likely(page->mapping == mapping && inside_eof(mapping, vmf->pgoff)))
		return VM_FAULT_LOCKED;
	unlock_page(page);
	if (inside_eof(mapping, vmf->pgoff))
		return VM_FAULT_NOPAGE;
	vmf->error = -EFAULT;
	return VM_FAULT_SIGBUS;
}

/* madvise(): start to read what is needed, and much of what follows, or nothing of it. */
static __noinline void read_as_advised(struct vm_fault *vmf)
{
	struct address_space *mapping = vmf->vma->mapping;
	pgoff_t ahead = vmf->vma->flags & VM_SEQ ? ADVISED_PAGES - 1 : 0, end;
	struct page *page = find_get_page(mapping, vmf->pgoff);

	end = DIV_ROUND_UP(READ_ONCE(mapping->size), PAGE_SIZE);
	if (page)
		page_put(page);
	else if (vmf->pgoff < end)
		filemap_read_absent(mapping, vmf->pgoff, min(vmf->pgoff + ahead, end - 1));
}

vm_fault_t filemap_fault(struct vm_fault *vmf)
{
	struct address_space *mapping = vmf->vma->mapping;
	struct page *page;
	vm_fault_t ret;
	int err;

	if (!inside_eof(mapping, vmf->pgoff)) {
		vmf->error = -EFAULT;
		return VM_FAULT_SIGBUS;
	}
	down_read(&mapping->invalidate_lock);
	if (unlikely(vmf->vma->flags & (VM_SEQ | VM_RAND)))
		read_as_advised(vmf);
	err = read_mapping_page(mapping, vmf->pgoff, NULL, &page);
	up_read(&mapping->invalidate_lock);
	if (err) {
		vmf->error = err;
		return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	}
	delay_point("fault_page_found", page);
	ret = lock_in_file(vmf, page);
	if (ret & VM_FAULT_LOCKED)
		vmf->page = page;
	else
		page_put(page);
	return ret;
}

/* It left the file, or lies beyond EOF now. Unlocks. */
static __noinline vm_fault_t refuse_mkwrite(struct vm_fault *vmf)
{
	unlock_page(vmf->page);
	if (inside_eof(vmf->vma->mapping, vmf->pgoff))
		return VM_FAULT_NOPAGE;
	vmf->error = -EFAULT;
	return VM_FAULT_SIGBUS;
}

/* The disk is full, and the page not locked. What others were promised and do not need is looked
 * for only for a store: a page that is made writable ahead is not worth it. */
static bool try_again(const struct vm_fault *vmf, unsigned int tries)
{
	struct address_space *mapping = vmf->vma->mapping;

	return vmf->error == -ENOSPC && vmf->write && tries < ENOSPC_TRIES &&
	       mapping->a_ops->make_room && mapping->a_ops->make_room(mapping);
}

static __noinline vm_fault_t prepare(struct vm_fault *vmf, u64 size)
{
	struct address_space *mapping = vmf->vma->mapping;
	struct page *page = vmf->page;

	if (!mapping->a_ops->prepare_write)
		return VM_FAULT_LOCKED;
	for (unsigned int tries = 1;; tries++) {
		u64 inside = size - (vmf->pgoff << PAGE_SHIFT);

		vmf->error = mapping->a_ops->prepare_write(mapping, page, 0,
							   (unsigned int)min(inside, PAGE_SIZE));
		if (!vmf->error)
			return VM_FAULT_LOCKED;
		unlock_page(page);
		if (!try_again(vmf, tries))
			return vmf->error == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
		lock_page(page);
		size = READ_ONCE(mapping->size);
		if (page->mapping != mapping || vmf->pgoff << PAGE_SHIFT >= size)
			return refuse_mkwrite(vmf);
	}
}

/* Hot: the middle of a store's fault. A page that had its blocks found before asks nothing. */
vm_fault_t filemap_page_mkwrite(struct vm_fault *vmf)
{
	struct address_space *mapping = vmf->vma->mapping;
	struct page *page = vmf->page;
	u64 size;

	lock_page(page);
	size = READ_ONCE(mapping->size);
	if (unlikely(page->mapping != mapping || vmf->pgoff << PAGE_SHIFT >= size))
		return refuse_mkwrite(vmf);
	if (likely(test_bit(&page->flags, PG_blocks)))
		return VM_FAULT_LOCKED;
	return prepare(vmf, size);
}
