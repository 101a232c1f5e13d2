/* SPDX-License-Identifier: MIT */
/*
 * pgtable.h - four levels of tables: find a PTE, make the tables above it, give them back.
 *
 * Owns the tables, not what the PTEs say: memory.c and rmap.c change live PTEs of file mappings,
 * tlb.c invalidates. Everything is mapped with 4 KiB pages; largepages=1 (for real machines) lets
 * the direct map use 2 MiB ones. Frames for tables come from functions given at boot, since the
 * frame allocator lies above.
 */
#ifndef ARCH_X86_64_PGTABLE_H
#define ARCH_X86_64_PGTABLE_H

#include "arch/x86_64/asm/arch.h"
#include "arch/x86_64/asm/pte.h"
#include "kernel/core/spinlock.h"

/* What an entry that points to a table holds beside the address. A is set from the start, so that
 * no CPU ever writes to it. Entries that point to leaf tables may lose A and gain PTE_SOFT: that is
 * how harvest.c knows what nobody touched. */
#define PGTABLE_TABLE_BITS (PTE_P | PTE_W | PTE_A)

/* p: pgtable.lock   a: atomic   s: at creation */
struct pgtable {
	pte_t *root;	      /* s: PML4, by direct map */
	struct spinlock lock; /* RANK_PGTABLE: tables, and PTEs that must agree with other state */
	u64 tlb_gen;	      /* a: raised before each flush request; tlb.c */
	cpumask_t cpus;	      /* a: CPUs that have it loaded, lazy ones included; tlb.c */
	u64 nr_tables;	      /* p: table pages below the root */
};

extern struct pgtable kernel_pgtable; /* the upper half alone; what kernel threads may run on */

/*
 * Boot: build the final tables (direct map, image W^X, vmemmap is added later by mm through
 * pgtable_map_kernel) and load them. @alloc_early: zeroed frame, physical, never fails (panics).
 * All upper-half top-level entries that will ever be used are made here. The boot tables map the
 * first 4 GiB at DIRECT_MAP_BASE too, so phys_to_virt() holds before and after; frames must come
 * from below 4 GiB until this returns.
 */
struct boot_info;
void pgtable_boot(const struct boot_info *info, paddr_t (*alloc_early)(void));
/* For pgtable_boot.c: a zeroed table from whatever source there is now, or NULL. */
pte_t *pgtable_alloc_table(void);
/* From now on tables come from here: zeroed frame (direct-map address) or NULL; may be called with
 * pgtable.lock held, does not sleep. */
void pgtable_set_memory(void *(*alloc)(void), void (*free)(void *table));

/* A new address space that shares the upper half. 0 or -ENOMEM. */
int pgtable_init(struct pgtable *pgt);
/* Frees every table; no leaf may be present in the lower half (BUG). Makes lazy CPUs let go of it
 * first (tlb_drop_pgtable). May sleep. */
void pgtable_destroy(struct pgtable *pgt);

/*
 * An entry's table, if it has one: low bits other than PGTABLE_TABLE_BITS (nothing there, or a
 * large page of the direct map) leave low bits in the difference.
 */
static inline u64 pgtable_table_address(const pte_t *table, u64 offset)
{
	return ptep_get((const pte_t *)((u64)table + offset)).v - PGTABLE_TABLE_BITS +
	       DIRECT_MAP_BASE;
}

/* The entry of @va that points, or would point, to its leaf table; NULL: there is not even a place
 * for it. Entries of neighbouring regions of 2 MiB lie side by side, up to a border of 1 GiB. */
static inline pte_t *pgtable_walk_region(struct pgtable *pgt, vaddr_t va)
{
	const u64 in_table = (PTES_PER_TABLE - 1) * sizeof(pte_t);
	u64 t = pgtable_table_address(pgt->root, va >> 36 & in_table);

	if (unlikely(t & ~PAGE_MASK))
		return NULL;
	t = pgtable_table_address((pte_t *)t, va >> 27 & in_table);
	if (unlikely(t & ~PAGE_MASK))
		return NULL;
	return (pte_t *)(t + (va >> 18 & in_table));
}

/* The PTE of @va, or NULL if a table is missing on the way. Never allocates. Tables of a living
 * lower half are only freed by pgtable_free_range, so the pointer stays good while the caller
 * holds what keeps the area (mmap_lock, or i_mmap_rwsem) or pgtable.lock. */
static inline pte_t *pgtable_walk(struct pgtable *pgt, vaddr_t va)
{
	const u64 in_table = (PTES_PER_TABLE - 1) * sizeof(pte_t);
	const pte_t *region = pgtable_walk_region(pgt, va);
	u64 t;

	if (unlikely(!region))
		return NULL;
	/* PGTABLE_TABLE_BITS, but for the two that may differ. */
	t = (ptep_get(region).v & ~(PTE_A | PTE_SOFT)) - (PTE_P | PTE_W) + DIRECT_MAP_BASE;
	if (unlikely(t & ~PAGE_MASK))
		return NULL;
	return (pte_t *)(t + (va >> 9 & in_table));
}

/* The same, making tables; NULL if out of memory. Takes and drops pgtable.lock; the caller must not
 * hold it. */
pte_t *pgtable_walk_alloc(struct pgtable *pgt, vaddr_t va);
/* First va >= @va and < @end whose leaf table exists, or @end: to skip holes 2 MiB and more at a
 * time. */
vaddr_t pgtable_next_table(struct pgtable *pgt, vaddr_t va, vaddr_t end);

/* How many PTEs from @va to the end of its leaf table: so far a pointer from walk may advance. */
static inline unsigned int ptes_left(vaddr_t va)
{
	return PTES_PER_TABLE - ((va >> PAGE_SHIFT) & (PTES_PER_TABLE - 1));
}

/*
 * [@start, @end) was unmapped, and nothing is mapped in [@floor, @ceiling) around it: free the
 * tables of the former that lie wholly in the latter. Those that lie in it elsewhere were freed
 * before: a table is only made for a page of an area. So nothing is looked at but tables that go
 * and those above them. The caller has zapped and flushed, holds mmap_lock for write; does its own
 * shootdown with freed tables (tlb_batch). May sleep.
 */
void pgtable_free_range(struct pgtable *pgt, vaddr_t start, vaddr_t end, vaddr_t floor,
			vaddr_t ceiling);

/* Map or unmap kernel addresses (vmap, device registers, vmemmap), 4 KiB each; @bits without
 * PTE_P. 0 or -ENOMEM (nothing mapped). Unmapping does not flush: the caller does,
 * tlb_flush_kernel(). */
int pgtable_map_kernel(vaddr_t va, paddr_t pa, u64 nr_pages, u64 bits);
void pgtable_unmap_kernel(vaddr_t va, u64 nr_pages);

/*
 * [@pa, @pa + @size) of the direct map, mapped with @bits where it was not mapped before: ACPI
 * tables, APIC registers. NULL if the address is not believable or memory is out. Boot only.
 */
void *pgtable_map_phys(paddr_t pa, u64 size, u64 bits);
/* Is @va of the kernel's half mapped (by 4 KiB)? Any context, also before pgtable_boot(). */
bool pgtable_kernel_mapped(vaddr_t va);

/* Refuses with a panic if a kernel page is both writable and executable, or WP is off: run at boot
 * and by a test. Returns the number of leaves looked at. */
u64 pgtable_check_wx(void);

#endif
