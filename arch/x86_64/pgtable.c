/* SPDX-License-Identifier: MIT */
/*
 * pgtable.c - four levels of tables: find a PTE, make the tables above it, give them back.
 *
 * Owns:  every table page, and the entries that point to tables.
 * Not:   leaves of the lower half (memory.c, rmap.c), invalidation (tlb.c), the first tables
 *        (pgtable_boot.c).
 * Locks: pgtable.lock around making and unlinking tables. Lookups take none: a table appears by one
 *        store of a whole entry, and goes only when nobody can be on the way to it.
 */
#include "arch/x86_64/pgtable.h"

#include <errno.h>

#include "arch/x86_64/tlb.h"
#include "kernel/lib/bug.h"

#define TOP_LEVEL   3 /* of the root; leaf tables are level 0 */
#define KERNEL_HALF (PTES_PER_TABLE / 2)

struct pgtable kernel_pgtable = { .lock = { .rank = RANK_PGTABLE, .name = "kernel pgtable" } };

static void *(*alloc_table)(void);
static void (*free_table)(void *table);

static inline unsigned int slot(vaddr_t va, unsigned int level)
{
	return va >> (PAGE_SHIFT + 9 * level) & (PTES_PER_TABLE - 1);
}

/* What one entry of a table of @level covers. */
static inline u64 span(unsigned int level)
{
	return 1UL << (PAGE_SHIFT + 9 * level);
}

static inline pte_t *table_of(pte_t entry)
{
	return phys_to_virt(pte_paddr(entry));
}

static inline bool is_table(pte_t entry)
{
	return (entry.v & (PTE_P | PTE_PS)) == PTE_P;
}

void pgtable_set_memory(void *(*alloc)(void), void (*free)(void *table))
{
	alloc_table = alloc;
	free_table = free;
}

pte_t *pgtable_alloc_table(void)
{
	return alloc_table();
}

/* ---- finding -------------------------------------------------------------------------------- */

vaddr_t pgtable_next_table(struct pgtable *pgt, vaddr_t va, vaddr_t end)
{
	while (va < end) {
		unsigned int level = TOP_LEVEL;
		pte_t *table = pgt->root;

		for (; level; level--) {
			pte_t e = ptep_get(&table[slot(va, level)]);

			if (!is_table(e))
				break;
			table = table_of(e);
		}
		if (!level)
			return va;
		va = ALIGN_DOWN(va, span(level)) + span(level);
		if (!va)
			break; /* past the last address */
	}
	return end;
}

bool pgtable_kernel_mapped(vaddr_t va)
{
	pte_t *ptep;

	if (!kernel_pgtable.root)
		return va >= KERNEL_BASE && va < KERNEL_BASE + (1UL << 30);
	if (va < DIRECT_MAP_BASE)
		return false;
	ptep = pgtable_walk(&kernel_pgtable, va);
	return ptep && pte_present(ptep_get(ptep));
}

/* ---- making --------------------------------------------------------------------------------- */

/* Under the lock, or before there is anybody to exclude. */
static pte_t *walk_make(struct pgtable *pgt, vaddr_t va)
{
	pte_t *table = pgt->root;

	/* Top-level entries of the kernel's half are copied into every root, so none may come
	 * later; and kernel_pgtable has no lower half. */
	BUG_ON(va >= DIRECT_MAP_BASE && !pte_present(table[slot(va, TOP_LEVEL)]));
	BUG_ON(va < USER_END && pgt == &kernel_pgtable);

	for (unsigned int level = TOP_LEVEL; level; level--) {
		pte_t *entry = &table[slot(va, level)];
		pte_t e = ptep_get(entry);

		if (!pte_present(e)) {
			pte_t *new = alloc_table();

			if (!new)
				return NULL;
			e = pte_make(virt_to_phys(new), PGTABLE_TABLE_BITS);
			ptep_set_absent(entry, e);
			pgt->nr_tables++;
		}
		BUG_ON(e.v & PTE_PS);
		table = table_of(e);
	}
	return &table[slot(va, 0)];
}

pte_t *pgtable_walk_alloc(struct pgtable *pgt, vaddr_t va)
{
	pte_t *ptep = pgtable_walk(pgt, va);

	if (likely(ptep))
		return ptep;
	spin_lock(&pgt->lock);
	ptep = walk_make(pgt, va);
	spin_unlock(&pgt->lock);
	return ptep;
}

int pgtable_init(struct pgtable *pgt)
{
	*pgt = (struct pgtable){ .root = alloc_table() };
	if (!pgt->root)
		return -ENOMEM;
	spin_init(&pgt->lock, "pgtable", RANK_PGTABLE);
	for (unsigned int i = KERNEL_HALF; i < PTES_PER_TABLE; i++)
		pgt->root[i] = kernel_pgtable.root[i];
	return 0;
}

/* ---- giving back ---------------------------------------------------------------------------- */

/*
 * Unlinked tables wait in a chain until no CPU can be walking through them. The link is their first
 * entry: an aligned address has P = 0, so that a walker that is still there sees nothing mapped.
 */
struct table_chain {
	pte_t *first;
	u64 nr;
};

static void chain_add(struct table_chain *chain, pte_t *table)
{
	ptep_set_absent(table, (pte_t){ (u64)chain->first });
	chain->first = table;
	chain->nr++;
}

static void chain_free(struct table_chain *chain)
{
	while (chain->first) {
		pte_t *table = chain->first;

		chain->first = (pte_t *)table->v;
		free_table(table);
	}
}

/* [start, end): where tables may be needless now; [floor, ceiling): where nothing is mapped. */
struct hole {
	vaddr_t start, end, floor, ceiling;
};

