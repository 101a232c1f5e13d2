/* SPDX-License-Identifier: MIT */
/*
 * b26_fsync_misses_pte_dirt.c - B26, B27: dirt that only PTEs know of (rules 43, 44).
 *
 * B26, until 2006:
 *	W stores: D, and no fault
 *	S (fsync) looks at tags: nothing is dirty; returns
 *
 * B27:
 *	K (flusher)			W
 *	writes all pages, which stay
 *	writable; nothing is DIRTY: the
 *	file leaves the list
 *					stores, no fault: nobody lists the file
 *	never comes back
 */
#include "tests/util.h"

static bool begin(struct stage *s)
{
	if (!stage_begin(s, 2))
		return false;
	s->fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ(remote_store(&s->w, s->map, 1), 0);
	return true;
}

KTEST_ON_CPU0(races, b26_fsync_misses_pte_dirt)
{
	struct stage s;

	if (!begin(&s))
		return;
	for (u64 v = 2; v < 5; v++) {
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		EXPECT_EQ(testfs_platter(s.fs, 0, 0), v - 1);
		EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 0);
	}
	EXPECT_EQ(mm_msync(s.mm, (vaddr_t)s.map, PAGE_SIZE, MS_SYNC), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 4);
	stage_end(&s);
}

static bool over; /* a: the flusher's pass over the file */

static void pass_is_over(void *object, void *mapping)
{
	if (object == mapping)
		atomic_store(&over, true);
}

KTEST_ON_CPU0(races, b27_clean_inode_with_hidden_dirt)
{
	struct stage s;

	if (!begin(&s))
		return;
	for (u64 v = 2; v < 5 && !ktest_failed(); v++) {
		over = false;
		BUG_ON(delay_arm("flusher_after_pages", pass_is_over, &s.fs->mapping));
		testfs_unpark(s.fs);
		writeback_kick(&s.fs->dev->wb);
		WAIT_FOR(atomic_load(&over));
		testfs_park(s.fs); /* waits for the end of the pass */
		delay_disarm("flusher_after_pages");
		filemap_fdatawait_range(&s.fs->mapping, 0, ~0ul);
		EXPECT_EQ(testfs_platter(s.fs, 0, 0), v - 1);
		EXPECT(s.fs->mapping.on_dirty_list);
		EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
	}
	stage_end(&s);
}
