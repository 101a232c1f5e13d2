/* SPDX-License-Identifier: MIT */
/*
 * mprotect.c - what a program may do to a range of its memory from now on.
 *
 * Owns:  VM_READ, VM_WRITE, VM_EXEC of areas that exist; P, W and NX of their PTEs while it holds
 *        mmap_lock for write; held entries (pte_mkheld).
 * Not:   cutting and joining areas (area.c), making PTEs writable (memory.c).
 * Locks: mmap_lock (write): no fault comes in between. For areas that map a file i_mmap_rwsem
 *        (write) from the first PTE until the flush is acknowledged, as all who make live PTEs
 *        stricter; pgtable.lock for each table.
 * Key fact: D stays in an entry that loses W, since it may be all that tells of a store (rules 66,
 *        114; B10). And W is never given back here: that the page is dirty, has its blocks, or is
 *        nobody else's copy is for the fault of the next store to find out.
 *
 * PROT_NONE: all runs in ring 0, so only an entry without P keeps a program out. The file's own
 * pages are unmapped as by munmap, and found in the file again. Private copies and anonymous memory
 * are nowhere else: their entries lose P and keep the page.
 */
#include <sys/errno.h>

#include "arch/x86_64/tlb.h"
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/mm/area.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/mmap.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/preclean.h"

#define VM_ACCESS (VM_READ | VM_WRITE | VM_EXEC)

/* What becomes of entries that are not vacant: the same for all of an area. */
struct change {
	u64 clear, set;
	struct tlb_batch *batch; /* for what takes something away; NULL: nothing does */
	u64 changed;
};

static struct change change_to(u32 access)
{
	if (!(access & VM_ACCESS)) /* pte_mkheld() */
		return (struct change){ .clear = PTE_P | PTE_W, .set = PTE_HELD };
	return (struct change){
		.clear = PTE_HELD | (access & VM_WRITE ? 0 : PTE_W) |
			 (access & VM_EXEC ? PTE_NX : 0),
		.set = PTE_P | (access & VM_EXEC ? 0 : PTE_NX),
	};
}

/* The CPU sets D meanwhile, so entries are compare-exchanged; B1 is a store that was lost. */
static __noinline void protect_table(struct change *c, struct pgtable *pgt, pte_t *ptep, vaddr_t va,
				     unsigned int n)
{
	unsigned int first = n, last = 0;
	pte_t old, new;

	spin_lock(&pgt->lock);
	for (unsigned int i = 0; i < n; i++) {
		do {
			old = ptep_get(ptep + i);
			new.v = (old.v & ~c->clear) | c->set;
			if (pte_vacant(old) || pte_same(old, new))
				goto next;
			delay_point("mprotect_between_read_and_write",
				    phys_to_page(pte_paddr(old))); /* may only spin */
		} while (!ptep_cmpxchg(ptep + i, old, new));
		c->changed++;
		first = min(first, i);
		last = i;
next:;
	}
	spin_unlock(&pgt->lock);
	if (first == n || !c->batch)
		return;
	tlb_batch_add(c->batch, pgt, va + first * PAGE_SIZE);
	if (last != first) /* a range's ends: what lies between is part of it */
		tlb_batch_add(c->batch, pgt, va + last * PAGE_SIZE);
}

static void protect_ptes(struct change *c, struct vm_area *vma)
{
	struct pgtable *pgt = &vma->mm->pgt;
	vaddr_t va = vma->start, stop;

	while ((va = pgtable_next_table(pgt, va, vma->end)) < vma->end) {
		stop = min(vma->end, va + ptes_left(va) * PAGE_SIZE);
		protect_table(c, pgt, pgtable_walk(pgt, va), va,
			      (unsigned int)((stop - va) >> PAGE_SHIFT));
		va = stop;
	}
	stat_add(STAT_PTES_PROTECTED, c->changed);
}

/* Does the change take anything that a CPU may have cached (rule 51)? */
static bool takes(u32 old, u32 access)
{
	return old & ~access & (VM_WRITE | VM_EXEC) || !(access & VM_ACCESS);
}

/* Must PTEs change, or is the next fault enough? */
static bool ptes_change(u32 old, u32 access)
{
	return takes(old, access) || access & ~old & VM_EXEC || !(old & VM_ACCESS);
}

/* Rule 58: entries that CPUs may still use, although their PTEs were made stricter by somebody who
 * owes the flush, are part of what the caller takes away (B13). */
static void protect_area(struct vm_area *vma, u32 access)
{
	struct address_space *mapping = vma->mapping;
	struct change change = change_to(access);
	TLB_BATCH(batch, TLB_WHY_PROTECT);
	u32 old = vma->flags;
	bool stored = false;

	WRITE_ONCE(vma->flags, (old & ~VM_ACCESS) | access);
	if (!ptes_change(old, access))
		return;
	if (!access && mapping)
		zap_range(vma, vma->start, vma->end, ZAP_FILE_ONLY);
	if (mapping)
		down_write(&mapping->i_mmap_rwsem);
	if (takes(old, access))
		change.batch = &batch;
	protect_ptes(&change, vma);
	if (mapping)
		stored = preclean_settle(mapping, &batch);
	delay_point("mprotect_before_flush", vma);
	tlb_batch_flush(&batch);
	if (stored)
		mapping_note_store(mapping);
	if (mapping)
		up_write(&mapping->i_mmap_rwsem);
}

/* The area at @at gets @access. -ENOMEM: a hole; -EACCES: the descriptor does not allow it. */
static int protect_at(struct mm *mm, vaddr_t at, u32 access, vaddr_t *next)
{
	struct vm_area *vma = find_vma(mm, at);

	if (!vma)
		return -ENOMEM;
	if (access & VM_WRITE && !(vma->flags & VM_MAYWRITE))
		return -EACCES;
	protect_area(vma, access);
	*next = vma->end;
	return 0;
}

int mm_mprotect(struct mm *mm, vaddr_t addr, u64 len, int prot)
{
	vaddr_t end = addr + PAGE_ALIGN(len), at = addr;
	int err;

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (!len)
		return 0;
	if (len > USER_END || end <= addr)
		return -ENOMEM;
	if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC))
		return -EINVAL;
	down_write(&mm->mmap_lock);
	err = area_cut_at(mm, addr, end);
	while (!err && at < end)
		err = protect_at(mm, at, prot_to_flags(prot), &at);
	area_join_range(mm, addr, end);
	up_write(&mm->mmap_lock);
	return err;
}
