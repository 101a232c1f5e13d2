/* SPDX-License-Identifier: MIT */
/*
 * test_keep.c - a page whose write failed (wberr=keep): found, counted and written again, whatever
 * state it is in and whatever happens to it meanwhile (rule 75; B19, B44).
 */
#include <sys/errno.h>

#include "kernel/core/stat.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

static void fail_writes(struct testfs *fs, bool on)
{
	ramblk_fail(fs->dev, BIO_WRITE, 0, ~0ul, 1, on ? ~0u : 0, -EIO);
}

/* Page 0 is stored to, and its write fails. */
static bool begin_failed(struct stage *s, u64 pages)
{
	if (!stage_begin(s, pages))
		return false;
	EXPECT_EQ(remote_store(&s->w, s->map, 1), 0);
	fail_writes(s->fs, true);
	EXPECT_EQ(testfs_fsync(s->fs), -EIO);
	fail_writes(s->fs, false);
	EXPECT_EQ(testfs_platter(s->fs, 0, 0), 0);
	return true;
}

static void end_written(struct stage *s, u64 dirty, u64 v)
{
	EXPECT_EQ(testfs_fsync(s->fs), 0);
	EXPECT_EQ(testfs_platter(s->fs, 0, 0), v);
	EXPECT_EQ(nr_dirty_pages(), dirty);
	EXPECT_EQ(s->fs->mapping.nr_kept, 0);
	stage_end(s);
	EXPECT_EQ(nr_dirty_pages(), dirty);
}

/* It is CLEAN and protected, counts as one dirty page, and the next pass finds it. */
KTEST_ON_CPU0(mm_keep, counts_as_one_dirty_page)
{
	u64 dirty = nr_dirty_pages();
	struct dirty_count c;
	struct stage s;

	if (!begin_failed(&s, 3))
		return;
	EXPECT_EQ(nr_dirty_pages(), dirty + 1);
	EXPECT_EQ(testfs_page(s.fs, 0)->dirty, PAGE_CLEAN);
	c = mapping_count_dirty(&s.fs->mapping);
	EXPECT_EQ(c.dirty, 1);
	EXPECT_EQ(c.truly, 1);
	EXPECT(s.fs->mapping.on_dirty_list);
	EXPECT_EQ(testfs_drop_clean(s.fs), 1);
	end_written(&s, dirty, 1);
}

/* The short way of a fault, the long one, and write() make it DIRTY without counting it twice. */
KTEST_ON_CPU0(mm_keep, stored_to_again_counts_once)
{
	u64 dirty = nr_dirty_pages(), v = 9;
	struct stage s;

	for (unsigned int how = 0; how < 3; how++) {
		if (!begin_failed(&s, 3))
			return;
		set_bit(&testfs_page(s.fs, 0)->flags, PG_blocks);
		if (how == 0) {
			EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		} else if (how == 1) {
			BUG_ON(page_writeback(testfs_page(s.fs, 0)));
			clear_bit(&testfs_page(s.fs, 0)->flags, PG_blocks);
			EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		} else {
			EXPECT_EQ(testfs_write(s.fs, 0, &v, sizeof(v)), sizeof(v));
		}
		EXPECT_EQ(nr_dirty_pages(), dirty + 1);
		EXPECT_EQ(s.fs->mapping.nr_kept, 0);
		EXPECT(!s.fs->mapping.has_kept);
		end_written(&s, dirty, v);
	}
}

/* Rule 35, B44: what is kept is not dirtied anew; what was dirtied and what was kept is what was
 * written. */
KTEST_ON_CPU0(mm_keep, dirtied_and_kept_is_written)
{
	struct stats before;
	struct stage s;

	stats_snapshot(&before);
	if (!begin_failed(&s, 1))
		return;
	fail_writes(s.fs, true);
	for (unsigned int i = 0; i < 1000; i++)
		testfs_background(s.fs);
	fail_writes(s.fs, false);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_DIRTIED), 1);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_FAILED), 1001);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_REDIRTIED), 1001);
	EXPECT_EQ(testfs_fsync(s.fs), -EIO); /* background's */
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_WRITTEN), 1002);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	stage_end(&s);
}

