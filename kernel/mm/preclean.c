/* SPDX-License-Identifier: MIT */
/*
 * preclean.c - cleaning for the flusher without interrupting anybody.
 *
 * Owns:  AS_DEFERRED; W and D taken ahead of the flusher's pass.
 * Not:   what a page is (page_dirty.c), the pass (writeback.c), how CPUs pass (tlb_grace.c).
 * Locks: i_mmap_rwsem (write) while W and D are taken, then one pgtable.lock at a time, under which
 *        tree_lock may be taken (page_note_d_seen). No page lock: nobody's fault waits for it.
 * Key fact: between the exchange of a PTE and the end of the wait the PTE tells less than a CPU may
 *        do. AS_DEFERRED is set before the first exchange and cleared after the wait, and whoever
 *        asks PTEs under i_mmap_rwsem looks at it.
 *
 * Why write, as in zap.c, although PTEs are only made stricter: a sync holds i_mmap_rwsem for read
 * from its exchanges until it has taken PG_d_seen. Were this to take a D in between, of a page that
 * cleaning had left writable, the sync would find PG_d_seen, take it for its own, and call the page
 * written, although the store that set this D may still be in its CPU's store buffer and the next
 * ones, through an entry with D, leave no trace at all.
 */
#include "kernel/mm/preclean.h"

#include "arch/x86_64/tlb_grace.h"
#include "arch/x86_64/tlb.h"
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/vm_area.h"
#include "kernel/mm/writeback.h"

#define GANG 64

struct strip {
	struct address_space *mapping;
	struct tlb_grace grace;
	pgoff_t index[GANG]; /* ascending */
	unsigned int nr;
	bool found_d;
	u64 stripped;
};

/* What cleaning takes from @vma's PTE of @page. Also asked without the page lock: an answer that
 * cleaning does not give later costs a fault or leaves the page for the next pass. */
static u64 bits_to_take(const struct vm_area *vma, const struct page *page)
{
	const struct dirty_policy *policy = area_policy(vma);
	struct policy_page pp;

	if (likely(!policy->how_to_clean))
		return PTE_W | PTE_D;
	pp = policy_page_in(vma, page);
	return policy->how_to_clean(&pp) == POLICY_CLEAN_CLEAR_D ? PTE_D : PTE_W | PTE_D;
}

/* --- phase 1 --- */

/* Of a MAYBE_DIRTY page only a PTE with D is dirt; without, it stays as it is. */
static bool strip_pte(struct strip *s, struct vm_area *vma, pte_t *ptep)
{
	struct page *page;
	pte_t old, new;

	do {
		old = ptep_get(ptep);
		if (!pte_present(old))
			return false;
		page = phys_to_page(pte_paddr(old));
		if (page->dirty != PAGE_DIRTY && !pte_dirty(old))
			return false;
		new.v = old.v & ~bits_to_take(vma, page);
		if (new.v == old.v)
			return false;
	} while (!ptep_cmpxchg(ptep, old, new));
	if (pte_dirty(old)) {
		page_note_d_seen(page); /* and that it is to be visited, if it is MAYBE_DIRTY */
		s->found_d = true;
	}
	s->stripped++;
	return true;
}

static void strip_area(struct strip *s, struct vm_area *vma)
{
	struct pgtable *pgt = &vma->mm->pgt;
	bool changed = false;

	spin_lock(&pgt->lock);
	for (unsigned int i = 0; i < s->nr; i++) {
		pte_t *ptep;

		if (s->index[i] < vma->i_node.first || s->index[i] > vma->i_node.last)
			continue;
		ptep = pgtable_walk(pgt, vma_address(vma, s->index[i]));
		if (ptep)
			changed |= strip_pte(s, vma, ptep);
	}
	spin_unlock(&pgt->lock);
	/* Before i_mmap_rwsem is dropped: the table may go then, and the order is PTE first. */
	if (changed)
		tlb_grace_add(&s->grace, pgt);
}

/* The next pages from @first on that have @tag. */
static void gather(struct strip *s, pgoff_t first, unsigned int tag)
{
	struct page *pages[GANG];
	u64 flags = spin_lock_irqsave(&s->mapping->tree_lock);

	s->nr = radix_gang_tag(&s->mapping->pages, first, ~0ul, (void **)pages, GANG, tag);
	for (unsigned int i = 0; i < s->nr; i++)
		s->index[i] = pages[i]->index;
	spin_unlock_irqrestore(&s->mapping->tree_lock, flags);
}

