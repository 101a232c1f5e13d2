/* SPDX-License-Identifier: MIT */
/*
 * harvest.c - asking PTEs for the stores that nobody was told of.
 *
 * Owns:  the accessed bit and PTE_SOFT of entries that point to leaf tables; D of PTEs while it
 *        holds i_mmap_rwsem.
 * Not:   what becomes of the pages (page_dirty.c), the log (dirty_log.c), when to harvest
 *        (writeback.c, flusher.c, who looks at times).
 * Locks: i_mmap_rwsem (write) from the first D taken until the shootdown is acknowledged; inside,
 *        tree_lock for each group of 64 that has something.
 * Key fact: a D that was taken is in nobody's PTE and in no page's state until it is recorded, and
 *        stores through stale entries go on until the flush. Nobody may decide anything about the
 *        page meanwhile, and i_mmap_rwsem keeps out all who do:
 *
 *	cleaning  would find no D and call the page clean, or start the I/O before the flush, so
 *		  that a store through a stale entry is neither in that I/O nor noted. It waits,
 *		  and then finds PG_d_seen. What it decided before, but has not tagged yet (it let
 *		  the lock go in between), is the same for all: who sets PG_d_seen and who moves
 *		  tags meet under tree_lock (promise P7 of page_dirty.h).
 *	zap	  would find no D. It waits, or came first and recorded what it found.
 *	truncate  unmaps before it drops a page, and so waits as zap does.
 *	another harvest would find no D, return, and its sync would miss the page. It waits, and
 *		  the tag is there.
 *	a fault	  does not wait. It makes the page MAYBE_DIRTY or DIRTY before its PTE is writable:
 *		  a D that we find has its tag. One that we do not find belongs to a later store.
 *
 * Where nothing was stored nothing is read (D.5b). A walk of the CPU's to a leaf sets the accessed
 * bit of the entry above it. We clear that, and find it clear the next time if nobody came:
 *
 *	H1 (harvest)			W				H2, H3
 *	clears A, reads the PTEs
 *					sets D of a PTE that H1 has
 *					read, by way of an upper
 *					entry it had cached with A
 *	flushes, upper entries too
 *									A is clear, but D is set
 *
 * So a region is read once more (H2) after A was found clear, and marked by PTE_SOFT if it had no D
 * left; H3 skips it. All walks after H1's flush set A, and all D from before it were found by H2.
 * What may not be taken (D of DIRTY pages) must not be forgotten either: A is set again then.
 */
#include "kernel/mm/harvest.h"

#include "arch/x86_64/tlb.h"
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/lib/bitmap.h"
#include "kernel/mm/dirty_log.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/preclean.h"
#include "kernel/mm/vm_area.h"

#define REGION	    (PTES_PER_TABLE * PAGE_SIZE) /* what one leaf table maps */
#define REGIONS_MAX (PTES_PER_TABLE * REGION)	 /* what one table of entries to them maps */

/* Words of a leaf's memory behind the policy's. */
#define ASKED POLICY_MEMORY	  /* pages asked by this harvest, policy not told yet */
#define FOUND (POLICY_MEMORY + 1) /* pages that had D in harvests that told nothing */
_Static_assert(RADIX_MEMORY > FOUND, "the policy's words, and ours");

struct harvest {
	struct address_space *mapping;
	struct tlb_batch *batch;
	bool of_dirty; /* D of DIRTY pages is taken, too */
	bool tell;     /* the area's policy wants to be told */
	bool skip;     /* what was not touched */
	bool all;      /* some area was read as a whole, for a policy that is told seldom */
	u64 found, ptes, regions, skipped;
};

/* --- one group: neighbours of one leaf of the tree, in one leaf table --- */

/* Bit i: @ptep[i] has D; @n at most 64. Reads 16 entries at a time and looks closer where it must:
 * most that is read has none. */
static inline u64 which_have_d(const pte_t *ptep, unsigned int n)
{
	unsigned int i;
	u64 found = 0;

	for (i = 0; i + 16 <= n; i += 16)
		if (unlikely(ptes_or_16(ptep + i) & PTE_D))
			found |= ptes_dirty_16(ptep + i) << i;
	for (; i < n; i++)
		if (pte_dirty(ptep_get(ptep + i)))
			found |= 1ul << i;
	return found;
}

/*
 * Take the D of the group's PTEs that @d names (bit i: @ptep[i], page @index + i) and record them:
 * PG_d_seen first, then, under tree_lock, the tag of those that are not DIRTY (P7). Returns those
 * whose D was left.
 */
