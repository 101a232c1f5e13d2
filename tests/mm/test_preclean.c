/* SPDX-License-Identifier: MIT */
/*
 * test_preclean.c - flush=page, and flush=deferred: background cleaning that interrupts nobody, and
 * what must not be believed while it waits (mechanism D.3).
 *
 * P is a pass of background writeback, held where its PTEs say less than W's CPU can do. Fewer than
 * 128 pages, or an emulator's TLB forgets by itself what the tests need it to remember.
 */
#include <string.h>

#include "arch/x86_64/tlb.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/args.h"
#include "kernel/core/percpu.h"
#include "tests/util.h"

#define PAGES 64
#define HALF  (PAGES / 2)

/* Before W starts, so that its CPU has ticks. */
static bool deferred_begin(struct stage *s, u64 pages)
{
	EXPECT_EQ(args_set("flush", "deferred"), 0);
	return stage_begin(s, pages);
}

static void deferred_end(struct stage *s)
{
	stage_end(s);
	EXPECT_EQ(args_set("flush", "batch"), 0);
}

static int background_job(void *fs)
{
	testfs_background(fs);
	return 0;
}

/* P, held between taking W and D and waiting for the CPUs. */
static void hold_pass(struct stage *s, struct gate *gate, struct job *p)
{
	gate_arm(gate, "preclean_stripped", &s->fs->mapping);
	job_start(p, 0, NULL, background_job, s->fs);
	gate_wait(gate);
}

static void end_pass(struct gate *gate, struct job *p)
{
	gate_disarm(gate);
	EXPECT_EQ(job_end(p), 0);
}

static void wait_for_io(struct stage *s)
{
	filemap_fdatawait_range(&s->fs->mapping, 0, ~0ul);
}

/* --- flush=page --- */

static u64 shootdowns_of_fsync(struct stage *s, const char *flush, u64 value)
{
	struct stats before;

	EXPECT_EQ(args_set("flush", flush), 0);
	for (pgoff_t i = 0; i < 8; i++)
		EXPECT_EQ(remote_store(&s->w, stage_slot(s, i), value + i), 0);
	stats_snapshot(&before);
	EXPECT_EQ(testfs_fsync(s->fs), 0);
	for (pgoff_t i = 0; i < 8; i++)
		EXPECT_EQ(testfs_platter(s->fs, i, 0), value + i);
	EXPECT_EQ(stat_since(&before, STAT_PTES_CLEANED), 8);
	return stat_since(&before, STAT_TLB_SHOOTDOWNS);
}

KTEST_ON_CPU0(mm_preclean, page_means_a_shootdown_for_each_pte)
{
	struct stage s;

	if (!stage_begin(&s, 8))
		return;
	EXPECT_EQ(shootdowns_of_fsync(&s, "page", 100), 8);
	EXPECT_EQ(shootdowns_of_fsync(&s, "batch", 200), 1);
	EXPECT_EQ(shootdowns_of_fsync(&s, "deferred", 300), 1);
	EXPECT_EQ(args_set("flush", "batch"), 0);
	stage_end(&s);
}

/* --- flush=deferred: what it is for --- */

struct storm {
	struct stage *s;
	bool stop; /* a */
	u64 rounds;
};

/* W stores to the second half for as long as it may. */
static int store_for_ever(void *arg)
{
	struct storm *st = arg;
	int err = 0;

	while (!READ_ONCE(st->stop) && !err) {
		st->rounds++;
		for (pgoff_t i = HALF; i < PAGES && !err; i++)
			err = probe_store8(stage_slot(st->s, i), st->rounds);
	}
	return err;
}

#define STORMERS (MAX_CPUS - 2)

/* One more thread for each CPU that is left. */
static unsigned int start_storm(struct storm *st, struct remote *more)
{
	unsigned int n = 0;

	for (unsigned int cpu = 2; cpu < nr_cpus; cpu++) {
		remote_start(&more[n], cpu, st->s->mm);
		remote_begin(&more[n++], store_for_ever, st);
	}
	return n;
}