/* One hold of i_mmap_rwsem for each gang, so that nobody waits for long. */
static void strip_tagged(struct strip *s, unsigned int tag)
{
	struct address_space *mapping = s->mapping;
	pgoff_t first = 0, last;
	struct i_mmap_node *node;

	do {
		down_write(&mapping->i_mmap_rwsem);
		/* Each time: preclean_settle() may have taken it back. */
		set_bit(&mapping->flags, AS_DEFERRED);
		gather(s, first, tag);
		last = s->nr ? s->index[s->nr - 1] : 0;
		if (s->nr)
			for (node = i_mmap_first(&mapping->i_mmap, s->index[0], last); node;
			     node = i_mmap_next(node, s->index[0], last)) {
				struct vm_area *vma = container_of(node, struct vm_area, i_node);

				if (vma->flags & VM_SHARED)
					strip_area(s, vma);
			}
		/* Stores were found for which the times are owed, and their D is gone. */
		if (s->found_d)
			mapping_note_store(mapping);
		up_write(&mapping->i_mmap_rwsem);
		first = last + 1;
	} while (s->nr == GANG);
}

/* A policy that wants to hear of harvests, or whether there shall be one, is asked by a harvest. */
static bool policy_harvests(const struct address_space *mapping)
{
	const struct dirty_policy *policy = mapping_policy(mapping);

	return (policy->harvest_now || policy->on_harvest) &&
	       radix_tagged(&mapping->pages, TAG_MAYBE);
}

bool preclean(struct address_space *mapping)
{
	struct strip s = { .mapping = mapping };

	if (likely(READ_ONCE(flush_mode) != FLUSH_DEFERRED) || i_mmap_empty(&mapping->i_mmap) ||
	    policy_harvests(mapping))
		return false;
	strip_tagged(&s, TAG_DIRTY);
	strip_tagged(&s, TAG_MAYBE);
	stat_add(STAT_PTES_STRIPPED, s.stripped);
	delay_point("preclean_stripped", mapping);
	tlb_grace_wait(&s.grace);
	/* Stores came through old entries until now, and none any more. */
	if (s.found_d)
		mapping_note_store(mapping);
	clear_bit(&mapping->flags, AS_DEFERRED);
	delay_point("preclean_passed", mapping);
	return true;
}

bool preclean_settle(struct address_space *mapping, struct tlb_batch *batch)
{
	struct i_mmap_node *node;

	if (likely(!preclean_pending(mapping)))
		return false;
	for (node = i_mmap_first(&mapping->i_mmap, 0, ~0ul); node;
	     node = i_mmap_next(node, 0, ~0ul))
		tlb_batch_add_table(batch, &container_of(node, struct vm_area, i_node)->mm->pgt);
	clear_bit(&mapping->flags, AS_DEFERRED);
	return true;
}

/* --- phase 3 --- */

struct hot {
	u64 bits[WRITEBACK_BATCH / 64]; /* by place in the list */
};

/* The page lock keeps W from being granted, so what is found missing stays missing, but for D where
 * W is there. */
static void look_at_area(struct vm_area *vma, const struct page *page, struct hot *hot)
{
	for (unsigned int i = 0; page && page->index <= vma->i_node.last; page = page->next, i++) {
		const pte_t *ptep;
		pte_t pte;

		if (page->index < vma->i_node.first)
			continue;
		ptep = pgtable_walk(&vma->mm->pgt, vma_address(vma, page->index));
		if (!ptep)
			continue;
		pte = ptep_get(ptep);
		if (pte_present(pte) && (pte.v & bits_to_take(vma, page)))
			hot->bits[i / 64] |= 1ul << (i % 64);
	}
}

/*
 * The page with the end of the file is not among them: its tail is zeroed before it is written,
 * which only a page without writable PTEs may be. Where it was promised that a page does not change
 * under I/O, a hot one waits for the next pass.
 */
static void split(struct address_space *mapping, struct page_list *batch, const struct hot *hot,
		  struct page_list *aside)
{
	pgoff_t eof = READ_ONCE(mapping->size) >> PAGE_SHIFT;
	struct page *page = batch->first, *next;

	*batch = (struct page_list){ 0 };
	for (unsigned int i = 0; page; page = next, i++) {
		next = page->next;
		if (!(hot->bits[i / 64] >> (i % 64) & 1) || page->index == eof) {
			page_list_add(batch, page);
		} else if (!wants_stable_pages(mapping)) {
			page_list_add(aside, page);
		} else {
			unlock_page(page);
			page_put(page);
		}
	}
}

void preclean_set_aside(struct address_space *mapping, struct page_list *batch,
			struct page_list *aside)
{
	pgoff_t first = batch->first->index, last = batch->last->index;
	struct hot hot = { 0 };
	struct i_mmap_node *node;

	down_read(&mapping->i_mmap_rwsem);
	for (node = i_mmap_first(&mapping->i_mmap, first, last); node;
	     node = i_mmap_next(node, first, last)) {
		struct vm_area *vma = container_of(node, struct vm_area, i_node);

		if (vma->flags & VM_SHARED)
			look_at_area(vma, batch->first, &hot);
	}
	up_read(&mapping->i_mmap_rwsem);
	split(mapping, batch, &hot, aside);
	stat_add(STAT_PAGES_LEFT_DIRTY, aside->nr);
}
