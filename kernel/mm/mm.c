/* SPDX-License-Identifier: MIT */
/*
 * mm.c - an address space: its birth, its areas by address, its end.
 *
 * Owns:  struct mm, the tree of areas.
 * Not:   making and cutting areas (mmap.c), page tables (arch), PTEs (memory.c, zap.c).
 * Locks: mmap_lock guards the tree; the caller holds it.
 */
#include <string.h>

#include "arch/x86_64/tlb.h"
#include "kernel/core/sched.h"
#include "kernel/mm/area.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/kmalloc.h"

static int area_cmp(const struct vm_area *a, const struct vm_area *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

RB_GENERATE(vm_area_tree, vm_area, link, area_cmp);

static TAILQ_HEAD(, mm) all_mms = TAILQ_HEAD_INITIALIZER(all_mms);
static struct spinlock all_mms_lock = { .rank = RANK_INODE_LIST, .name = "all_mms" };

struct mm *mm_create(void)
{
	struct mm *mm = kzalloc(sizeof(*mm));

	if (!mm)
		return NULL;
	if (pgtable_init(&mm->pgt)) {
		kfree(mm);
		return NULL;
	}
	rwsem_init(&mm->mmap_lock, "mmap_lock", RANK_MMAP_LOCK);
	RB_INIT(&mm->areas);
	mm->refs = 1;
	spin_lock(&all_mms_lock);
	TAILQ_INSERT_TAIL(&all_mms, mm, all_link);
	spin_unlock(&all_mms_lock);
	return mm;
}

void mm_get(struct mm *mm)
{
	atomic_inc(&mm->refs);
}

/* False: its last user is gone, and it is about to leave the list. */
static bool get_living(struct mm *mm)
{
	int refs = READ_ONCE(mm->refs);

	while (refs && !atomic_cas(&mm->refs, refs, refs + 1))
		refs = READ_ONCE(mm->refs);
	return refs;
}

struct mm *mm_next(struct mm *prev)
{
	struct mm *mm;

	spin_lock(&all_mms_lock);
	mm = prev ? TAILQ_NEXT(prev, all_link) : TAILQ_FIRST(&all_mms);
	while (mm && !get_living(mm))
		mm = TAILQ_NEXT(mm, all_link);
	spin_unlock(&all_mms_lock);
	if (prev)
		mm_put(prev);
	return mm;
}

void mm_put(struct mm *mm)
{
	struct vm_area *vma;

	if (!atomic_dec_and_test(&mm->refs))
		return;
	spin_lock(&all_mms_lock);
	TAILQ_REMOVE(&all_mms, mm, all_link);
	spin_unlock(&all_mms_lock);
	down_write(&mm->mmap_lock);
	while ((vma = RB_MIN(vm_area_tree, &mm->areas)))
		area_remove(vma);
	up_write(&mm->mmap_lock);
	pgtable_destroy(&mm->pgt);
	kfree(mm);
}

void mm_use(struct mm *mm)
{
	struct thread *t = current_thread();
	u64 flags = irq_save();

	t->mm = mm;
	t->pgt = mm ? &mm->pgt : NULL;
	arch_switch_pgtable(t->pgt);
	irq_restore(flags);
}

struct vm_area *find_vma_from(struct mm *mm, vaddr_t addr)
{
	struct vm_area *vma = RB_ROOT(&mm->areas), *best = NULL;

	while (vma) {
		if (vma->end > addr) {
			best = vma;
			vma = RB_LEFT(vma, link);
		} else {
			vma = RB_RIGHT(vma, link);
		}
	}
	return best;
}

struct vm_area *find_vma_slow(struct mm *mm, vaddr_t addr)
{
	struct vm_area *vma = find_vma_from(mm, addr);

	if (!vma || addr < vma->start)
		return NULL;
	WRITE_ONCE(mm->last_found, vma);
	return vma;
}

struct vm_area *next_vma(struct vm_area *vma)
{
	return RB_NEXT(vm_area_tree, &vma->mm->areas, vma);
}
