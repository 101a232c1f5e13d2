/* SPDX-License-Identifier: MIT */
/*
 * b37_tag_cleared_early.c - B37: a page that is neither dirty nor under I/O, and not on the disk
 * (rules 29, 30).
 *
 *	K (background)			S (fsync)
 *	cleans the page, takes TAG_DIRTY off
 *					finds no dirty page and none under I/O:
 *					returns, and the store is not on the disk
 *	sets WRITEBACK, starts the I/O
 *
 * TAG_DIRTY goes at the same moment as TAG_WRITEBACK comes, and the page is locked until then.
 */
#include "tests/util.h"

struct sync {
	struct testfs *fs;
	u64 platter; /* when fsync returned */
};

static int sync_job(void *arg)
{
	struct sync *s = arg;
	int err = testfs_fsync(s->fs);

	s->platter = testfs_platter(s->fs, 0, 0);
	return err;
}

static int background_job(void *arg)
{
	testfs_background(arg);
	return 0;
}

/* K stands at @point while S comes. */
static void sync_while_k_stands_at(const char *point)
{
	struct stage s;
	struct gate gate;
	struct job k, sync;
	struct sync seen = { 0 };

	if (!stage_begin(&s, 1))
		return;
	seen.fs = s.fs;
	EXPECT_EQ(remote_store(&s.w, s.map, 5), 0);
	gate_arm(&gate, point, &s.fs->mapping);
	job_start(&k, 0, NULL, background_job, s.fs);
	gate_wait(&gate);
	job_start(&sync, 0, NULL, sync_job, &seen);
	job_settles(&sync);
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&k), 0);
	EXPECT_EQ(job_end(&sync), 0);
	EXPECT_EQ(seen.platter, 5);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b37_tag_cleared_early)
{
	sync_while_k_stands_at("mkclean_before_flush");
	sync_while_k_stands_at("cleaned_before_writeback");
}

/* And while the I/O is under way, S waits for it, though nothing is dirty. */
KTEST_ON_CPU0(races, b37_sync_waits_for_writeback)
{
	struct stage s;
	struct job sync;
	struct sync seen = { 0 };

	if (!stage_begin(&s, 1))
		return;
	seen.fs = s.fs;
	EXPECT_EQ(remote_store(&s.w, s.map, 6), 0);
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, false);
	testfs_background(s.fs);
	EXPECT(ramblk_wait_held(s.fs->dev, 1));
	job_start(&sync, 0, NULL, sync_job, &seen);
	job_settles(&sync);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(job_end(&sync), 0);
	EXPECT_EQ(seen.platter, 6);
	stage_end(&s);
}
