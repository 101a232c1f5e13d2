/* SPDX-License-Identifier: MIT */
/*
 * test_truncate.c - the end of a file and what lies on both sides of it (rules 40, 98-103; B17,
 * B38).
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "tests/util.h"

#define HALF	     (PAGE_SIZE / 2)
#define SLOT(offset) ((offset) / 8)

/* Rule 98: the tail of the last page is there, and zero; the page behind it is not. */
KTEST_ON_CPU0(mm_truncate, access_behind_the_end)
{
	struct stage s;
	u64 v = 1;

	if (!stage_begin(&s, 4))
		return;
	for (pgoff_t i = 0; i < 4; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i) + SLOT(HALF), 7), 0);
	EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE + HALF), 0);
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 1) + SLOT(HALF), &v), 0);
	EXPECT_EQ(v, 0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1) + SLOT(HALF), 8), 0);
	for (pgoff_t i = 2; i < 4; i++) {
		EXPECT_EQ(remote_load(&s.w, stage_slot(&s, i), &v), -EFAULT);
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), -EFAULT);
	}
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 0) + SLOT(HALF), &v), 0);
	EXPECT_EQ(v, 7);

	/* To nothing: not even page 0. */
	EXPECT_EQ(testfs_truncate(s.fs, 0), 0);
	EXPECT_EQ(remote_load(&s.w, s.map, &v), -EFAULT);
	EXPECT_EQ(s.fs->mapping.pages.nr, 0);
	stage_end(&s);
}

/* Rule 102: what is cut off is not written, and not counted as dirty any more. */
KTEST_ON_CPU0(mm_truncate, dirt_behind_the_end_is_discarded)
{
	u64 base = nr_dirty_pages();
	struct stage s;

	if (!stage_begin(&s, 16))
		return;
	for (pgoff_t i = 0; i < 16; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 7), 0);
	EXPECT_EQ(testfs_truncate(s.fs, 4 * PAGE_SIZE), 0);
	EXPECT_EQ(nr_dirty_pages(), base + 4);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(s.fs->pages_written, 4);
	EXPECT_EQ(testfs_truncate(s.fs, 16 * PAGE_SIZE), 0);
	for (pgoff_t i = 0; i < 16; i++) {
		u64 v = 1;

		EXPECT_EQ(remote_load(&s.w, stage_slot(&s, i), &v), 0);
		EXPECT_EQ(v, i < 4 ? 7 : 0);
	}
	stage_end(&s);
}

/* The frames of dropped pages are free when truncate returns: no CPU can reach them (rule 56). */
KTEST_ON_CPU0(mm_truncate, no_cpu_keeps_a_dropped_page)
{
	struct stage s;
	u64 v = 0;

	if (!stage_begin(&s, 2))
		return;
	for (u64 round = 1; round <= 10; round++) {
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), round), 0);
		EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE), 0);
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 100), -EFAULT);
		EXPECT_EQ(testfs_truncate(s.fs, 2 * PAGE_SIZE), 0);
		EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 1), &v), 0);
		EXPECT_EQ(v, 0);
	}
	stage_end(&s);
}

/* Rule 40, B38: stores behind EOF in the last page reach neither the disk nor a longer file. */
static void stored_behind_end(int (*grow)(struct testfs *fs))
{
	struct stage s;
	u64 v = 1;

	if (!stage_begin(&s, 2))
		return;
	EXPECT_EQ(testfs_truncate(s.fs, HALF), 0);
	EXPECT_EQ(remote_store(&s.w, s.map, 5), 0);
	EXPECT_EQ(remote_store(&s.w, s.map + SLOT(HALF), 6), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 5);
	EXPECT_EQ(testfs_platter(s.fs, 0, SLOT(HALF)), 0);

	EXPECT_EQ(remote_store(&s.w, s.map + SLOT(HALF), 7), 0);
	EXPECT_EQ(grow(s.fs), 0);
	EXPECT_EQ(remote_load(&s.w, s.map + SLOT(HALF), &v), 0);
	EXPECT_EQ(v, 0);
	EXPECT_EQ(testfs_read(s.fs, HALF, &v, sizeof(v)), sizeof(v));
	EXPECT_EQ(v, 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, SLOT(HALF)), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 5);
	stage_end(&s);
}

