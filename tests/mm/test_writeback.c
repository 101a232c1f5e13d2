/* SPDX-License-Identifier: MIT */
/*
 * test_writeback.c - which pages are written, what is left behind, what errors do (rules 29-35).
 */
#include <sys/errno.h>

#include "kernel/core/stat.h"
#include "tests/util.h"

static void store(struct testfs *fs, pgoff_t page, u64 v)
{
	EXPECT_EQ(testfs_write(fs, page << PAGE_SHIFT, &v, sizeof(v)), sizeof(v));
}

/* Around the sizes of a gang, a leaf of the tree and a batch; every page, every 2nd or 65th. */
KTEST_ON_CPU0(mm_writeback, batches_of_every_size)
{
	static const u64 sizes[] = { 1, 63, 64, 65, 128, 960, 961, 1023, 1024, 1025, 1100 };
	static const u64 steps[] = { 1, 2, 65 };
	struct testfs *fs = testfs_create(2300);
	u64 v = 1;

	if (!fs)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes) * ARRAY_SIZE(steps); i++, v++) {
		u64 step = steps[i % ARRAY_SIZE(steps)];
		u64 n = min(sizes[i / ARRAY_SIZE(steps)], fs->nr_pages / step), missing = 0;

		fs->pages_written = 0;
		for (u64 k = 0; k < n; k++)
			store(fs, k * step, v);
		EXPECT_EQ(testfs_fsync(fs), 0);
		EXPECT_EQ(fs->pages_written, n);
		for (u64 k = 0; k < n; k++)
			missing += testfs_platter(fs, k * step, 0) != v;
		if (missing)
			ktest_fail(__FILE__, __LINE__, "%lu of %lu pages, every %luth: not there",
				   (unsigned long)missing, (unsigned long)n, (unsigned long)step);
		EXPECT_EQ(testfs_count_tag(fs, TAG_DIRTY), 0);
		EXPECT_EQ(testfs_count_tag(fs, TAG_TOWRITE), 0);
		EXPECT_EQ(testfs_count_tag(fs, TAG_WRITEBACK), 0);
	}
	testfs_destroy(fs);
}

KTEST_ON_CPU0(mm_writeback, only_the_range_is_written)
{
	struct testfs *fs = testfs_create(200);

	if (!fs)
		return;
	for (pgoff_t i = 0; i < 200; i++)
		store(fs, i, i + 1);
	EXPECT_EQ(filemap_write_and_wait_range(&fs->mapping, 50, 130, HARVEST_FSYNC), 0);
	EXPECT_EQ(fs->pages_written, 81);
	EXPECT_EQ(testfs_count_tag(fs, TAG_DIRTY), 200 - 81);
	for (pgoff_t i = 0; i < 200; i++)
		EXPECT_EQ(testfs_platter(fs, i, 0), i >= 50 && i <= 130 ? i + 1 : 0);
	testfs_destroy(fs);
}

/* The tags of a page on its way (rules 29, 30). */
KTEST_ON_CPU0(mm_writeback, tags_follow_the_page)
{
	struct stage s;
	struct page *page;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	page = testfs_page(s.fs, 0);
	EXPECT_EQ(page->dirty, PAGE_DIRTY);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);

	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, false);
	testfs_background(s.fs);
	EXPECT(page_writeback(page));
	EXPECT_EQ(page->dirty, PAGE_CLEAN);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_WRITEBACK), 1);
	EXPECT_EQ(s.fs->mapping.nr_writeback, 1);

	/* Stored to during its I/O: both, and both are told when the I/O ends. */
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT_EQ(page->dirty, PAGE_DIRTY);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_WRITEBACK), 1);
	ramblk_unhold(s.fs->dev);
	EXPECT(!page_writeback(page));
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_WRITEBACK), 0);
	EXPECT_EQ(s.fs->mapping.nr_writeback, 0);
	stage_end(&s);
}

/* Background neither waits for a page under I/O nor for a page lock (rule 31). */
KTEST_ON_CPU0(mm_writeback, background_waits_for_nothing)
{
	struct stage s;
	struct page *page;

	if (!stage_begin(&s, 3))
		return;
	for (pgoff_t i = 0; i < 3; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), 0);
	page = testfs_page(s.fs, 1);
	lock_page(page);
	testfs_background(s.fs);
	unlock_page(page);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(testfs_platter(s.fs, 1, 0), 0);
	EXPECT_EQ(testfs_platter(s.fs, 2, 0), 1);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);
	stage_end(&s);
}

/* --- errors --- */

