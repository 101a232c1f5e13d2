/* SPDX-License-Identifier: MIT */
/*
 * audit.c - do page, tree, and page tables agree? Checks of the promises P1 to P4 of page_dirty.h,
 *           and of the counts (I3).
 *
 * Owns:  nothing; changes nothing.
 * Not:   fixing anything.
 * Locks: tree_lock, i_mmap_rwsem (read), pgtable.lock inside. The whole-mapping audit wants writers
 *        to be quiet: between a fault's PTE and its set_page_dirty only the page lock hides the
 *        difference, so locked pages are passed over.
 */
#include "kernel/core/printk.h"
#include "kernel/lib/bitmap.h"
#include "kernel/lib/fmt.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/vm_area.h"

struct finding {
	struct address_space *mapping;
	u64 broken;
	bool quiet;
};

static void complain(struct finding *f, const char *promise, pgoff_t index, u64 a, u64 b)
{
	char line[160];

	f->broken++;
	ksnprintf(line, sizeof(line), "%s: inode %lu page %lu: %#lx against %#lx", promise,
		  (unsigned long)f->mapping->ino, (unsigned long)index, (unsigned long)a,
		  (unsigned long)b);
	if (!f->quiet)
		panic("audit: %s", line);
	if (f->broken <= 8)
		printk("audit: %s\n", line);
}

/* P3 and P7, and the same for writeback. */
static void check_tags(struct finding *f, struct page *page)
{
	struct address_space *mapping = f->mapping;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	bool dirty = radix_tag_get(&mapping->pages, page->index, TAG_DIRTY);
	bool maybe = radix_tag_get(&mapping->pages, page->index, TAG_MAYBE);
	bool picked = radix_tag_get(&mapping->pages, page->index, TAG_TOWRITE);
	bool wb = radix_tag_get(&mapping->pages, page->index, TAG_WRITEBACK);
	bool d_seen = test_bit(&page->flags, PG_d_seen), pg_wb = page_writeback(page);
	bool kept = test_bit(&page->flags, PG_kept);

	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	if (dirty != (page->dirty == PAGE_DIRTY))
		complain(f, "P3 tag DIRTY if and only if DIRTY", page->index, dirty, page->dirty);
	if (maybe != (page->dirty == PAGE_MAYBE_DIRTY))
		complain(f, "P3 tag MAYBE if and only if MAYBE_DIRTY", page->index, maybe,
			 page->dirty);
	/* Who has set the flag may be about to set the tag: the flag was read last, but before it
	 * the tree was free for a moment. Only without a PTE nobody does. */
	if (d_seen && !dirty && !picked && !atomic_load(&page->mapcount))
		complain(f, "P7 PG_d_seen, and no pass will visit it", page->index, d_seen,
			 page->dirty);
	/* It would write over the disk what was never read from it (P20 of seeds). */
	if (page->dirty != PAGE_CLEAN && !page_uptodate(page))
		complain(f, "dirty, and not up to date", page->index, page->dirty, page->flags);
	if (kept && (dirty || maybe || !d_seen))
		complain(f, "PG_kept: CLEAN, with PG_d_seen", page->index, dirty | maybe, d_seen);
	/* Completion clears the tag first, the flag after. */
	if (wb && !pg_wb)
		complain(f, "tag WRITEBACK without PG_writeback", page->index, wb, pg_wb);
}

/* P1 and P2 for one PTE of a shared area; and without AS_SILENT nobody asks for a D that the
 * hardware is to set. (What a fault's log tells of has D from the start.) */
static void check_pte(struct finding *f, struct page *page, pte_t pte)
{
	if (!mapping_writeback(f->mapping))
		return;
	if (page->dirty == PAGE_MAYBE_DIRTY && pte_write(pte) && !pte_dirty(pte) &&
	    !test_bit(&f->mapping->flags, AS_SILENT))
		complain(f, "a silent PTE, and not AS_SILENT", page->index, pte.v, page->dirty);
	if (page->dirty != PAGE_CLEAN)
		return;
	if (pte_write(pte))
		complain(f, "P1 CLEAN implies no writable PTE", page->index, pte.v, page->dirty);
	if (pte_dirty(pte) && !test_bit(&page->flags, PG_d_seen))
		complain(f, "P2 a PTE with D implies not CLEAN", page->index, pte.v, page->dirty);
}

/* All PTEs of @page; i_mmap_rwsem held. Private copies are somebody else's pages. */
static void check_ptes(struct finding *f, struct page *page)
{
	struct i_mmap_node *node;
	int found = 0;

	for (node = i_mmap_first(&f->mapping->i_mmap, page->index, page->index); node;
	     node = i_mmap_next(node, page->index, page->index)) {
		struct vm_area *vma = container_of(node, struct vm_area, i_node);
		pte_t *ptep = pgtable_walk(&vma->mm->pgt, vma_address(vma, page->index));
		pte_t pte = ptep ? ptep_get(ptep) : (pte_t){ 0 };

		if (!pte_present(pte))
			continue;
		if (pte_pfn(pte) == page_to_pfn(page))
			found++;
		else if (vma->flags & VM_SHARED)
			complain(f, "a shared PTE maps the file's page", page->index, pte.v,
				 page_to_phys(page));
		if (vma->flags & VM_SHARED)
			check_pte(f, page, pte);
	}
	if (found != atomic_load(&page->mapcount))
		complain(f, "mapcount counts the PTEs", page->index, (u64)found,
			 (u64)page->mapcount);
}

