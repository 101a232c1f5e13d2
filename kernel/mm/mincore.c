/* SPDX-License-Identifier: MIT */
/*
 * mincore.c - mincore(2): which pages would not have to be waited for?
 *
 * Owns:  nothing; changes nothing.
 * Locks: mmap_lock (read) for a piece of the range at a time; none while the answer is copied to
 *        the program, which may fault.
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/mmap.h"

#define PIECE 64 /* pages */

/* A page that an entry holds (mprotect), or that the file has in the cache, is there. */
static u8 is_resident(struct vm_area *vma, vaddr_t addr)
{
	pte_t *ptep = pgtable_walk(&vma->mm->pgt, addr);
	struct page *page;
	bool uptodate;

	if (ptep && !pte_vacant(ptep_get(ptep)))
		return 1;
	if (!vma->mapping)
		return 0;
	page = find_get_page(vma->mapping, vma_pgoff(vma, addr));
	if (!page)
		return 0;
	uptodate = page_uptodate(page);
	page_put(page);
	return uptodate;
}

static int look(struct mm *mm, vaddr_t addr, u64 pages, u8 *vec)
{
	struct vm_area *vma = NULL;
	int err = 0;

	down_read(&mm->mmap_lock);
	for (u64 i = 0; i < pages && !err; i++, addr += PAGE_SIZE) {
		if (!vma || addr >= vma->end)
			vma = find_vma(mm, addr);
		if (vma)
			vec[i] = is_resident(vma, addr);
		else
			err = -ENOMEM;
	}
	up_read(&mm->mmap_lock);
	return err;
}

int mm_mincore(struct mm *mm, vaddr_t addr, u64 len, u8 *vec)
{
	u64 pages, n;
	u8 piece[PIECE];
	int err;

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (len > USER_END || addr > USER_END - len)
		return -ENOMEM;
	for (pages = PAGE_ALIGN(len) >> PAGE_SHIFT; pages; pages -= n) {
		n = min(pages, (u64)PIECE);
		err = look(mm, addr, n, piece);
		if (err)
			return err;
		if (copy_fault(vec, piece, n))
			return -EFAULT;
		vec += n;
		addr += n << PAGE_SHIFT;
	}
	return 0;
}
