/* SPDX-License-Identifier: MIT */
/*
 * test_fork.c - a store to a page that a device reads gets a page of its own (T21): what the device
 * reads does not change, nobody waits, and everybody who must wait waits for the right I/O.
 */
#include <string.h>
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "kernel/lib/bitmap.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

/* Page 0 was stored 1 to, and its I/O is held: the device has not read memory yet. It ends with
 * @error. */
static bool begin_io(struct stage *s, int error)
{
	if (!stage_begin(s, 1))
		return false;
	s->fs->mapping.policy = policy_find("forked");
	EXPECT_EQ(remote_store(&s->w, s->map, 1), 0);
	if (error)
		ramblk_fail(s->fs->dev, BIO_WRITE, 0, ~0ul, 1, 1, error);
	ramblk_hold(s->fs->dev, 1 << BIO_WRITE, false);
	testfs_background(s->fs);
	EXPECT(ramblk_wait_held(s->fs->dev, 1));
	EXPECT(page_under_io(testfs_page(s->fs, 0)));
	return true;
}

static bool begin(struct stage *s)
{
	return begin_io(s, 0);
}

KTEST_ON_CPU0(mm_fork, device_reads_what_it_was_given)
{
	struct stats before;
	struct page *old, *copy;
	struct stage s;

	if (!begin(&s))
		return;
	old = testfs_page(s.fs, 0);
	stats_snapshot(&before);
	/* Returns although the I/O is held: nobody waits. */
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	copy = testfs_page(s.fs, 0);
	EXPECT(copy != old);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_FORKED), 1);
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 1);
	EXPECT_EQ(*(u64 *)page_address(old), 1);
	EXPECT_EQ(*s.map, 2);
	/* The place stays under writeback, the frame does not. */
	EXPECT(page_writeback(copy) && !page_under_io(copy));
	EXPECT_EQ(copy->dirty, PAGE_DIRTY);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_WRITEBACK), 1);

	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT(!page_writeback(copy));
	EXPECT_EQ(s.fs->mapping.nr_replaced, 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

/* The copy may be stored to as any page: its frame is nobody's business but the file's. */
KTEST_ON_CPU0(mm_fork, copy_is_not_copied_again)
{
	struct page *copy;
	struct stage s;
	u64 v;

	if (!begin(&s))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	copy = testfs_page(s.fs, 0);
	unmap_mapping_range(&s.fs->mapping, 0, 0, ZAP_FILE_ONLY);
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	EXPECT_EQ(v, 2);
	EXPECT_EQ(remote_store(&s.w, s.map, 3), 0);
	EXPECT(testfs_page(s.fs, 0) == copy);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 3);
	stage_end(&s);
}

