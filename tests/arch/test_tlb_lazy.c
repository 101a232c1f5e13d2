/* SPDX-License-Identifier: MIT */
/*
 * test_tlb_lazy.c - CPUs that hold a table without using it: who is asked, who is not, and what
 * they find when they come back (rules 61 to 63).
 */
#include "tests/arch/runner.h"

#include <string.h>

#include "arch/x86_64/tlb.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/sched.h"
#include "kernel/mm/page_alloc.h"
#include "tests/ktest.h"

static u64 grown(const struct stats *before, enum stat_id id)
{
	return stat_read(id) - before->v[id];
}

static void store_once(void *arg)
{
	EXPECT_EQ(probe_store8((void *)space_va(0), (u64)arg), 0);
}

static void clear_dirty(struct space *s, struct tlb_batch *batch)
{
	space_take(s, 0, PTE_D);
	tlb_batch_add(batch, &s->pgt, space_va(0));
}

/* --- skipped, and caught up --- */

enum tables { TABLES_KEPT, TABLES_FREED };

/* One flush while the only CPU that holds the table is lazy. */
static void flush_at_lazy(struct space *s, struct runner *r, enum tables tables, u64 round)
{
	TLB_BATCH(batch, TLB_WHY_TEST);
	bool freed = tables == TABLES_FREED;
	struct stats before;

	/* On a crowded machine a thread with another table may pass through that CPU: again. */
	for (unsigned int tries = 0; tries < 100; tries++) {
		runner_call(r, store_once, (void *)(round << 1));
		runner_settle(r);
		if (READ_ONCE(s->pgt.cpus) & 1u << r->cpu)
			break;
	}
	EXPECT(s->pgt.cpus & 1u << r->cpu);
	stats_snapshot(&before);
	clear_dirty(s, &batch);
	batch.freed_tables = freed;
	tlb_batch_flush(&batch);
	EXPECT_EQ(grown(&before, STAT_TLB_LAZY_SKIPPED), !freed);
	EXPECT_EQ(grown(&before, STAT_TLB_IPIS_SENT), freed);
	EXPECT_EQ(grown(&before, STAT_TLB_IPIS_RECEIVED), freed);
	runner_call(r, store_once, (void *)(round << 1 | 1));
	EXPECT_EQ(grown(&before, STAT_TLB_LAZY_CAUGHT_UP), !freed);
	/* The entry that it held was dirty: had it been used, this D would be missing. */
	EXPECT(pte_dirty(ptep_get(space_ptep(s, 0))));
	EXPECT_EQ(*space_word(s, 0), round << 1 | 1);
}

/* A CPU of its own, where nothing else makes it leave the table. */
static void lazy_cpu(void *arg)
{
	struct space s;
	struct runner r;

	if (!space_init(&s, 0))
		return;
	if (runner_start(&r, RUNNER_SLEEPS, 1, &s.pgt)) {
		for (u64 round = 0; round < 20; round++)
			flush_at_lazy(&s, &r, TABLES_KEPT, round);
		for (u64 round = 20; round < 40; round++)
			flush_at_lazy(&s, &r, TABLES_FREED, round);
		runner_stop(&r);
	}
	space_destroy(&s);
}

/* With one CPU, the thread that flushes has a table of its own, so laziness cannot be seen; but the
 * same must come out. */
static void no_other_cpu(void *arg)
{
	struct space s;
	struct runner r;

	if (!space_init(&s, 0))
		return;
	if (runner_start(&r, RUNNER_SLEEPS, 0, &s.pgt)) {
		for (u64 round = 0; round < 20; round++) {
			TLB_BATCH(batch, TLB_WHY_TEST);

			runner_call(&r, store_once, (void *)round);
			clear_dirty(&s, &batch);
			tlb_batch_flush(&batch);
			EXPECT(!pte_dirty(ptep_get(space_ptep(&s, 0))));
			runner_call(&r, store_once, (void *)round);
			EXPECT(pte_dirty(ptep_get(space_ptep(&s, 0))));
		}
		runner_stop(&r);
	}
	space_destroy(&s);
}

