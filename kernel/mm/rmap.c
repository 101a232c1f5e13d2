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
#include "kernel/mm/preclean.h"
#include "kernel/mm/vm_area.h"

/* One cleaning: what it does, and what came of it. */
struct clean_walk {
	struct tlb_batch *batch;
	enum clean_how how;
	bool found_d;
	u64 cleaned, scanned;
};

/*
 * Take @take (W and D, or D) from one PTE. Acts if W or D is there: W alone misses the dirt that
 * mprotect(PROT_READ) leaves, D alone misses a writable entry that was never stored to (rule 22).
 * Returns what was taken; *@old: what the entry was.
 */
static __always_inline u64 clean_pte(pte_t *ptep, struct page *page, u64 take, pte_t *old)
{
	pte_t new;

	do {
		*old = ptep_get(ptep);
		if (!pte_present(*old) || !(old->v & take))
			return 0;
		DEBUG_ON(pte_pfn(*old) != page_to_pfn(page));
		new.v = old->v & ~take;
		delay_point("mkclean_between_read_and_write", page); /* may only spin */
	} while (!ptep_cmpxchg(ptep, *old, new));
	if (pte_dirty(*old))
		set_bit(&page->flags, PG_d_seen);
	return old->v & take;
}

/*
 * Ask the policy of @vma what to do with the page's PTE, and do it. What may be stored through
 * afterwards without anybody being told is noted in page->left: page_dirty.c decides by what was
 * left by all areas together, not by what one of them answered.
 */
static __noinline u64 clean_pte_asking(const struct dirty_policy *policy,
				       const struct vm_area *vma, pte_t *ptep, struct page *page)
{
	struct policy_page pp = policy_page_in(vma, page);
	enum policy_clean answer = policy->how_to_clean(&pp);
	u64 taken;
	pte_t old;

	taken = clean_pte(ptep, page, answer == POLICY_CLEAN_CLEAR_D ? PTE_D : PTE_W | PTE_D, &old);
	if (!pte_present(old) || !pte_write(old))
		return taken;
	if (answer == POLICY_CLEAN_CLEAR_D)
		page->left |= PAGE_LEFT_SILENT;
	else if (answer == POLICY_CLEAN_LOG)
		page->left |= PAGE_LEFT_LOGGED;
	return taken;
}

/* Clean @vma's PTEs of the pages from @page on, while they lie in one leaf table that @ptep points
 * into for @page. Returns the first page beyond. */
static struct page *clean_table(struct vm_area *vma, struct page *page, pte_t *ptep,
				struct clean_walk *walk)
{
	const struct dirty_policy *policy = area_policy(vma);
	bool ask = policy->how_to_clean && walk->how == CLEAN_AS_POLICY_SAYS;
	vaddr_t va = vma_address(vma, page->index);
	pgoff_t first = page->index;
	pgoff_t stop = first + min((u64)ptes_left(va), (vma->end - va) >> PAGE_SHIFT);
	struct pgtable *pgt = &vma->mm->pgt;
	u64 cleaned = 0, seen = 0, taken, all = 0;
	pte_t old;

	if (unlikely(flush_mode == FLUSH_PAGE))
		stop = first + 1;
	spin_lock(&pgt->lock);
	for (; page && page->index < stop; page = page->next) {
		pgoff_t i = page->index - first;

		seen++;
		if (unlikely(ask))
			taken = clean_pte_asking(policy, vma, ptep + i, page);
		else
			taken = clean_pte(ptep + i, page, PTE_W | PTE_D, &old);
		if (!taken)
			continue;
		all |= taken;
		cleaned++;
		tlb_batch_add(walk->batch, pgt, va + (i << PAGE_SHIFT));
	}
	spin_unlock(&pgt->lock);
	walk->found_d |= all & PTE_D;
	walk->cleaned += cleaned;
	walk->scanned += seen;
	return page;
}

/* One walk over one area: the pages of the list in order, a table at a time, holes skipped. */
static void clean_area(struct vm_area *vma, struct page *page, struct clean_walk *walk)
{
	pgoff_t last = vma->i_node.last;

	while (page && page->index < vma->i_node.first)
		page = page->next;
	while (page && page->index <= last) {
		vaddr_t va = vma_address(vma, page->index);
		pte_t *ptep = pgtable_walk(&vma->mm->pgt, va);

		if (ptep) {
			page = clean_table(vma, page, ptep, walk);
			/* As Linux does: all CPUs forget one entry before the next is looked at. */
			if (unlikely(flush_mode == FLUSH_PAGE))
				tlb_batch_flush(walk->batch);
			continue;
		}
		va = pgtable_next_table(&vma->mm->pgt, va, vma->end);
		while (page && page->index <= last && vma_address(vma, page->index) < va)
			page = page->next;
	}
}

u64 mapping_mkclean(struct address_space *mapping, struct page_list *pages, enum clean_how how)
{
	TLB_BATCH(batch, TLB_WHY_MKCLEAN);
	struct clean_walk walk = { .batch = &batch, .how = how };
	bool pending = preclean_pending(mapping);
	struct i_mmap_node *node;
	pgoff_t first, last;

	if (!pages->nr)
		return 0;
	first = pages->first->index;
	last = pages->last->index;
	for (node = i_mmap_first(&mapping->i_mmap, first, last); node;
	     node = i_mmap_next(node, first, last)) {
		struct vm_area *vma = container_of(node, struct vm_area, i_node);

		/* Private areas map the file's own pages read-only (rule 11). */
		if (!(vma->flags & VM_SHARED))
			continue;
		clean_area(vma, pages->first, &walk);
		/* A PTE without W and D may have had them a moment ago: preclean.h. */
		if (unlikely(pending))
			tlb_batch_add_table(&batch, &vma->mm->pgt);
	}
	delay_point("mkclean_before_flush", mapping);
	tlb_batch_flush(&batch);
	if (walk.found_d || pending)
		mapping_note_store(mapping);
	stat_add(STAT_PTES_SCANNED, walk.scanned);
	stat_add(STAT_PTES_CLEANED, walk.cleaned);
	trace(TRACE_MKCLEAN, mapping->ino, walk.cleaned);
	return walk.cleaned;
}

bool page_mkclean(struct page *page)
{
	struct page_list one = { .first = page, .last = page, .nr = 1 };
	struct address_space *mapping = page->mapping;
	struct page *next = page->next;

	assert_page_locked(page);
	page->next = NULL;
	down_read(&mapping->i_mmap_rwsem);
	mapping_mkclean(mapping, &one, CLEAN_PROTECT);
	up_read(&mapping->i_mmap_rwsem);
	page->next = next;
	return test_bit(&page->flags, PG_d_seen);
}
