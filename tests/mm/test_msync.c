/* SPDX-License-Identifier: MIT */
/*
 * test_msync.c - msync() and fsync(): whose stores, which range, which errors (rules 68-73,
 * 113; B39).
 */
#include <sys/errno.h>

#include "kernel/core/stat.h"
#include "tests/util.h"

#define RW (PROT_READ | PROT_WRITE)

/* s.map: pages 0-1 mapped, 2 a hole, 3-4 mapped. Addresses in pages, @odd bytes more. */
static const struct {
	const char *what;
	u64 page, odd, len;
	int flags, expected;
} calls[] = {
	{ "one page", 0, 0, PAGE_SIZE, MS_SYNC, 0 },
	{ "no flag", 0, 0, PAGE_SIZE, 0, 0 },
	{ "asynchronous", 0, 0, PAGE_SIZE, MS_ASYNC, 0 },
	{ "invalidate", 0, 0, PAGE_SIZE, MS_SYNC | MS_INVALIDATE, 0 },
	{ "no length", 0, 0, 0, MS_SYNC, 0 },
	{ "no length in a hole", 2, 0, 0, MS_SYNC, 0 },
	{ "a length that is rounded up", 0, 0, PAGE_SIZE + 1, MS_SYNC, 0 },
	{ "unknown flag", 0, 0, PAGE_SIZE, 8, -EINVAL },
	{ "unknown flag in a hole", 2, 0, PAGE_SIZE, MS_SYNC | 64, -EINVAL },
	{ "both kinds", 0, 0, PAGE_SIZE, MS_SYNC | MS_ASYNC, -EINVAL },
	{ "odd address", 0, 8, PAGE_SIZE, MS_SYNC, -EINVAL },
	{ "odd address in a hole", 2, 8, PAGE_SIZE, MS_SYNC, -EINVAL },
	{ "a length that wraps", 0, 0, ~0ul, MS_SYNC, -ENOMEM },
	{ "nearly all addresses", 0, 0, ~0ul - 2 * PAGE_SIZE, MS_SYNC, -ENOMEM },
	{ "a hole", 2, 0, PAGE_SIZE, MS_SYNC, -ENOMEM },
	{ "into a hole", 0, 0, 3 * PAGE_SIZE, MS_SYNC, -ENOMEM },
	{ "out of a hole", 2, 0, 2 * PAGE_SIZE, MS_SYNC, -ENOMEM },
	{ "over a hole", 0, 0, 5 * PAGE_SIZE, MS_SYNC, -ENOMEM },
	{ "over a hole, asynchronous", 0, 0, 5 * PAGE_SIZE, MS_ASYNC, -ENOMEM },
};

KTEST_ON_CPU0(mm_msync, table_of_calls)
{
	struct stage s;

	if (!stage_begin(&s, 5))
		return;
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)stage_slot(&s, 2), PAGE_SIZE), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		vaddr_t va = (vaddr_t)stage_slot(&s, calls[i].page) + calls[i].odd;
		int err = mm_msync(s.mm, va, calls[i].len, calls[i].flags);

		if (err != calls[i].expected)
			ktest_fail(__FILE__, __LINE__, "%s: %d, not %d", calls[i].what, err,
				   calls[i].expected);
	}
	stage_end(&s);
}

/* What is locked in memory may not be made invalid there (rule 69). */
KTEST_ON_CPU0(mm_msync, locked_area_is_not_invalidated)
{
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	find_vma(s.mm, (vaddr_t)s.map)->flags |= VM_LOCKED;
	for (int kind = MS_ASYNC; kind <= MS_SYNC; kind += MS_SYNC - MS_ASYNC) {
		EXPECT_EQ(mm_msync(s.mm, (vaddr_t)s.map, PAGE_SIZE, kind | MS_INVALIDATE), -EBUSY);
		EXPECT_EQ(mm_msync(s.mm, (vaddr_t)s.map, PAGE_SIZE, kind), 0);
	}
	EXPECT_EQ(mm_msync(s.mm, (vaddr_t)s.map, PAGE_SIZE, MS_INVALIDATE), -EBUSY);
	stage_end(&s);
}