/* Rule 62, both halves: skipped and caught up; interrupted when page tables are to be freed. */
KTEST(tlb, lazy_cpu_is_skipped_and_catches_up_unless_tables_are_freed)
{
	pinned(nr_cpus > 1 ? lazy_cpu : no_other_cpu, NULL);
}

/* --- generations: a CPU that is more than one behind forgets everything --- */

#define MISSED 5

static void store_all(void *arg)
{
	for (unsigned int i = 0; i < MISSED; i++)
		EXPECT_EQ(probe_store8((void *)space_va(i), (u64)arg + i), 0);
}

static void several_missed(void *arg)
{
	struct space s;
	struct runner r;

	if (!space_init(&s, 3))
		return;
	if (runner_start(&r, RUNNER_SLEEPS, nr_cpus > 1, &s.pgt)) {
		for (u64 round = 0; round < 20; round++) {
			u64 gen = s.pgt.tlb_gen;

			runner_call(&r, store_all, (void *)(round << 8));
			runner_settle(&r);
			/* One request for each page, none of which it hears. */
			for (unsigned int i = 0; i < MISSED; i++) {
				TLB_BATCH(batch, TLB_WHY_TEST);

				space_take(&s, i, PTE_D);
				tlb_batch_add(&batch, &s.pgt, space_va(i));
				tlb_batch_flush(&batch);
			}
			EXPECT_EQ(s.pgt.tlb_gen, gen + MISSED);
			runner_call(&r, store_all, (void *)(round << 8 | 0x80));
			for (unsigned int i = 0; i < MISSED; i++)
				EXPECT(pte_dirty(ptep_get(space_ptep(&s, i))));
		}
		runner_stop(&r);
	}
	space_destroy(&s);
}

/* Rule 61. */
KTEST(tlb, cpu_that_missed_several_requests_forgets_all_of_them)
{
	pinned(several_missed, NULL);
}

/* --- dropping a table --- */

static int do_nothing(void *arg)
{
	return 0;
}

/* A thread in @pgt on every CPU, that touches a page and ends: each CPU is then lazy on the table,
 * but ours, which goes back to its own. */
static cpumask_t leave_lazily_everywhere(struct space *s)
{
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++) {
		struct runner r;

		if (!runner_start(&r, RUNNER_SLEEPS, cpu, &s->pgt))
			continue;
		runner_call(&r, store_once, (void *)(u64)cpu);
		runner_stop(&r);
	}
	return atomic_load(&s->pgt.cpus);
}

/* Write over frames that were just freed, until those of the tables must be among them. */
static void overwrite_free_frames(void)
{
	enum { FRAMES = 256 };
	static struct page *page[FRAMES];

	for (unsigned int i = 0; i < FRAMES; i++) {
		page[i] = alloc_page(ALLOC_NORMAL);
		if (page[i])
			memset(page_address(page[i]), 0xff, PAGE_SIZE);
	}
	for (unsigned int i = 0; i < FRAMES; i++)
		if (page[i])
			page_put(page[i]);
}

static void drop(void *arg)
{
	for (unsigned int round = 0; round < 10; round++) {
		struct space s;
		cpumask_t lazy;

		if (!space_init(&s, 0))
			return;
		lazy = leave_lazily_everywhere(&s);
		if (nr_cpus > 1)
			EXPECT(lazy & ~1u);
		space_destroy(&s);
		EXPECT_EQ(s.pgt.cpus, 0);
		/* A CPU that still walked through them would not survive this. */
		overwrite_free_frames();
		for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
			EXPECT_EQ(on_cpu(cpu, do_nothing, NULL), 0);
	}
}

KTEST(tlb, destroyed_table_is_let_go_by_lazy_cpus_before_its_frames_are_freed)
{
	pinned(drop, NULL);
}
