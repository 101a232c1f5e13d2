/* SPDX-License-Identifier: MIT */
/*
 * b12_io_before_batched_flush.c - B12: the I/O of a page that reclaim has unmapped (rules 42, 57).
 *
 *	R (reclaim)			K (flusher, fsync)		W
 *	exchanges the PTE: D=1;
 *	the flush waits for others
 *					writes the page, calls it clean
 *									stores by its stale entry
 *	flushes, finds it clean,
 *	frees the frame
 *	the store is lost
 *
 * R keeps the page locked from the exchange to the end of the flush, so that K waits.
 */
#include "kernel/mm/reclaim.h"
#include "tests/util.h"

static int reclaim_first(void *arg)
{
	struct testfs *fs = arg;

	return reclaim_page(find_get_page(&fs->mapping, 0));
}

static void io_before_flush(const struct dirty_policy *policy)
{
	struct gate flush;
	struct job r, k;
	struct stage s;
	int err;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = policy;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	gate_arm(&flush, "unmap_before_flush", NULL);
	job_start(&r, 0, NULL, reclaim_first, s.fs);
	gate_wait(&flush);
	job_start(&k, 0, NULL, testfs_fsync_job, s.fs);
	job_settles(&k);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 0);

	remote_try_store(&s.w, s.map, 2);
	gate_disarm(&flush);
	err = remote_wait(&s.w); /* the stale entry may have been lost: then it faulted */
	job_end(&r);
	EXPECT_EQ(job_end(&k), 0);
	if (err)
		return stage_end(&s);
	/* K or the next sync has it, or it is still in memory; nowhere else. */
	EXPECT_EQ(READ_ONCE(*s.map), 2);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b12_io_before_batched_flush)
{
	io_before_flush(NULL);
}

/* Only D tells of the first store. */
KTEST_ON_CPU0(races, b12_io_before_batched_flush_silent)
{
	io_before_flush(&test_policy_clear_d);
}

/*
 * Rule 38, 56: the frame is not free, and mapcount says that it is mapped, while the flush is owed.
 * What is stored meanwhile goes to the page, not to the frame's next owner.
 */
KTEST_ON_CPU0(races, b12_frame_before_flush)
{
	struct page *page;
	struct gate flush;
	struct stage s;
	struct job r;
	u64 v = 0;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	page = testfs_page(s.fs, 0);
	gate_arm(&flush, "unmap_before_flush", NULL);
	job_start(&r, 0, NULL, reclaim_first, s.fs);
	gate_wait(&flush);
	EXPECT_EQ(test_pte(s.mm, s.map).v, 0);
	EXPECT_EQ(atomic_load(&page->mapcount), 1);
	EXPECT(atomic_load(&page->refs) >= PAGE_CACHED + 2);
	EXPECT_EQ(testfs_page(s.fs, 0), page);
	gate_disarm(&flush);
	EXPECT_EQ(job_end(&r), 1);
	EXPECT(!testfs_page(s.fs, 0));
	/* What the disk has by now is found by who has no old translation. */
	testfs_set_platter(s.fs, 0, 0, 2);
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	EXPECT_EQ(v, 2);
	stage_end(&s);
}
