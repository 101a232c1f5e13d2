/* SPDX-License-Identifier: MIT */
/*
 * test_punch.c - a part in the middle of a file is given up: what goes, what stays, who is told
 * (rules 11, 98, 100-103).
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "tests/util.h"

#define SLOT(offset) ((offset) / 8)
#define PAGES_AT(n)  ((u64)(n)*PAGE_SIZE)

/* The pages of it are holes, in memory and on the disk; the others are what they were. */
static void whole_pages(const struct dirty_policy *policy)
{
	u64 base = nr_dirty_pages(), v;
	struct stage s;

	if (!stage_begin(&s, 8))
		return;
	s.fs->mapping.policy = policy;
	for (pgoff_t i = 0; i < 8; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), i + 1), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < 8; i += 2)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), i + 11), 0);
	EXPECT_EQ(testfs_punch(s.fs, PAGES_AT(2), PAGES_AT(6)), 0);
	EXPECT_EQ(s.fs->mapping.size, PAGES_AT(8));
	EXPECT_EQ(s.fs->mapping.pages.nr, 4);
	for (pgoff_t i = 0; i < 8; i++) {
		bool gone = i >= 2 && i < 6;

		EXPECT_EQ(s.fs->prepared[i] == 0, gone);
		EXPECT_EQ(remote_load(&s.w, stage_slot(&s, i), &v), 0);
		EXPECT_EQ(v, gone ? 0 : i % 2 ? i + 1 : i + 11);
	}
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(nr_dirty_pages() - base, nr_maybe_pages());
	for (pgoff_t i = 0; i < 8; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), i >= 2 && i < 6 ? 0 : i % 2 ? i + 1 : i + 11);
	/* A hole is a place to store to like any other. */
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 3), 33), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 3, 0), 33);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_punch, what_was_stored_is_gone)
{
	whole_pages(NULL);
	whole_pages(&test_policy_silent);
	whole_pages(&test_policy_clear_d);
}

/* No CPU reaches a page that was dropped (rule 56). */
KTEST_ON_CPU0(mm_punch, no_cpu_keeps_a_dropped_page)
{
	struct stage s;
	u64 v = 1;

	if (!stage_begin(&s, 2))
		return;
	for (u64 round = 1; round <= 10; round++) {
		EXPECT_EQ(remote_store(&s.w, s.map, round), 0);
		EXPECT_EQ(testfs_punch(s.fs, 0, PAGE_SIZE), 0);
		EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
		EXPECT_EQ(v, 0);
	}
	stage_end(&s);
}

