/* SPDX-License-Identifier: MIT */
/*
 * mremap.c - an area gets another length, or another place.
 *
 * Owns:  moving PTEs from one address to another.
 * Not:   cutting and joining areas (area.c), what becomes of pages (nothing does).
 * Locks: mmap_lock (write): no fault comes in between. For areas that map a file i_mmap_rwsem
 *        (write) from the first PTE taken until the flush of the old addresses is acknowledged.
 * Key fact: an entry is moved whole, with W and D (rule 120), and both areas are in i_mmap
 *        meanwhile. Without the lock (B6, rules 37, 59):
 *
 *	M (mremap)		K (cleaning, truncate)		W
 *	takes the old PTE: W, D
 *	fills the new one
 *				takes W and D of the new
 *				one, flushes the new address
 *								stores through its
 *								entry of the old one
 *	flushes the old address
 *
 *        and the store is in nobody's PTE and in no page's state; or K comes between the first two
 *        steps and finds neither entry.
 */
#include <sys/errno.h>

#include "arch/x86_64/tlb.h"
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/mm/area.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/mmap.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/preclean.h"

/* A call, checked. */
struct move {
	vaddr_t from, to;
	u64 old_len, new_len;
};

/* --- PTEs --- */

/* Make the tables that [@to, @to + len) will need for what is mapped at @from, so that moving
 * cannot fail. What was made when memory is out stays with the address space. */
static int make_tables(struct mm *mm, const struct move *m)
{
	vaddr_t end = m->from + m->old_len, va = m->from;

	/* To each table of the old range belong two of the new one. */
	while ((va = pgtable_next_table(&mm->pgt, va, end)) < end) {
		vaddr_t last = min(end, va + ptes_left(va) * PAGE_SIZE) - PAGE_SIZE;

		if (!pgtable_walk_alloc(&mm->pgt, m->to + (va - m->from)) ||
		    !pgtable_walk_alloc(&mm->pgt, m->to + (last - m->from)))
			return -ENOMEM;
		va = last + PAGE_SIZE;
	}
	return 0;
}

/* @n entries that lie in one leaf table here and there. */
static u64 move_run(struct pgtable *pgt, vaddr_t from, vaddr_t to, u64 n, struct tlb_batch *batch)
{
	pte_t *src = pgtable_walk(pgt, from), *dst = pgtable_walk(pgt, to);
	u64 moved = 0;

	spin_lock(&pgt->lock);
	for (u64 i = 0; i < n; i++) {
		if (pte_vacant(ptep_get(src + i)))
			continue;
		ptep_set_absent(dst + i, ptep_get_and_clear(src + i));
		tlb_batch_add(batch, pgt, from + i * PAGE_SIZE);
		moved++;
	}
	spin_unlock(&pgt->lock);
	/* A D may have come along that no CPU's walk has set: harvest.c looks at A first. */
	if (moved)
		ptep_set_bits(pgtable_walk_region(pgt, to), PTE_A);
	return moved;
}

static void move_ptes(struct vm_area *vma, const struct move *m)
{
	struct address_space *mapping = vma->mapping;
	vaddr_t va = m->from, end = m->from + m->old_len;
	struct pgtable *pgt = &vma->mm->pgt;
	TLB_BATCH(batch, TLB_WHY_ZAP);
	bool stored = false;
	u64 moved = 0;

	if (mapping)
		down_write(&mapping->i_mmap_rwsem);
	while ((va = pgtable_next_table(pgt, va, end)) < end) {
		vaddr_t to = m->to + (va - m->from);
		u64 n = min((u64)min(ptes_left(va), ptes_left(to)), (end - va) >> PAGE_SHIFT);

		moved += move_run(pgt, va, to, n, &batch);
		va += n << PAGE_SHIFT;
	}
	if (mapping)
		stored = preclean_settle(mapping, &batch); /* rule 58: see mprotect.c */
	delay_point("mremap_before_flush", vma);
	tlb_batch_flush(&batch);
	if (stored)
		mapping_note_store(mapping);
	if (mapping)
		up_write(&mapping->i_mmap_rwsem);
	stat_add(STAT_PTES_MOVED, moved);
}

/* --- areas; mmap_lock w held --- */

/* @copy, of the area at m->from, becomes the area of the new range; what lies in the old one moves
 * there, and the old one goes. With old_len 0 it is a second mapping of the same. */
static void move_area(struct mm *mm, struct vm_area *copy, const struct move *m)
{
	struct vm_area *vma = find_vma(mm, m->from);

	copy->pgoff = vma_pgoff(vma, m->from);
	copy->start = m->to;
	copy->end = m->to + m->new_len;
	if (copy->ops && copy->ops->open)
		copy->ops->open(copy);
	area_link(copy);
	if (m->old_len) {
		move_ptes(vma, m);
		BUG_ON(vma->start != m->from || vma->end != m->from + m->old_len);
		if (area_remove(vma))
			area_free_tables(mm, m->from, m->from + m->old_len);
	}
	area_join_range(mm, m->to, m->to + m->new_len);
}

