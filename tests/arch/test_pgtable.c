/* SPDX-License-Identifier: MIT */
/*
 * test_pgtable.c - tables: found, made, counted, skipped, given back; and what the kernel's own
 * say.
 */
#include "arch/x86_64/pgtable.h"

#include "arch/x86_64/desc.h"
#include "arch/x86_64/smp.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/sched.h"
#include "kernel/mm/page_alloc.h"
#include "tests/arch/runner.h"
#include "tests/ktest.h"

#define MIB2   (1UL << 21)
#define GIB1   (1UL << 30)
#define GIB512 (1UL << 39)
#define BASE   0x0000123400000000UL /* the first address of a leaf table, and of its parents not */

/* --- the kernel's half --- */

KTEST(pgtable, no_kernel_page_is_both_writable_and_executable)
{
	u64 leaves = pgtable_check_wx(); /* panics if one is */

	ktest_note("%lu kernel pages looked at", (unsigned long)leaves);
	EXPECT(leaves > 100);
}

KTEST(pgtable, code_and_constants_cannot_be_written_at_either_address)
{
	static const u64 constant = 0x1234;
	void *code = (void *)pgtable_check_wx;
	u64 before = *(u64 *)code;

	EXPECT(probe_store8(code, 0) < 0);
	EXPECT(probe_store8((void *)&constant, 0) < 0);
	/* The direct map is the other way to the same bytes. */
	EXPECT(probe_store8(phys_to_virt(virt_to_phys(code)), 0) < 0);
	EXPECT(probe_store8(phys_to_virt(virt_to_phys(&constant)), 0) < 0);
	EXPECT_EQ(*(u64 *)code, before);
	EXPECT_EQ(READ_ONCE(constant), 0x1234);
}

static bool guarded(const void *stack)
{
	u64 word;

	return pgtable_kernel_mapped((vaddr_t)stack) &&
	       pgtable_kernel_mapped((vaddr_t)stack + STACK_SIZE - PAGE_SIZE) &&
	       !pgtable_kernel_mapped((vaddr_t)stack - PAGE_SIZE) &&
	       probe_load8((const char *)stack - 8, &word) < 0;
}

static int own_stack_is_guarded(void *arg)
{
	return guarded(current_thread()->stack);
}

KTEST(pgtable, page_below_every_stack_is_unmapped)
{
	EXPECT(guarded(current_thread()->stack));
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++) {
		EXPECT(guarded(smp_first_stack(cpu)));
		EXPECT_EQ(on_cpu(cpu, own_stack_is_guarded, NULL), 1);
	}
}

KTEST(pgtable, kernel_half_is_the_same_in_every_space)
{
	struct pgtable pgt;
	void *heap = &pgt; /* on the stack: vmap */

	ASSERT_EQ(pgtable_init(&pgt), 0);
	EXPECT(pgtable_walk(&pgt, (vaddr_t)heap) == pgtable_walk(&kernel_pgtable, (vaddr_t)heap));
	EXPECT(pgtable_walk(&pgt, (vaddr_t)pgtable_check_wx) ==
	       pgtable_walk(&kernel_pgtable, (vaddr_t)pgtable_check_wx));
	EXPECT(pgtable_walk(&pgt, (vaddr_t)heap));
	for (unsigned int i = 0; i < PTES_PER_TABLE / 2; i++) {
		EXPECT_EQ(pgt.root[i].v, 0);
		EXPECT_EQ(kernel_pgtable.root[i].v, 0);
	}
	pgtable_destroy(&pgt);
}

/* --- made, counted, found --- */

KTEST(pgtable, tables_appear_as_needed_and_are_counted)
{
	static const struct {
		vaddr_t va;
		unsigned int more;
	} steps[] = {
		{ BASE, 3 },
		{ BASE + PAGE_SIZE, 0 },
		{ BASE + MIB2 - PAGE_SIZE, 0 },
		{ BASE + MIB2, 1 },
		{ BASE + GIB1, 2 },
		{ BASE + GIB512, 3 },
		{ BASE + GIB512 + 5, 0 },
		{ USER_START, 3 },
		{ USER_END - PAGE_SIZE, 3 },
	};
	struct pgtable pgt;
	u64 tables = 0;

	ASSERT_EQ(pgtable_init(&pgt), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		vaddr_t va = steps[i].va;
		pte_t *ptep;

		if (steps[i].more)
			EXPECT(!pgtable_walk(&pgt, va));
		EXPECT_EQ(pgt.nr_tables, tables);
		ptep = pgtable_walk_alloc(&pgt, va);
		tables += steps[i].more;
		EXPECT_EQ(pgt.nr_tables, tables);
		EXPECT(ptep && ptep == pgtable_walk(&pgt, va));
		EXPECT(ptep == pgtable_walk_alloc(&pgt, va));
		EXPECT_EQ(ptep_get(ptep).v, 0);
		EXPECT_EQ((u64)ptep / 8 % PTES_PER_TABLE, va >> PAGE_SHIFT & 511);
		EXPECT_EQ(ptes_left(va), 512 - (va >> PAGE_SHIFT & 511));
	}
	pgtable_destroy(&pgt);
	EXPECT_EQ(pgt.nr_tables, 0);
}