/* Rule 11: a private copy is no longer the file's. It survives a punch, and no truncation. */
KTEST_ON_CPU0(mm_punch, private_copies_stay)
{
	struct stage s;
	u64 *private, v;

	if (!stage_begin(&s, 2))
		return;
	testfs_set_platter(s.fs, 0, 1, 5);
	testfs_set_platter(s.fs, 1, 1, 6);
	private = testfs_mmap(s.fs, s.mm, 0, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	EXPECT_EQ(remote_store(&s.w, private, 7), 0);
	EXPECT_EQ(remote_load(&s.w, private + SLOTS_PER_PAGE + 1, &v), 0);
	EXPECT_EQ(v, 6);
	EXPECT_EQ(testfs_punch(s.fs, 0, PAGES_AT(2)), 0);
	EXPECT_EQ(remote_load(&s.w, private, &v), 0);
	EXPECT_EQ(v, 7);
	EXPECT_EQ(remote_load(&s.w, private + 1, &v), 0);
	EXPECT_EQ(v, 5);
	/* Page 1 was mapped, not copied: it was the file's. */
	EXPECT_EQ(remote_load(&s.w, private + SLOTS_PER_PAGE + 1, &v), 0);
	EXPECT_EQ(v, 0);
	EXPECT_EQ(testfs_truncate(s.fs, 0), 0);
	EXPECT_EQ(remote_load(&s.w, private, &v), -EFAULT);
	stage_end(&s);
}

/* xfstests 567: three pages, the middle of which is given up from half a page to half a page, with
 * stores before and after it. */
KTEST_ON_CPU0(mm_punch, pages_covered_in_part)
{
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 4))
		return;
	for (u64 i = 0; i < 4 * SLOTS_PER_PAGE; i++)
		EXPECT_EQ(remote_store(&s.w, s.map + i, 1), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(remote_store(&s.w, s.map + SLOT(700), 2), 0);
	EXPECT_EQ(testfs_punch(s.fs, 696, PAGES_AT(3) + 1600), 0);
	EXPECT_EQ(remote_store(&s.w, s.map + SLOT(2048), 3), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (u64 i = 0; i < 4 * SLOTS_PER_PAGE; i++) {
		bool gone = i >= SLOT(696) && i < SLOT(PAGES_AT(3) + 1600);
		u64 want = i == SLOT(2048) ? 3 : gone ? 0 : 1;

		EXPECT_EQ(remote_load(&s.w, s.map + i, &v), 0);
		EXPECT_EQ(v, want);
		EXPECT_EQ(testfs_platter(s.fs, i / SLOTS_PER_PAGE, i % SLOTS_PER_PAGE), want);
		if (ktest_failed())
			break;
	}
	/* Blocks of 1 KiB: 1 to 3 of page 0 went, and came back for the store. */
	EXPECT_EQ(s.fs->prepared[0], 0xf);
	EXPECT_EQ(s.fs->prepared[1] | s.fs->prepared[2], 0);
	EXPECT_EQ(s.fs->prepared[3], 1 << 1 | 1 << 2 | 1 << 3);
	stage_end(&s);
}

/* As B17: a block in the middle of a page that is mapped writable goes; the next store there must
 * ask for one, or writeback would find nowhere to put it. */
static void block_in_a_page(const struct dirty_policy *policy)
{
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = policy;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	EXPECT_EQ(testfs_punch(s.fs, TESTFS_BLOCK, 2 * TESTFS_BLOCK), 0);
	EXPECT(!pte_write(test_pte(s.mm, s.map)));
	EXPECT_EQ(remote_store(&s.w, s.map + SLOT(TESTFS_BLOCK), 2), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(testfs_platter(s.fs, 0, SLOT(TESTFS_BLOCK)), 2);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_punch, block_in_a_mapped_page)
{
	block_in_a_page(NULL);
	block_in_a_page(&test_policy_silent);
	block_in_a_page(&test_policy_clear_d);
}

/* Zeros over zeros are no dirt: the page may be a hole, for which nobody has room. */
KTEST_ON_CPU0(mm_punch, zeros_are_not_dirt)
{
	u64 base = nr_dirty_pages(), v = 1;
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	EXPECT_EQ(testfs_punch(s.fs, 100, PAGE_SIZE + 100), 0);
	EXPECT_EQ(nr_dirty_pages(), base);
	EXPECT_EQ(testfs_truncate(s.fs, 100), 0);
	EXPECT_EQ(nr_dirty_pages(), base);
	EXPECT_EQ(s.fs->prepares, 0);
	stage_end(&s);
}

struct punch {
	struct stage *s;
	u64 start, end;
};

static int punch_job(void *arg)
{
	struct punch *p = arg;

	return testfs_punch(p->s->fs, p->start, p->end);
}

/* Rule 103: no request to a block that is free, be it of a page that went or of one that stays. */
static void io_in_flight(u64 start, u64 end)
{
	struct stage s;
	struct punch p = { &s, start, end };
	struct job t;

	if (!stage_begin(&s, 2))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map + SLOT(TESTFS_BLOCK), 1), 0);
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, false);
	testfs_background(s.fs);
	EXPECT(ramblk_wait_held(s.fs->dev, 1));
	job_start(&t, 0, NULL, punch_job, &p);
	EXPECT(job_settles(&t));
	EXPECT_EQ(s.fs->prepared[0], (1 << TESTFS_PAGE_BLOCK) - 1);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(job_end(&t), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, SLOT(TESTFS_BLOCK)), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, SLOT(TESTFS_BLOCK)), 0);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_punch, waits_for_io_in_flight)
{
	io_in_flight(0, PAGE_SIZE);
}

KTEST_ON_CPU0(mm_punch, waits_for_io_of_a_page_covered_in_part)
{
	io_in_flight(TESTFS_BLOCK, 2 * TESTFS_BLOCK);
}

/* A page that is to be zeroed in part cannot be read, the first or the last: nothing has changed.
 * */
KTEST_ON_CPU0(mm_punch, read_error_changes_nothing)
{
	const u64 bad[] = { 0, 3 };
	struct stage s;
	u64 v;

	for (u32 n = 0; n < ARRAY_SIZE(bad); n++) {
		if (!stage_begin(&s, 4))
			return;
		for (pgoff_t i = 0; i < 4; i++)
			testfs_set_platter(s.fs, i, SLOT(2048), i + 4);
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 8), 0);
		testfs_drop_clean(s.fs);
		ramblk_fail(s.fs->dev, BIO_READ, bad[n] * 8, bad[n] * 8 + 7, 1, 4, -EIO);
		EXPECT_EQ(testfs_punch(s.fs, 100, PAGES_AT(3) + 3000), -EIO);
		ramblk_fail(s.fs->dev, BIO_READ, 0, 0, 0, 0, 0);
		for (pgoff_t i = 0; i < 4; i++) {
			EXPECT_EQ(probe_load8(stage_slot(&s, i) + SLOT(2048), &v), 0);
			EXPECT_EQ(v, i + 4);
		}
		EXPECT_EQ(probe_load8(stage_slot(&s, 1), &v), 0);
		EXPECT_EQ(v, 8);
		stage_end(&s);
	}
}
