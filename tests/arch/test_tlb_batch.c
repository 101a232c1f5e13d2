/* SPDX-License-Identifier: MIT */
/*
 * test_tlb_batch.c - what a batch gathers, what its flush costs, and whom it reaches.
 *
 * Costs are exact, because pinned() lets nobody else start a shootdown, and runners that spin never
 * leave their space.
 */
#include "tests/arch/runner.h"

#include <string.h>

#include "arch/x86_64/tlb.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/args.h"
#include "kernel/core/percpu.h"
#include "tests/ktest.h"

REGISTRY(args, struct arg);

/* Tables that nobody has loaded: a batch needs no more of them than their address. */
static struct pgtable idle_tables[TLB_BATCH_RANGES + 1];

static u64 grown(const struct stats *before, enum stat_id id)
{
	return stat_read(id) - before->v[id];
}

/* --- what a batch gathers --- */

KTEST(tlb, neighbours_and_strangers_of_a_table_share_one_range)
{
	TLB_BATCH(batch, TLB_WHY_TEST);
	struct pgtable *pgt = &idle_tables[0];

	tlb_batch_add(&batch, pgt, 0x5000);
	EXPECT(batch.nr == 1 && batch.range[0].start == 0x5000 && batch.range[0].end == 0x6000);
	tlb_batch_add(&batch, pgt, 0x6000);
	EXPECT(batch.nr == 1 && batch.range[0].start == 0x5000 && batch.range[0].end == 0x7000);
	tlb_batch_add(&batch, pgt, 0x5000);
	EXPECT(batch.nr == 1 && batch.range[0].end == 0x7000);
	tlb_batch_add(&batch, pgt, 0x2000);
	EXPECT(batch.nr == 1 && batch.range[0].start == 0x2000 && batch.range[0].end == 0x7000);
	tlb_batch_add(&batch, &idle_tables[1], 0x7000);
	EXPECT(batch.nr == 2 && batch.range[1].start == 0x7000 && batch.range[1].end == 0x8000);
	/* Back to the first, although the second was used last. */
	tlb_batch_add(&batch, pgt, 0x9000);
	EXPECT(batch.nr == 2 && batch.range[0].end == 0xa000 && batch.range[1].end == 0x8000);
	EXPECT(!batch.everything && !batch.freed_tables);
	tlb_batch_flush(&batch);
	EXPECT_EQ(batch.nr, 0);
}

KTEST(tlb, ninth_table_of_a_batch_means_everything)
{
	TLB_BATCH(batch, TLB_WHY_TEST);

	for (unsigned int i = 0; i < TLB_BATCH_RANGES; i++)
		tlb_batch_add(&batch, &idle_tables[i], 0x1000 * i);
	EXPECT(batch.nr == TLB_BATCH_RANGES && !batch.everything);
	tlb_batch_add(&batch, &idle_tables[0], 0x1000);
	EXPECT(!batch.everything);
	tlb_batch_add(&batch, &idle_tables[TLB_BATCH_RANGES], 0x1000);
	EXPECT(batch.nr == TLB_BATCH_RANGES && batch.everything);
	tlb_batch_flush(&batch);
	EXPECT(!batch.nr && !batch.everything);
}

static void flush_nothing(void *arg)
{
	TLB_BATCH(batch, TLB_WHY_TEST);
	struct stats before;

	stats_snapshot(&before);
	tlb_batch_flush(&batch);
	EXPECT_EQ(grown(&before, STAT_TLB_SHOOTDOWNS), 0);
	EXPECT_EQ(grown(&before, STAT_TLB_IPIS_SENT), 0);
}

KTEST(tlb, empty_batch_costs_nothing)
{
	pinned(flush_nothing, NULL);
}

/* --- a space that every other CPU works in --- */

static struct runner runners[MAX_CPUS];