/* One pass while other CPUs store to other pages of the same mapping. */
static void pass_in_a_storm(struct stage *s, u64 round)
{
	struct storm st = { .s = s };
	static struct remote more[STORMERS];
	struct stats before;
	unsigned int n;

	for (pgoff_t i = 0; i < HALF; i++)
		EXPECT_EQ(remote_store(&s->w, stage_slot(s, i), round << 8 | i), 0);
	remote_begin(&s->w, store_for_ever, &st);
	n = start_storm(&st, more);
	WAIT_FOR(READ_ONCE(st.rounds) > nr_cpus);
	stats_snapshot(&before);
	testfs_background(s->fs);
	wait_for_io(s);
	EXPECT_EQ(stat_since(&before, STAT_TLB_SHOOTDOWNS), 0);
	EXPECT_EQ(stat_since(&before, STAT_TLB_IPIS_SENT), 0);
	EXPECT_EQ(stat_since(&before, STAT_TLB_DEFERRED), 1);
	EXPECT_EQ(stat_since(&before, STAT_TLB_MKCLEAN), 0);
	EXPECT_EQ(stat_since(&before, STAT_TLB_ZAP), 0);
	EXPECT_EQ(stat_since(&before, STAT_TLB_HARVEST), 0);
	EXPECT_EQ(stat_since(&before, STAT_TLB_KERNEL), 0);
	WRITE_ONCE(st.stop, true);
	EXPECT_EQ(remote_wait(&s->w), 0);
	while (n) {
		EXPECT_EQ(remote_wait(&more[--n]), 0);
		remote_stop(&more[n]);
	}
	for (pgoff_t i = 0; i < HALF; i++) {
		EXPECT_EQ(testfs_platter(s->fs, i, 0), round << 8 | i);
		EXPECT_EQ(testfs_page(s->fs, i)->dirty, PAGE_CLEAN);
		EXPECT(!pte_write(test_pte(s->mm, stage_slot(s, i))));
	}
}

/* The figure background_shootdowns. */
KTEST_ON_CPU0(mm_preclean, background_pass_interrupts_nobody)
{
	struct stage s;

	if (!deferred_begin(&s, PAGES))
		return;
	EXPECT_EQ(args_set("flush_deadline", "20000"), 0);
	for (u64 round = 1; round <= 3; round++)
		pass_in_a_storm(&s, round);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(args_set("flush_deadline", "100"), 0);
	deferred_end(&s);
}

/* Stored to again between the two: written as it is, and it stays dirty and writable. */
KTEST_ON_CPU0(mm_preclean, hot_page_is_written_and_left_dirty)
{
	struct stage s;
	struct stats before;
	struct gate passed;
	struct job p;

	if (!deferred_begin(&s, 3))
		return;
	for (pgoff_t i = 0; i < 2; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), 0);
	gate_arm(&passed, "preclean_passed", &s.fs->mapping);
	job_start(&p, 0, NULL, background_job, s.fs);
	gate_wait(&passed);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 2), 0);
	stats_snapshot(&before);
	end_pass(&passed, &p);
	wait_for_io(&s);
	EXPECT_EQ(stat_since(&before, STAT_TLB_SHOOTDOWNS), 0);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_LEFT_DIRTY), 1);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(testfs_platter(s.fs, 1, 0), 2);
	EXPECT_EQ(testfs_page(s.fs, 0)->dirty, PAGE_CLEAN);
	EXPECT_EQ(testfs_page(s.fs, 1)->dirty, PAGE_DIRTY);
	stats_snapshot(&before);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 3), 0);
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 1, 0), 3);
	deferred_end(&s);
}

