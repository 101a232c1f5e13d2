/* SPDX-License-Identifier: MIT */
/*
 * b02_rtorrent.c - B2: write() dirties one block of a page, a store through the mapping another
 * (rule 25). What the file system knows of the page must cover the whole of it once it is mapped
 * writable, not only what write() said.
 *
 *	K			W
 *	write(): block 0
 *				stores into block 3 through the mapping
 *	writes the page: the
 *	file system knows of
 *	block 0 alone
 *	drops the page, clean
 *	as it looks: block 3 is lost
 */
#include "tests/util.h"

#define BLOCK3 (3 * TESTFS_BLOCK / 8) /* first slot */

KTEST_ON_CPU0(races, b02_rtorrent)
{
	struct stage s;
	u64 v = 1, back[2] = { 0 };

	if (!stage_begin(&s, 2))
		return;
	EXPECT_EQ(testfs_write(s.fs, 0, &v, sizeof(v)), sizeof(v));
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 0) + BLOCK3, 2), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(testfs_platter(s.fs, 0, BLOCK3), 2);

	/* The same the other way round, and after a cleaning that forgot nothing. */
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1) + BLOCK3, 3), 0);
	EXPECT_EQ(testfs_write(s.fs, PAGE_SIZE, &v, sizeof(v)), sizeof(v));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1) + BLOCK3, 4), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);

	/* Memory is short: what looks clean goes, and comes back from the disk. */
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, s.pages << PAGE_SHIFT), 0);
	EXPECT_EQ(testfs_drop_clean(s.fs), 0);
	testfs_read(s.fs, 3 * TESTFS_BLOCK, &back[0], sizeof(u64));
	testfs_read(s.fs, PAGE_SIZE + 3 * TESTFS_BLOCK, &back[1], sizeof(u64));
	EXPECT_EQ(back[0], 2);
	EXPECT_EQ(back[1], 4);
	stage_end(&s);
}