/* One request after the other for the same block, or the older bytes could come last. */
KTEST_ON_CPU0(mm_fork, sync_waits_for_the_old_frame)
{
	struct stage s;
	struct job sync;

	if (!begin(&s))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	job_start(&sync, 0, NULL, testfs_fsync_job, s.fs);
	EXPECT(job_settles(&sync));
	EXPECT_EQ(ramblk_nr_held(s.fs->dev), 1);
	/* As often as it waits for the disk: the latest request ends first. */
	while (job_settles(&sync))
		ramblk_release(s.fs->dev, ~0u, RAMBLK_LIFO);
	EXPECT_EQ(job_end(&sync), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

/* Background passes over what is under I/O, and does not forget it. */
KTEST_ON_CPU0(mm_fork, background_leaves_the_copy_alone)
{
	struct stage s;

	if (!begin(&s))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	testfs_background(s.fs);
	EXPECT_EQ(ramblk_nr_held(s.fs->dev), 1);
	ramblk_unhold(s.fs->dev);
	testfs_background(s.fs);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_fork, two_forks_of_one_place)
{
	struct stats before;
	struct stage s;

	if (!begin(&s))
		return;
	stats_snapshot(&before);
	for (u64 v = 2; v < 4; v++) {
		EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		EXPECT_EQ(stat_since(&before, STAT_PAGES_FORKED), v - 1);
		EXPECT_EQ(ramblk_release(s.fs->dev, 1, RAMBLK_FIFO), 1);
		EXPECT_EQ(testfs_platter(s.fs, 0, 0), v - 1);
		testfs_background(s.fs);
		EXPECT(ramblk_wait_held(s.fs->dev, 1));
	}
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 3);
	stage_end(&s);
}

/* A whole run of pages in one request, some of them forked: first, last, neighbours, none. */
KTEST_ON_CPU0(mm_fork, some_pages_of_one_request)
{
	static const u64 forked[] = { 0x1, 0x80, 0x18, 0xff, 0x55 };
	struct stage s;

	if (!stage_begin(&s, 8))
		return;
	s.fs->mapping.policy = policy_find("forked");
	for (unsigned int round = 0; round < ARRAY_SIZE(forked); round++) {
		u64 v = 10 * round;

		for (pgoff_t i = 0; i < 8; i++)
			EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), v + 1), 0);
		ramblk_hold(s.fs->dev, 1 << BIO_WRITE, false);
		testfs_background(s.fs);
		EXPECT(ramblk_wait_held(s.fs->dev, 1));
		for (pgoff_t i = 0; i < 8; i++)
			if (forked[round] >> i & 1)
				EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), v + 2), 0);
		EXPECT_EQ(s.fs->mapping.nr_replaced, popcount64(forked[round]));
		ramblk_unhold(s.fs->dev);
		EXPECT_EQ(s.fs->mapping.nr_replaced, 0);
		EXPECT_EQ(testfs_count_tag(s.fs, TAG_WRITEBACK), 0);
		for (pgoff_t i = 0; i < 8; i++) {
			EXPECT(!page_writeback(testfs_page(s.fs, i)));
			EXPECT_EQ(testfs_platter(s.fs, i, 0), v + 1);
		}
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		for (pgoff_t i = 0; i < 8; i++)
			EXPECT_EQ(testfs_platter(s.fs, i, 0), v + 1 + (forked[round] >> i & 1));
	}
	stage_end(&s);
}

/* --- who else maps it --- */

