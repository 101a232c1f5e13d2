/* SPDX-License-Identifier: MIT */
/*
 * test_tlb_grace.c - CPUs that forget by themselves, and the batch that means a whole table.
 *
 * A runner that spins is never lazy and never switches: only its tick makes it pass.
 */
#include "tests/arch/runner.h"

#include <string.h>

#include "arch/x86_64/tlb.h"
#include "arch/x86_64/tlb_grace.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/args.h"
#include "kernel/core/percpu.h"
#include "kernel/core/stat.h"
#include "tests/ktest.h"

REGISTRY(args, struct arg);

#define PAGES 64

static u64 grown(const struct stats *before, enum stat_id id)
{
	return stat_read(id) - before->v[id];
}

static void store_all(void *arg)
{
	for (unsigned int i = 0; i < PAGES; i++)
		EXPECT_EQ(probe_store8((void *)space_va(i), (u64)arg), 0);
}

static unsigned int count_dirty(struct space *s)
{
	unsigned int dirty = 0;

	for (unsigned int i = 0; i < PAGES; i++)
		dirty += pte_dirty(ptep_get(space_ptep(s, i)));
	return dirty;
}

static void take_all(struct space *s)
{
	for (unsigned int i = 0; i < PAGES; i++)
		space_take(s, i, PTE_D);
}

static void in_a_space(void (*body)(struct space *s, struct runner *r), enum runner_kind kind)
{
	struct space s;
	struct runner r;

	if (!space_init(&s, 6))
		return;
	if (runner_start(&r, kind, nr_cpus > 1, &s.pgt)) {
		body(&s, &r);
		runner_stop(&r);
	}
	space_destroy(&s);
}

/* --- a grace period --- */

static void wait_for_ticks(struct space *s, struct runner *r)
{
	for (u64 round = 1; round <= 5; round++) {
		struct tlb_grace grace = { 0 };
		struct stats before;

		runner_call(r, store_all, (void *)round);
		stats_snapshot(&before);
		take_all(s);
		tlb_grace_add(&grace, &s->pgt);
		EXPECT(tlb_grace_wait(&grace));
		EXPECT_EQ(grown(&before, STAT_TLB_IPIS_SENT), 0);
		EXPECT_EQ(grown(&before, STAT_TLB_SHOOTDOWNS), 0);
		EXPECT_EQ(grown(&before, STAT_TLB_DEFERRED), 1);
		/* By an old entry, the store would leave no D. */
		runner_call(r, store_all, (void *)(round << 8));
		EXPECT_EQ(count_dirty(s), PAGES);
	}
}

static void graces(void *arg)
{
	EXPECT_EQ(args_set("flush", "deferred"), 0);
	EXPECT_EQ(args_set("flush_deadline", "30000"), 0);
	in_a_space(wait_for_ticks, RUNNER_SPINS);
	EXPECT_EQ(args_set("flush_deadline", "100"), 0);
	EXPECT_EQ(args_set("flush", "batch"), 0);
}

KTEST(tlb, busy_cpu_passes_by_its_tick)
{
	pinned(graces, NULL);
}

/* A lazy CPU is not waited for, although it has no ticks, and comes back fresh. */
static void wait_for_lazy(struct space *s, struct runner *r)
{
	for (u64 round = 1; round <= 5; round++) {
		struct tlb_grace grace = { 0 };

		runner_call(r, store_all, (void *)round);
		runner_settle(r);
		take_all(s);
		tlb_grace_add(&grace, &s->pgt);
		EXPECT(tlb_grace_wait(&grace));
		runner_call(r, store_all, (void *)(round << 8));
		EXPECT_EQ(count_dirty(s), PAGES);
	}
}

static void lazy_graces(void *arg)
{
	EXPECT_EQ(args_set("flush_deadline", "30000"), 0);
	in_a_space(wait_for_lazy, RUNNER_SLEEPS);
	EXPECT_EQ(args_set("flush_deadline", "100"), 0);
}

KTEST(tlb, lazy_cpu_is_not_waited_for)
{
	pinned(lazy_graces, NULL);
}

