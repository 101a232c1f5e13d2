/* SPDX-License-Identifier: MIT */
/*
 * b07_mkwrite_window.c - B7: what the file system promised in page_mkwrite holds until the PTE is
 * writable (rules 5, 6).
 *
 *	F (fault)			T
 *	page_mkwrite: blocks found for
 *	what lies inside EOF; unlocks
 *					the file grows: all PTEs of the page are
 *					read-only, as far as can be seen
 *	makes the PTE writable
 *	W stores where the file is new: no fault, and no block to write it to
 *
 * or T cuts the page off, and F makes a page dirty that is in no file. F keeps the page locked.
 */
#include <sys/errno.h>

#include "tests/util.h"

#define BLOCK3 (3 * TESTFS_BLOCK / 8) /* first slot */

static struct stage s;

static int resize_job(void *size)
{
	return testfs_truncate(s.fs, (u64)size);
}

/* F is W; T comes between page_mkwrite and the PTE. What F's store ended in. */
static int resize_in_the_window(u64 size)
{
	struct gate gate;
	struct job t;
	int err;

	gate_arm(&gate, "mkwrite_done", testfs_page(s.fs, 0));
	remote_try_store(&s.w, s.map, 1);
	gate_wait(&gate);
	job_start(&t, 0, NULL, resize_job, (void *)size);
	job_settles(&t);
	gate_disarm(&gate);
	err = remote_wait(&s.w);
	EXPECT_EQ(job_end(&t), 0);
	return err;
}

KTEST_ON_CPU0(races, b07_file_grows_in_the_mkwrite_window)
{
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(testfs_truncate(s.fs, TESTFS_BLOCK), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	EXPECT_EQ(resize_in_the_window(PAGE_SIZE), 0);
	EXPECT_EQ(remote_store(&s.w, s.map + BLOCK3, 2), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(testfs_platter(s.fs, 0, BLOCK3), 2);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b07_page_is_cut_off_in_the_mkwrite_window)
{
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	EXPECT_EQ(resize_in_the_window(0), -EFAULT);
	EXPECT_EQ(s.fs->mapping.pages.nr, 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	stage_end(&s);
}
