/* SPDX-License-Identifier: MIT */
/*
 * b36_clear_d_without_flush.c - B36: a PTE was cleaned, and a CPU still has the old one (rules
 * 22, 24, 46, 52).
 *
 *	K (fsync)			W
 *					stores 1: entry cached, writable and dirty
 *	takes W and D (or D alone),
 *	does not flush
 *	writes the page, calls it clean
 *					stores 2 by its entry: no fault, no D
 *	the next fsync finds nothing
 *
 * A flush that comes too early is none:
 *
 *	K	flushes, is about to clear D
 *	W	stores: its entry is back
 *	K	clears D
 */
#include "arch/x86_64/uaccess.h"
#include "tests/util.h"

#define PAGES 64

static struct stage s;
static u64 round_nr;

static int store_to_all(void *arg)
{
	int err = 0;

	for (pgoff_t i = 0; i < PAGES && !err; i++)
		err = probe_store8(stage_slot(&s, i), round_nr * 1000 + i);
	return err;
}

static void rounds(const struct dirty_policy *policy)
{
	if (!stage_begin(&s, PAGES))
		return;
	s.fs->mapping.policy = policy;
	for (round_nr = 1; round_nr <= 4; round_nr++) {
		EXPECT_EQ(remote_call(&s.w, store_to_all, NULL), 0);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		for (pgoff_t i = 0; i < PAGES; i++)
			EXPECT_EQ(testfs_platter(s.fs, i, 0), round_nr * 1000 + i);
	}
	stage_end(&s);
}

KTEST_ON_CPU0(races, b36_clear_d_without_flush)
{
	rounds(NULL);
	rounds(&test_policy_silent);
	rounds(&test_policy_clear_d);
}

static void store_now(void *object, void *arg)
{
	if (object == testfs_page(s.fs, 0) && *s.map == 1)
		EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
}

KTEST_ON_CPU0(races, b36_flush_before_clear)
{
	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	BUG_ON(delay_arm("mkclean_between_read_and_write", store_now, NULL));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	delay_disarm("mkclean_between_read_and_write");
	EXPECT_EQ(remote_store(&s.w, s.map, 3), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 3);
	stage_end(&s);
}

static void store_before_flush(void *object, void *arg)
{
	if (*s.map == 1)
		remote_try_store(&s.w, s.map, 2);
}

/* W stores after K changed the PTE and before it flushed: the bytes that K writes were read later
 * (promise P5), or W's fault waited. */
KTEST_ON_CPU0(races, b36_store_between_clear_and_flush)
{
	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	BUG_ON(delay_arm("mkclean_before_flush", store_before_flush, NULL));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	delay_disarm("mkclean_before_flush");
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT_EQ(*s.map, 2);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}
