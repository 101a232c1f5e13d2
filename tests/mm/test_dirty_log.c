/* SPDX-License-Identifier: MIT */
/*
 * test_dirty_log.c - first stores that are written into a log instead of a tag (T16, D.12).
 */
#include "kernel/mm/dirty_log.h"

#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

/* All pages were stored to and cleaned once: MAYBE_DIRTY, protected, and their next store goes into
 * the log. */
static bool begin(struct stage *s, u64 pages)
{
	if (!stage_begin(s, pages))
		return false;
	s->fs->mapping.policy = policy_find("log");
	for (pgoff_t i = 0; i < pages; i++)
		EXPECT_EQ(remote_store(&s->w, stage_slot(s, i), 1), 0);
	EXPECT_EQ(testfs_fsync(s->fs), 0);
	EXPECT_EQ(testfs_count_tag(s->fs, TAG_MAYBE), pages);
	EXPECT(!pte_write(test_pte(s->mm, s->map)));
	return true;
}

KTEST_ON_CPU0(mm_log, first_store_is_logged_not_tagged)
{
	struct stats before;
	struct stage s;

	if (!begin(&s, 4))
		return;
	stats_snapshot(&before);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 2), 2), 0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 2) + 1, 3), 0);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_LOGGED), 1);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_TOWRITE), 0);
	EXPECT_EQ(testfs_page(s.fs, 2)->dirty, PAGE_MAYBE_DIRTY);
	EXPECT(pte_dirty(test_pte(s.mm, stage_slot(&s, 2))));

	dirty_log_drain(&s.fs->mapping);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_TOWRITE), 1);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(s.fs->pages_written, 4 + 1);
	EXPECT_EQ(testfs_platter(s.fs, 2, 1), 3);
	stage_end(&s);
}

/* As many syncs as stores: each sync pays for the pages stored to, by reading the log. */
KTEST_ON_CPU0(mm_log, sync_reads_the_log_alone)
{
	struct stats before;
	struct stage s;

	if (!begin(&s, 64))
		return;
	for (u64 round = 2; round < 6; round++) {
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, round * 7), round), 0);
		stats_snapshot(&before);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		EXPECT_EQ(stat_since(&before, STAT_HARVEST_PTES), 0);
		EXPECT_EQ(testfs_platter(s.fs, round * 7, 0), round);
	}
	EXPECT_EQ(s.fs->pages_written, 64 + 4);
	stage_end(&s);
}

/* Two files, one log: who drains for one does the other's work too, and loses none of it. */
KTEST_ON_CPU0(mm_log, drain_serves_other_files)
{
	struct stage a, b;

	if (!begin(&a, 2))
		return;
	if (!begin(&b, 2)) {
		stage_end(&a);
		return;
	}
	EXPECT_EQ(remote_store(&b.w, stage_slot(&b, 0), 2), 0);
	mm_use(a.mm);
	EXPECT_EQ(remote_store(&a.w, stage_slot(&a, 1), 3), 0);
	EXPECT_EQ(testfs_fsync(b.fs), 0);
	EXPECT_EQ(testfs_platter(b.fs, 0, 0), 2);
	EXPECT_EQ(testfs_count_tag(a.fs, TAG_TOWRITE), 1);
	EXPECT_EQ(testfs_fsync(a.fs), 0);
	EXPECT_EQ(testfs_platter(a.fs, 1, 0), 3);
	mm_use(b.mm);
	stage_end(&b);
	stage_end(&a);
}

/* B40: more stores than there is room for: the sync asks the PTEs, once. */
KTEST_ON_CPU0(mm_log, overflow_falls_back_to_a_scan)
{
	u64 pages = 2 * DIRTY_LOG_SIZE, missing = 0;
	struct stats before;
	struct stage s;

	if (!begin(&s, pages))
		return;
	stats_snapshot(&before);
	for (pgoff_t i = 0; i < pages; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), i + 2), 0);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_LOGGED) + stat_since(&before, STAT_LOG_OVERFLOWS),
		  pages);
	EXPECT(stat_since(&before, STAT_LOG_OVERFLOWS) > 0);
	EXPECT(test_bit(&s.fs->mapping.flags, AS_LOG_LOST));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < pages; i++)
		missing += testfs_platter(s.fs, i, 0) != i + 2;
	EXPECT_EQ(missing, 0);
	EXPECT(!test_bit(&s.fs->mapping.flags, AS_LOG_LOST));

	stats_snapshot(&before);
	EXPECT_EQ(remote_store(&s.w, s.map, 9), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 9);
	EXPECT_EQ(stat_since(&before, STAT_HARVEST_PTES), 0);
	stage_end(&s);
}

/*
 * The entry is made before the PTE is writable; a drain in between takes it away, and the sync
 * finds the page all the same: it waits for the page lock.
 */
static void drain_inside_fault(const char *point, pgoff_t page)
{
	struct gate gate;
	struct stage s;
	struct job sync;

	if (!begin(&s, 2))
		return;
	gate_arm(&gate, point, testfs_page(s.fs, page));
	remote_try_store(&s.w, stage_slot(&s, page), 5);
	gate_wait(&gate);
	job_start(&sync, 0, NULL, testfs_fsync_job, s.fs);
	EXPECT(job_settles(&sync));
	gate_disarm(&gate);
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT_EQ(job_end(&sync), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, page, 0), 5);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_log, sync_during_the_fault)
{
	drain_inside_fault("logged_before_pte", 1);
	drain_inside_fault("mkwrite_pte_set", 1);
}

/* The file goes, its entries with it: what is drained later is somebody else's memory. */
KTEST_ON_CPU0(mm_log, dying_file_takes_its_entries)
{
	struct stage s, other;

	if (!begin(&s, 3))
		return;
	for (pgoff_t i = 0; i < 3; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 4), 0);
	stage_end(&s);
	if (!begin(&other, 1))
		return;
	EXPECT_EQ(remote_store(&other.w, other.map, 6), 0);
	EXPECT_EQ(testfs_fsync(other.fs), 0);
	EXPECT_EQ(testfs_platter(other.fs, 0, 0), 6);
	stage_end(&other);
}
