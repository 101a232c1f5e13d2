/* SPDX-License-Identifier: MIT */
/*
 * unmap.c - from pages to all PTEs that map them, for who wants their frames.
 *
 * Owns:  A bits of file PTEs; removal of file PTEs on behalf of a page.
 * Not:   which pages, and what becomes of them (reclaim.c); removal on behalf of an area (zap.c).
 * Locks: page locks by the caller; i_mmap_rwsem (read, tried) of each file from the first exchange
 *        until the flush is acknowledged; pgtable.lock for each exchange, since who looks a page up
 *        by its PTE references it under that lock.
 * Key fact: a removed PTE that is not flushed yet looks like none, and a CPU may still store
 *        through it. Who removes PTEs or takes permission from them wants i_mmap_rwsem for write,
 *        and so waits for our flush instead of finding nothing to flush (rule 58):
 *
 *	R (reclaim)			T (munmap)			W
 *	exchanges the PTE
 *					finds no PTE, flushes nothing,
 *					returns
 *									stores by its stale entry,
 *									after the munmap (B13)
 *	flushes
 *
 * Read is enough against those who decide by the PTEs of one page, cleaning and other reclaim: they
 * want the page's lock, which we hold. With several files held no lock is ever waited for, so their
 * order does not matter.
 */
#include "kernel/mm/unmap.h"

#include "kernel/core/delay.h"
#include "kernel/mm/page_dirty.h"

void unmap_begin(struct unmap *u)
{
	tlb_batch_init(&u->tlb, TLB_WHY_RECLAIM);
	u->nr_held = 0;
	u->stored = 0;
	u->place.mapping = NULL;
}

bool unmap_hold(struct unmap *u, struct address_space *mapping)
{
	unsigned int i = u->nr_held;

	/* The last one first: pages of a file lie together. */
	while (i--)
		if (u->held[i] == mapping)
			return true;
	if (u->nr_held == UNMAP_FILES || !down_read_trylock(&mapping->i_mmap_rwsem))
		return false;
	u->held[u->nr_held++] = mapping;
	return true;
}

/* --- all PTEs of a page --- */

/* One step of the way; node NULL: the last. */
struct step {
	struct i_mmap_node *node;
	struct vm_area *vma;
	pte_t *ptep;
};

/* @vma, which @s->ptep leads into, alone maps the pages around @index that lie in the same table?
 * Then they need not be looked for one by one. */
static void remember_place(struct unmap *u, struct address_space *mapping, pgoff_t index,
			   const struct step *s)
{
	vaddr_t va = vma_address(s->vma, index);
	pgoff_t before = (va >> PAGE_SHIFT) & (PTES_PER_TABLE - 1);
	pgoff_t first = max(s->node->first, index - min(before, index));
	pgoff_t last = min(s->node->last, index + ptes_left(va) - 1);
	struct i_mmap_node *n = i_mmap_first(&mapping->i_mmap, first, last);

	if (n != s->node || i_mmap_next(n, first, last))
		return;
	u->place = (struct unmap_place){ .mapping = mapping,
					 .first = first,
					 .last = last,
					 .vma = s->vma,
					 .ptes = s->ptep - index };
}

/* The next area that maps @index and has a table there. */
static __noinline bool find_step(struct step *s, pgoff_t index)
{
	for (; s->node; s->node = i_mmap_next(s->node, index, index)) {
		s->vma = container_of(s->node, struct vm_area, i_node);
		s->ptep = pgtable_walk(&s->vma->mm->pgt, vma_address(s->vma, index));
		if (s->ptep)
			return true;
	}
	return false;
}

static inline bool first_step(struct unmap *u, const struct page *page, struct step *s)
{
	struct address_space *mapping = page->mapping;
	pgoff_t index = page->index;

	if (likely(u->place.mapping == mapping && index >= u->place.first &&
		   index <= u->place.last)) {
		*s = (struct step){ NULL, u->place.vma, u->place.ptes + index };
		return true;
	}
	s->node = i_mmap_first(&mapping->i_mmap, index, index);
	if (!find_step(s, index))
		return false;
	remember_place(u, mapping, index, s);
	return true;
}

static inline bool next_step(const struct page *page, struct step *s)
{
	if (likely(!s->node))
		return false;
	s->node = i_mmap_next(s->node, page->index, page->index);
	return find_step(s, page->index);
}

/* A private area may have a copy there. Nobody but the hardware changes an entry that maps @page:
 * who installs or replaces one wants its lock, who removes one i_mmap_rwsem. */
static inline bool maps(pte_t pte, const struct page *page)
{
	return pte_present(pte) && pte_pfn(pte) == page_to_pfn(page);
}

enum page_use unmap_ask(struct unmap *u, struct page *page, enum unmap_ask how)
{
	enum page_use use = PAGE_IDLE;
	struct step s;
	bool more;

	for (more = first_step(u, page, &s); more; more = next_step(page, &s)) {
		pte_t pte = ptep_get(s.ptep);

		if (!maps(pte, page))
			continue;
		if (READ_ONCE(s.vma->flags) & VM_LOCKED)
			return PAGE_PINNED;
		if (!pte_young(pte))
			continue;
		use = PAGE_IN_USE;
		if (how == UNMAP_LOOK)
			continue;
		/* A CPU that has the entry cached does not set A again: one more address for the
		 * flush that will be due anyway. */
		ptep_clear_bits(s.ptep, PTE_A);
		tlb_batch_add(&u->tlb, &s.vma->mm->pgt, vma_address(s.vma, page->index));
	}
	return use;
}

static void note_stored(struct unmap *u, const struct address_space *mapping)
{
	for (unsigned int i = 0; i < u->nr_held; i++)
		if (u->held[i] == mapping)
			u->stored |= 1u << i;
}

unsigned int unmap_page(struct unmap *u, struct page *page, bool *d)
{
	unsigned int removed = 0;
	struct step s;
	bool more;

	for (more = first_step(u, page, &s); more; more = next_step(page, &s)) {
		struct pgtable *pgt = &s.vma->mm->pgt;
		pte_t old = { 0 };

		spin_lock(&pgt->lock);
		/* mlock() marks its areas, and then looks under this lock whether the page is
		 * there. */
		if (maps(ptep_get(s.ptep), page) && !(READ_ONCE(s.vma->flags) & VM_LOCKED)) {
			delay_point("unmap_between_read_and_exchange", page); /* may only spin */
			old = ptep_get_and_clear(s.ptep);
			tlb_batch_add(&u->tlb, pgt, vma_address(s.vma, page->index));
			removed++;
		}
		spin_unlock(&pgt->lock);
		if (unlikely(pte_dirty(old)) && s.vma->flags & VM_SHARED) {
			*d = true;
			note_stored(u, page->mapping);
		}
	}
	return removed;
}

void unmap_flush(struct unmap *u)
{
	delay_point("unmap_before_flush", u);
	tlb_batch_flush(&u->tlb);
	/* After the flush: a CPU may store through its stale entry until then. */
	for (unsigned int i = 0; u->stored >> i; i++)
		if (u->stored >> i & 1)
			mapping_note_store(u->held[i]);
}

void unmap_end(struct unmap *u)
{
	tlb_batch_check(&u->tlb);
	while (u->nr_held)
		up_read(&u->held[--u->nr_held]->i_mmap_rwsem);
	u->place.mapping = NULL;
}
