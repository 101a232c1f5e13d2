/* SPDX-License-Identifier: MIT */
/*
 * test_throttle.c - who dirties faster than the disk writes waits, for as long as it must and with
 * nothing locked (rules 12, 124-129; P7, P11).
 *
 * Most limit one file, whose count nobody else changes; the flusher is parked, so that a thread
 * that waits goes on waiting.
 */
#include <sys/errno.h>

#include "kernel/core/args.h"
#include "kernel/core/lockrank.h"
#include "kernel/core/stat.h"
#include "kernel/lib/fmt.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

#define PAGES 64
#define LIMIT 16 /* background 8; turns from 13 on */

static struct stage s;

static bool limited_stage(void)
{
	if (!stage_begin(&s, PAGES))
		return false;
	mapping_limit_dirty(&s.fs->mapping, LIMIT);
	return true;
}

/* One store to each page. */
static int store_to_all(void *arg)
{
	for (pgoff_t i = 0; i < PAGES; i++)
		WRITE_ONCE(*stage_slot(&s, i), i + 1);
	return 0;
}

static u64 unwritten(void)
{
	return READ_ONCE(s.fs->mapping.nr_unwritten);
}

/* A thread that goes on to the limit, with pauses before, and waits there. */
static void wait_at_limit(struct job *j)
{
	WAIT_FOR(unwritten() >= LIMIT);
	EXPECT(job_settles(j));
	EXPECT_EQ(unwritten(), LIMIT);
}

static void dirty_pages_of_file(u64 nr)
{
	for (pgoff_t i = 0; i < nr; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), 0);
	EXPECT_EQ(unwritten(), nr);
}

/* --- the limits --- */

/* Rule 125, P11: at the limit there is an end; the disk moves it, and nothing else. */
KTEST_ON_CPU0(mm_throttle, limit_of_a_file_holds)
{
	struct job j;

	if (!limited_stage())
		return;
	job_start(&j, 1, s.mm, store_to_all, NULL);
	wait_at_limit(&j);
	EXPECT_EQ(test_pte(s.mm, stage_slot(&s, LIMIT)).v & PTE_W, 0);
	/* Under I/O is not yet on the disk. */
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, true);
	testfs_background(s.fs);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 0);
	wait_at_limit(&j);
	ramblk_unhold(s.fs->dev);
	WAIT_FOR(READ_ONCE(*stage_slot(&s, LIMIT)));
	wait_at_limit(&j);
	EXPECT_EQ(*stage_slot(&s, 2 * LIMIT - 1), 2 * LIMIT);
	testfs_unpark(s.fs);
	EXPECT_EQ(job_end(&j), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < PAGES; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), i + 1);
	stage_end(&s);
}

/* Other dirt comes and goes (the root's): a bound, not a number. */
static void set_limit_of_all(u64 pages)
{
	char text[24];

	ksnprintf(text, sizeof(text), "%lu", (unsigned long)pages);
	EXPECT_EQ(args_set("dirty_pages", text), 0);
	throttle_init();
}

KTEST_ON_CPU0(mm_throttle, limit_of_all_holds)
{
	u64 limit = (u64)atomic_load(&nr_unwritten) + LIMIT;
	struct job j;

	if (!stage_begin(&s, PAGES))
		return;
	set_limit_of_all(limit);
	job_start(&j, 1, s.mm, store_to_all, NULL);
	WAIT_FOR(unwritten() >= LIMIT);
	EXPECT(job_settles(&j));
	EXPECT((u64)atomic_load(&nr_unwritten) <= limit);
	testfs_unpark(s.fs);
	EXPECT_EQ(job_end(&j), 0);
	set_limit_of_all(0);
	stage_end(&s);
}

