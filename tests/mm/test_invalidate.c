/* SPDX-License-Identifier: MIT */
/*
 * test_invalidate.c - clean pages leave a file that goes on as it is (rules 11, 106, 108; seeds P19
 * to P21), and which pages are newer than the disk.
 */
#include <sys/errno.h>

#include "kernel/core/stat.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/gup.h"
#include "kernel/mm/invalidate.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

#define PAGES 8ul

static u64 load(const struct stage *s, pgoff_t page)
{
	return *(volatile u64 *)stage_slot(s, page);
}

static void store(const struct stage *s, pgoff_t page, u64 v)
{
	*(volatile u64 *)stage_slot(s, page) = v;
}

/* All pages cached and mapped, page i holding i + 1, as does the platter. */
static bool begin(struct stage *s)
{
	if (!stage_begin(s, PAGES))
		return false;
	for (pgoff_t i = 0; i < PAGES; i++)
		testfs_set_platter(s->fs, i, 0, i + 1);
	for (pgoff_t i = 0; i < PAGES; i++)
		EXPECT_EQ(load(s, i), i + 1);
	return true;
}

KTEST_ON_CPU0(mm_invalidate, clean_pages_go_and_come_back_from_the_disk)
{
	struct stats before;
	struct stage s;
	u64 *copy, v;

	if (!begin(&s))
		return;
	copy = testfs_mmap(s.fs, s.mm, 0, PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	ASSERT(copy);
	EXPECT_EQ(remote_store(&s.w, copy, 77), 0);
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 3), &v), 0);
	stats_snapshot(&before);
	EXPECT_EQ(invalidate_mapping_range(&s.fs->mapping, 1, PAGES - 1), 0);
	EXPECT_EQ(stat_since(&before, STAT_TLB_ZAP), 1); /* one for all */
	EXPECT_EQ(stat_since(&before, STAT_PAGES_INVALIDATED), PAGES - 1);
	EXPECT_EQ(s.fs->mapping.pages.nr, 1);
	for (pgoff_t i = 0; i < PAGES; i++)
		testfs_set_platter(s.fs, i, 0, i + 100);
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 3), &v), 0);
	EXPECT_EQ(v, 103);
	EXPECT_EQ(load(&s, 0), 1);
	/* Rule 11. */
	EXPECT_EQ(invalidate_mapping_range(&s.fs->mapping, 0, ~0ul), 0);
	EXPECT_EQ(copy[0], 77);
	EXPECT_EQ(load(&s, 0), 100);
	stage_end(&s);
}

/* What was stored stays: told of, silently, or unmapped since. */
static void dirty_pages_stay(struct stage *s)
{
	store(s, 1, 55);
	EXPECT_EQ(testfs_fsync(s->fs), 0);
	store(s, 1, 56);
	store(s, 2, 57);
	EXPECT_EQ(mm_munmap(s->mm, (vaddr_t)stage_slot(s, 2), PAGE_SIZE), 0);
	EXPECT_EQ(invalidate_mapping_range(&s->fs->mapping, 0, PAGES - 1), -EBUSY);
	EXPECT_EQ(s->fs->mapping.pages.nr, 2);
	EXPECT_EQ(load(s, 1), 56);
	EXPECT_EQ(load(s, 3), 4);
	EXPECT_EQ(testfs_fsync(s->fs), 0);
	EXPECT_EQ(testfs_platter(s->fs, 1, 0), 56);
	EXPECT_EQ(testfs_platter(s->fs, 2, 0), 57);
	/* With the flush before, all go. */
	store(s, 1, 58);
	store(s, 3, 59);
	EXPECT_EQ(flush_and_invalidate_range(&s->fs->mapping, 0, PAGES - 1), 0);
	EXPECT_EQ(s->fs->mapping.pages.nr, 0);
	EXPECT_EQ(testfs_platter(s->fs, 1, 0), 58);
	EXPECT_EQ(testfs_platter(s->fs, 3, 0), 59);
}

KTEST_ON_CPU0(mm_invalidate, dirty_pages_stay)
{
	static const struct dirty_policy *const policies[] = { NULL, &test_policy_silent,
							       &test_policy_clear_d };

	for (u32 i = 0; i < ARRAY_SIZE(policies); i++) {
		struct stage s;

		if (!stage_begin(&s, PAGES))
			return;
		s.fs->mapping.policy = policies[i];
		for (pgoff_t p = 0; p < PAGES; p++)
			testfs_set_platter(s.fs, p, 0, p + 1);
		for (pgoff_t p = 0; p < PAGES; p++)
			EXPECT_EQ(load(&s, p), p + 1);
		dirty_pages_stay(&s);
		if (ktest_failed())
			ktest_note("with policy %u", i);
		stage_end(&s);
	}
}

