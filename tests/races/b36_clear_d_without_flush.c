/* SPDX-License-Identifier: MIT */
/*
 * b36_clear_d_without_flush.c - B36: a PTE was cleaned, and a CPU still has the old one (rules 22, 24,
 * 46, 52).
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
#include "tests/util.h"

#define PAGES 64

static void rounds(const struct dirty_policy *policy)
{
	struct stage s;

	if (!stage_begin(&s, PAGES))
		return;
	s.fs->mapping.policy = policy;
	for (u64 round = 1; round <= 4; round++) {
		for (pgoff_t i = 0; i < PAGES; i++)
			EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), round * 1000 + i), 0);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		for (pgoff_t i = 0; i < PAGES; i++)
			EXPECT_EQ(testfs_platter(s.fs, i, 0), round * 1000 + i);
	}
	stage_end(&s);
}

static void without_flush(void)
{
	rounds(NULL);
	rounds(&test_policy_silent);
	rounds(&test_policy_clear_d);
}

KTEST(races, b36_clear_d_without_flush)
{
	on_cpu0(without_flush);
}

static void store_now(void *object, void *arg)
{
	struct stage *s = arg;

	if (object == testfs_page(s->fs, 0) && *s->map == 1)
		EXPECT_EQ(remote_store(&s->w, s->map, 2), 0);
}

static void flush_too_early(void)
{
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	BUG_ON(delay_arm("mkclean_between_read_and_write", store_now, &s));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	delay_disarm("mkclean_between_read_and_write");
	EXPECT_EQ(remote_store(&s.w, s.map, 3), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 3);
	stage_end(&s);
}

KTEST(races, b36_flush_before_clear)
{
	on_cpu0(flush_too_early);
}

static void store_before_flush(void *object, void *arg)
{
	struct stage *s = arg;

	if (*s->map == 1)
		remote_try_store(&s->w, s->map, 2);
}

/* W stores after K changed the PTE and before it flushed: the bytes that K writes were read later
 * (promise P5), or W's fault waited. */
static void store_between_clear_and_flush(void)
{
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	BUG_ON(delay_arm("mkclean_before_flush", store_before_flush, &s));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	delay_disarm("mkclean_before_flush");
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT_EQ(*s.map, 2);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

KTEST(races, b36_store_between_clear_and_flush)
{
	on_cpu0(store_between_clear_and_flush);
}