/* The argument is for files without a limit of their own; what a call said goes first. */
KTEST_ON_CPU0(mm_throttle, own_limit_goes_before_the_argument)
{
	struct address_space *mapping;

	if (!limited_stage())
		return;
	mapping = &s.fs->mapping;
	EXPECT_EQ(args_set("file_dirty_pages", "100"), 0);
	throttle_init();
	EXPECT_EQ(mapping->dirty_limit, LIMIT);
	EXPECT_EQ(mapping->background, LIMIT / 2);
	mapping_limit_dirty(mapping, 0);
	EXPECT_EQ(mapping->dirty_limit, 100);
	EXPECT_EQ(args_set("file_dirty_pages", "0"), 0);
	throttle_init();
	EXPECT(mapping->dirty_limit > 1ul << 40);
	EXPECT(mapping->background > 1ul << 40);
	stage_end(&s);
}

/* --- how long --- */

/* Rule 125: nothing up to the middle, then longer and longer, never more than 200 ms. */
KTEST_ON_CPU0(mm_throttle, pause_grows_towards_the_limit)
{
	struct writeback *wb;
	u64 before = 0, ns;

	if (!limited_stage())
		return;
	wb = &s.fs->dev->wb;
	for (u64 nr = 0; nr <= LIMIT; nr++) {
		if (nr)
			EXPECT_EQ(remote_store(&s.w, stage_slot(&s, nr - 1), 1), 0);
		/* As if 40 pages a second had been measured just now. */
		s.fs->mapping.turn = 0;
		wb->rate = 40;
		wb->rate_asked = ktime_get();
		ns = dirty_pause(&s.fs->mapping, false);
		EXPECT(ns <= 200 * NSEC_PER_MSEC);
		EXPECT(nr < LIMIT ? ns >= before : ns > 0);
		EXPECT(nr > LIMIT * 3 / 4 || !ns);
		EXPECT(nr <= LIMIT * 3 / 4 || ns);
		/* Who has waited waits again only at the limit itself. */
		EXPECT_EQ(!dirty_pause(&s.fs->mapping, true), nr < LIMIT);
		before = ns;
		wb->rate = 0;
	}
	stage_end(&s);
}

/* In the middle of the range, threads together are as fast as the device. */
KTEST_ON_CPU0(mm_throttle, turns_are_as_fast_as_the_device)
{
	struct writeback *wb;
	ktime_t now;

	if (!limited_stage())
		return;
	wb = &s.fs->dev->wb;
	dirty_pages_of_file(LIMIT * 7 / 8);
	now = ktime_get();
	s.fs->mapping.turn = now;
	wb->rate = 1000;
	wb->rate_asked = now;
	for (int i = 0; i < 50; i++)
		dirty_pause(&s.fs->mapping, false);
	/* 50 turns of a millisecond, from when each was asked for. */
	EXPECT(s.fs->mapping.turn >= now + 50 * NSEC_PER_MSEC);
	stage_end(&s);
}

/* What a device completes is measured, and a window without any end lasts until there is one. */
KTEST_ON_CPU0(mm_throttle, rate_is_what_the_device_completes)
{
	struct writeback *wb;

	if (!limited_stage())
		return;
	wb = &s.fs->dev->wb;
	dirty_pages_of_file(LIMIT);
	wb->rate = 100;
	wb->rate_asked = ktime_get();
	wb->window_start = wb->rate_asked - 500 * NSEC_PER_MSEC;
	wb->window_done = wb->pages_done;
	dirty_pause(&s.fs->mapping, false);
	EXPECT_EQ(wb->rate, 100);
	atomic_add_return(&wb->pages_done, 100);
	dirty_pause(&s.fs->mapping, false);
	/* 100 in half a second or more are at most 200 a second; a quarter of the news counts. */
	EXPECT(wb->rate >= 75 && wb->rate <= 125);
	EXPECT_EQ(wb->window_done, wb->pages_done);
	stage_end(&s);
}

/* --- who does not wait, and what is free meanwhile --- */

