/* SPDX-License-Identifier: MIT */
/*
 * gup.c - which frames are behind this buffer, and who hears of it when a device wrote to them?
 *
 * Owns:  pins: PAGE_PIN units in page->refs.
 * Not:   faults (fault.c), dirty state (page_dirty.c), what is read or written (the file system).
 * Locks: pgtable.lock while a PTE is looked at and its frame is pinned; one page lock at a time.
 * Key fact: a pin is taken under pgtable.lock from a present PTE, and who takes a page out of its
 *        file first removes its PTEs (under that lock) and then looks for pins (invalidate.c): one
 *        of the two sees the other. The page lock cannot be held meanwhile, since the I/O may need
 *        the same page (rule 13; B24).
 *
 * What goes wrong without the second half of unpin_user_pages() (B21):
 *	R (read() into a mapping)		S (msync)
 *	faults the page in: dirty
 *						cleans it: PTE read-only, page CLEAN, written
 *	the device writes into the frame
 *	returns: the page is not what is on the disk, and nobody knows
 */
#include "kernel/mm/gup.h"

#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/page_dirty.h"

/* ---- pinning ------------------------------------------------------------------------------- */

/* largepages=1: the direct map has no PTE to tell; what can be read there is memory. */
paddr_t kernel_phys_slow(vaddr_t addr)
{
	u8 byte;

	if (addr < DIRECT_MAP_BASE || addr >= VMAP_BASE || probe_load1((void *)addr, &byte))
		return 0;
	return virt_to_phys((void *)addr);
}

/* The frame behind a PTE that allows the access, pinned; NULL: there is none now. */
static struct page *pin_present(struct mm *mm, vaddr_t addr, enum pin_for what)
{
	struct page *page = NULL;
	pte_t *ptep, pte;

	/* A munmap() elsewhere may be about to free the table. */
	spin_lock(&mm->pgt.lock);
	ptep = pgtable_walk(&mm->pgt, addr);
	pte = ptep ? ptep_get(ptep) : (pte_t){ 0 };
	if (pte_present(pte) && (what == PIN_TO_READ || pte_write(pte))) {
		page = phys_to_page(pte_paddr(pte));
		page_pin(page);
	}
	spin_unlock(&mm->pgt.lock);
	return page;
}

static int pin_one(struct mm *mm, vaddr_t addr, enum pin_for what, struct page **out)
{
	int err = 0;

	if (is_kernel_half(addr)) {
		paddr_t pa = kernel_phys(addr, what);

		*out = phys_to_page(pa);
		return pa ? 0 : -EFAULT;
	}
	if (!mm || addr < USER_START)
		return -EFAULT;
	/* It may be gone again before we look: by cleaning, or by somebody else's unmapping. */
	while (!(*out = pin_present(mm, addr, what)) && !err)
		err = mm_fault_in(mm, addr, what == PIN_TO_WRITE);
	return err;
}

int pin_user_pages(struct mm *mm, vaddr_t addr, unsigned int n, enum pin_for what,
		   struct page **pages)
{
	unsigned int got = 0;
	int err = 0;

	addr &= PAGE_MASK;
	for (; got < n && !err; got += !err)
		err = pin_one(mm, addr + got * PAGE_SIZE, what, &pages[got]);
	if (got && !is_kernel_half(addr))
		stat_add(STAT_PAGES_PINNED, got);
	return got ? (int)got : err;
}

/* ---- unpinning ----------------------------------------------------------------------------- */

/* With the area held, which holds the file: the page's own word that it is in one is good only
 * while it is locked. */
static void tell_store(struct mm *mm, vaddr_t addr)
{
	struct vm_area *vma;

	down_read(&mm->mmap_lock);
	vma = find_vma(mm, addr);
	if (vma && vma->mapping)
		mapping_tell_store(vma->mapping);
	up_read(&mm->mmap_lock);
}

/* What a store's fault does, for a store that has happened. A page that a truncate took out of its
 * file is nobody's any more. The fault that pinned it asked whether there is room for its dirt. */
static int note_written(struct mm *mm, vaddr_t addr, struct page *page)
{
	struct address_space *mapping;
	u64 size, start = page->index << PAGE_SHIFT;
	int err = 0;

	lock_page(page);
	mapping = page->mapping;
	size = mapping ? READ_ONCE(mapping->size) : 0;
	if (mapping && mapping_writeback(mapping) && start < size) {
		if (mapping->a_ops->prepare_write)
			err = mapping->a_ops->prepare_write(
				mapping, page, 0, (unsigned int)min(size - start, PAGE_SIZE));
		if (!err) {
			set_page_dirty(page);
			stat_inc(STAT_PINNED_DIRTIED);
		}
	}
	if (mapping)
		mapping_note_store(mapping);
	unlock_page(page);
	if (!mapping)
		return 0;
	tell_store(mm, addr);
	return err;
}

int unpin_user_pages(struct mm *mm, vaddr_t addr, unsigned int n, enum pin_for what,
		     struct page **pages, unsigned int written)
{
	int err = 0;

	if (is_kernel_half(addr))
		return 0;
	addr &= PAGE_MASK;
	for (unsigned int i = 0; i < n; i++) {
		int e = 0;

		/* Anonymous memory and private copies are in no file, now and later. */
		if (what == PIN_TO_WRITE && i < written && READ_ONCE(pages[i]->mapping))
			e = note_written(mm, addr + i * PAGE_SIZE, pages[i]);
		page_unpin(pages[i]);
		err = err ? err : e;
	}
	return err;
}
