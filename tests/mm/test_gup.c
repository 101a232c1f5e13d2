/* SPDX-License-Identifier: MIT */
/*
 * test_gup.c - a program's memory as frames for a device, and what becomes of the files in it.
 */
#include <sys/errno.h>

#include "kernel/core/stat.h"
#include "kernel/mm/gup.h"
#include "kernel/mm/invalidate.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

#define PAGES 4ul

static int pin(const struct stage *s, const void *p, unsigned int n, enum pin_for what,
	       struct page **pages)
{
	return pin_user_pages(s->mm, (vaddr_t)p, n, what, pages);
}

static int unpin(const struct stage *s, const void *p, unsigned int n, enum pin_for what,
		 struct page **pages)
{
	return unpin_user_pages(s->mm, (vaddr_t)p, n, what, pages, n);
}

/* Absent pages are had as by a load or a store, and not but so. */
KTEST_ON_CPU0(mm_gup, pages_are_faulted_in)
{
	struct page *pages[PAGES + 1];
	struct stage s;
	u64 *ro;

	if (!stage_begin(&s, PAGES))
		return;
	EXPECT_EQ(pin(&s, s.map, 2, PIN_TO_READ, pages), 2);
	EXPECT(pages[0] == testfs_page(s.fs, 0) && pages[1] == testfs_page(s.fs, 1));
	EXPECT_EQ(pages[0]->dirty, PAGE_CLEAN);
	EXPECT(page_pinned(pages[0]));
	EXPECT_EQ(unpin(&s, s.map, 2, PIN_TO_READ, pages), 0);
	EXPECT(!page_pinned(pages[0]));
	EXPECT_EQ(s.fs->mkwrites, 0);
	EXPECT_EQ(pin(&s, s.map, 2, PIN_TO_WRITE, pages), 2);
	EXPECT_EQ(s.fs->mkwrites, 2);
	EXPECT_EQ(pages[1]->dirty, PAGE_DIRTY);
	EXPECT_EQ(unpin(&s, s.map, 2, PIN_TO_WRITE, pages), 0);
	/* As far as there is something. */
	EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE), 0);
	EXPECT_EQ(pin(&s, s.map, PAGES, PIN_TO_READ, pages), 1);
	EXPECT_EQ(unpin(&s, s.map, 1, PIN_TO_READ, pages), 0);
	EXPECT_EQ(pin(&s, s.map + SLOTS_PER_PAGE, 1, PIN_TO_READ, pages), -EFAULT);
	ro = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ, MAP_SHARED);
	EXPECT_EQ(pin(&s, ro, 1, PIN_TO_WRITE, pages), -EFAULT);
	EXPECT_EQ(pin(&s, ro, 1, PIN_TO_READ, pages), 1);
	EXPECT_EQ(unpin(&s, ro, 1, PIN_TO_READ, pages), 0);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)ro, PAGE_SIZE), 0);
	EXPECT_EQ(pin(&s, ro, 1, PIN_TO_READ, pages), -EFAULT);
	EXPECT_EQ(pin(&s, NULL, 1, PIN_TO_READ, pages), -EFAULT);
	EXPECT_EQ(pin(&s, (void *)(USER_END - PAGE_SIZE), 1, PIN_TO_READ, pages), -EFAULT);
	stage_end(&s);
}

/* The file system refuses the store: nothing is pinned, nothing is dirty. */
KTEST_ON_CPU0(mm_gup, refusals_are_told)
{
	struct page *pages[PAGES];
	struct stage s;

	if (!stage_begin(&s, PAGES))
		return;
	s.fs->prepare_error = -ENOSPC;
	EXPECT_EQ(pin(&s, s.map, PAGES, PIN_TO_WRITE, pages), -ENOSPC);
	EXPECT_EQ(pin(&s, s.map, PAGES, PIN_TO_READ, pages), PAGES);
	EXPECT_EQ(unpin(&s, s.map, PAGES, PIN_TO_READ, pages), 0);
	s.fs->prepare_error = 0;
	ramblk_fail(s.fs->dev, BIO_READ, 8, 15, 1, 100, -EIO);
	EXPECT_EQ(invalidate_mapping_range(&s.fs->mapping, 1, ~0ul), 0);
	EXPECT_EQ(pin(&s, s.map, PAGES, PIN_TO_WRITE, pages), 1);
	EXPECT_EQ(unpin(&s, s.map, 1, PIN_TO_WRITE, pages), 0);
	EXPECT_EQ(pin(&s, s.map + SLOTS_PER_PAGE, 1, PIN_TO_WRITE, pages), -EIO);
	ramblk_fail(s.fs->dev, BIO_READ, 0, 0, 0, 0, 0);
	stage_end(&s);
}