static __noinline u64 take_group(struct harvest *h, pte_t *ptep, pgoff_t index, u64 d, u64 asked)
{
	struct radix_tree *pages = &h->mapping->pages;
	u64 flags = spin_lock_irqsave(&h->mapping->tree_lock);
	unsigned int shift = index & 63;
	u64 dirty, left, bits;
	struct radix_leaf leaf;

	if (!radix_leaf(pages, index - shift, &leaf)) {
		BUG_ON(d); /* of what page? Else none of the group is cached, and nobody is told. */
		spin_unlock_irqrestore(&h->mapping->tree_lock, flags);
		return 0;
	}
	dirty = leaf.tags[TAG_DIRTY] >> shift;
	left = h->of_dirty ? 0 : d & dirty;
	d &= ~left;
	for (bits = d; bits; bits &= bits - 1) {
		unsigned int i = (unsigned int)__builtin_ctzl(bits);
		struct page *page = leaf.items[shift + i];

		ptep_clear_bits(ptep + i, PTE_D);
		set_bit(&page->flags, PG_d_seen);
	}
	if (d & ~dirty)
		radix_retag_leaf(pages, index - shift, (d & ~dirty) << shift, 1 << TAG_TOWRITE, 0);
	if (asked)
		leaf.memory[ASKED] |= asked << shift;
	else
		leaf.memory[FOUND] |= d << shift;
	spin_unlock_irqrestore(&h->mapping->tree_lock, flags);
	h->found += popcount64(d);
	return left;
}

/* --- one region --- */

/* @n PTEs of a leaf table, from @ptep, @va and page @index on. False: some have kept their D. */
static bool harvest_table(struct harvest *h, struct pgtable *pgt, pte_t *ptep, vaddr_t va,
			  pgoff_t index, unsigned int n)
{
	u64 left = 0;

	h->ptes += n;
	while (n) {
		unsigned int k = min(n, 64 - (unsigned int)(index & 63));
		u64 d = which_have_d(ptep, k), kept = 0;

		if (unlikely(d || h->tell))
			kept = take_group(h, ptep, index, d, h->tell ? ~0ul >> (64 - k) : 0);
		left |= kept;
		d &= ~kept;
		if (d) {
			tlb_batch_add(h->batch, pgt, va + (__builtin_ctzl(d) << PAGE_SHIFT));
			tlb_batch_add(h->batch, pgt, va + ((63 - __builtin_clzl(d)) << PAGE_SHIFT));
		}
		ptep += k;
		index += k;
		va += k << PAGE_SHIFT;
		n -= k;
	}
	return !left;
}

/* Nobody was there since it was found without D a second time. */
static inline bool untouched(pte_t upper)
{
	return (upper.v & (PTE_A | PTE_SOFT)) == PTE_SOFT;
}

/*
 * [@va, @end) in the region that @upper leads to. Only who looks at all of a region may say that
 * nothing in it was touched, and only if nobody else has pages there.
 */
static void harvest_region(struct harvest *h, struct vm_area *vma, pte_t *upper, vaddr_t va,
			   vaddr_t end)
{
	bool whole = end - va == REGION, all_taken;
	struct pgtable *pgt = &vma->mm->pgt;
	pte_t was = ptep_get(upper);

	if (!pte_present(was))
		return;
	h->regions++;
	/* Before the PTEs are read: a store behind our back sets it again. */
	if (whole && pte_young(was))
		ptep_clear_bits(upper, PTE_A | PTE_SOFT);
	all_taken = harvest_table(h, pgt, pgtable_walk(pgt, va), va, vma_pgoff(vma, va),
				  (unsigned int)((end - va) >> PAGE_SHIFT));
	if (!whole)
		return;
	if (!all_taken)
		ptep_set_bits(upper, PTE_A);
	else if (pte_young(was))
		tlb_batch_add_table(h->batch, pgt);
	else
		ptep_set_bits(upper, PTE_SOFT);
}

/* --- one area --- */

/* Is this a harvest of which the area's policy wants to hear? */
static bool told(const struct vm_area *vma)
{
	const struct dirty_policy *policy = area_policy(vma);

	return policy->on_harvest &&
	       (!policy->tell_every || !(vma->mapping->history.harvests % policy->tell_every));
}

static void harvest_area(struct harvest *h, struct vm_area *vma, pgoff_t first, pgoff_t last)
{
	vaddr_t va = vma_address(vma, max(first, vma->i_node.first));
	vaddr_t end = vma_address(vma, min(last, vma->i_node.last)) + PAGE_SIZE;

	h->tell = told(vma);
	/* Who is told seldom hears of all, or could never protect what lies in a region that is
	 * skipped. Who is told each time has heard of it the last time before it was skipped. */
	h->skip = !h->tell || !area_policy(vma)->tell_every;
	h->all |= !h->skip;
	while (va < end) {
		pte_t *upper = pgtable_walk_region(&vma->mm->pgt, va);
		vaddr_t stop = min(end, ALIGN_DOWN(va, REGIONS_MAX) + REGIONS_MAX), next;

		if (!upper) {
			va = pgtable_next_table(&vma->mm->pgt, va, end);
			continue;
		}
		for (; va < stop; va = next, upper++) {
			next = min(stop, ALIGN_DOWN(va, REGION) + REGION);
			if (likely(untouched(ptep_get(upper)) && h->skip))
				h->skipped++;
			else
				harvest_region(h, vma, upper, va, next);
		}
	}
}

