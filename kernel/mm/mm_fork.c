/* SPDX-License-Identifier: MIT */
/*
 * mm_fork.c - a second address space that begins as the first is now.
 *
 * Owns:  copying areas and PTEs to a new address space.
 * Not:   the copy of a page when somebody stores to it (memory.c).
 * Locks: the parent's mmap_lock (write): its threads go on loading and storing, but none faults.
 *        For areas that map a file i_mmap_rwsem (write) while PTEs are copied, so that a truncate
 *        finds a private copy in both address spaces or in neither (rule 99). The child is known
 *        to nobody else, but by its areas in i_mmap.
 * Key fact: nothing of a shared area is copied: the child faults, and whether the page is dirty
 *        stays between the file and the entries that are there (rule 116; B30 cannot happen: the
 *        child has no writable entry of which nobody was told).
 *
 * What is private is shared read-only until one of them stores. The parent's entries lose W, and
 * one flush makes its CPUs forget before the fork returns:
 *
 *	P (parent, CPU 0)		Q (parent's thread, CPU 1)	C (child)
 *	takes W from the PTE,
 *	gives C the page
 *	returns, without a flush
 *					stores by its entry, which
 *					still has W
 *									loads: sees it
 */
#include <sys/errno.h>

#include "arch/x86_64/tlb.h"
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/mm/area.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/mmap.h"

/* One entry of the parent; *@child is empty. A page of the file itself is not copied: the child
 * finds it there. */
static void share_pte(const struct vm_area *vma, vaddr_t va, pte_t *parent, pte_t *child,
		      struct tlb_batch *batch)
{
	pte_t old = ptep_get(parent);
	struct page *page;

	if (pte_vacant(old))
		return;
	page = phys_to_page(pte_paddr(old));
	if (vma->mapping && page->mapping == vma->mapping)
		return;
	if (pte_write(old)) {
		/* The CPU may set A and D meanwhile. They mean nothing in private memory. */
		ptep_clear_bits(parent, PTE_W);
		tlb_batch_add(batch, &vma->mm->pgt, va);
	}
	page_get(page);
	atomic_inc(&page->mapcount);
	ptep_set_absent(child, pte_wrprotect(old));
	stat_inc(STAT_PTES_FORKED);
}

/* -ENOMEM: a table could not be had; what was shared stays so, and the child is to be dropped. */
static int share_ptes(const struct vm_area *vma, struct mm *child, struct tlb_batch *batch)
{
	struct pgtable *pgt = &vma->mm->pgt;
	vaddr_t va = vma->start, stop;
	pte_t *from, *to;

	while ((va = pgtable_next_table(pgt, va, vma->end)) < vma->end) {
		to = pgtable_walk_alloc(&child->pgt, va);
		if (!to)
			return -ENOMEM;
		from = pgtable_walk(pgt, va);
		stop = min(vma->end, va + ptes_left(va) * PAGE_SIZE);
		spin_lock(&pgt->lock);
		for (; va < stop; va += PAGE_SIZE)
			share_pte(vma, va, from++, to++, batch);
		spin_unlock(&pgt->lock);
	}
	return 0;
}

static int copy_area(const struct vm_area *vma, struct mm *child, struct tlb_batch *batch)
{
	struct address_space *mapping = vma->mapping;
	struct vm_area *copy = area_copy(vma);
	int err;

	if (!copy)
		return -ENOMEM;
	copy->mm = child;
	copy->flags &= ~VM_LOCKED;
	if (copy->ops && copy->ops->open)
		copy->ops->open(copy);
	area_link(copy);
	if (vma->flags & VM_SHARED)
		return 0;
	if (mapping)
		down_write(&mapping->i_mmap_rwsem);
	err = share_ptes(vma, child, batch);
	if (mapping)
		up_write(&mapping->i_mmap_rwsem);
	return err;
}

static int copy_areas(struct mm *mm, struct mm *child)
{
	TLB_BATCH(batch, TLB_WHY_COW);
	struct vm_area *vma;
	int err = 0;

	down_write(&mm->mmap_lock);
	child->hint = mm->hint;
	for (vma = RB_MIN(vm_area_tree, &mm->areas); vma && !err; vma = next_vma(vma))
		err = copy_area(vma, child, &batch);
	delay_point("fork_before_flush", mm);
	tlb_batch_flush(&batch);
	up_write(&mm->mmap_lock);
	return err;
}

int mm_fork(struct mm *mm, struct mm **out)
{
	struct mm *child = mm_create();
	int err;

	if (!child)
		return -ENOMEM;
	err = copy_areas(mm, child);
	if (err) {
		mm_put(child);
		return err;
	}
	*out = child;
	return 0;
}
