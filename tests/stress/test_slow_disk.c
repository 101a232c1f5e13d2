/* SPDX-License-Identifier: MIT */
/*
 * test_slow_disk.c - a file twice as large as memory is stored to through a mapping, and the disk
 * is slow (run slow-disk): memory never runs out, what is dirty stays below the limit, and the
 * stores go on (rules 124-127; P7, T24).
 */
#include "kernel/core/args.h"
#include "kernel/core/stat.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/policy.h"
#include "tests/fs/fs_test.h"
#include "tests/util.h"

#define LIMIT  1024 /* as dirty_pages= below */
#define WINDOW 64   /* pages behind the first store to a page, there is a second one */

static const char *const policies[] = { "write_notify", "clean_writable", "hybrid", "log",
					"adaptive" };

struct watch {
	bool stop; /* a */
	s64 most;
};

/* On a CPU of its own as far as there is one: what the storing thread cannot see itself. */
static int watch_dirty(void *arg)
{
	struct watch *w = arg;

	while (!atomic_load(&w->stop)) {
		w->most = max(w->most, (s64)nr_dirty_pages());
		sleep_ns(200 * NSEC_PER_USEC);
	}
	return 0;
}

static u64 value_of(u64 page, unsigned int policy)
{
	return page * 8 + policy + 1;
}

/* @map is stored to from end to end; each page once more when it may have been cleaned. */
static int store_all(u64 *map, u64 pages, unsigned int policy)
{
	for (u64 i = 0; i < pages + WINDOW; i++) {
		if (i < pages)
			WRITE_ONCE(map[i * SLOTS_PER_PAGE], value_of(i, policy));
		if (i >= WINDOW)
			WRITE_ONCE(map[(i - WINDOW) * SLOTS_PER_PAGE + 1], value_of(i, policy));
	}
	return 0;
}

static void check_all(struct file *file, u64 pages, unsigned int policy)
{
	u64 words[2], wrong = 0;

	for (u64 i = 0; i < pages; i++) {
		EXPECT_EQ(vfs_pread(file, words, sizeof(words), i * PAGE_SIZE), sizeof(words));
		wrong += words[0] != value_of(i, policy) ||
			 words[1] != value_of(i + WINDOW, policy);
	}
	EXPECT_EQ(wrong, 0);
}

static void one_policy(unsigned int policy, u64 pages)
{
	struct file *file = fst_open("/slow.dat", O_RW | FS_O_CREAT);
	struct watch w = { .stop = false };
	struct stats before;
	struct job watcher;
	u64 *map;

	if (!file)
		return;
	EXPECT_EQ(vfs_ftruncate(file, pages * PAGE_SIZE), 0);
	map = (u64 *)fst_map(file, 0, pages * PAGE_SIZE, PROT_READ | PROT_WRITE);
	EXPECT_EQ(policy_choose(policies[policy]), 0);
	stats_snapshot(&before);
	job_start(&watcher, 1, NULL, watch_dirty, &w);
	if (map)
		store_all(map, pages, policy);
	atomic_store(&w.stop, true);
	EXPECT_EQ(job_end(&watcher), 0);
	/* The slack: one page for each thread that was told to go on and has not stored yet. */
	if (w.most > LIMIT + (s64)nr_cpus)
		ktest_fail(__FILE__, __LINE__, "%s: %ld pages dirty, the limit is %ld",
			   policies[policy], (long)w.most, (long)LIMIT);
	EXPECT(stat_since(&before, STAT_THROTTLED) > 0);
	EXPECT_EQ(stat_since(&before, STAT_OOM), 0);
	EXPECT_EQ(stat_since(&before, STAT_SIGBUS_FAULTS), 0);
	ktest_note("%s: %lu MiB, at most %ld of %ld pages dirty; throttled %lu times, %lu ms",
		   policies[policy], (unsigned long)(pages >> 8), (long)w.most, (long)LIMIT,
		   (unsigned long)stat_since(&before, STAT_THROTTLED),
		   (unsigned long)stat_since(&before, STAT_THROTTLED_US) / 1000);
	if (map)
		fst_unmap(map, pages * PAGE_SIZE);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	check_all(file, pages, policy);
	file_put(file);
	EXPECT_EQ(vfs_unlink("/slow.dat"), 0);
}

/* Manual: with the disk and the memory of its run it is about something. */
KTEST_FLAGS(slow_disk, file_twice_the_memory, KTEST_MANUAL)
{
	const char *before = global_policy->name;
	u64 pages = 2 * nr_total_pages();

	EXPECT_EQ(args_set("dirty_pages", "1024"), 0);
	throttle_init();
	for (unsigned int i = 0; i < ARRAY_SIZE(policies); i++)
		one_policy(i, pages);
	EXPECT_EQ(policy_choose(before), 0);
	EXPECT_EQ(args_set("dirty_pages", "0"), 0);
	throttle_init();
}
