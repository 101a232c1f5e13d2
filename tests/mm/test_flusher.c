/* SPDX-License-Identifier: MIT */
/*
 * test_flusher.c - the thread that writes what has been dirty for too long (rules 39, 43).
 *
 * Its age and period are arguments; the tests make them short, and wait for what must happen.
 */
#include "kernel/core/args.h"
#include "tests/util.h"

/* Before the file is made: a flusher that sleeps looks at its period when it wakes. */
static void be_quick(void)
{
	EXPECT_EQ(args_set("age", "30"), 0);
	EXPECT_EQ(args_set("period", "10"), 0);
}

static void be_slow_again(void)
{
	EXPECT_EQ(args_set("age", "30000"), 0);
	EXPECT_EQ(args_set("period", "5000"), 0);
}

KTEST_ON_CPU0(mm_flusher, writes_what_is_old)
{
	struct stage s;

	be_quick();
	if (!stage_begin(&s, 4))
		goto out;
	testfs_unpark(s.fs);
	/* Without any sync, again and again: by the mapping, and by write(). */
	for (u64 v = 1; v <= 3; v++) {
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 2), v), 0);
		WAIT_FOR(testfs_platter(s.fs, 2, 0) == v);
		EXPECT_EQ(testfs_write(s.fs, PAGE_SIZE, &v, sizeof(v)), sizeof(v));
		WAIT_FOR(testfs_platter(s.fs, 1, 0) == v);
	}
	WAIT_FOR(!testfs_count_tag(s.fs, TAG_DIRTY) && !testfs_count_tag(s.fs, TAG_WRITEBACK));
	EXPECT(s.fs->cmtimes > 0);
	stage_end(&s);
out:
	be_slow_again();
}

/* Kicked, it does not ask for age. */
KTEST_ON_CPU0(mm_flusher, kick_writes_all)
{
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	testfs_unpark(s.fs);
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	writeback_kick(&s.fs->dev->wb);
	WAIT_FOR(testfs_platter(s.fs, 0, 0) == 1);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_flusher, parked_it_stands_still)
{
	struct stage s;
	u64 written;

	be_quick();
	if (!stage_begin(&s, 1))
		goto out;
	for (u64 v = 1; v <= 5; v++) {
		testfs_unpark(s.fs);
		EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		WAIT_FOR(testfs_platter(s.fs, 0, 0) == v);
		testfs_park(s.fs);
		/* Parked means idle: nothing is under way, and a kick changes nothing. */
		written = s.fs->pages_written;
		EXPECT(!READ_ONCE(s.fs->dev->wb.current));
		EXPECT_EQ(remote_store(&s.w, s.map, 100), 0);
		writeback_kick(&s.fs->dev->wb);
		sleep_ns(20 * NSEC_PER_MSEC);
		EXPECT_EQ(s.fs->pages_written, written);
	}
	testfs_unpark(s.fs);
	WAIT_FOR(testfs_platter(s.fs, 0, 0) == 100);
	stage_end(&s);
out:
	be_slow_again();
}

static int passes; /* a: over the file of the running test */

static void count_pass(void *object, void *arg)
{
	if (object == arg)
		atomic_add_return(&passes, 1);
}

/* A page that is busy is passed over, and must not be forgotten (rule 39). */
KTEST_ON_CPU0(mm_flusher, comes_back_for_what_it_skipped)
{
	struct stage s;
	int seen;

	be_quick();
	if (!stage_begin(&s, 1))
		goto out;
	passes = 0;
	BUG_ON(delay_arm("flusher_after_pages", count_pass, &s.fs->mapping));
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, true);
	testfs_background(s.fs);
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	testfs_unpark(s.fs);
	seen = atomic_load(&passes);
	WAIT_FOR(atomic_load(&passes) > seen);
	testfs_park(s.fs);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);
	EXPECT(s.fs->mapping.on_dirty_list);
	ramblk_unhold(s.fs->dev);
	testfs_unpark(s.fs);
	if (!ktest_failed())
		WAIT_FOR(testfs_platter(s.fs, 0, 0) == 2);
	delay_disarm("flusher_after_pages");
	stage_end(&s);
out:
	be_slow_again();
}

static void store_now(void *object, void *arg)
{
	struct stage *s = arg;

	if (object == &s->fs->mapping && !atomic_xchg(&passes, 1))
		EXPECT_EQ(remote_store(&s->w, s->map, 2), 0);
}

/* Stored to between the writing of the pages and the end of the pass: the file is listed again. */
KTEST_ON_CPU0(mm_flusher, store_during_the_pass_is_not_lost)
{
	struct stage s;

	be_quick();
	if (!stage_begin(&s, 1))
		goto out;
	passes = 0;
	BUG_ON(delay_arm("flusher_after_pages", store_now, &s));
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	testfs_unpark(s.fs);
	WAIT_FOR(testfs_platter(s.fs, 0, 0) == 2);
	delay_disarm("flusher_after_pages");
	stage_end(&s);
out:
	be_slow_again();
}