/* One of ten fails: the others are written, the error is told once (rule 34). */
KTEST_ON_CPU0(mm_writeback, sync_goes_on_past_an_error)
{
	struct testfs *fs = testfs_create(20);

	if (!fs)
		return;
	for (pgoff_t i = 0; i < 20; i += 2)
		store(fs, i, i + 1);
	ramblk_fail(fs->dev, BIO_WRITE, 0, ~0ul, 3, 1, -EIO);
	EXPECT_EQ(testfs_fsync(fs), -EIO);
	for (pgoff_t i = 0; i < 20; i += 2)
		EXPECT_EQ(testfs_platter(fs, i, 0), i == 4 ? 0 : i + 1);
	store(fs, 4, 77);
	EXPECT_EQ(testfs_fsync(fs), 0);
	EXPECT_EQ(testfs_platter(fs, 4, 0), 77);
	testfs_destroy(fs);
}

KTEST_ON_CPU0(mm_writeback, every_error_has_its_name)
{
	static const int errors[] = { -EIO, -ENOSPC };
	struct testfs *fs = testfs_create(1);

	if (!fs)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++) {
		store(fs, 0, i + 1);
		ramblk_fail(fs->dev, BIO_WRITE, 0, ~0ul, 1, 1, errors[i]);
		EXPECT_EQ(testfs_fsync(fs), errors[i]);
	}
	/* What background met is told to the sync that comes next. */
	store(fs, 0, 9);
	ramblk_fail(fs->dev, BIO_WRITE, 0, ~0ul, 1, 1, -EIO);
	testfs_background(fs);
	EXPECT_EQ(testfs_fsync(fs), -EIO);
	testfs_destroy(fs);
}

/* A page that could not be written now is as dirty as before (rule 35; I3). */
KTEST_ON_CPU0(mm_writeback, redirtied_page_counts_once)
{
	struct testfs *fs = testfs_create(1);
	struct page *page;
	u64 nr;

	if (!fs)
		return;
	nr = nr_dirty_pages();
	store(fs, 0, 1);
	page = testfs_page(fs, 0);
	for (int i = 0; i < 10; i++) {
		lock_page(page);
		redirty_page(page);
		unlock_page(page);
	}
	EXPECT_EQ(nr_dirty_pages(), nr + 1);
	EXPECT_EQ(testfs_count_tag(fs, TAG_DIRTY), 1);
	EXPECT_EQ(testfs_fsync(fs), 0);
	EXPECT_EQ(nr_dirty_pages(), nr);
	testfs_destroy(fs);
}

/* --- the count --- */

static void check_count(struct testfs *fs, u64 base, const char *when)
{
	u64 maybe = testfs_count_tag(fs, TAG_MAYBE);
	u64 counted = nr_dirty_pages() - base, tagged = testfs_count_tag(fs, TAG_DIRTY) + maybe;

	if (counted != tagged)
		ktest_fail(__FILE__, __LINE__, "%s: %ld counted, %lu tagged", when, (long)counted,
			   (unsigned long)tagged);
	EXPECT_EQ(nr_maybe_pages(), maybe);
}

/* I3: nr_dirty is the number of dirty pages, whatever became of them. */
KTEST_ON_CPU0(mm_writeback, nr_dirty_is_exact)
{
	u64 base = nr_dirty_pages();
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 64))
		return;
	for (pgoff_t i = 0; i < 64; i += 2)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), 0);
	check_count(s.fs, base, "stored");
	for (pgoff_t i = 0; i < 64; i += 3)
		store(s.fs, i, 2);
	check_count(s.fs, base, "written");

	/* From silently writable to known dirty, by write() and by a store: still one page. */
	s.fs->mapping.policy = &test_policy_silent;
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	check_count(s.fs, base, "synced");
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)stage_slot(&s, 0), 8 * PAGE_SIZE), 0);
	for (pgoff_t i = 8; i < 64; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 3), 0);
	check_count(s.fs, base, "granted clean");
	for (pgoff_t i = 0; i < 64; i++)
		store(s.fs, i, 4);
	check_count(s.fs, base, "written again");
	testfs_background(s.fs);
	check_count(s.fs, base, "in the background");
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 20), &v), 0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 40), 5), 0);
	EXPECT_EQ(testfs_truncate(s.fs, 30 * PAGE_SIZE + 100), 0);
	check_count(s.fs, base, "truncated");
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	check_count(s.fs, base, "synced at the end");
	EXPECT_EQ(nr_dirty_pages(), base);
	EXPECT_EQ(nr_writeback_pages(), 0);
	stage_end(&s);
}