/* B21: cleaned between the pin and the device's write; the file system is asked again. */
KTEST_ON_CPU0(mm_gup, b21_what_a_device_wrote_is_dirty_again)
{
	struct page *page;
	struct stage s;
	u64 prepares;

	if (!stage_begin(&s, PAGES))
		return;
	EXPECT_EQ(pin(&s, s.map, 1, PIN_TO_WRITE, &page), 1);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(page->dirty, PAGE_CLEAN);
	((u64 *)page_address(page))[3] = 7;
	prepares = s.fs->prepares;
	EXPECT_EQ(unpin(&s, s.map, 1, PIN_TO_WRITE, &page), 0);
	EXPECT_EQ(s.fs->prepares, prepares + 1);
	EXPECT_EQ(page->dirty, PAGE_DIRTY);
	EXPECT(test_bit(&s.fs->mapping.flags, AS_CMTIME));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 3), 7);
	EXPECT_EQ(s.fs->cmtimes, 2);
	/* It has become impossible meanwhile: told, and not dirty without a block. */
	EXPECT_EQ(pin(&s, s.map, 1, PIN_TO_WRITE, &page), 1);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	s.fs->prepare_error = -ENOSPC;
	EXPECT_EQ(unpin(&s, s.map, 1, PIN_TO_WRITE, &page), -ENOSPC);
	EXPECT_EQ(page->dirty, PAGE_CLEAN);
	s.fs->prepare_error = 0;
	stage_end(&s);
}

/* Nothing but a truncation takes a pinned page out of its file, whoever maps it or does not. */
KTEST_ON_CPU0(mm_gup, pinned_page_stays_in_its_file)
{
	struct page *page;
	struct stage s;

	if (!stage_begin(&s, PAGES))
		return;
	EXPECT_EQ(pin(&s, s.map, 1, PIN_TO_WRITE, &page), 1);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(invalidate_mapping_range(&s.fs->mapping, 0, ~0ul), -EBUSY);
	EXPECT_EQ(testfs_drop_clean(s.fs), 1);
	EXPECT(testfs_page(s.fs, 0) == page);
	((u64 *)page_address(page))[0] = 9;
	EXPECT_EQ(s.map[0], 9);
	EXPECT_EQ(unpin(&s, s.map, 1, PIN_TO_WRITE, &page), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 9);
	EXPECT_EQ(invalidate_mapping_range(&s.fs->mapping, 0, ~0ul), 0);
	/* Cut off, and written to by the device all the same: nobody's. */
	EXPECT_EQ(pin(&s, s.map, 1, PIN_TO_WRITE, &page), 1);
	EXPECT_EQ(testfs_truncate(s.fs, 0), 0);
	EXPECT(!testfs_page(s.fs, 0));
	((u64 *)page_address(page))[0] = 11;
	EXPECT_EQ(unpin(&s, s.map, 1, PIN_TO_WRITE, &page), 0);
	EXPECT(!mapping_needs_sync(&s.fs->mapping));
	EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE), 0);
	EXPECT_EQ(s.map[0], 0);
	stage_end(&s);
}

/* forked: a store while the page is under I/O would get a copy, and the device write to the frame
 * that was left behind. */
KTEST_ON_CPU0(mm_gup, pinned_page_is_not_forked)
{
	struct page *page;
	struct job sync;
	struct stage s;

	if (!stage_begin(&s, PAGES))
		return;
	EXPECT_EQ(policy_choose_file(&s.fs->mapping, "forked"), 0);
	EXPECT_EQ(pin(&s, s.map, 1, PIN_TO_WRITE, &page), 1);
	ramblk_hold(s.fs->dev, 1u << BIO_WRITE, true);
	job_start(&sync, 0, NULL, testfs_fsync_job, s.fs);
	EXPECT(ramblk_wait_held(s.fs->dev, 1));
	EXPECT_EQ(remote_store(&s.w, s.map, 5), 0);
	EXPECT(testfs_page(s.fs, 0) == page);
	((u64 *)page_address(page))[1] = 6;
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(job_end(&sync), 0);
	EXPECT_EQ(unpin(&s, s.map, 1, PIN_TO_WRITE, &page), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 5);
	EXPECT_EQ(testfs_platter(s.fs, 0, 1), 6);
	stage_end(&s);
}

/* A private page that is to be written to is copied first; the file's own stays as it is. */
KTEST_ON_CPU0(mm_gup, copy_on_write_is_broken_first)
{
	struct page *page;
	struct stage s;
	u64 *copy;

	if (!stage_begin(&s, PAGES))
		return;
	copy = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	ASSERT(copy);
	EXPECT_EQ(pin(&s, copy, 1, PIN_TO_READ, &page), 1);
	EXPECT(page == testfs_page(s.fs, 0));
	EXPECT_EQ(unpin(&s, copy, 1, PIN_TO_READ, &page), 0);
	EXPECT_EQ(pin(&s, copy, 1, PIN_TO_WRITE, &page), 1);
	EXPECT(page != testfs_page(s.fs, 0));
	((u64 *)page_address(page))[0] = 3;
	EXPECT_EQ(unpin(&s, copy, 1, PIN_TO_WRITE, &page), 0);
	EXPECT_EQ(copy[0], 3);
	EXPECT_EQ(s.map[0], 0);
	EXPECT(!mapping_needs_sync(&s.fs->mapping));
	stage_end(&s);
}