/* How many were started: one on every CPU but ours; with one CPU, ourselves. */
static unsigned int start_everywhere(struct space *s)
{
	unsigned int n = 0;

	if (nr_cpus == 1)
		return runner_start(&runners[0], RUNNER_SPINS, 0, &s->pgt);
	for (unsigned int cpu = 1; cpu < nr_cpus; cpu++)
		if (runner_start(&runners[n], RUNNER_SPINS, cpu, &s->pgt))
			n++;
	return n;
}

static void stop_everywhere(unsigned int n)
{
	while (n)
		runner_stop(&runners[--n]);
}

struct stores {
	struct space *space;
	unsigned int nr;
	u64 value;
	bool failed; /* a */
};

static void store_pages(void *arg)
{
	struct stores *st = arg;

	for (unsigned int i = 0; i < st->nr; i++)
		if (probe_store8((void *)(space_va(i) + 8 * (1 + this_cpu()->id)), st->value))
			st->failed = true;
}

static void all_store(unsigned int n, struct stores *st)
{
	for (unsigned int i = 0; i < n; i++)
		runner_call(&runners[i], store_pages, st);
}

static unsigned int count_dirty(struct space *s, unsigned int nr)
{
	unsigned int dirty = 0;

	for (unsigned int i = 0; i < nr; i++)
		dirty += pte_dirty(ptep_get(space_ptep(s, i)));
	return dirty;
}

static void clear_and_flush(struct space *s, unsigned int nr)
{
	TLB_BATCH(batch, TLB_WHY_TEST);

	for (unsigned int i = 0; i < nr; i++) {
		space_take(s, i, PTE_D);
		tlb_batch_add(&batch, &s->pgt, space_va(i));
	}
	tlb_batch_flush(&batch);
}

/* --- what a flush costs --- */

static void cost(void *arg)
{
	static const unsigned int sizes[] = { 1, 2, 33, 34, 512, 1024 };
	unsigned int others = nr_cpus - 1;
	struct space s;
	unsigned int n;

	if (!space_init(&s, 10))
		return;
	n = start_everywhere(&s);
	EXPECT(n == (others ? others : 1));
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct stores st = { &s, sizes[i], i, false };
		struct stats before;

		all_store(n, &st);
		stats_snapshot(&before);
		clear_and_flush(&s, sizes[i]);
		EXPECT_EQ(grown(&before, STAT_TLB_SHOOTDOWNS), 1);
		EXPECT_EQ(grown(&before, STAT_TLB_TEST), 1);
		EXPECT_EQ(grown(&before, STAT_TLB_IPIS_SENT), others);
		EXPECT_EQ(grown(&before, STAT_TLB_IPIS_RECEIVED), others);
		EXPECT(grown(&before, STAT_TLB_ICR_WRITES) <= others);
		EXPECT_EQ(grown(&before, STAT_TLB_LAZY_SKIPPED), 0);
		EXPECT(!st.failed);
		EXPECT_EQ(count_dirty(&s, sizes[i]), 0);
		all_store(n, &st);
		EXPECT_EQ(count_dirty(&s, sizes[i]), sizes[i]);
	}
	stop_everywhere(n);
	space_destroy(&s);
}

/* The figure of the issue: one shootdown, and one IPI for each other CPU, up to 1,024 pages. */
KTEST(tlb, one_shootdown_and_one_ipi_per_cpu_for_1024_pages)
{
	pinned(cost, NULL);
}

/* --- INVLPG or CR3: the same --- */

static u64 *invlpg_max_value(void)
{
	struct arg *a;

	for_each_registered(args, a)
		if (!strcmp(a->name, "invlpg_max"))
			return a->value;
	return NULL;
}

