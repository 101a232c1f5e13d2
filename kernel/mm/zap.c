/* SPDX-License-Identifier: MIT */
/*
 * zap.c - from a range to no PTEs.
 *
 * Owns:  removing PTEs of areas, and the rule for those that were dirty.
 * Not:   installing (memory.c), which pages leave the file (truncate.c), tables (pgtable.c).
 * Locks: i_mmap_rwsem (write) from the first exchange until the flush is acknowledged, for areas
 *        that map a file (a truncate, too, finds either the PTE or mapcount 0); pgtable.lock for
 *        each table.
 * Key fact: the page lock ranks above pgtable.lock, so that zapping cannot take it when it finds D.
 *        It sets PG_d_seen before it lets i_mmap_rwsem go; cleaning tests and clears the flag after
 *        its own hold of that lock (design section 6). Without the lock, cleaning finds no PTE and
 *        decides "clean" while a CPU still stores through its stale entry; without the flag, it
 *        finds no D. tests/models/zap.pml shows both.
 */
#include "arch/x86_64/tlb.h"
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/preclean.h"

#define ZAP_PAGES 256 /* per flush */

/* Pages whose last translation is only gone after the flush. */
struct zap {
	struct tlb_batch *batch;
	enum zap_cows cows;
	bool found_d; /* in a PTE whose stores count */
	unsigned int nr;
	struct page *pages[ZAP_PAGES];
};

/* Remove the PTEs of one leaf table's part [va, end); stops early when @z is full. Returns how
 * far it came. */
static vaddr_t zap_table(struct vm_area *vma, pte_t *ptep, vaddr_t va, vaddr_t end, struct zap *z)
{
	struct pgtable *pgt = &vma->mm->pgt;
	pte_t old;

	spin_lock(&pgt->lock);
	for (; va < end && z->nr < ZAP_PAGES; va += PAGE_SIZE, ptep++) {
		struct page *page;

		old = ptep_get(ptep);
		if (pte_vacant(old))
			continue;
		page = phys_to_page(pte_paddr(old));
		if (z->cows == ZAP_FILE_ONLY && page->mapping != vma->mapping)
			continue;
		delay_point("zap_between_read_and_exchange", page); /* may only spin */
		old = ptep_get_and_clear(ptep);
		tlb_batch_add(z->batch, pgt, va);
		if (pte_dirty(old) && (vma->flags & VM_SHARED) && vma->mapping) {
			if (likely(mapping_writeback(vma->mapping)))
				page_note_d_seen(page);
			z->found_d = true;
		}
		z->pages[z->nr++] = page;
	}
	spin_unlock(&pgt->lock);
	return va;
}

/* Fill @z from [va, end); returns how far it came. */
static vaddr_t zap_some(struct vm_area *vma, vaddr_t va, vaddr_t end, struct zap *z)
{
	while (va < end && z->nr < ZAP_PAGES) {
		pte_t *ptep = pgtable_walk(&vma->mm->pgt, va);

		if (ptep)
			va = zap_table(vma, ptep, va, min(end, va + ptes_left(va) * PAGE_SIZE), z);
		else
			va = pgtable_next_table(&vma->mm->pgt, va, end);
	}
	return va;
}

/* The flush is done: no CPU can reach these pages through what was removed (rules 38, 55, 56). */
static void release_pages(struct zap *z)
{
	for (unsigned int i = 0; i < z->nr; i++) {
		atomic_sub_return(&z->pages[i]->mapcount, 1);
		page_put(z->pages[i]);
	}
	stat_add(STAT_PTES_ZAPPED, z->nr);
}

/* One round under whatever lock the caller holds. */
static vaddr_t zap_round(struct vm_area *vma, vaddr_t va, vaddr_t end, enum zap_cows cows)
{
	TLB_BATCH(batch, TLB_WHY_ZAP);
	struct zap z;

	z.batch = &batch;
	z.cows = cows;
	z.nr = 0;
	z.found_d = false;
	va = zap_some(vma, va, end, &z);
	if (vma->mapping && preclean_settle(vma->mapping, &batch))
		z.found_d = true;
	delay_point("zap_before_flush", vma);
	tlb_batch_flush(&batch);
	if (z.found_d)
		mapping_note_store(vma->mapping);
	release_pages(&z);
	trace(TRACE_ZAP, va, z.nr);
	return va;
}

void zap_range(struct vm_area *vma, vaddr_t start, vaddr_t end, enum zap_cows cows)
{
	struct address_space *mapping = vma->mapping;

	while (start < end) {
		if (mapping)
			down_write(&mapping->i_mmap_rwsem);
		start = zap_round(vma, start, end, cows);
		if (mapping)
			up_write(&mapping->i_mmap_rwsem);
	}
}

bool zap_area(struct vm_area *vma)
{
	struct address_space *mapping = vma->mapping;
	vaddr_t first = pgtable_next_table(&vma->mm->pgt, vma->start, vma->end);

	/* No table: nobody ever had a PTE here, and nothing is owed to any CPU. */
	if (first < vma->end)
		zap_range(vma, first, vma->end, ZAP_COWS);
	if (mapping) {
		down_write(&mapping->i_mmap_rwsem);
		i_mmap_remove(&mapping->i_mmap, &vma->i_node);
		up_write(&mapping->i_mmap_rwsem);
	}
	return first < vma->end;
}

void unmap_mapping_range(struct address_space *mapping, pgoff_t first, pgoff_t last,
			 enum zap_cows cows)
{
	struct i_mmap_node *node;

	down_write(&mapping->i_mmap_rwsem);
	for (node = i_mmap_first(&mapping->i_mmap, first, last); node;
	     node = i_mmap_next(node, first, last)) {
		struct vm_area *vma = container_of(node, struct vm_area, i_node);
		vaddr_t va = vma_address(vma, max(first, node->first));
		vaddr_t end = vma_address(vma, min(last, node->last)) + PAGE_SIZE;

		while (va < end)
			va = zap_round(vma, va, end, cows);
	}
	up_write(&mapping->i_mmap_rwsem);
}
