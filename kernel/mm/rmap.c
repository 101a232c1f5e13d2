/* SPDX-License-Identifier: MIT */
/*
 * rmap.c - from a page to every PTE that maps it.
 *
 * Owns:  all changes to live file PTEs made on behalf of a page.
 * Not:   dirty state (page_dirty.c), when to clean (writeback.c), unmapping (memory.c).
 * Locks: page locks of the list, then i_mmap_rwsem (read) by the caller, then one pgtable.lock at a
 *        time; the batch is flushed with the page locks and i_mmap_rwsem held and no spinlock held.
 * Key fact: the CPU sets D concurrently. A live PTE is changed by compare-exchange, never by store.
 *
 * Why i_mmap_rwsem is held through the flush: zap_range() holds it for write from its first
 * exchange to its own flush. Without that, a zap could have taken a D entry away without having
 * flushed it, we would find no PTE, decide "clean", and a store through the stale entry would be
 * lost (B4). And until PG_d_seen was taken: a zap that comes after the cleaning may set it for a
 * store that the next sync owes, where cleaning left the page writable.
 */
#include "kernel/mm/rmap.h"

#include "arch/x86_64/tlb.h"
#include "kernel/core/delay.h"
#include "kernel/core/trace.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/vm_area.h"

/* Asked once per page and remembered in it: all its PTEs are treated alike, and page_dirty.c's
 * decision fits what was done to them. */
static void ask_how(const struct dirty_policy *policy, struct page *page)
{
	struct policy_page pp;

	for (; page; page = page->next) {
		page->clean_how = POLICY_CLEAN_PROTECT;
		if (likely(!policy->how_to_clean))
			continue;
		pp = policy_page_of(page);
		page->clean_how = policy->how_to_clean(&pp);
	}
}

/*
 * Take W and D, or D alone, from one PTE. Acts if W or D is there: W alone misses the dirt that
 * mprotect(PROT_READ) leaves, D alone misses a writable entry that was never stored to (rule 22).
 * True if something was taken.
 */
static bool clean_pte(pte_t *ptep, struct page *page)
{
	u64 take = page->clean_how == POLICY_CLEAN_PROTECT ? PTE_W | PTE_D : PTE_D;
	pte_t old, new;

	do {
		old = ptep_get(ptep);
		if (!pte_present(old) || !(old.v & take))
			return false;
		DEBUG_ON(pte_pfn(old) != page_to_pfn(page));
		new.v = old.v & ~take;
		delay_point("mkclean_between_read_and_write", page); /* may only spin */
	} while (!ptep_cmpxchg(ptep, old, new));
	if (pte_dirty(old))
		set_bit(&page->flags, PG_d_seen);
	return true;
}

/* Clean @vma's PTEs of the pages from @page on, while they lie in one leaf table that @ptep points
 * into for @page. Returns the first page beyond. */
static struct page *clean_table(struct vm_area *vma, struct page *page, pte_t *ptep,
				struct tlb_batch *batch, u64 *cleaned, u64 *scanned)
{
	vaddr_t va = vma_address(vma, page->index);
	pgoff_t first = page->index;
	pgoff_t stop = first + min((u64)ptes_left(va), (vma->end - va) >> PAGE_SHIFT);
	struct pgtable *pgt = &vma->mm->pgt;
	u64 changed = 0, seen = 0;

	spin_lock(&pgt->lock);
	for (; page && page->index < stop; page = page->next) {
		pgoff_t i = page->index - first;

		seen++;
		if (clean_pte(ptep + i, page)) {
			changed++;
			tlb_batch_add(batch, pgt, va + (i << PAGE_SHIFT));
		}
	}
	spin_unlock(&pgt->lock);
	*cleaned += changed;
	*scanned += seen;
	return page;
}

/* One walk over one area: the pages of the list in order, a table at a time, holes skipped. */
static void clean_area(struct vm_area *vma, struct page *page, struct tlb_batch *batch,
		       u64 *cleaned, u64 *scanned)
{
	pgoff_t last = vma->i_node.last;

	while (page && page->index < vma->i_node.first)
		page = page->next;
	while (page && page->index <= last) {
		vaddr_t va = vma_address(vma, page->index);
		pte_t *ptep = pgtable_walk(&vma->mm->pgt, va);

		if (ptep) {
			page = clean_table(vma, page, ptep, batch, cleaned, scanned);
			continue;
		}
		va = pgtable_next_table(&vma->mm->pgt, va, vma->end);
		while (page && page->index <= last && vma_address(vma, page->index) < va)
			page = page->next;
	}
}

/* Clean what ask_how() left in each page's clean_how. */
static u64 clean_mappings(struct address_space *mapping, struct page_list *pages)
{
	pgoff_t first = pages->first->index, last = pages->last->index;
	TLB_BATCH(batch, TLB_WHY_MKCLEAN);
	u64 cleaned = 0, scanned = 0;
	struct i_mmap_node *node;

	for (node = i_mmap_first(&mapping->i_mmap, first, last); node;
	     node = i_mmap_next(node, first, last)) {
		struct vm_area *vma = container_of(node, struct vm_area, i_node);

		/* Private areas map the file's own pages read-only (rule 11). */
		if (vma->flags & VM_SHARED)
			clean_area(vma, pages->first, &batch, &cleaned, &scanned);
	}
	delay_point("mkclean_before_flush", mapping);
	tlb_batch_flush(&batch);
	stat_add(STAT_PTES_SCANNED, scanned);
	stat_add(STAT_PTES_CLEANED, cleaned);
	trace(TRACE_MKCLEAN, mapping->ino, cleaned);
	return cleaned;
}

u64 mapping_mkclean(struct address_space *mapping, struct page_list *pages)
{
	const struct dirty_policy *policy = mapping_policy(mapping);

	if (!pages->nr)
		return 0;
	ask_how(policy, pages->first);
	return clean_mappings(mapping, pages);
}

bool page_mkclean(struct page *page)
{
	struct page_list one = { .first = page, .last = page, .nr = 1 };
	struct address_space *mapping = page->mapping;
	struct page *next = page->next;

	assert_page_locked(page);
	page->clean_how = POLICY_CLEAN_PROTECT;
	page->next = NULL;
	down_read(&mapping->i_mmap_rwsem);
	clean_mappings(mapping, &one);
	up_read(&mapping->i_mmap_rwsem);
	page->next = next;
	return test_bit(&page->flags, PG_d_seen);
}
