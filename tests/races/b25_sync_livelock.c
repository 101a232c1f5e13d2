/* SPDX-License-Identifier: MIT */
/*
 * b25_sync_livelock.c - B25: a sync ends although stores go on (rule 32).
 *
 *	S (fsync)			W
 *	writes the first dirty pages
 *					stores into pages ahead
 *	finds more dirty pages, writes them
 *					... and so on, to the end of a file without end
 *
 * S marks first what was dirty when it came, and writes only that. A mark is taken off by nobody
 * but who starts to write the page:
 *
 *	S				K (background)			W
 *					writes the page, old bytes
 *									stores
 *	marks the page
 *					passes it over: it is busy,
 *					and takes the mark off
 *	finds no mark, returns: W's store is not on the disk
 */
#include "tests/util.h"

#define CHUNK	  WRITEBACK_BATCH
#define NR_CHUNKS 4

static pgoff_t dirtied; /* pages so far */

static void dirty_chunk(struct testfs *fs)
{
	for (pgoff_t end = dirtied + CHUNK; dirtied < end; dirtied++) {
		u64 v = dirtied + 1;

		EXPECT_EQ(testfs_write(fs, dirtied << PAGE_SHIFT, &v, sizeof(v)), sizeof(v));
	}
}

/* W, always one step ahead; the end of the file is there only so that the test has an end too. */
static void dirty_ahead(struct testfs *fs, struct page_list *pages)
{
	if (dirtied < NR_CHUNKS * CHUNK)
		dirty_chunk(fs);
}

KTEST_ON_CPU0(races, b25_sync_livelock)
{
	struct testfs *fs = testfs_create(NR_CHUNKS * CHUNK);
	u64 first_of_next;

	if (!fs)
		return;
	dirtied = 0;
	dirty_chunk(fs);
	fs->before_write = dirty_ahead;
	EXPECT_EQ(testfs_fsync(fs), 0);
	fs->before_write = NULL;

	for (pgoff_t i = 0; i < CHUNK; i++)
		if (testfs_platter(fs, i, 0) != i + 1)
			ktest_fail(__FILE__, __LINE__, "page %lu is not on the disk",
				   (unsigned long)i);
	/* What was stored later may be there or not; but not all of it, up to the end. */
	first_of_next = testfs_platter(fs, (NR_CHUNKS - 1) * CHUNK, 0);
	EXPECT_EQ(first_of_next, 0);
	EXPECT(dirtied < NR_CHUNKS * CHUNK);
	testfs_destroy(fs);
}

KTEST_ON_CPU0(races, b25_mark_survives_skipping_pass)
{
	struct stage s;
	struct gate tagged;
	struct job sync;

	if (!stage_begin(&s, 1))
		return;
	s.fs->bounce = true;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, false);
	testfs_background(s.fs);
	EXPECT(ramblk_wait_held(s.fs->dev, 1));
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);

	gate_arm(&tagged, "tagged_towrite", &s.fs->mapping);
	job_start(&sync, 0, NULL, testfs_fsync_job, s.fs);
	gate_wait(&tagged);
	testfs_background(s.fs);
	gate_disarm(&tagged);
	job_settles(&sync);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(job_end(&sync), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}
