/* SPDX-License-Identifier: MIT */
/*
 * b03_clear_after_io.c - B3: stores during a page's I/O, and the next sync (rules 27, 30, 31).
 *
 *	K				W			device
 *	starts to write the page				has read the old bytes
 *					stores
 *	I/O ends: marks the page clean
 *	the next fsync finds nothing to do: the store is lost
 *
 * and, for the sync that comes while that I/O is under way:
 *
 *	K	starts to write 1
 *	W	stores 2
 *	S	writes 2 at once, without waiting for the first I/O
 *		the device ends the second request, then the first: 1 is what stays
 */
#include "kernel/mm/policy.h"
#include "tests/util.h"

static void with_policy(const struct dirty_policy *policy)
{
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = policy;
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 0), 1), 0);
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, true);
	testfs_background(s.fs);
	EXPECT(ramblk_wait_held(s.fs->dev, 1));
	EXPECT(page_writeback(testfs_page(s.fs, 0)));

	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 0), 2), 0);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);

	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b03_clear_after_io)
{
	with_policy(NULL);
	with_policy(&test_policy_silent);
	with_policy(&test_policy_clear_d);
}

KTEST_ON_CPU0(races, b03_sync_waits_for_io_in_flight)
{
	struct stage s;
	struct job sync;

	if (!stage_begin(&s, 1))
		return;
	s.fs->bounce = true;
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 0), 1), 0);
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, false);
	testfs_background(s.fs);
	EXPECT(ramblk_wait_held(s.fs->dev, 1));
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 0), 2), 0);

	job_start(&sync, 0, NULL, testfs_fsync_job, s.fs);
	/* As often as it waits for the disk: the latest request ends first. */
	while (job_settles(&sync))
		ramblk_release(s.fs->dev, ~0u, RAMBLK_LIFO);
	EXPECT_EQ(job_end(&sync), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}
