/* SPDX-License-Identifier: MIT */
/*
 * gup.h - a caller's buffer as frames, for a device that reads or writes it by physical address.
 *
 * A buffer is memory of a program (any area: private, anonymous, a shared mapping of any file) or
 * of the kernel's half (heap, stack, direct map).
 */
#ifndef KERNEL_MM_GUP_H
#define KERNEL_MM_GUP_H

#include "kernel/mm/page.h"
#include "kernel/mm/vm_area.h"

/* Memory of the kernel's half belongs to who lends it: it need not be pinned, nor given back. */
static inline bool is_kernel_half(vaddr_t addr)
{
	return addr >= USER_END;
}

enum pin_for {
	PIN_TO_READ,  /* the frames are read, as by a load */
	PIN_TO_WRITE, /* they are written, as by a store: copy-on-write is broken, a file is asked
		       * (page_mkwrite), before they are handed out */
};

paddr_t kernel_phys_slow(vaddr_t addr);

/* The memory behind an address of the kernel's half, as far as its page goes; 0: not mapped,
 * read-only, or registers of a device. */
static inline paddr_t kernel_phys(vaddr_t addr, enum pin_for what)
{
	const u64 need = what == PIN_TO_WRITE ? PTE_P | PTE_W : PTE_P;
	pte_t *ptep = pgtable_walk(&kernel_pgtable, addr);
	pte_t pte;

	if (unlikely(!ptep))
		return kernel_phys_slow(addr);
	pte = ptep_get(ptep);
	return likely((pte.v & (need | PTE_PCD)) == need) ? pte_paddr(pte) | (addr & ~PAGE_MASK) :
							    0;
}

/*
 * The frames of up to @n pages from the page of @addr on, into @pages. What belongs to an area is
 * faulted in and pinned: the frame is not freed, and leaves its file only by truncation, until
 * unpin_user_pages(); that its PTE stays is not said. Frames of the kernel's half are not counted:
 * whoever lent the buffer keeps it. @mm: the caller's (NULL: it has none).
 *
 * Returns how many, fewer where the next one cannot be had; if that is the first: -EFAULT (not
 * mapped, not permitted, beyond the end of a file), -EIO, -ENOSPC, -ENOMEM, nothing is pinned. May
 * sleep; throttles; no lock of RANK_MMAP_LOCK or above held.
 */
int pin_user_pages(struct mm *mm, vaddr_t addr, unsigned int n, enum pin_for what,
		   struct page **pages);

/*
 * Give them back. After PIN_TO_WRITE the first @written of them may have been changed by the
 * device, and no PTE tells. A cleaning may have come between pinning and the device: so a page that
 * still is in a file is asked for again (prepare_write) and marked dirty, its file's times are
 * noted (rules 15, 111; B21). 0, or the first error of the file system: what was put into that page
 * may be lost. May sleep; throttles; locks as above.
 */
int unpin_user_pages(struct mm *mm, vaddr_t addr, unsigned int n, enum pin_for what,
		     struct page **pages, unsigned int written);

#endif
