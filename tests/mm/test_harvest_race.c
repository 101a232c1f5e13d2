/* SPDX-License-Identifier: MIT */
/*
 * test_harvest_race.c - harvest against all that goes on at the same time; kernel/mm/harvest.c
 * states the interleavings.
 */
#include "kernel/core/stat.h"
#include "kernel/mm/harvest.h"
#include "tests/util.h"

static struct stage s;

static int harvest_job(void *arg)
{
	return (int)mapping_harvest(&s.fs->mapping, 0, ~0ul, HARVEST_MSYNC);
}

static int background_job(void *arg)
{
	testfs_background(s.fs);
	return 0;
}

static int truncate_job(void *arg)
{
	return testfs_truncate(s.fs, 0);
}

static bool begin(u64 pages)
{
	if (!stage_begin(&s, pages))
		return false;
	s.fs->mapping.policy = &test_policy_clear_d;
	for (pgoff_t i = 0; i < pages; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), 0);
	return true;
}

/* H has taken D and not flushed; @fn comes; W stores by its stale entry; H goes on. */
static void meet(struct gate *g, struct job *h, struct job *other, int (*fn)(void *), void *arg)
{
	gate_arm(g, "harvest_before_flush", &s.fs->mapping);
	job_start(h, 0, NULL, harvest_job, NULL);
	gate_wait(g);
	job_start(other, 0, s.mm, fn, arg);
	job_settles(other);
	remote_try_store(&s.w, s.map, 2);
	gate_disarm(g);
}

/* The unmapping waits, or it would find no D, and nobody flushed. */
KTEST_ON_CPU0(mm_harvest, against_zap)
{
	struct gate g;
	struct job h, t;
	int err;

	if (!begin(1))
		return;
	meet(&g, &h, &t, stage_munmap_job, &s);
	err = remote_wait(&s.w);
	EXPECT_EQ(job_end(&h), 1);
	EXPECT_EQ(job_end(&t), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), err ? 1 : 2);
	stage_end(&s);
}

/* So does cleaning: it would write the page, and W would store on behind it. */
KTEST_ON_CPU0(mm_harvest, against_cleaning)
{
	struct gate g;
	struct job h, k;

	if (!begin(1))
		return;
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	meet(&g, &h, &k, background_job, NULL);
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT_EQ(job_end(&h), 1);
	EXPECT_EQ(job_end(&k), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

/* So does another sync: the D that H has in its hand is its own store, too. */
KTEST_ON_CPU0(mm_harvest, against_another_sync)
{
	struct gate g;
	struct job h, k;

	if (!begin(2))
		return;
	gate_arm(&g, "harvest_before_flush", &s.fs->mapping);
	job_start(&h, 0, NULL, harvest_job, NULL);
	gate_wait(&g);
	job_start(&k, 0, NULL, testfs_fsync_job, s.fs);
	job_settles(&k);
	EXPECT(!READ_ONCE(k.done));
	gate_disarm(&g);
	EXPECT_EQ(job_end(&k), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(testfs_platter(s.fs, 1, 0), 1);
	EXPECT_EQ(job_end(&h), 2);
	stage_end(&s);
}

/* The page must not leave the file while its D is being recorded. */
KTEST_ON_CPU0(mm_harvest, against_truncate)
{
	struct gate g;
	struct job h, t;

	if (!begin(1))
		return;
	meet(&g, &h, &t, truncate_job, NULL);
	remote_wait(&s.w);
	EXPECT_EQ(job_end(&h), 1);
	EXPECT_EQ(job_end(&t), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_TOWRITE), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	stage_end(&s);
}

static void store_now(void *object, void *arg)
{
	if (object == &s.fs->mapping && *s.map == 1)
		remote_try_store(&s.w, s.map, 2);
}

/* A store between the scan and the flush: its D is in the PTE, or it went through the old entry,
 * which the flush ended before anybody read the page. */
KTEST_ON_CPU0(mm_harvest, store_between_scan_and_flush)
{
	if (!begin(1))
		return;
	BUG_ON(delay_arm("harvest_before_flush", store_now, NULL));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	delay_disarm("harvest_before_flush");
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

/*
 * P7, the other order: K has decided that the page is MAYBE_DIRTY again and not tagged it yet; W
 * stores; its PTE goes. The flag is set while the page still has TAG_DIRTY.
 *
 *	K (background)			W		T (munmap, or a harvest for times)
 *	decides, lets i_mmap_rwsem go
 *					stores
 *							D: PG_d_seen; DIRTY, so no TAG_TOWRITE
 *	TAG_MAYBE, takes TAG_DIRTY and
 *	TAG_TOWRITE: nobody visits the page
 */
static void unmapped_before_tagged(int (*fn)(void *), void *arg, int want)
{
	struct gate g;
	struct job k;

	if (!begin(1))
		return;
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	lock_page(testfs_page(s.fs, 0));
	set_page_dirty(testfs_page(s.fs, 0));
	unlock_page(testfs_page(s.fs, 0));
	gate_arm(&g, "cleaned_before_writeback", &s.fs->mapping);
	job_start(&k, 0, NULL, background_job, NULL);
	gate_wait(&g);
	EXPECT_EQ(remote_store(&s.w, s.map, 5), 0);
	EXPECT_EQ(fn(arg), want);
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, true); /* what K writes may be older */
	gate_disarm(&g);
	EXPECT_EQ(job_end(&k), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_TOWRITE), 1);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(s.fs->pages_written, 3);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 5);
	stage_end(&s);
}

static int times_job(void *arg)
{
	return (int)mapping_harvest(&s.fs->mapping, 0, ~0ul, HARVEST_TIMES);
}

KTEST_ON_CPU0(mm_harvest, d_found_before_the_page_is_tagged)
{
	unmapped_before_tagged(stage_munmap_job, &s, 0);
	unmapped_before_tagged(times_job, NULL, 1);
}
