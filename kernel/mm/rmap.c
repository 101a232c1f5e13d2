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
	/* Of a DIRTY page the D says nothing that is not known. */
	if (pte_dirty(*old) && unlikely(page->dirty != PAGE_DIRTY))
		set_bit(&page->flags, PG_d_seen);
	return old->v & take;
}

/*
 * Ask the policy of @vma what to do with the page's PTE, and do it. What may be stored through
 * afterwards without anybody being told is noted in page->left: page_dirty.c decides by what was
 * left by all areas together, not by what one of them answered.
 */
static __noinline u64 clean_pte_asking(const struct dirty_policy *policy, const struct vm_area *vma,
				       pte_t *ptep, struct page *page)
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

/* A run: pages of the list that lie in one leaf table, up to page @stop; @ptes[index] is the PTE of
 * page index. What was changed lies in [@from, @to]. */
struct clean_run {
	pte_t *ptes;
	pgoff_t stop, from, to;
	u64 seen, cleaned;
	u64 taken; /* bits */
};

static void note_cleaned(struct clean_run *run, const struct page *page, u64 taken)
{
	run->seen++;
	if (!taken)
		return;
	if (!run->cleaned++)
		run->from = page->index;
	run->to = page->index;
	run->taken |= taken;
}

/* Returns the first page behind the run. @ask NULL: W and D go from all. */
static struct page *clean_run(struct clean_run *run, const struct vm_area *vma, struct page *page,
			      const struct dirty_policy *ask)
{
	for (; page && page->index < run->stop; page = page->next) {
		pte_t *ptep = run->ptes + page->index, old;

		note_cleaned(run, page,
			     ask ? clean_pte_asking(ask, vma, ptep, page) :
				   clean_pte(ptep, page, PTE_W | PTE_D, &old));
	}
	return page;
}

/*
 * The same as clean_run() without a policy, but fast: this loop is what each mapping of each page
 * costs. It stops at whatever is not a DIRTY page with a present, writable, dirty PTE that changes
 * by nobody's hand but ours: that is clean_run()'s.
 */
static __noinline struct page *clean_run_fast(struct clean_run *run, struct page *page)
{
	const u64 usual = PTE_P | PTE_W | PTE_D;
	pgoff_t stop = run->stop, from = page->index;
	struct page *last = NULL;
	pte_t *ptes = run->ptes;
	u64 seen = 0;

	do {
		pgoff_t index = page->index;
		pte_t old = ptep_get(ptes + index), new = { old.v - (PTE_W | PTE_D) };

		if (unlikely((old.v & usual) != usual || page->dirty != PAGE_DIRTY ||
			     !ptep_cmpxchg(ptes + index, old, new)))
			break;
		last = page;
		page = page->next;
		seen++;
	} while (likely(page && page->index < stop));
	if (last) {
		if (!run->cleaned)
			run->from = from;
		run->to = last->index;
		run->seen += seen;
		run->cleaned += seen;
		run->taken |= PTE_W | PTE_D;
	}
	return page;
}

/* All pages of a run to which no policy has anything to say. */
static struct page *protect_run(struct clean_run *run, const struct vm_area *vma, struct page *page)
{
	pgoff_t stop = run->stop;

	/* With either of these on, each PTE is checked, or waited at. */
	if (unlikely(debug_checks || READ_ONCE(delay_armed)))
		return clean_run(run, vma, page, NULL);
	while (page && page->index < stop) {
		page = clean_run_fast(run, page);
		if (!page || page->index >= stop)
			break;
		run->stop = page->index + 1;
		page = clean_run(run, vma, page, NULL);
		run->stop = stop;
	}
	return page;
}

/* Clean @vma's PTEs of the pages from @page on, while they lie in one leaf table that @ptep points
 * into for @page. Returns the first page beyond. */
static struct page *clean_table(struct vm_area *vma, struct page *page, pte_t *ptep,
				struct clean_walk *walk)
{
	const struct dirty_policy *policy = area_policy(vma);
	vaddr_t va = vma_address(vma, page->index);
	struct clean_run run = { .ptes = ptep - page->index };
	struct pgtable *pgt = &vma->mm->pgt;

	run.stop = page->index + min((u64)ptes_left(va), (vma->end - va) >> PAGE_SHIFT);
	if (unlikely(flush_mode == FLUSH_PAGE))
		run.stop = page->index + 1;
	spin_lock(&pgt->lock);
	if (likely(!policy->how_to_clean || walk->how != CLEAN_AS_POLICY_SAYS))
		page = protect_run(&run, vma, page);
	else
		page = clean_run(&run, vma, page, policy);
	spin_unlock(&pgt->lock);
	walk->scanned += run.seen;
	if (!run.cleaned)
		return page;
	/* A range's ends: what lies between is part of it. */
	tlb_batch_add(walk->batch, pgt, vma_address(vma, run.from));
	if (run.to != run.from)
		tlb_batch_add(walk->batch, pgt, vma_address(vma, run.to));
	walk->cleaned += run.cleaned;
	walk->found_d |= run.taken & PTE_D;
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

/* All CPUs forget what was cleaned. With a deferred shootdown pending, a store may be in what was
 * clean already. */
static __always_inline void flush_cleaned(struct address_space *mapping, struct clean_walk *walk)
{
	bool pending = preclean_pending(mapping);

	delay_point("mkclean_before_flush", mapping);
	tlb_batch_flush(walk->batch);
	if (walk->found_d || pending)
		mapping_note_store(mapping);
	stat_add(STAT_PTES_SCANNED, walk->scanned);
	stat_add(STAT_PTES_CLEANED, walk->cleaned);
	trace(TRACE_MKCLEAN, mapping->ino, walk->cleaned);
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
	flush_cleaned(mapping, &walk);
	return walk.cleaned;
}

/* The PTE of one page in one area. */
static void clean_one(struct vm_area *vma, struct page *page, struct clean_walk *walk)
{
	vaddr_t va = vma_address(vma, page->index);
	struct pgtable *pgt = &vma->mm->pgt;
	pte_t *ptep = pgtable_walk(pgt, va), old;
	u64 taken = 0;

	if (!ptep)
		return;
	spin_lock(&pgt->lock);
	taken = clean_pte(ptep, page, PTE_W | PTE_D, &old);
	spin_unlock(&pgt->lock);
	walk->scanned++;
	if (!taken)
		return;
	tlb_batch_add(walk->batch, pgt, va);
	walk->cleaned++;
	walk->found_d |= taken & PTE_D;
}

/* Not a list of one: page->next may be the link of a request that is under way, whose end in an
 * interrupt would find it cut off. */
bool page_mkclean(struct page *page)
{
	struct address_space *mapping = page->mapping;
	TLB_BATCH(batch, TLB_WHY_MKCLEAN);
	struct clean_walk walk = { .batch = &batch, .how = CLEAN_PROTECT };
	pgoff_t index = page->index;
	struct i_mmap_node *node;

	assert_page_locked(page);
	down_read(&mapping->i_mmap_rwsem);
	for (node = i_mmap_first(&mapping->i_mmap, index, index); node;
	     node = i_mmap_next(node, index, index)) {
		struct vm_area *vma = container_of(node, struct vm_area, i_node);

		if (!(vma->flags & VM_SHARED))
			continue;
		clean_one(vma, page, &walk);
		if (unlikely(preclean_pending(mapping)))
			tlb_batch_add_table(&batch, &vma->mm->pgt);
	}
	flush_cleaned(mapping, &walk);
	up_read(&mapping->i_mmap_rwsem);
	return test_bit(&page->flags, PG_d_seen);
}