/* The page with the end of the file is cleaned in the ordinary way: its tail is zeroed. */
KTEST_ON_CPU0(mm_preclean, tail_of_a_hot_last_page_is_zero_on_the_disk)
{
	struct stage s;
	struct gate passed;
	struct job p;

	if (!deferred_begin(&s, 1))
		return;
	EXPECT_EQ(testfs_truncate(s.fs, 100), 0);
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	gate_arm(&passed, "preclean_passed", &s.fs->mapping);
	job_start(&p, 0, NULL, background_job, s.fs);
	gate_wait(&passed);
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT_EQ(remote_store(&s.w, s.map + 20, 7), 0);
	end_pass(&passed, &p);
	wait_for_io(&s);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	EXPECT_EQ(testfs_platter(s.fs, 0, 20), 0);
	deferred_end(&s);
}

/* --- what would go wrong --- */

/*
 * B12: I/O between the change of a PTE and its flush.
 *
 *	P				W				K (fsync)
 *					stores 1: entry with W and D
 *	takes W and D
 *									finds no W and no D, writes
 *									the page, calls it clean
 *					stores 2 by its old entry
 *	waits for W's CPU
 *	finds the page clean: nobody knows of 2
 */
KTEST_ON_CPU0(mm_preclean, sync_does_not_believe_stripped_ptes)
{
	struct stage s;
	struct gate stripped;
	struct job p;

	if (!deferred_begin(&s, 2))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	hold_pass(&s, &stripped, &p);
	EXPECT(!pte_write(test_pte(s.mm, s.map)));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(testfs_page(s.fs, 0)->dirty, PAGE_CLEAN);
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT_EQ(testfs_page(s.fs, 0)->dirty, PAGE_DIRTY);
	end_pass(&stripped, &p);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	deferred_end(&s);
}

/* The same with pages that nobody is told of: what tells of the store is PG_d_seen alone (B31). */
KTEST_ON_CPU0(mm_preclean, sync_does_not_believe_stripped_silent_ptes)
{
	struct stage s;
	struct gate stripped;
	struct job p;

	if (!deferred_begin(&s, 2))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	hold_pass(&s, &stripped, &p);
	EXPECT(!pte_dirty(test_pte(s.mm, s.map)));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT(pte_dirty(test_pte(s.mm, s.map)));
	end_pass(&stripped, &p);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	deferred_end(&s);
}

/*
 * Cleaning that leaves the page writable, and P between its exchanges and its decision:
 *
 *	K (fsync)			W				P
 *	takes D, flushes
 *					stores 2: D again
 *									takes D: PG_d_seen
 *	takes PG_d_seen for its own,
 *	writes the page
 *					stores 3 by its old entry
 *									waits for W's CPU
 *	the next fsync finds neither D nor PG_d_seen
 *
 * So P holds i_mmap_rwsem for write.
 */
KTEST_ON_CPU0(mm_preclean, d_is_not_taken_while_a_sync_decides)
{
	struct gate cleaned, stripped;
	struct job p, k;
	struct stage s;

	if (!deferred_begin(&s, 2))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	gate_arm(&cleaned, "mkclean_before_decide", &s.fs->mapping);
	gate_arm(&stripped, "preclean_stripped", &s.fs->mapping);
	job_start(&k, 0, NULL, testfs_fsync_job, s.fs);
	gate_wait(&cleaned);
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	job_start(&p, 0, NULL, background_job, s.fs);
	job_settles(&p); /* waiting for i_mmap_rwsem, or at its gate */
	gate_disarm(&cleaned);
	EXPECT_EQ(job_end(&k), 0);
	gate_wait(&stripped);
	EXPECT_EQ(remote_store(&s.w, s.map, 3), 0);
	end_pass(&stripped, &p);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 3);
	deferred_end(&s);
}

/*
 * B13: who finds that somebody else has changed a PTE must not leave the flush to him.
 *
 *	P				W				T (munmap)
 *					stores 1
 *	takes W and D
 *					stores 2 by its old entry
 *									finds no D, flushes
 *	the page is dirty still: it is written
 */