/* Rule 12: the address space goes on without the one who waits. */
KTEST_ON_CPU0(mm_throttle, locks_are_free_meanwhile)
{
	struct job j;
	vaddr_t va;
	u64 v;

	if (!limited_stage())
		return;
	job_start(&j, 1, s.mm, store_to_all, NULL);
	wait_at_limit(&j);
	EXPECT(down_write_trylock(&s.mm->mmap_lock));
	up_write(&s.mm->mmap_lock);
	EXPECT_EQ(mm_mmap(s.mm, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  NULL, 0, &va),
		  0);
	/* A load of the same file, and a store that is not to a file's page (rule 10). */
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, PAGES - 1), &v), 0);
	EXPECT_EQ(remote_store(&s.w, (u64 *)va, 1), 0);
	EXPECT_EQ(mm_munmap(s.mm, va, PAGE_SIZE), 0);
	testfs_unpark(s.fs);
	EXPECT_EQ(job_end(&j), 0);
	stage_end(&s);
}

/* What it waited at may be gone when it looks again. */
KTEST_ON_CPU0(mm_throttle, area_goes_during_the_wait)
{
	struct job j;

	if (!limited_stage())
		return;
	dirty_pages_of_file(LIMIT);
	/* Its thread is ended by the fault that finds no area. */
	j = (struct job){ .fn = store_to_all };
	j.thread = thread_create("throttled", CPU_ANY, s.mm, &s.mm->pgt, store_to_all, NULL);
	WAIT_FOR(sched_asleep(j.thread));
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, PAGES * PAGE_SIZE), 0);
	EXPECT_EQ(thread_join(j.thread), -EFAULT);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	stage_end(&s);
}

static int write_all(void *arg)
{
	static u8 bytes[PAGES * PAGE_SIZE];

	return (int)testfs_write(s.fs, 0, bytes, sizeof(bytes));
}

/* Rule 125: killable. */
KTEST_ON_CPU0(mm_throttle, killed_writer_leaves)
{
	struct job j;

	if (!limited_stage())
		return;
	job_start(&j, 1, NULL, write_all, NULL);
	wait_at_limit(&j);
	thread_kill(j.thread);
	EXPECT_EQ(job_end(&j), LIMIT * PAGE_SIZE);
	EXPECT_EQ(unwritten(), LIMIT);
	/* Before its first page. */
	job_start(&j, 1, NULL, write_all, NULL);
	EXPECT(job_settles(&j));
	thread_kill(j.thread);
	EXPECT_EQ(job_end(&j), -EINTR);
	EXPECT_EQ(unwritten(), LIMIT);
	stage_end(&s);
}

static u64 flusher_pause;

static void ask_in_flusher(struct testfs *fs, struct page_list *pages)
{
	if (current_thread() == fs->dev->wb.flusher)
		flusher_pause = dirty_pause(&fs->mapping, false);
}

/* Rule 128. */
KTEST_ON_CPU0(mm_throttle, flusher_never_waits)
{
	if (!limited_stage())
		return;
	dirty_pages_of_file(LIMIT);
	EXPECT(dirty_pause(&s.fs->mapping, false) > 0);
	flusher_pause = ~0ul;
	s.fs->before_write = ask_in_flusher;
	testfs_unpark(s.fs);
	writeback_kick(&s.fs->dev->wb);
	WAIT_FOR(!unwritten());
	EXPECT_EQ(flusher_pause, 0);
	stage_end(&s);
}

/* The flusher looks at the file that has reached its limit, and leaves the others alone. */
KTEST_ON_CPU0(mm_throttle, flusher_writes_the_full_file_first)
{
	struct writeback *wb;

	if (!limited_stage())
		return;
	wb = &s.fs->dev->wb;
	EXPECT_EQ(args_set("age", "100000000"), 0);
	dirty_pages_of_file(LIMIT / 2);
	dirty_pause(&s.fs->mapping, false);
	EXPECT(!wb->look && !wb->kick);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, LIMIT / 2), 1), 0);
	dirty_pause(&s.fs->mapping, false);
	EXPECT(wb->look && !wb->kick);
	testfs_unpark(s.fs);
	wake_up(&wb->wait);
	WAIT_FOR(!unwritten());
	EXPECT_EQ(args_set("age", "30000"), 0);
	stage_end(&s);
}

/* --- hidden dirt --- */

static enum policy_map writable(const struct policy_page *page)
{
	return POLICY_MAP_WRITABLE;
}

