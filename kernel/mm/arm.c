/* SPDX-License-Identifier: MIT */
/*
 * arm.c - taking W, or D, from all of a file at once, for who looks at its times.
 *
 * Owns:  AS_ARMED and AS_NOTE_STORE.
 * Not:   what a file system does when it hears of a store (kernel/fs/cmtime_mode.c), cleaning for
 *        I/O (rmap.c), harvest for syncs (harvest.c).
 * Locks: i_mmap_rwsem (write) from the first PTE to the acknowledged flush, as unmapping does; so
 *        cleaning comes before or after, and finds PG_d_seen. No page lock: the page's state does
 *        not change. tree_lock and pgtable.lock inside.
 * Key fact: only a page that is DIRTY or MAYBE_DIRTY can have a writable PTE (P1). A page that
 *        leaves CLEAN after we looked at its tag gets its W after AS_ARMED was set, and its fault
 *        sees that.
 */
#include "kernel/mm/arm.h"

#include "arch/x86_64/tlb.h"
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/preclean.h"
#include "kernel/mm/vm_area.h"

#define LEAF 64

/* The pages of one leaf of the tree. */
struct gang {
	struct page *pages[2 * LEAF];
	unsigned int nr;
};

/* First index from @index on that has @tag, or ~0. tree_lock held. */
static pgoff_t next_tagged(struct address_space *mapping, pgoff_t index, unsigned int tag)
{
	struct page *page;

	return radix_gang_tag(&mapping->pages, index, ~0ul, (void **)&page, 1, tag) ? page->index :
										      ~0ul;
}

/* Both tags under one hold: a page that goes from one to the other is seen once at least. */
static void get_dirty(struct address_space *mapping, pgoff_t *index, struct gang *gang)
{
	pgoff_t first = min(next_tagged(mapping, *index, TAG_DIRTY),
			    next_tagged(mapping, *index, TAG_MAYBE));
	pgoff_t last = first | (LEAF - 1);
	struct radix_tree *tree = &mapping->pages;

	if (first == ~0ul)
		return;
	gang->nr = radix_gang_tag(tree, first, last, (void **)gang->pages, LEAF, TAG_DIRTY);
	gang->nr +=
		radix_gang_tag(tree, first, last, (void **)gang->pages + gang->nr, LEAF, TAG_MAYBE);
	*index = last + 1;
}

static void get_any(struct address_space *mapping, pgoff_t *index, struct gang *gang)
{
	gang->nr = radix_gang(&mapping->pages, *index, ~0ul, (void **)gang->pages, LEAF);
	if (gang->nr)
		*index = gang->pages[gang->nr - 1]->index + 1;
}

/* False: there are no more. */
static bool get_gang(struct address_space *mapping, pgoff_t *index, struct gang *gang)
{
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);

	gang->nr = 0;
	if (mapping_writeback(mapping))
		get_dirty(mapping, index, gang);
	else
		get_any(mapping, index, gang);
	for (unsigned int i = 0; i < gang->nr; i++)
		page_get(gang->pages[i]);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	return gang->nr;
}

/* Take the bits @take of one entry; what it was before. It may map another frame than the one that
 * was found in the tree: a copy that took its place (page_fork.c). */
static pte_t take_bits(struct vm_area *vma, pgoff_t index, u64 take, struct tlb_batch *batch)
{
	vaddr_t va = vma_address(vma, index);
	struct pgtable *pgt = &vma->mm->pgt;
	pte_t *ptep = pgtable_walk(pgt, va);
	pte_t old = { 0 }, new;

	if (!ptep)
		return old;
	spin_lock(&pgt->lock);
	do {
		old = ptep_get(ptep);
		new.v = old.v & ~take;
		delay_point("arm_between_read_and_write", vma->mapping); /* may only spin */
	} while (pte_present(old) && old.v != new.v && !ptep_cmpxchg(ptep, old, new));
	if (pte_present(old) && old.v != new.v)
		tlb_batch_add(batch, pgt, va);
	else
		old.v = 0;
	spin_unlock(&pgt->lock);
	return old;
}

/* Take @take from every entry of every shared area that maps page @index; D is passed on. */
static u64 take_from_page(struct address_space *mapping, pgoff_t index, u64 take,
			  struct tlb_batch *batch, bool *found_d)
{
	struct i_mmap_node *node;
	u64 taken = 0;

	for (node = i_mmap_first(&mapping->i_mmap, index, index); node;
	     node = i_mmap_next(node, index, index)) {
		struct vm_area *vma = container_of(node, struct vm_area, i_node);
		pte_t old;

		/* Private areas map the file's own pages read-only (rule 11). */
		if (!(vma->flags & VM_SHARED))
			continue;
		old = take_bits(vma, index, take, batch);
		taken += pte_present(old);
		if (!pte_dirty(old))
			continue;
		*found_d = true;
		if (mapping_writeback(mapping))
			page_note_d_seen(phys_to_page(pte_paddr(old)));
	}
	return taken;
}

/* i_mmap_rwsem (write) held. */
static u64 take_from_all(struct address_space *mapping, u64 take)
{
	TLB_BATCH(batch, TLB_WHY_PROTECT);
	struct gang gang;
	pgoff_t index = 0;
	bool found_d;
	u64 taken = 0;

	if (i_mmap_empty(&mapping->i_mmap))
		return 0;
	/* A PTE without W and D may have had them a moment ago: preclean.h. */
	found_d = preclean_settle(mapping, &batch);
	while (get_gang(mapping, &index, &gang))
		for (unsigned int i = 0; i < gang.nr; i++) {
			taken += take_from_page(mapping, gang.pages[i]->index, take, &batch,
						&found_d);
			page_put(gang.pages[i]);
		}
	delay_point("arm_before_flush", mapping);
	tlb_batch_flush(&batch);
	if (found_d)
		mapping_note_store(mapping);
	return taken;
}

void mapping_want_notes(struct address_space *mapping, bool want)
{
	down_write(&mapping->i_mmap_rwsem);
	clear_bit(&mapping->flags, AS_ARMED);
	if (want)
		set_bit(&mapping->flags, AS_NOTE_STORE);
	else
		clear_bit(&mapping->flags, AS_NOTE_STORE);
	up_write(&mapping->i_mmap_rwsem);
}

void mapping_arm(struct address_space *mapping)
{
	/* Under the lock: who finds AS_ARMED set knows that W has been taken, too. */
	down_write(&mapping->i_mmap_rwsem);
	if (test_bit(&mapping->flags, AS_NOTE_STORE) &&
	    !test_and_set_bit(&mapping->flags, AS_ARMED))
		stat_add(STAT_PTES_ARMED, take_from_all(mapping, PTE_W | PTE_D));
	up_write(&mapping->i_mmap_rwsem);
}

void mapping_take_d(struct address_space *mapping)
{
	down_write(&mapping->i_mmap_rwsem);
	take_from_all(mapping, PTE_D);
	up_write(&mapping->i_mmap_rwsem);
}