/* After the deadline it is interrupted, and then it has forgotten as well. */
static void wait_in_vain(struct space *s, struct runner *r)
{
	struct tlb_grace grace = { 0 };
	struct stats before;

	runner_call(r, store_all, (void *)1);
	stats_snapshot(&before);
	take_all(s);
	tlb_grace_add(&grace, &s->pgt);
	EXPECT_EQ(tlb_grace_wait(&grace), nr_cpus == 1);
	EXPECT_EQ(grown(&before, STAT_TLB_IPIS_SENT), nr_cpus > 1);
	runner_call(r, store_all, (void *)2);
	EXPECT_EQ(count_dirty(s), PAGES);
}

/* The mode was not deferred when the runner began: no ticks, and it looks at no generation. */
static void deadline(void *arg)
{
	EXPECT_EQ(args_set("flush", "batch"), 0);
	EXPECT_EQ(args_set("flush_deadline", "5"), 0);
	in_a_space(wait_in_vain, RUNNER_SPINS);
	EXPECT_EQ(args_set("flush_deadline", "100"), 0);
}

KTEST(tlb, cpu_that_does_not_pass_is_interrupted_at_the_deadline)
{
	pinned(deadline, NULL);
}

/* --- a whole table --- */

/* The entry that points to the leaf table of SPACE_VA. */
static pte_t *upper_entry(struct space *s)
{
	pte_t *table = s->pgt.root;

	for (unsigned int level = 3; level > 1; level--) {
		unsigned int slot = SPACE_VA >> (PAGE_SHIFT + 9 * level) & (PTES_PER_TABLE - 1);

		table = phys_to_virt(pte_paddr(ptep_get(&table[slot])));
	}
	return &table[SPACE_VA >> (PAGE_SHIFT + 9) & (PTES_PER_TABLE - 1)];
}

static void clear_upper_a(struct space *s)
{
	pte_t *upper = upper_entry(s), old;

	do
		old = ptep_get(upper);
	while (!ptep_cmpxchg(upper, old, (pte_t){ old.v & ~PTE_A }));
}

static void load_one(void *arg)
{
	u64 v;

	EXPECT_EQ(probe_load8(arg, &v), 0);
}

/* Whatever was noted before or after it, and whatever invlpg_max= says. */
static void whole_table(struct space *s, struct runner *r)
{
	for (unsigned int how = 0; how < 3; how++) {
		TLB_BATCH(batch, TLB_WHY_TEST);
		struct stats before;

		runner_call(r, store_all, (void *)(u64)how);
		stats_snapshot(&before);
		take_all(s);
		clear_upper_a(s);
		if (how == 1)
			tlb_batch_add(&batch, &s->pgt, space_va(3));
		tlb_batch_add_table(&batch, &s->pgt);
		if (how == 2)
			tlb_batch_add(&batch, &s->pgt, space_va(5));
		EXPECT_EQ(batch.nr, 1);
		tlb_batch_flush(&batch);
		EXPECT_EQ(grown(&before, STAT_TLB_INVLPGS), 0);
		EXPECT(grown(&before, STAT_TLB_CR3_LOADS) > 0);
		EXPECT(!pte_young(ptep_get(upper_entry(s))));
		runner_call(r, load_one, (void *)space_va(7));
		EXPECT(pte_young(ptep_get(upper_entry(s))));
		runner_call(r, store_all, (void *)(u64)how);
		EXPECT_EQ(count_dirty(s), PAGES);
	}
}

static void whole(void *arg)
{
	u64 *invlpg_max = NULL, before;
	struct arg *a;

	for_each_registered(args, a)
		if (!strcmp(a->name, "invlpg_max"))
			invlpg_max = a->value;
	ASSERT(invlpg_max);
	before = *invlpg_max;
	WRITE_ONCE(*invlpg_max, 1000000);
	in_a_space(whole_table, RUNNER_SPINS);
	WRITE_ONCE(*invlpg_max, before);
}

KTEST(tlb, whole_table_is_forgotten_with_its_upper_levels)
{
	pinned(whole, NULL);
}