static const struct dirty_policy test_policy_careless = {
	.name = "test-careless",
	.summary = "hidden dirt without a limit",
	.on_read_fault = writable,
	.breaks = BREAKS(THROTTLED),
};

/* Pages of such a file are nobody's reason to wait, whatever the global policy is; nor are those
 * of others let off because the global policy is careless. */
KTEST_ON_CPU0(mm_throttle, careless_file_makes_nobody_wait)
{
	u64 base = nr_waived_pages(), v;
	struct address_space *mapping;

	if (!limited_stage())
		return;
	mapping = &s.fs->mapping;
	mapping->policy = &test_policy_careless;
	mapping_limit_dirty(mapping, 0);
	for (pgoff_t i = 0; i < LIMIT; i++)
		EXPECT_EQ(remote_load(&s.w, stage_slot(&s, i), &v), 0);
	EXPECT_EQ(unwritten(), LIMIT);
	EXPECT_EQ(nr_waived_pages() - base, LIMIT);
	mapping_limit_dirty(mapping, LIMIT);
	EXPECT_EQ(dirty_pause(mapping, false), 0);
	EXPECT(!too_much_dirt(mapping));
	/* The policy is changed: the flusher comes by, counts anew, and protects them. */
	mapping->policy = &test_policy_silent;
	testfs_unpark(s.fs);
	writeback_kick(&s.fs->dev->wb);
	WAIT_FOR(!unwritten());
	EXPECT_EQ(nr_waived_pages(), base);
	stage_end(&s);
}

/* Rule 127: what may be stored to without notice is counted, and there is no more of it than the
 * limit allows. Loads are served all the same. */
KTEST_ON_CPU0(mm_throttle, writable_pages_are_bounded)
{
	struct address_space *mapping;
	u64 v, writable_ptes = 0;

	if (!limited_stage())
		return;
	mapping = &s.fs->mapping;
	mapping->policy = &test_policy_silent;
	for (pgoff_t i = 0; i < PAGES; i++)
		EXPECT_EQ(remote_load(&s.w, stage_slot(&s, i), &v), 0);
	for (pgoff_t i = 0; i < PAGES; i++)
		writable_ptes += pte_write(test_pte(s.mm, stage_slot(&s, i)));
	EXPECT_EQ(unwritten(), writable_ptes);
	EXPECT(writable_ptes <= LIMIT);
	EXPECT(writable_ptes > 0);
	stage_end(&s);
}

/* --- counting --- */

static u64 since(const struct stats *before, enum stat_id plus, enum stat_id minus)
{
	return stat_since(before, plus) - stat_since(before, minus);
}

/* Rule 129: dirtied and redirtied; cleaned and cancelled. What is between is dirty. */
KTEST_ON_CPU0(mm_throttle, classes_add_up)
{
	struct stats before;
	u64 seed = ktest_seed() | 1;

	if (!stage_begin(&s, PAGES))
		return;
	stats_snapshot(&before);
	for (int i = 0; i < 500; i++) {
		pgoff_t at = ktest_rand(&seed) % PAGES;
		struct page *page = testfs_page(s.fs, at);

		switch (ktest_rand(&seed) % 8) {
		case 0: EXPECT_EQ(testfs_fsync(s.fs), 0); break;
		case 1: testfs_background(s.fs); break;
		case 2:
			EXPECT_EQ(testfs_truncate(s.fs, at * PAGE_SIZE), 0);
			EXPECT_EQ(testfs_truncate(s.fs, PAGES * PAGE_SIZE), 0);
			break;
		case 3:
			if (!page)
				break;
			lock_page(page);
			if (page->mapping && page->dirty == PAGE_CLEAN)
				redirty_page(page);
			unlock_page(page);
			break;
		default: EXPECT_EQ(remote_store(&s.w, stage_slot(&s, at), 1), 0);
		}
		EXPECT_EQ(since(&before, STAT_PAGES_DIRTIED, STAT_PAGES_CLEANED) +
				  since(&before, STAT_PAGES_REDIRTIED, STAT_PAGES_CANCELLED),
			  testfs_count_tag(s.fs, TAG_DIRTY));
	}
	stage_end(&s);
}
