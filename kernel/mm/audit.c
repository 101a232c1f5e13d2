/* SPDX-License-Identifier: MIT */
/*
 * audit.c - do page, tree, and page tables agree? Checks of the promises P1 to P4 of page_dirty.h.
 *
 * Owns:  nothing; changes nothing.
 * Not:   fixing anything.
 * Locks: tree_lock, i_mmap_rwsem (read), pgtable.lock inside. The whole-mapping audit wants writers
 *        to be quiet: between a fault's PTE and its set_page_dirty only the page lock hides the
 *        difference, so locked pages are passed over.
 */
#include "kernel/core/printk.h"
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

/* P3, and the same for writeback. */
static void check_tags(struct finding *f, struct page *page)
{
	struct address_space *mapping = f->mapping;
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	bool dirty = radix_tag_get(&mapping->pages, page->index, TAG_DIRTY);
	bool wb = radix_tag_get(&mapping->pages, page->index, TAG_WRITEBACK);
	bool pg_wb = page_writeback(page);

	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	if (dirty != (page->dirty != PAGE_CLEAN))
		complain(f, "P3 tag DIRTY if and only if not CLEAN", page->index, dirty,
			 page->dirty);
	/* Completion clears the tag first, the flag after. */
	if (wb && !pg_wb)
		complain(f, "tag WRITEBACK without PG_writeback", page->index, wb, pg_wb);
}

/* P1 and P2 for one PTE of a shared area. */
static void check_pte(struct finding *f, struct page *page, pte_t pte)
{
	if (page->dirty != PAGE_CLEAN || !mapping_writeback(f->mapping))
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

	if (!mapping || !mapping_writeback(mapping))
		return;
	check_tags(&f, page);
}

u64 mapping_audit(struct address_space *mapping, bool quiet)
{
	struct finding f = { .mapping = mapping, .quiet = quiet };
	struct page *pages[32];
	pgoff_t index = 0;
	unsigned int n;
	u64 flags;

	do {
		flags = spin_lock_irqsave(&mapping->tree_lock);
		n = radix_gang(&mapping->pages, index, ~0ul, (void **)pages, 32);
		for (unsigned int i = 0; i < n; i++)
			page_get(pages[i]);
		spin_unlock_irqrestore(&mapping->tree_lock, flags);
		for (unsigned int i = 0; i < n; i++) {
			index = pages[i]->index + 1;
			if (trylock_page(pages[i])) {
				if (pages[i]->mapping == mapping) {
					check_tags(&f, pages[i]);
					down_read(&mapping->i_mmap_rwsem);
					check_ptes(&f, pages[i]);
					up_read(&mapping->i_mmap_rwsem);
				}
				unlock_page(pages[i]);
			}
			page_put(pages[i]);
		}
	} while (n == 32 && index);
	return f.broken;
}