static int grow_by_truncate(struct testfs *fs)
{
	return testfs_truncate(fs, 2 * PAGE_SIZE);
}

static int grow_by_write(struct testfs *fs)
{
	u64 v = 9;

	return testfs_write(fs, PAGE_SIZE, &v, sizeof(v)) == sizeof(v) ? 0 : -EIO;
}

KTEST_ON_CPU0(mm_truncate, stores_behind_the_end_are_nobodys)
{
	stored_behind_end(grow_by_truncate);
	stored_behind_end(grow_by_write);
}

/* The last page is dirty by write(), and is written with what a mapping left behind EOF. */
KTEST_ON_CPU0(mm_truncate, tail_is_zero_on_the_disk)
{
	struct stage s;
	u64 v = 3;

	if (!stage_begin(&s, 1))
		return;
	/* All blocks exist, so that nothing but zeroing keeps the tail from the disk. */
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	EXPECT_EQ(testfs_truncate(s.fs, 64), 0);
	s.fs->prepared[0] = (1 << TESTFS_PAGE_BLOCK) - 1;
	EXPECT_EQ(remote_store(&s.w, s.map + 8, 2), 0);
	EXPECT_EQ(remote_store(&s.w, s.map + SLOTS_PER_PAGE - 1, 2), 0);
	EXPECT_EQ(testfs_write(s.fs, 0, &v, sizeof(v)), sizeof(v));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 3);
	EXPECT_EQ(testfs_platter(s.fs, 0, 8), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, SLOTS_PER_PAGE - 1), 0);
	stage_end(&s);
}

/* Rule 101, B17: the file grows within its last page, which is mapped writable. The next store must
 * ask for the blocks that are inside now; what was stored before stays dirty. */
static void grows_within_page(const struct dirty_policy *policy)
{
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(testfs_truncate(s.fs, TESTFS_BLOCK), 0);
	s.fs->mapping.policy = policy;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	EXPECT_EQ(s.fs->prepared[0], 1);
	EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE), 0);
	EXPECT(!pte_write(test_pte(s.mm, s.map)));
	EXPECT_EQ(remote_store(&s.w, s.map + SLOT(3 * TESTFS_BLOCK), 2), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(testfs_platter(s.fs, 0, SLOT(3 * TESTFS_BLOCK)), 2);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_truncate, growing_within_a_page_asks_again)
{
	grows_within_page(NULL);
	grows_within_page(&test_policy_silent);
}

/* The same by write(), which grows the file as it goes. */
KTEST_ON_CPU0(mm_truncate, writing_behind_the_end_asks_again)
{
	struct stage s;
	u64 v = 3;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(testfs_truncate(s.fs, TESTFS_BLOCK), 0);
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	EXPECT_EQ(testfs_write(s.fs, PAGE_SIZE - 8, &v, sizeof(v)), sizeof(v));
	EXPECT_EQ(remote_store(&s.w, s.map + SLOT(2 * TESTFS_BLOCK), 2), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(testfs_platter(s.fs, 0, SLOT(2 * TESTFS_BLOCK)), 2);
	EXPECT_EQ(testfs_platter(s.fs, 0, SLOTS_PER_PAGE - 1), 3);
	stage_end(&s);
}

static int truncate_job(void *arg)
{
	return testfs_truncate(arg, 0);
}

/* Rule 103: when truncate returns, no request to the blocks that were cut off is under way. */
KTEST_ON_CPU0(mm_truncate, waits_for_io_in_flight)
{
	struct stage s;
	struct job t;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, false);
	testfs_background(s.fs);
	EXPECT(ramblk_wait_held(s.fs->dev, 1));
	job_start(&t, 0, NULL, truncate_job, s.fs);
	EXPECT(job_settles(&t));
	EXPECT_EQ(ramblk_nr_held(s.fs->dev), 1);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(job_end(&t), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 0); /* cut off, and zeroed, after it was written */
	stage_end(&s);
}