/* Both sides of a hole are on the disk, although the call fails (B39). */
KTEST_ON_CPU0(mm_msync, hole_does_not_stop_it)
{
	struct stage s;

	if (!stage_begin(&s, 5))
		return;
	for (pgoff_t i = 0; i < 5; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), i + 1), 0);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)stage_slot(&s, 2), PAGE_SIZE), 0);
	EXPECT_EQ(mm_msync(s.mm, (vaddr_t)s.map, 5 * PAGE_SIZE, MS_SYNC), -ENOMEM);
	for (pgoff_t i = 0; i < 5; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), i == 2 ? 0 : i + 1);
	/* Page 2 is still owed: unmapping wrote nothing and forgot nothing (rule 113). */
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 2, 0), 3);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_msync, only_the_range)
{
	struct stage s;

	if (!stage_begin(&s, 8))
		return;
	for (pgoff_t i = 0; i < 8; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), i + 1), 0);
	EXPECT_EQ(mm_msync(s.mm, (vaddr_t)stage_slot(&s, 3), PAGE_SIZE + 1, MS_SYNC), 0);
	for (pgoff_t i = 0; i < 8; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), i == 3 || i == 4 ? i + 1 : 0);
	stage_end(&s);
}

/* Rule 68: it writes nothing, and what is stored afterwards is tracked like before. */
KTEST_ON_CPU0(mm_msync, async_does_no_io)
{
	struct stats before;
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	stats_snapshot(&before);
	EXPECT_EQ(mm_msync(s.mm, (vaddr_t)s.map, PAGE_SIZE, MS_ASYNC), 0);
	EXPECT_EQ(stat_since(&before, STAT_BIO_WRITES), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT_EQ(mm_msync(s.mm, (vaddr_t)s.map, PAGE_SIZE, MS_SYNC), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_msync, device_error_is_told)
{
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	ramblk_fail(s.fs->dev, BIO_WRITE, 0, ~0ul, 1, 1, -EIO);
	EXPECT_EQ(mm_msync(s.mm, (vaddr_t)s.map, PAGE_SIZE, MS_SYNC), -EIO);
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT_EQ(mm_msync(s.mm, (vaddr_t)s.map, PAGE_SIZE, MS_SYNC), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

/* Rules 71, 72, 113: fsync() alone is enough, whoever stored, and when the mapping, and the whole
 * address space, are gone. */
KTEST_ON_CPU0(mm_msync, fsync_covers_everybody)
{
	struct stage s;
	struct mm *other = test_mm();
	u64 *theirs;

	if (!stage_begin(&s, 4))
		return;
	theirs = testfs_mmap(s.fs, other, 0, 4, RW, MAP_SHARED);
	mm_use(other);
	WRITE_ONCE(theirs[0], 1);
	WRITE_ONCE(theirs[SLOTS_PER_PAGE], 2);
	WRITE_ONCE(theirs[2 * SLOTS_PER_PAGE], 3);
	mm_use(s.mm);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);

	mm_use(other);
	WRITE_ONCE(theirs[0], 11);
	EXPECT_EQ(mm_munmap(other, (vaddr_t)theirs, PAGE_SIZE), 0);
	WRITE_ONCE(theirs[SLOTS_PER_PAGE], 12);
	mm_use(s.mm);
	mm_put(other);
	EXPECT_EQ(s.map[SLOTS_PER_PAGE], 12);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 11);
	EXPECT_EQ(testfs_platter(s.fs, 1, 0), 12);
	EXPECT_EQ(testfs_platter(s.fs, 2, 0), 3);
	stage_end(&s);
}

static int msync_job(void *arg)
{
	struct stage *s = arg;

	return mm_msync(s->mm, (vaddr_t)s->map, s->pages << PAGE_SHIFT, MS_SYNC);
}

/* Rule 70: while it waits for the disk, the areas may be changed under it. */
KTEST_ON_CPU0(mm_msync, areas_change_while_it_waits)
{
	struct stage s;
	struct job j;
	vaddr_t va;

	if (!stage_begin(&s, 4))
		return;
	for (pgoff_t i = 0; i < 4; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), i + 1), 0);
	/* Two areas, so that there is something left to look up when it comes back. */
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)stage_slot(&s, 1), PAGE_SIZE), 0);
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, false);
	job_start(&j, 0, NULL, msync_job, &s);
	EXPECT(ramblk_wait_held(s.fs->dev, 1));
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, 4 * PAGE_SIZE), 0);
	EXPECT_EQ(mm_mmap(s.mm, (vaddr_t)s.map, PAGE_SIZE, RW,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0, &va),
		  0);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(job_end(&j), -ENOMEM);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < 4; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), i + 1);
	stage_end(&s);
}