void page_assert_state(struct page *page)
{
	struct address_space *mapping = page->mapping;
	struct finding f = { .mapping = mapping };

	if (!mapping || page_replaced(page) || !mapping_writeback(mapping))
		return;
	check_tags(&f, page);
}

/* Up to @max pages from *@index on, referenced; moves *@index behind them. */
static unsigned int get_pages(struct address_space *mapping, pgoff_t *index, struct page **pages,
			      unsigned int max)
{
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	unsigned int n = radix_gang(&mapping->pages, *index, ~0ul, (void **)pages, max);

	for (unsigned int i = 0; i < n; i++)
		page_get(pages[i]);
	if (n)
		*index = pages[n - 1]->index + 1;
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	return n;
}

static void audit_page(struct finding *f, struct page *page)
{
	struct address_space *mapping = f->mapping;

	if (!trylock_page(page))
		return;
	if (page->mapping == mapping) {
		check_tags(f, page);
		down_read(&mapping->i_mmap_rwsem);
		check_ptes(f, page);
		up_read(&mapping->i_mmap_rwsem);
	}
	unlock_page(page);
}

/* Items with @tag. tree_lock held. */
static u64 count_tag(const struct address_space *mapping, unsigned int tag)
{
	struct radix_leaf leaf;
	u64 index = 0, nr = 0, bits;

	do {
		bits = radix_next_leaf(&mapping->pages, &index, ~0ul, tag, &leaf);
		nr += popcount64(bits);
		index = (index | 63) + 1;
	} while (bits && index);
	return nr;
}

/* I3, rule 129: what is counted is what is there; exact at any time, since both move together. */
static void check_counts(struct finding *f)
{
	struct address_space *mapping = f->mapping;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	u64 dirty = count_tag(mapping, TAG_DIRTY), maybe = count_tag(mapping, TAG_MAYBE);
	u64 counted = mapping->nr_unwritten - mapping->nr_writeback;
	u64 counted_maybe = mapping->nr_maybe, kept = mapping->nr_kept;

	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	if (counted != dirty + maybe + kept)
		complain(f, "I3 nr_unwritten counts the dirty pages", 0, counted,
			 dirty + maybe + kept);
	if (counted_maybe != maybe)
		complain(f, "I3 nr_maybe counts its pages", 0, counted_maybe, maybe);
}

u64 mapping_audit(struct address_space *mapping, bool quiet)
{
	struct finding f = { .mapping = mapping, .quiet = quiet };
	struct page *pages[32];
	pgoff_t index = 0;
	unsigned int n;

	do {
		n = get_pages(mapping, &index, pages, 32);
		for (unsigned int i = 0; i < n; i++) {
			audit_page(&f, pages[i]);
			page_put(pages[i]);
		}
	} while (n == 32 && index);
	check_counts(&f);
	return f.broken;
}

/* --- counting --- */

/* i_mmap_rwsem held. */
static bool some_pte_has_d(struct address_space *mapping, const struct page *page)
{
	struct i_mmap_node *node;

	for (node = i_mmap_first(&mapping->i_mmap, page->index, page->index); node;
	     node = i_mmap_next(node, page->index, page->index)) {
		struct vm_area *vma = container_of(node, struct vm_area, i_node);
		pte_t *ptep = pgtable_walk(&vma->mm->pgt, vma_address(vma, page->index));
		pte_t pte = ptep ? ptep_get(ptep) : (pte_t){ 0 };

		if (vma->flags & VM_SHARED && pte_present(pte) && pte_dirty(pte))
			return true;
	}
	return false;
}

struct dirty_count mapping_count_dirty(struct address_space *mapping)
{
	struct dirty_count count = { 0 };
	struct page *pages[32];
	pgoff_t index = 0;
	unsigned int n;

	do {
		n = get_pages(mapping, &index, pages, 32);
		down_read(&mapping->i_mmap_rwsem);
		for (unsigned int i = 0; i < n; i++) {
			const struct page *page = pages[i];

			count.dirty += page->dirty == PAGE_DIRTY || test_bit(&page->flags, PG_kept);
			count.maybe += page->dirty == PAGE_MAYBE_DIRTY;
			count.writeback += page_writeback(page);
			count.truly += page->dirty == PAGE_DIRTY ||
				       test_bit(&page->flags, PG_d_seen) ||
				       some_pte_has_d(mapping, page);
		}
		up_read(&mapping->i_mmap_rwsem);
		for (unsigned int i = 0; i < n; i++)
			page_put(pages[i]);
	} while (n == 32 && index);
	return count;
}