/* A page that may be stored to silently, and was not, is as clean as any. */
KTEST_ON_CPU0(mm_invalidate, maybe_dirty_without_a_store_goes)
{
	struct stage s;

	if (!stage_begin(&s, PAGES))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ(load(&s, 0), 0);
	EXPECT_EQ(testfs_page(s.fs, 0)->dirty, PAGE_MAYBE_DIRTY);
	EXPECT_EQ(invalidate_mapping_range(&s.fs->mapping, 0, 0), 0);
	EXPECT(!testfs_page(s.fs, 0));
	EXPECT(!mapping_needs_sync(&s.fs->mapping));
	stage_end(&s);
}

/* P21: the file system will not let go of one. Its word reaches the caller; the page and what maps
 * the others are whole. */
KTEST_ON_CPU0(mm_invalidate, refusal_of_the_file_system_reaches_the_caller)
{
	struct stage s;

	if (!begin(&s))
		return;
	s.fs->release_error = -ENOLCK;
	s.fs->release_index = 4;
	EXPECT_EQ(invalidate_mapping_range(&s.fs->mapping, 0, PAGES - 1), -ENOLCK);
	EXPECT_EQ(s.fs->mapping.pages.nr, 1);
	EXPECT(testfs_page(s.fs, 4));
	testfs_set_platter(s.fs, 4, 0, 99);
	EXPECT_EQ(load(&s, 4), 5);
	EXPECT_EQ(testfs_drop_clean(s.fs), 1);
	s.fs->release_error = 0;
	EXPECT_EQ(invalidate_mapping_range(&s.fs->mapping, 0, PAGES - 1), 0);
	EXPECT_EQ(load(&s, 4), 99);
	stage_end(&s);
}

static int invalidate_job(void *fs)
{
	return invalidate_mapping_range(&((struct testfs *)fs)->mapping, 0, ~0ul);
}

static int load_job(void *stage)
{
	struct stage *s = stage;
	u64 v;

	return remote_load(&s->w, stage_slot(s, 2), &v);
}

/* P20: a page whose read is under way is waited for; one whose read failed is dropped, and nothing
 * ever makes it dirty. */
KTEST_ON_CPU0(mm_invalidate, page_that_is_not_up_to_date_is_never_dirty)
{
	struct job reader, job;
	struct stage s;
	u64 base = nr_dirty_pages();

	if (!stage_begin(&s, PAGES))
		return;
	ramblk_fail(s.fs->dev, BIO_READ, 16, 23, 1, 100, -EIO);
	ramblk_hold(s.fs->dev, 1u << BIO_READ, false);
	job_start(&reader, 0, NULL, load_job, &s);
	EXPECT(ramblk_wait_held(s.fs->dev, 1));
	job_start(&job, 0, NULL, invalidate_job, s.fs);
	EXPECT(job_settles(&job));
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(job_end(&job), 0);
	EXPECT_EQ(job_end(&reader), -EIO);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 2), 1), -EIO);
	unmap_mapping_range(&s.fs->mapping, 0, ~0ul, ZAP_FILE_ONLY);
	if (testfs_page(s.fs, 2)) {
		EXPECT(!page_uptodate(testfs_page(s.fs, 2)));
		EXPECT_EQ(testfs_page(s.fs, 2)->dirty, PAGE_CLEAN);
	}
	EXPECT(!mapping_needs_sync(&s.fs->mapping));
	EXPECT_EQ(nr_dirty_pages(), base);
	EXPECT_EQ(invalidate_mapping_range(&s.fs->mapping, 0, PAGES - 1), 0);
	EXPECT(!testfs_page(s.fs, 2));
	ramblk_fail(s.fs->dev, BIO_READ, 0, 0, 0, 0, 0);
	stage_end(&s);
}

/* At each moment between a store and its arrival on the disk one page is newer than that. */
KTEST_ON_CPU0(mm_invalidate, newer_than_the_disk)
{
	struct address_space *mapping;
	struct gate gate;
	struct page *page;
	struct job sync;
	struct stage s;

	if (!begin(&s))
		return;
	mapping = &s.fs->mapping;
	EXPECT(!find_get_newer_page(mapping, 1));
	EXPECT(!find_get_newer_page(mapping, PAGES + 64));
	store(&s, 1, 55);
	ramblk_hold(s.fs->dev, 1u << BIO_WRITE, false);
	gate_arm(&gate, "cleaned_before_writeback", mapping);
	job_start(&sync, 0, NULL, testfs_fsync_job, s.fs);
	gate_wait(&gate);
	/* CLEAN by now, and not under I/O by its tag. */
	page = find_get_newer_page(mapping, 1);
	EXPECT(page);
	if (page)
		page_put(page);
	gate_disarm(&gate);
	EXPECT(ramblk_wait_held(s.fs->dev, 1));
	page = find_get_newer_page(mapping, 1);
	EXPECT(page);
	if (page)
		page_put(page);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(job_end(&sync), 0);
	EXPECT(!find_get_newer_page(mapping, 1));
	stage_end(&s);
}