static void same_results(struct space *s, unsigned int n, u64 limit)
{
	static const unsigned int sizes[] = { 1, 2, 32, 33, 34, 100 };
	unsigned int cpus = nr_cpus == 1 ? 1 : nr_cpus - 1;

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct stores st = { s, sizes[i], limit, false };
		struct stats before;
		u64 pages = 0, loads = 0;

		all_store(n, &st);
		stats_snapshot(&before);
		clear_and_flush(s, sizes[i]);
		pages = grown(&before, STAT_TLB_INVLPGS);
		loads = grown(&before, STAT_TLB_CR3_LOADS);
		EXPECT_EQ(count_dirty(s, sizes[i]), 0);
		all_store(n, &st);
		EXPECT_EQ(count_dirty(s, sizes[i]), sizes[i]);
		EXPECT(!st.failed);
		/* And it was done in the way that was asked for. */
		EXPECT_EQ(pages, sizes[i] <= limit ? (u64)sizes[i] * cpus : 0);
		EXPECT_EQ(loads, sizes[i] <= limit ? 0 : cpus);
	}
}

static void invlpg_or_cr3(void *arg)
{
	static const u64 limits[] = { 0, 1, 33, 1000000 };
	u64 *invlpg_max = invlpg_max_value(), before;
	struct space s;
	unsigned int n;

	ASSERT(invlpg_max);
	before = *invlpg_max;
	if (!space_init(&s, 7))
		return;
	n = start_everywhere(&s);
	for (unsigned int i = 0; i < ARRAY_SIZE(limits); i++) {
		WRITE_ONCE(*invlpg_max, limits[i]);
		same_results(&s, n, limits[i]);
	}
	WRITE_ONCE(*invlpg_max, before);
	stop_everywhere(n);
	space_destroy(&s);
}

/* Rule 65: a matter of cost only. */
KTEST(tlb, invlpg_max_changes_cost_and_no_result)
{
	pinned(invlpg_or_cr3, NULL);
}

/* --- more tables than a batch remembers --- */

static void overflow(void *arg)
{
	TLB_BATCH(batch, TLB_WHY_TEST);
	struct space s;
	unsigned int n;

	if (!space_init(&s, 3))
		return;
	n = start_everywhere(&s);
	for (unsigned int round = 0; round < 20; round++) {
		struct stores st = { &s, 8, round, false };

		all_store(n, &st);
		for (unsigned int i = 0; i < TLB_BATCH_RANGES; i++)
			tlb_batch_add(&batch, &idle_tables[i], 0x1000);
		for (unsigned int i = 0; i < 8; i++) {
			space_take(&s, i, PTE_D);
			tlb_batch_add(&batch, &s.pgt, space_va(i));
		}
		EXPECT(batch.everything);
		tlb_batch_flush(&batch);
		all_store(n, &st);
		EXPECT_EQ(count_dirty(&s, 8), 8);
	}
	stop_everywhere(n);
	space_destroy(&s);
}

KTEST(tlb, table_that_a_batch_could_not_remember_is_flushed_too)
{
	pinned(overflow, NULL);
}

/* --- several tables in one batch --- */

static void two_tables(void *arg)
{
	struct space s[2];
	struct runner r[2];

	if (!space_init(&s[0], 0))
		return;
	if (!space_init(&s[1], 0)) {
		space_destroy(&s[0]);
		return;
	}
	for (unsigned int i = 0; i < 2; i++)
		EXPECT(runner_start(&r[i], RUNNER_SLEEPS, i % nr_cpus, &s[i].pgt));
	for (unsigned int round = 0; round < 50; round++) {
		TLB_BATCH(batch, TLB_WHY_TEST);

		for (unsigned int i = 0; i < 2; i++)
			runner_call(&r[i], store_pages, &(struct stores){ &s[i], 1, round, false });
		for (unsigned int i = 0; i < 2; i++) {
			space_take(&s[i], 0, PTE_D);
			tlb_batch_add(&batch, &s[i].pgt, space_va(0));
		}
		tlb_batch_flush(&batch);
		for (unsigned int i = 0; i < 2; i++) {
			runner_call(&r[i], store_pages, &(struct stores){ &s[i], 1, round, false });
			EXPECT_EQ(count_dirty(&s[i], 1), 1);
		}
	}
	for (unsigned int i = 0; i < 2; i++) {
		runner_stop(&r[i]);
		space_destroy(&s[i]);
	}
}

KTEST(tlb, one_batch_serves_several_tables)
{
	pinned(two_tables, NULL);
}