KTEST_ON_CPU0(mm_fork, everybody_sees_the_copy)
{
	struct mm *mm = test_mm();
	struct stage s;
	struct remote r;
	u64 *map, *private, v;

	if (!begin(&s)) {
		mm_put(mm);
		return;
	}
	map = testfs_mmap(s.fs, mm, 0, 1, PROT_READ, MAP_SHARED);
	private = testfs_mmap(s.fs, mm, 0, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	remote_start(&r, 2, mm);
	EXPECT_EQ(remote_load(&r, map, &v), 0);
	EXPECT_EQ(remote_load(&r, private, &v), 0);
	EXPECT_EQ(v, 1);

	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT_EQ(remote_load(&r, map, &v), 0);
	EXPECT_EQ(v, 2);
	EXPECT_EQ(remote_load(&r, private, &v), 0);
	EXPECT_EQ(v, 2);
	EXPECT_EQ(testfs_read(s.fs, 0, &v, sizeof(v)), sizeof(v));
	EXPECT_EQ(v, 2);
	remote_stop(&r);
	ramblk_unhold(s.fs->dev);
	mm_put(mm);
	stage_end(&s);
}

/* A private copy is nobody's page but its own. */
KTEST_ON_CPU0(mm_fork, private_copies_stay)
{
	struct stage s;
	u64 *private, v;

	if (!begin(&s))
		return;
	private = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	EXPECT_EQ(remote_store(&s.w, private, 77), 0);
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT_EQ(remote_load(&s.w, private, &v), 0);
	EXPECT_EQ(v, 77);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

/* --- truncate --- */

static struct testfs *to_cut;

static int truncate_job(void *size)
{
	return testfs_truncate(to_cut, (u64)size);
}

KTEST_ON_CPU0(mm_fork, truncate_waits_for_the_old_frame)
{
	struct stage s;
	struct job cut;
	u64 v;

	if (!begin(&s))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	to_cut = s.fs;
	job_start(&cut, 0, NULL, truncate_job, (void *)0);
	EXPECT(job_settles(&cut));
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(job_end(&cut), 0);
	EXPECT_EQ(probe_load8(s.map, &v), -EFAULT);
	EXPECT_EQ(s.fs->mapping.pages.nr, 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 0);
	stage_end(&s);
}

/*
 *	F (fault)				T (truncate)
 *	locks the page, looks at the size
 *						new size; finds the old frame, waits
 *						for its lock
 *	forks it
 *						not in the file: passes it over
 *	maps the copy beyond the end
 */
KTEST_ON_CPU0(mm_fork, truncate_during_the_fork)
{
	struct stage s;
	struct gate gate;
	struct job cut;
	u64 v;

	if (!begin(&s))
		return;
	to_cut = s.fs;
	gate_arm(&gate, "fork_copied", testfs_page(s.fs, 0));
	remote_try_store(&s.w, s.map, 2);
	gate_wait(&gate);
	job_start(&cut, 0, NULL, truncate_job, (void *)0);
	EXPECT(job_settles(&cut));
	gate_disarm(&gate);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(remote_wait(&s.w), -EFAULT);
	EXPECT_EQ(job_end(&cut), 0);
	EXPECT_EQ(s.fs->mapping.pages.nr, 0);
	EXPECT_EQ(probe_load8(s.map, &v), -EFAULT);
	stage_end(&s);
}

/* The tail of the page that stays must be cut off the copy, whoever finds it first. */
KTEST_ON_CPU0(mm_fork, partial_truncate_during_the_fork)
{
	struct stage s;
	struct gate gate;
	struct job cut;

	if (!begin(&s))
		return;
	to_cut = s.fs;
	gate_arm(&gate, "fork_copied", testfs_page(s.fs, 0));
	remote_try_store(&s.w, s.map + 100, 2);
	gate_wait(&gate);
	job_start(&cut, 0, NULL, truncate_job, (void *)80);
	EXPECT(job_settles(&cut));
	gate_disarm(&gate);
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT(job_settles(&cut));
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(job_end(&cut), 0);
	EXPECT_EQ(((u64 *)page_address(testfs_page(s.fs, 0)))[100], 0);
	EXPECT_EQ(*s.map, 1);
	stage_end(&s);
}

/* The I/O ends while the copy is made: there is nothing to fork any more. */
KTEST_ON_CPU0(mm_fork, io_ends_during_the_fork)
{
	struct stats before;
	struct page *page;
	struct gate gate;
	struct stage s;

	if (!begin(&s))
		return;
	page = testfs_page(s.fs, 0);
	stats_snapshot(&before);
	gate_arm(&gate, "fork_copied", page);
	remote_try_store(&s.w, s.map, 2);
	gate_wait(&gate);
	ramblk_unhold(s.fs->dev);
	EXPECT(!page_writeback(page));
	gate_disarm(&gate);
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT(testfs_page(s.fs, 0) == page);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_FORKED), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

/* --- the kernel's own stores --- */

static int write_job(void *fs)
{
	u64 v = 5;

	return testfs_write(fs, 8, &v, sizeof(v)) == sizeof(v) ? 0 : -1;
}

/* write() waits for the device where pages were promised to be stable, and not where they were
 * not. */
KTEST_ON_CPU0(mm_fork, write_waits_for_a_stable_page)
{
	struct stage s;
	struct job w;

	if (!begin(&s))
		return;
	job_start(&w, 0, NULL, write_job, s.fs);
	EXPECT(job_settles(&w));
	EXPECT_EQ(((u64 *)page_address(testfs_page(s.fs, 0)))[1], 0);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(job_end(&w), 0);

	s.fs->mapping.policy = policy_find("write_notify");
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, false);
	testfs_background(s.fs);
	EXPECT(ramblk_wait_held(s.fs->dev, 1));
	job_start(&w, 0, NULL, write_job, s.fs);
	EXPECT(!job_settles(&w));
	EXPECT_EQ(job_end(&w), 0);
	ramblk_unhold(s.fs->dev);
	stage_end(&s);
}

/* A failed write is the file's, whichever frame it was. */
KTEST_ON_CPU0(mm_fork, error_is_reported)
{
	struct stage s;

	if (!begin_io(&s, -EIO))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(testfs_fsync(s.fs), -EIO);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}