/* Some pages of a range fail, the others do not: those are found, among pages of every state. */
KTEST_ON_CPU0(mm_keep, found_among_others)
{
	u64 dirty = nr_dirty_pages();
	struct stage s;

	if (!stage_begin(&s, 200))
		return;
	for (pgoff_t i = 0; i < 200; i += 3)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), i + 1), 0);
	/* Requests of one page each, since their neighbours are holes. */
	for (pgoff_t i = 0; i < 200; i += 12) {
		ramblk_fail(s.fs->dev, BIO_WRITE, i * 8, i * 8 + 7, 1, ~0u, -EIO);
		EXPECT_EQ(filemap_write_and_wait_range(&s.fs->mapping, i, i, HARVEST_MSYNC), -EIO);
	}
	fail_writes(s.fs, false);
	EXPECT_EQ(nr_dirty_pages(), dirty + 67);
	EXPECT_EQ(s.fs->mapping.nr_kept, 17);
	EXPECT_EQ(testfs_fsync(s.fs), -EIO);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < 200; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), i % 3 ? 0 : i + 1);
	EXPECT_EQ(nr_dirty_pages(), dirty);
	stage_end(&s);
}

/* Stored to while the I/O that fails is under way: DIRTY, and that is enough. */
KTEST_ON_CPU0(mm_keep, stored_to_during_the_io_that_fails)
{
	u64 dirty = nr_dirty_pages();
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, false);
	fail_writes(s.fs, true);
	testfs_background(s.fs);
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	fail_writes(s.fs, false);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(nr_dirty_pages(), dirty + 1);
	EXPECT_EQ(s.fs->mapping.nr_kept, 0);
	EXPECT_EQ(testfs_fsync(s.fs), -EIO);
	end_written(&s, dirty, 2);
}

/* --- under every policy --- */

/* The mapping goes before the second attempt, or stays; then a page may be MAYBE_DIRTY, logged,
 * replaced by a copy. */
static void under(const struct dirty_policy *policy, bool unmap)
{
	u64 dirty = nr_dirty_pages();
	struct stage s;
	int err;

	if (!stage_begin(&s, 4))
		return;
	WRITE_ONCE(s.fs->mapping.policy, policy);
	for (u64 v = 1; v <= 3; v++) {
		EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		EXPECT_EQ(mm_msync(s.mm, (vaddr_t)s.map, PAGE_SIZE, MS_SYNC), 0);
	}
	for (pgoff_t i = 0; i < 4; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 100 + i), 0);
	fail_writes(s.fs, true);
	EXPECT_EQ(mm_msync(s.mm, (vaddr_t)s.map, 4 * PAGE_SIZE, MS_SYNC), -EIO);
	EXPECT_EQ(mm_msync(s.mm, (vaddr_t)s.map, 4 * PAGE_SIZE, MS_SYNC), -EIO);
	EXPECT(testfs_platter(s.fs, 0, 0) == 3);
	EXPECT_EQ(mapping_audit(&s.fs->mapping, true), 0);
	if (unmap)
		EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, 4 * PAGE_SIZE), 0);
	testfs_background(s.fs);
	fail_writes(s.fs, false);
	err = testfs_fsync(s.fs);
	EXPECT(!err || err == -EIO); /* background's, if it found one */
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < 4; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), 100 + i);
	EXPECT_EQ(s.fs->mapping.nr_kept, 0);
	stage_end(&s);
	EXPECT_EQ(nr_dirty_pages(), dirty);
	if (ktest_failed())
		ktest_note("policy %s, %s", policy->name, unmap ? "unmapped" : "mapped");
}

KTEST_ON_CPU0(mm_keep, under_every_policy)
{
	const struct dirty_policy *p;

	for (p = policy_next(NULL); p && !ktest_failed(); p = policy_next(p)) {
		under(p, false);
		under(p, true);
	}
}

KTEST_ON_CPU0(mm_keep, pages_that_stay_writable)
{
	under(&test_policy_silent, false);
	under(&test_policy_silent, true);
	under(&test_policy_clear_d, false);
	under(&test_policy_clear_d, true);
}

/* --- a page that is given a copy while its write fails --- */