/* The last page is to be zeroed in part and cannot be read: nothing has changed. */
KTEST_ON_CPU0(mm_truncate, read_error_changes_nothing)
{
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 2))
		return;
	testfs_set_platter(s.fs, 0, 0, 4);
	testfs_set_platter(s.fs, 1, 0, 5);
	ramblk_fail(s.fs->dev, BIO_READ, 0, ~0ul, 1, 1, -EIO);
	EXPECT_EQ(testfs_truncate(s.fs, HALF), -EIO);
	EXPECT_EQ(s.fs->mapping.size, 2 * PAGE_SIZE);
	EXPECT_EQ(probe_load8(s.map, &v), 0);
	EXPECT_EQ(v, 4);
	EXPECT_EQ(probe_load8(stage_slot(&s, 1), &v), 0);
	EXPECT_EQ(v, 5);
	stage_end(&s);
}

/* --- growing: T stands before the new size is seen --- */

struct growth {
	struct stage s;
	struct gate gate;
	struct job t;
};

static int grow_job(void *arg)
{
	struct growth *g = arg;

	return testfs_truncate(g->s.fs, PAGE_SIZE);
}

static bool begin_growth(struct growth *g)
{
	if (!stage_begin(&g->s, 1))
		return false;
	EXPECT_EQ(testfs_truncate(g->s.fs, HALF), 0);
	return true;
}

static void stop_before_size(struct growth *g)
{
	gate_arm(&g->gate, "grow_before_size", &g->s.fs->mapping);
	job_start(&g->t, 0, NULL, grow_job, g);
	gate_wait(&g->gate);
}

/* The store behind the old end is in the file, in memory and on the disk. */
static void end_growth(struct growth *g)
{
	u64 v = 0;

	EXPECT_EQ(remote_load(&g->s.w, g->s.map + SLOT(HALF), &v), 0);
	EXPECT_EQ(v, 7);
	EXPECT_EQ(testfs_fsync(g->s.fs), 0);
	EXPECT_EQ(testfs_platter(g->s.fs, 0, SLOT(HALF)), 7);
	stage_end(&g->s);
}

/* A store to the page that straddles the end waits for the size, and has a block then. */
KTEST_ON_CPU0(mm_truncate, store_while_the_file_grows)
{
	struct growth g;

	if (!begin_growth(&g))
		return;
	EXPECT_EQ(remote_store(&g.s.w, g.s.map, 1), 0);
	stop_before_size(&g);
	remote_try_store(&g.s.w, g.s.map + SLOT(HALF), 7);
	gate_disarm(&g.gate);
	EXPECT_EQ(job_end(&g.t), 0);
	EXPECT_EQ(remote_wait(&g.s.w), 0);
	end_growth(&g);
}

/* The page comes in while the file grows: not with the old size, or nobody would protect it. */
KTEST_ON_CPU0(mm_truncate, page_comes_while_the_file_grows)
{
	struct growth g;

	if (!begin_growth(&g))
		return;
	testfs_drop_clean(g.s.fs);
	stop_before_size(&g);
	remote_try_store(&g.s.w, g.s.map, 1);
	gate_disarm(&g.gate);
	EXPECT_EQ(job_end(&g.t), 0);
	EXPECT_EQ(remote_wait(&g.s.w), 0);
	EXPECT_EQ(remote_store(&g.s.w, g.s.map + SLOT(HALF), 7), 0);
	end_growth(&g);
}

/* B38c: K is about to zero the tail for the disk, as far as the size it knows says, and leaves the
 * page writable. The size must not grow before it has. */
KTEST_ON_CPU0(mm_truncate, tail_is_zeroed_before_the_file_grows)
{
	struct growth g;
	struct job k;

	if (!begin_growth(&g))
		return;
	g.s.fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ(remote_store(&g.s.w, g.s.map, 1), 0);
	gate_arm(&g.gate, "mkclean_before_decide", NULL);
	job_start(&k, 0, NULL, testfs_fsync_job, g.s.fs);
	gate_wait(&g.gate);
	job_start(&g.t, 0, NULL, grow_job, &g);
	EXPECT(job_settles(&g.t));
	EXPECT_EQ(g.s.fs->mapping.size, HALF);
	gate_disarm(&g.gate);
	EXPECT_EQ(job_end(&g.t), 0);
	EXPECT_EQ(remote_store(&g.s.w, g.s.map + SLOT(HALF), 7), 0);
	EXPECT_EQ(job_end(&k), 0);
	end_growth(&g);
}