/* Two addresses never share a PTE, neighbours in a table lie side by side. */
KTEST(pgtable, every_page_has_a_pte_of_its_own)
{
	struct pgtable pgt;
	u64 seed = ktest_seed() | 1;
	vaddr_t va[64];

	ASSERT_EQ(pgtable_init(&pgt), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(va); i++) {
		pte_t *ptep;

		va[i] = (ktest_rand(&seed) % USER_END) & PAGE_MASK;
		ptep = pgtable_walk_alloc(&pgt, va[i]);
		EXPECT(ptep);
		if (ptep)
			ptep_set_absent(ptep, (pte_t){ va[i] | PTE_U }); /* not present */
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(va); i++) {
		pte_t *ptep = pgtable_walk(&pgt, va[i]);

		EXPECT(ptep && ptep_get(ptep).v == (va[i] | PTE_U));
		if (ptep && ptes_left(va[i]) > 1)
			EXPECT(pgtable_walk(&pgt, va[i] + PAGE_SIZE) == ptep + 1);
	}
	pgtable_destroy(&pgt);
}

/* --- skipped --- */

KTEST(pgtable, next_table_skips_holes_and_nothing_else)
{
	static const vaddr_t present[] = { BASE, BASE + 3 * MIB2, BASE + GIB1 + 7 * MIB2,
					   BASE + GIB512 };
	struct pgtable pgt;
	vaddr_t at = USER_START;

	ASSERT_EQ(pgtable_init(&pgt), 0);
	EXPECT_EQ(pgtable_next_table(&pgt, USER_START, USER_END), USER_END);
	for (unsigned int i = 0; i < ARRAY_SIZE(present); i++)
		EXPECT(pgtable_walk_alloc(&pgt, present[i] + 5 * PAGE_SIZE));
	for (unsigned int i = 0; i < ARRAY_SIZE(present); i++) {
		at = pgtable_next_table(&pgt, at, USER_END);
		EXPECT_EQ(at, present[i]);
		/* From the middle of a table that is there: here already. */
		EXPECT_EQ(pgtable_next_table(&pgt, at + 3 * PAGE_SIZE, USER_END),
			  at + 3 * PAGE_SIZE);
		EXPECT_EQ(pgtable_next_table(&pgt, at - PAGE_SIZE, at), at);
		at += MIB2;
	}
	EXPECT_EQ(pgtable_next_table(&pgt, at, USER_END), USER_END);
	EXPECT_EQ(pgtable_next_table(&pgt, USER_START, BASE - MIB2), BASE - MIB2);
	EXPECT_EQ(pgtable_next_table(&pgt, BASE, BASE), BASE);
	pgtable_destroy(&pgt);
}

/* --- given back --- */

KTEST(pgtable, free_range_takes_tables_that_lie_wholly_in_the_hole)
{
	struct page *page = alloc_page(ALLOC_ZERO);
	struct pgtable pgt;
	pte_t *used;

	ASSERT(page);
	ASSERT_EQ(pgtable_init(&pgt), 0);
	for (unsigned int i = 0; i < 4; i++)
		EXPECT(pgtable_walk_alloc(&pgt, BASE + i * MIB2));
	EXPECT_EQ(pgt.nr_tables, 6);
	/* Parts of tables: nothing goes. */
	pgtable_free_range(&pgt, BASE + PAGE_SIZE, BASE + MIB2, BASE + PAGE_SIZE, BASE + MIB2);
	pgtable_free_range(&pgt, BASE, BASE + PAGE_SIZE, BASE, BASE + MIB2 - PAGE_SIZE);
	EXPECT_EQ(pgt.nr_tables, 6);
	/* One whole table and two halves: one goes, its parents stay. */
	pgtable_free_range(&pgt, BASE + MIB2 / 2, BASE + 2 * MIB2 + MIB2 / 2, BASE + MIB2 / 2,
			   BASE + 2 * MIB2 + MIB2 / 2);
	EXPECT_EQ(pgt.nr_tables, 5);
	EXPECT(!pgtable_walk(&pgt, BASE + MIB2));
	EXPECT(pgtable_walk(&pgt, BASE) && pgtable_walk(&pgt, BASE + 2 * MIB2));
	/* One page of a hole: its table goes; a table in use beside the hole stays, and what is
	 * above it. */
	used = pgtable_walk_alloc(&pgt, BASE + 3 * MIB2);
	ptep_set_absent(used, pte_make(page_to_phys(page), PTE_P | PTE_NX));
	pgtable_free_range(&pgt, BASE, BASE + PAGE_SIZE, 0, BASE + 3 * MIB2);
	EXPECT_EQ(pgt.nr_tables, 4);
	pgtable_free_range(&pgt, BASE + 2 * MIB2, BASE + 3 * MIB2, 0, BASE + 3 * MIB2);
	EXPECT_EQ(pgt.nr_tables, 3);
	EXPECT(pgtable_walk(&pgt, BASE + 3 * MIB2) == used);
	ptep_get_and_clear(used);
	pgtable_free_range(&pgt, BASE + 3 * MIB2, BASE + 3 * MIB2 + PAGE_SIZE, 0, USER_END);
	EXPECT_EQ(pgt.nr_tables, 0);
	EXPECT(!pgtable_walk(&pgt, BASE));
	/* And all can be made again. */
	EXPECT(pgtable_walk_alloc(&pgt, BASE));
	pgtable_destroy(&pgt);
	page_put(page);
}

static void tables_return(void *arg)
{
	u64 before = nr_free_pages(), with;
	struct pgtable pgt;

	ASSERT_EQ(pgtable_init(&pgt), 0);
	for (unsigned int i = 0; i < 16; i++)
		EXPECT(pgtable_walk_alloc(&pgt, BASE + i * GIB1));
	with = nr_free_pages();
	/* The root; one table for all, and two for each GiB. */
	EXPECT_EQ(before - with, 1 + pgt.nr_tables);
	EXPECT_EQ(pgt.nr_tables, 1 + 16 + 16);
	pgtable_destroy(&pgt);
	EXPECT_EQ(nr_free_pages(), before);
}

KTEST(pgtable, tables_return_to_the_frame_allocator)
{
	pinned(tables_return, NULL);
}