/*
 *	F (fault)					I (completion)
 *	the page is CLEAN and under I/O:
 *	makes a copy
 *							the write has failed: keeps the page
 *	puts the copy in its place
 *							TAG_WRITEBACK goes
 * would leave what was noted on a frame that is no page any more. The hook is the first half of I.
 */
static void note_failure(void *object, void *arg)
{
	bool *done = arg;

	if (!atomic_xchg(done, true))
		page_write_failed(object, -EIO);
}

KTEST_ON_CPU0(mm_keep, copied_while_its_write_fails)
{
	const struct dirty_policy *forked = policy_find("forked");
	u64 dirty = nr_dirty_pages();
	bool done = false;
	struct stage s;

	ASSERT(forked);
	if (!stage_begin(&s, 1))
		return;
	WRITE_ONCE(s.fs->mapping.policy, forked);
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, false);
	testfs_background(s.fs);
	BUG_ON(delay_arm("fork_copied", note_failure, &done));
	remote_try_store(&s.w, s.map + 1, 2);
	EXPECT(done);
	EXPECT(!page_replaced(testfs_page(s.fs, 0)) && !s.fs->mapping.nr_replaced);
	ramblk_unhold(s.fs->dev);
	EXPECT_EQ(remote_wait(&s.w), 0);
	delay_disarm("fork_copied");
	EXPECT_EQ(nr_dirty_pages(), dirty + 1);
	EXPECT_EQ(testfs_fsync(s.fs), -EIO);
	EXPECT_EQ(testfs_platter(s.fs, 0, 1), 2);
	end_written(&s, dirty, 1);
}

/* --- all at once --- */

struct storm {
	struct stage s;
	bool stop;  /* a */
	u64 stores; /* a */
};

static int store_on(void *arg)
{
	struct storm *t = arg;
	u64 v = 0;

	while (!atomic_load(&t->stop)) {
		for (pgoff_t i = 0; i < t->s.pages; i++)
			WRITE_ONCE(*stage_slot(&t->s, i), ++v);
		atomic_add_return(&t->stores, t->s.pages);
		yield();
	}
	return 0;
}

static int sync_on(void *arg)
{
	struct storm *t = arg;

	while (!atomic_load(&t->stop)) {
		int err = testfs_fsync(t->s.fs);

		if (err && err != -EIO)
			return err;
		testfs_background(t->s.fs);
		yield();
	}
	return 0;
}

/* Writes fail and do not, while two sync and one stores: at the end nothing is lost, and the counts
 * are what they were. */
KTEST_ON_CPU0(mm_keep, storm_of_errors_loses_nothing)
{
	u64 dirty = nr_dirty_pages(), random = ktest_seed() | 1;
	struct job storer, a, b;
	struct storm t = { 0 };

	if (!stage_begin(&t.s, 64))
		return;
	job_start(&storer, 1, t.s.mm, store_on, &t);
	job_start(&a, 1, NULL, sync_on, &t);
	job_start(&b, 0, NULL, sync_on, &t);
	for (unsigned int i = 0; i < 200; i++) {
		pgoff_t first = ktest_rand(&random) % 64;

		ramblk_fail(t.s.fs->dev, BIO_WRITE, first * 8, ~0ul, 1,
			    (unsigned int)(ktest_rand(&random) % 40), -EIO);
		sleep_ns(100 * NSEC_PER_USEC);
	}
	atomic_store(&t.stop, true);
	EXPECT_EQ(job_end(&storer), 0);
	EXPECT_EQ(job_end(&a), 0);
	EXPECT_EQ(job_end(&b), 0);
	fail_writes(t.s.fs, false);
	EXPECT_EQ(mapping_audit(&t.s.fs->mapping, true), 0);
	testfs_fsync(t.s.fs);
	EXPECT_EQ(testfs_fsync(t.s.fs), 0);
	for (pgoff_t i = 0; i < 64; i++)
		EXPECT_EQ(testfs_platter(t.s.fs, i, 0), *stage_slot(&t.s, i));
	EXPECT_EQ(nr_dirty_pages(), dirty);
	EXPECT_EQ(t.s.fs->mapping.nr_kept, 0);
	stage_end(&t.s);
}
