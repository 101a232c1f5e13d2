/* SPDX-License-Identifier: MIT */
/*
 * b44_redirty_accounting.c - B44: a page that cannot be written is put back a thousand times. Who
 * keeps "dirtied minus written" sees a thousand pages under way, and makes everybody wait for them.
 */
#include "tests/util.h"

#define TIMES 1000

/* As a write-out that fails: cleaned, under I/O, ended, dirty again. */
static void write_in_vain(struct testfs *fs, struct page *page)
{
	struct page_list one = { 0 };

	lock_page(page);
	page_get(page); /* the I/O's */
	page_list_add(&one, page);
	EXPECT_EQ(clear_pages_dirty_for_io(&fs->mapping, &one, CLEAN_AS_POLICY_SAYS), PAGE_CLEAN);
	set_pages_writeback(&fs->mapping, &one, PAGE_CLEAN);
	redirty_page(page);
	unlock_page(page);
	end_page_writeback(page);
}

KTEST_ON_CPU0(races, b44_redirty_accounting_drift)
{
	struct address_space *mapping;
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	mapping = &s.fs->mapping;
	mapping_limit_dirty(mapping, 8);
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	for (int i = 0; i < TIMES; i++)
		write_in_vain(s.fs, testfs_page(s.fs, 0));
	EXPECT_EQ(mapping->nr_unwritten, 1);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);
	EXPECT_EQ(dirty_pause(mapping, false), 0);
	EXPECT_EQ(mapping_audit(mapping, true), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(mapping->nr_unwritten, 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	stage_end(&s);
}