/*
 * Tell the policy of @vma what its pages answered: once for each group, after all areas were asked,
 * since a page that one of them stored to was stored to. Where several areas map a page, the first
 * one's policy hears of it.
 */
static void tell_policy(struct harvest *h, struct vm_area *vma, pgoff_t first, pgoff_t last)
{
	const struct dirty_policy *policy = area_policy(vma);
	struct radix_tree *pages = &h->mapping->pages;
	pgoff_t index = max(first, vma->i_node.first);
	struct radix_leaf leaf;
	u64 maybe, flags;

	if (!told(vma))
		return;
	last = min(last, vma->i_node.last);
	do {
		flags = spin_lock_irqsave(&h->mapping->tree_lock);
		maybe = radix_next_leaf(pages, &index, last, TAG_MAYBE, &leaf);
		if (maybe) {
			struct policy_group group = { .file = h->mapping->ino,
						      .first = index & ~63ul,
						      .history = &h->mapping->history,
						      .memory = leaf.memory };

			group.maybe = maybe & leaf.memory[ASKED];
			group.dirty = group.maybe & (leaf.tags[TAG_TOWRITE] | leaf.memory[FOUND]);
			leaf.memory[ASKED] &= ~maybe;
			leaf.memory[FOUND] &= ~maybe;
			if (group.maybe)
				radix_retag_leaf(pages, group.first,
						 policy->on_harvest(&group) & group.maybe,
						 1 << TAG_TOWRITE, 0);
		}
		spin_unlock_irqrestore(&h->mapping->tree_lock, flags);
		index = (index | 63) + 1;
	} while (maybe && index && index <= last);
}

/* --- all of a file's range --- */

static void scan(struct harvest *h, pgoff_t first, pgoff_t last)
{
	struct address_space *mapping = h->mapping;
	struct i_mmap_node *node;
	bool tell = false;

	mapping->history.harvests++;
	for (node = i_mmap_first(&mapping->i_mmap, first, last); node;
	     node = i_mmap_next(node, first, last)) {
		struct vm_area *vma = container_of(node, struct vm_area, i_node);

		if (!(vma->flags & VM_SHARED))
			continue;
		harvest_area(h, vma, first, last);
		tell |= h->tell;
	}
	if (tell && h->regions)
		for (node = i_mmap_first(&mapping->i_mmap, first, last); node;
		     node = i_mmap_next(node, first, last))
			tell_policy(h, container_of(node, struct vm_area, i_node), first, last);
}

/* A policy that does not want to ask is heeded only if it declares what that breaks. */
static bool refused(const struct address_space *mapping, enum policy_harvest_why why)
{
	static const u64 breaks[] = {
		[HARVEST_MSYNC] = BREAKS(FSYNC_COMPLETE),
		[HARVEST_FSYNC] = BREAKS(FSYNC_COMPLETE),
		[HARVEST_PERIODIC] = BREAKS(AGE_BOUNDED),
		[HARVEST_TIMES] = BREAKS(POSIX_TIMES),
	};
	const struct dirty_policy *policy = mapping_policy(mapping);

	return policy->harvest_now && policy->breaks & breaks[why] && !policy->harvest_now(why);
}

/*
 * A log was full, and which pages it should have named is not known: every page that may be dirty
 * is visited. Not scanned: the fault in question may not have set its PTE yet; but it holds the
 * page lock, for which the visit waits.
 */
static __noinline void replace_lost_log(struct address_space *mapping)
{
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);

	clear_bit(&mapping->flags, AS_LOG_LOST);
	radix_tag_range(&mapping->pages, 0, ~0ul, TAG_MAYBE, TAG_TOWRITE);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
}

u64 mapping_harvest(struct address_space *mapping, pgoff_t first, pgoff_t last,
		    enum policy_harvest_why why)
{
	TLB_BATCH(batch, TLB_WHY_HARVEST);
	struct harvest h = { .mapping = mapping, .batch = &batch };
	bool settled;

	if (refused(mapping, why))
		return 0;
	stat_inc(STAT_HARVESTS);
	dirty_log_drain(mapping);
	if (unlikely(test_bit(&mapping->flags, AS_LOG_LOST)))
		replace_lost_log(mapping);
	/* Times are owed for every store, also to pages of which the tag or the log tells. */
	h.of_dirty = why == HARVEST_TIMES;
	if (!h.of_dirty && !test_bit(&mapping->flags, AS_SILENT))
		return 0;
	down_write(&mapping->i_mmap_rwsem);
	scan(&h, first, last);
	if (!h.all)
		mapping->history.ptes += ((s64)h.ptes - mapping->history.ptes) / 8;
	settled = preclean_settle(mapping, &batch);
	delay_point("harvest_before_flush", mapping);
	tlb_batch_flush(&batch);
	if (h.found || settled)
		mapping_note_store(mapping);
	up_write(&mapping->i_mmap_rwsem);
	stat_add(STAT_HARVEST_PTES, h.ptes);
	stat_add(STAT_HARVEST_REGIONS, h.regions);
	stat_add(STAT_HARVEST_SKIPPED, h.skipped);
	return h.found;
}