KTEST_ON_CPU0(mm_preclean, unmapping_a_stripped_page_flushes_and_loses_nothing)
{
	struct stage s;
	struct gate stripped;
	struct job p;
	u64 last;

	if (!deferred_begin(&s, 2))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	hold_pass(&s, &stripped, &p);
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, PAGE_SIZE), 0);
	EXPECT(remote_store(&s.w, s.map, 3) != 0);
	end_pass(&stripped, &p);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	last = testfs_platter(s.fs, 0, 0);
	EXPECT_EQ(last, 2);
	deferred_end(&s);
}

/* B12: a page is given to the device, and called clean, after W's CPU has forgotten it. */
KTEST_ON_CPU0(mm_preclean, page_is_clean_only_after_every_cpu_forgot)
{
	struct stage s;
	struct gate stripped;
	struct job p;

	if (!deferred_begin(&s, 2))
		return;
	for (u64 v = 1; v <= 10; v++) {
		EXPECT_EQ(remote_store(&s.w, s.map, 3 * v), 0);
		hold_pass(&s, &stripped, &p);
		EXPECT_EQ(remote_store(&s.w, s.map, 3 * v + 1), 0);
		end_pass(&stripped, &p);
		/* By the old entry, if it is still there, and then nobody knows. */
		EXPECT_EQ(remote_store(&s.w, s.map, 3 * v + 2), 0);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		EXPECT_EQ(testfs_platter(s.fs, 0, 0), 3 * v + 2);
	}
	deferred_end(&s);
}

/* The times of a store whose D was taken are owed at once, although nobody knows it clean yet. */
KTEST_ON_CPU0(mm_preclean, times_are_owed_when_d_was_taken)
{
	struct stage s;
	struct gate stripped;
	struct job p;

	if (!deferred_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	clear_bit(&s.fs->mapping.flags, AS_CMTIME);
	hold_pass(&s, &stripped, &p);
	EXPECT(test_bit(&s.fs->mapping.flags, AS_CMTIME));
	end_pass(&stripped, &p);
	deferred_end(&s);
}

/* --- who is waited for --- */

/* A CPU that has no ticks is interrupted when the deadline is over. */
KTEST_ON_CPU0(mm_preclean, deadline_ends_the_wait_for_a_cpu_without_ticks)
{
	struct stats before;
	struct stage s;

	EXPECT_EQ(args_set("flush_tick", "3600000"), 0);
	EXPECT_EQ(args_set("flush_deadline", "1"), 0);
	if (!deferred_begin(&s, 1))
		goto out;
	stats_snapshot(&before);
	/* Another thread's timer may make that CPU pass now and then: again. */
	for (u64 v = 1; v <= 100; v++) {
		EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		testfs_background(s.fs);
		EXPECT_EQ(remote_store(&s.w, s.map, 1000 + v), 0);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1000 + v);
		if (nr_cpus == 1 || stat_since(&before, STAT_TLB_MKCLEAN) > v)
			break;
	}
	/* One of each fsync, and at least one of a pass. */
	if (nr_cpus > 1)
		EXPECT(stat_since(&before, STAT_TLB_IPIS_SENT) > 0);
	deferred_end(&s);
out:
	EXPECT_EQ(args_set("flush_tick", "10"), 0);
	EXPECT_EQ(args_set("flush_deadline", "100"), 0);
}

/* Nobody maps it, or flush= is another: no wait, and an ordinary pass. */
KTEST_ON_CPU0(mm_preclean, nothing_to_wait_for)
{
	struct stats before;
	struct stage s;
	u64 v = 5;

	if (!deferred_begin(&s, 1))
		return;
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, PAGE_SIZE), 0);
	stats_snapshot(&before);
	EXPECT_EQ(testfs_write(s.fs, 0, &v, sizeof(v)), sizeof(v));
	testfs_background(s.fs);
	wait_for_io(&s);
	EXPECT_EQ(stat_since(&before, STAT_TLB_DEFERRED), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 5);
	deferred_end(&s);
}