/* Room for the new range: with MREMAP_FIXED whatever is there goes. */
static int make_room(struct mm *mm, struct move *m, int flags)
{
	bool touched = false; /* the tables are needed again */

	if (flags & MREMAP_FIXED)
		return unmap_locked(mm, m->to, m->to + m->new_len, &touched);
	m->to = area_find_room(mm, 0, m->new_len);
	return m->to ? 0 : -ENOMEM;
}

static int move(struct mm *mm, struct move *m, int flags)
{
	struct vm_area *vma = find_vma(mm, m->from), *copy;
	int err;

	copy = area_copy(vma);
	if (!copy)
		return -ENOMEM;
	err = m->old_len ? area_cut_at(mm, m->from, m->from + m->old_len) : 0;
	if (!err)
		err = make_room(mm, m, flags);
	if (!err)
		err = make_tables(mm, m);
	if (err) {
		kfree(copy);
		area_join_range(mm, m->from, m->from + m->old_len);
		return err;
	}
	move_area(mm, copy, m);
	return 0;
}

/* Longer where it is: 0, or -ENOMEM, something is in the way. */
static int grow(struct mm *mm, struct vm_area *vma, const struct move *m)
{
	struct vm_area *next = next_vma(vma);
	vaddr_t end = m->from + m->new_len;

	if (vma->end != m->from + m->old_len || !area_range_ok(m->from, m->new_len) ||
	    (next && next->start < end))
		return -ENOMEM;
	area_set_end(vma, end);
	area_join_range(mm, m->from, end);
	return 0;
}

/* Shorter, or as long as before, at its place. */
static int shrink(struct mm *mm, const struct move *m)
{
	vaddr_t start = m->from + m->new_len, end = m->from + m->old_len;
	bool touched = false;
	int err = start < end ? unmap_locked(mm, start, end, &touched) : 0;

	if (touched)
		area_free_tables(mm, start, end);
	return err;
}

/* -EFAULT: not one area from end to end; -EINVAL: what cannot be mapped twice, or so far. */
static int check_area(const struct vm_area *vma, const struct move *m)
{
	if (!m->old_len && !(vma->flags & VM_SHARED))
		return -EINVAL;
	if (m->old_len > vma->end - m->from)
		return -EFAULT;
	if (vma->mapping && vma_pgoff(vma, m->from) + (m->new_len >> PAGE_SHIFT) < vma->pgoff)
		return -EINVAL;
	return 0;
}

static int remap_locked(struct mm *mm, struct move *m, int flags)
{
	struct vm_area *vma = find_vma(mm, m->from);
	int err;

	if (!vma)
		return -EFAULT;
	m->to = flags & MREMAP_FIXED ? m->to : m->from;
	if (m->to == m->from && m->old_len >= m->new_len)
		return shrink(mm, m);
	err = check_area(vma, m);
	if (err)
		return err;
	if (flags & MREMAP_FIXED) {
		/* What is cut off at the end does not move. */
		err = shrink(mm, m);
		m->old_len = min(m->old_len, m->new_len);
		return err ? err : move(mm, m, flags);
	}
	err = m->old_len ? grow(mm, vma, m) : -ENOMEM;
	return err && flags & MREMAP_MAYMOVE ? move(mm, m, flags) : err;
}

static int check_mremap(const struct move *m, int flags)
{
	vaddr_t end;

	if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) || (m->from & ~PAGE_MASK))
		return -EINVAL;
	if (!m->new_len || m->new_len > USER_END || m->old_len > USER_END)
		return -EINVAL;
	if (!(flags & MREMAP_FIXED))
		return 0;
	if (!(flags & MREMAP_MAYMOVE) || (m->to & ~PAGE_MASK) || !area_range_ok(m->to, m->new_len))
		return -EINVAL;
	end = m->to + m->new_len;
	return end > m->from && m->to < m->from + m->old_len ? -EINVAL : 0;
}

int mm_mremap(struct mm *mm, vaddr_t addr, u64 old_len, u64 new_len, int flags, vaddr_t to,
	      vaddr_t *out)
{
	struct move m = { addr, to, PAGE_ALIGN(old_len), PAGE_ALIGN(new_len) };
	u64 populate = 0;
	struct vm_area *vma;
	int err;

	if (old_len > USER_END || new_len > USER_END)
		return -EINVAL;
	err = check_mremap(&m, flags);
	if (err)
		return err;
	down_write(&mm->mmap_lock);
	err = remap_locked(mm, &m, flags);
	if (!err && m.new_len > m.old_len) {
		vma = find_vma(mm, m.to);
		populate = vma->flags & VM_LOCKED ? m.new_len - m.old_len : 0;
	}
	up_write(&mm->mmap_lock);
	if (err)
		return err;
	if (populate)
		mm_populate(mm, m.to + m.old_len, populate);
	*out = m.to;
	return 0;
}
