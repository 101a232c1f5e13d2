/* SPDX-License-Identifier: MIT */
/*
 * b04_zap_vs_mkclean.c - B4: unmapping against cleaning (rule 55; design section 6, tests/models).
 *
 *	T (munmap)			K (fsync)			W
 *	exchanges the PTE: D=1
 *					finds no PTE: "not mapped",
 *					writes the page, calls it clean
 *									stores by its stale entry
 *	flushes
 *	nobody knows of W's store
 *
 * T holds i_mmap_rwsem from the exchange to the end of the flush, so that K waits; and where D was
 * all that told of the store, T leaves PG_d_seen for K.
 */
#include "tests/util.h"

KTEST_ON_CPU0(races, b04_zap_vs_mkclean)
{
	struct stage s;
	struct gate zap;
	struct job t, k;
	int err;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	gate_arm(&zap, "zap_before_flush", NULL);
	job_start(&t, 0, s.mm, stage_munmap_job, &s);
	gate_wait(&zap);
	job_start(&k, 0, NULL, testfs_fsync_job, s.fs);
	job_settles(&k);

	remote_try_store(&s.w, s.map, 2);
	gate_disarm(&zap);
	err = remote_wait(&s.w); /* the stale entry may have been lost: then it faulted */
	EXPECT_EQ(job_end(&t), 0);
	EXPECT_EQ(job_end(&k), 0);

	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), err ? 1 : 2);
	stage_end(&s);
}

/* The store is known from D alone, and the PTE goes before anybody asked it. */
KTEST_ON_CPU0(races, b04_zap_keeps_d)
{
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = &test_policy_silent;
	EXPECT_EQ(remote_store(&s.w, s.map, 7), 0);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, PAGE_SIZE), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 7);
	stage_end(&s);
}

/*
 * Cleaning that leaves the page writable: a D that comes after it belongs to the next sync.
 *
 *	K (fsync)			W			T (munmap)
 *	clears D, flushes
 *					stores 2: D again
 *								exchanges: D=1, PG_d_seen
 *	takes PG_d_seen for its own,
 *	writes the page
 *					stores 3, stale entry
 *								flushes
 *	the next fsync finds neither D nor PG_d_seen
 *
 * So K must take the flag before it lets i_mmap_rwsem go.
 */
KTEST_ON_CPU0(races, b04_flag_of_the_next_sync)
{
	struct stage s;
	struct gate cleaned, zap;
	struct job t, k;
	int err;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	gate_arm(&cleaned, "mkclean_before_decide", &s.fs->mapping);
	gate_arm(&zap, "zap_before_flush", NULL);
	job_start(&k, 0, NULL, testfs_fsync_job, s.fs);
	gate_wait(&cleaned);
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	job_start(&t, 0, s.mm, stage_munmap_job, &s);
	job_settles(&t); /* at the gate, or waiting for i_mmap_rwsem */
	gate_disarm(&cleaned);
	EXPECT_EQ(job_end(&k), 0);
	gate_wait(&zap);

	remote_try_store(&s.w, s.map, 3);
	gate_disarm(&zap);
	err = remote_wait(&s.w);
	EXPECT_EQ(job_end(&t), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), err ? 2 : 3);
	stage_end(&s);
}