/* @table, of @level, to which nothing leads any more, and all below it. */
static void chain_add_all(struct table_chain *chain, pte_t *table, unsigned int level)
{
	for (unsigned int i = 0; i < PTES_PER_TABLE && (level || debug_checks); i++) {
		pte_t e = ptep_get(&table[i]);

		BUG_ON(!level && !pte_vacant(e)); /* a page is still mapped */
		if (level && pte_present(e))
			chain_add_all(chain, table_of(e), level - 1);
	}
	chain_add(chain, table);
}

/* Unlink what the hole holds of the tables below @table (of @level, its first entry maps @base). */
static void unlink_tables(pte_t *table, unsigned int level, vaddr_t base, const struct hole *hole,
			  struct table_chain *chain)
{
	unsigned int i = hole->start > base ? (hole->start - base) / span(level) : 0;

	for (; i < PTES_PER_TABLE && base + i * span(level) < hole->end; i++) {
		vaddr_t first = base + i * span(level);
		pte_t e = ptep_get(&table[i]);

		if (!pte_present(e))
			continue;
		if (first >= hole->floor && first + span(level) <= hole->ceiling) {
			ptep_get_and_clear(&table[i]);
			chain_add_all(chain, table_of(e), level - 1);
		} else if (level > 1) {
			unlink_tables(table_of(e), level - 1, first, hole, chain);
		}
	}
}

void pgtable_free_range(struct pgtable *pgt, vaddr_t start, vaddr_t end, vaddr_t floor,
			vaddr_t ceiling)
{
	const struct hole hole = { start, end, floor, ceiling };
	TLB_BATCH(batch, TLB_WHY_ZAP);
	struct table_chain chain = { NULL, 0 };

	BUG_ON(floor > start || end > ceiling || ceiling > USER_END);
	if (ceiling - floor < span(1))
		return;
	spin_lock(&pgt->lock);
	unlink_tables(pgt->root, TOP_LEVEL, 0, &hole, &chain);
	pgt->nr_tables -= chain.nr;
	spin_unlock(&pgt->lock);
	if (!chain.nr)
		return;
	/* Any INVLPG drops what a CPU has cached of upper levels: SDM vol. 3, 4.10.4.1. */
	batch.freed_tables = true;
	tlb_batch_add(&batch, pgt, ALIGN_DOWN(start, PAGE_SIZE));
	tlb_batch_flush(&batch);
	chain_free(&chain);
}

static void free_tables(pte_t *table, unsigned int level, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		pte_t e = table[i];

		BUG_ON(level == 0 && !pte_vacant(e)); /* a page is still mapped */
		if (!pte_present(e))
			continue;
		free_tables(table_of(e), level - 1, PTES_PER_TABLE);
		free_table(table_of(e));
	}
}

void pgtable_destroy(struct pgtable *pgt)
{
	BUG_ON(pgt == &kernel_pgtable);
	tlb_drop_pgtable(pgt);
	free_tables(pgt->root, TOP_LEVEL, KERNEL_HALF);
	free_table(pgt->root);
	pgt->root = NULL;
	pgt->nr_tables = 0;
}

/* ---- the kernel's half ---------------------------------------------------------------------- */

/* D too is set from the start: nobody asks whether the kernel's own memory is dirty. */
static u64 kernel_leaf_bits(u64 bits)
{
	BUG_ON((bits & PTE_W) && !(bits & PTE_NX));
	return bits | PTE_P | PTE_A | (bits & PTE_W ? PTE_D : 0);
}

int pgtable_map_kernel(vaddr_t va, paddr_t pa, u64 nr_pages, u64 bits)
{
	vaddr_t end = va + nr_pages * PAGE_SIZE, at;
	int err = 0;

	bits = kernel_leaf_bits(bits);
	spin_lock(&kernel_pgtable.lock);
	/* Tables first, so that filling cannot fail half-way. Spare ones stay. */
	for (at = va; at < end && !err; at = ALIGN_DOWN(at, span(1)) + span(1))
		err = walk_make(&kernel_pgtable, at) ? 0 : -ENOMEM;
	for (at = va; at < end && !err;) {
		pte_t *ptep = pgtable_walk(&kernel_pgtable, at);

		for (unsigned int n = ptes_left(at); n && at < end; n--) {
			BUG_ON(pte_present(ptep_get(ptep)));
			ptep_set_absent(ptep++, pte_make(pa, bits));
			at += PAGE_SIZE;
			pa += PAGE_SIZE;
		}
	}
	spin_unlock(&kernel_pgtable.lock);
	return err;
}

void pgtable_unmap_kernel(vaddr_t va, u64 nr_pages)
{
	spin_lock(&kernel_pgtable.lock);
	for (; nr_pages; nr_pages--, va += PAGE_SIZE) {
		pte_t *ptep = pgtable_walk(&kernel_pgtable, va);

		BUG_ON(!ptep || !pte_present(ptep_get(ptep)));
		ptep_get_and_clear(ptep);
	}
	spin_unlock(&kernel_pgtable.lock);
}

void *pgtable_map_phys(paddr_t pa, u64 size, u64 bits)
{
	vaddr_t va = (vaddr_t)phys_to_virt(ALIGN_DOWN(pa, PAGE_SIZE));
	vaddr_t end = (vaddr_t)phys_to_virt(pa + size);

	if (!size || pa + size < pa || pa + size > VMAP_BASE - DIRECT_MAP_BASE)
		return NULL;
	for (; va < end; va += PAGE_SIZE) {
		pte_t top = kernel_pgtable.root[slot(va, TOP_LEVEL)];

		if (!pte_present(top))
			return NULL;
		if (pgtable_kernel_mapped(va))
			continue;
		if (pgtable_map_kernel(va, va - DIRECT_MAP_BASE, 1, bits) < 0)
			return NULL;
	}
	return phys_to_virt(pa);
}
