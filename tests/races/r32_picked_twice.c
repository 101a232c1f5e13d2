/* SPDX-License-Identifier: MIT */
/*
 * r32_picked_twice.c - three syncs of a page that stays writable (rule 31; NO_PICK of
 * tests/models/harvest.pml).
 *
 *	K0			K1			W		K2
 *	cleans the page
 *				has picked it, waits
 *				for its lock
 *	TOWRITE off, I/O
 *							stores 2: D
 *				cleans it: D is gone
 *									finds no D, no
 *									TOWRITE, no I/O,
 *									and returns
 *				I/O
 *
 * So a page that had D when it was cleaned is picked again before i_mmap_rwsem is let go.
 */
#include "tests/util.h"

KTEST_ON_CPU0(races, r32_picked_twice)
{
	struct gate first, second;
	struct job k0, k1, k2;
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	gate_arm(&first, "cleaned_before_writeback", &s.fs->mapping);
	job_start(&k0, 0, NULL, testfs_fsync_job, s.fs);
	gate_wait(&first);
	job_start(&k1, 0, NULL, testfs_fsync_job, s.fs);
	job_settles(&k1);
	/* The device has read the page when W stores. K1 gets the lock, and waits for the I/O,
	 * until the gate stands again. */
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, true);
	gate_disarm(&first);
	job_settles(&k0);
	job_settles(&k1);
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	gate_arm(&second, "cleaned_before_writeback", &s.fs->mapping);
	ramblk_unhold(s.fs->dev);
	gate_wait(&second);

	job_start(&k2, 0, NULL, testfs_fsync_job, s.fs);
	if (!job_settles(&k2))
		EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	gate_disarm(&second);
	EXPECT_EQ(job_end(&k0), 0);
	EXPECT_EQ(job_end(&k1), 0);
	EXPECT_EQ(job_end(&k2), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}
