/* SPDX-License-Identifier: MIT */
/*
 * reclaim_tables.c - page tables that reclaim has emptied.
 *
 * Owns:  nothing.
 * Not:   tables of what is unmapped (mmap.c frees them at once), tables themselves (pgtable.c).
 * Locks: mmap_lock (write) and the area's i_mmap_rwsem (write), both tried.
 * Key fact: who has found a PTE keeps a pointer into its table, and only two locks say for how
 *        long: a fault holds mmap_lock, fault_fast() too; cleaning, harvest and reclaim come by the
 *        file and hold its i_mmap_rwsem. With both held for write nobody is in the table, and
 *        nobody comes until it is gone from all CPUs' caches of upper levels.
 *
 * Only tables that one area has for itself are looked at, so that there is one i_mmap_rwsem.
 */
#include "kernel/core/stat.h"
#include "kernel/mm/area.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/shrinker.h"
#include "kernel/mm/vm_area.h"

#define REGION (PTES_PER_TABLE * PAGE_SIZE) /* what one leaf table maps */

static bool is_empty(const pte_t *table)
{
	for (unsigned int i = 0; i < PTES_PER_TABLE; i++)
		if (pte_present(ptep_get(&table[i])))
			return false;
	return true;
}

/* No other area has anything between these. */
struct room {
	vaddr_t floor, ceiling;
};

static struct room room_of(struct vm_area *vma)
{
	struct vm_area *prev = RB_PREV(vm_area_tree, &vma->mm->areas, vma);
	struct vm_area *next = next_vma(vma);

	return (struct room){ prev ? prev->end : 0, next ? next->start : USER_END };
}

/* Both locks held. How many tables went. */
static u64 shrink_area(struct vm_area *vma)
{
	struct pgtable *pgt = &vma->mm->pgt;
	struct room room = room_of(vma);
	u64 before = pgt->nr_tables;
	vaddr_t va = vma->start;

	while ((va = pgtable_next_table(pgt, va, vma->end)) < vma->end) {
		vaddr_t floor = ALIGN_DOWN(va, REGION), ceiling = floor + REGION;

		if (floor >= room.floor && ceiling <= room.ceiling &&
		    is_empty(pgtable_walk(pgt, floor)))
			pgtable_free_range(pgt, max(vma->start, floor), min(vma->end, ceiling),
					   floor, ceiling);
		va = ceiling;
	}
	return before - pgt->nr_tables;
}

static u64 shrink_mm(struct mm *mm)
{
	struct vm_area *vma;
	u64 nr = 0;

	if (!down_write_trylock(&mm->mmap_lock))
		return 0;
	for (vma = find_vma_from(mm, 0); vma; vma = next_vma(vma)) {
		if (!vma->mapping || !down_write_trylock(&vma->mapping->i_mmap_rwsem))
			continue;
		nr += shrink_area(vma);
		up_write(&vma->mapping->i_mmap_rwsem);
	}
	up_write(&mm->mmap_lock);
	return nr;
}

static u64 shrink_tables(void)
{
	struct mm *mm = NULL;
	u64 nr = 0;

	while ((mm = mm_next(mm)))
		nr += shrink_mm(mm);
	stat_add(STAT_TABLES_RECLAIMED, nr);
	return nr;
}
SHRINKER(tables, shrink_tables);
