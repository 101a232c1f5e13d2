/* SPDX-License-Identifier: MIT */
/*
 * b13_batched_then_munmap.c - B13: unmapping where a batch's flush is still owed (rule 58).
 *
 *	R (reclaim)			T (munmap)			W
 *	exchanges the PTE
 *					finds no PTE, flushes nothing,
 *					returns
 *									stores by its stale entry
 *									after the munmap
 *	flushes
 *
 * R holds i_mmap_rwsem until its flush is acknowledged, and T wants it: for the area, or for its
 * range of pages (truncate).
 */
#include "kernel/mm/reclaim.h"
#include "tests/util.h"

static int reclaim_first(void *arg)
{
	struct testfs *fs = arg;

	return reclaim_page(find_get_page(&fs->mapping, 0));
}

static int truncate_job(void *fs)
{
	return testfs_truncate(fs, 0);
}

static void against(int (*fn)(void *arg), bool truncates)
{
	struct gate flush;
	struct job r, t;
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	gate_arm(&flush, "unmap_before_flush", NULL);
	job_start(&r, 0, NULL, reclaim_first, s.fs);
	gate_wait(&flush);
	job_start(&t, 0, s.mm, fn, truncates ? (void *)s.fs : &s);
	/* It waits, and does not say that it is done while W may store. */
	EXPECT(job_settles(&t) != NULL);
	gate_disarm(&flush);
	EXPECT_EQ(job_end(&t), 0);
	EXPECT_EQ(job_end(&r), 0); /* dirty, it stays */
	EXPECT(remote_store(&s.w, s.map, 2) != 0);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b13_batched_then_munmap)
{
	against(stage_munmap_job, false);
}

KTEST_ON_CPU0(races, b13_batched_then_truncate)
{
	against(truncate_job, true);
}
