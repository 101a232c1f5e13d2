/* SPDX-License-Identifier: MIT */
/*
 * ktest.c - runs the tests that registered themselves and tells the result as TAP.
 *
 * Owns:  the verdict on the running test; leak counts and audits around it.
 * Key fact: the plan comes first, so that a machine that dies in the middle is seen to have said
 *        less than it promised; "# running" names the test that it died in.
 */
#include "tests/ktest.h"

#include <stdarg.h>
#include <string.h>

#include "kernel/core/args.h"
#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/core/sched.h"
#include "kernel/fs/fs.h"
#include "kernel/block/buf.h"
#include "kernel/lib/fmt.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/vmap.h"
#include "libc/libc.h"

REGISTRY(tests, struct ktest);

static u64 seed_arg;
ARG_UINT(seed, seed_arg, "of random tests; 0: from the clock, printed");

static int failures; /* of the running test */

/* What libc calls from below. */
int (*db_test_runner)(const char *pattern) = ktest_run;

void ktest_fail(const char *file, int line, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	kvsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (atomic_add_return(&failures, 1) <= 10)
		printk("# %s:%d: %s\n", file, line, text);
}

void ktest_note(const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	kvsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printk("# %s\n", text);
}

bool ktest_failed(void)
{
	return READ_ONCE(failures);
}

u64 ktest_seed(void)
{
	if (!seed_arg)
		seed_arg = (rdtsc() ^ clock_realtime()) & 0xffffffff;
	ktest_note("seed=%lu", (unsigned long)seed_arg);
	return seed_arg;
}

u64 ktest_rand(u64 *state)
{
	u64 x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dul;
}

static bool matches(const char *pattern, const struct ktest *t)
{
	char name[96];

	if (!strcmp(pattern, "all"))
		return !(t->flags & KTEST_MANUAL);
	ksnprintf(name, sizeof(name), "%s.%s", t->suite, t->name);
	return db_glob(pattern, name);
}

/* What a test must leave as it found it. */
struct counts {
	u64 threads, objects, frames;
};

/* Unused inodes, their pages, clean metadata and free lists are caches, not leaks: they go
 * first. */
static void give_back_caches(void)
{
	struct super_block *sb = vfs_find_super("/");

	vfs_sync();
	if (sb) {
		inode_evict_all(sb, EVICT_POLITE);
		if (sb->dev)
			buf_cache_shrink(sb->dev);
	}
	kmalloc_drain();
	drain_page_caches();
}

/* Frames that somebody uses and that none of the allocators merely keeps at hand. */
static u64 frames_in_use(void)
{
	return nr_total_pages() - nr_free_pages() - kmalloc_nr_slab_pages() -
	       vmap_nr_cached_pages() - libc_heap_pages() - kernel_pgtable.nr_tables;
}

static struct counts count(void)
{
	give_back_caches();
	return (struct counts){ thread_count(), kmalloc_nr_objects(), frames_in_use() };
}

static void compare(const struct ktest *t, const char *what, u64 before, u64 now)
{
	if (now > before)
		ktest_fail(t->suite, 0, "%lu %s leaked", (unsigned long)(now - before), what);
}

/* Threads that ended may still be on their way out: give them a moment. */
static void check_leaks(const struct ktest *t, const struct counts *before)
{
	struct counts now = count();

	for (int i = 0; i < 100; i++) {
		if (now.threads <= before->threads && now.objects <= before->objects &&
		    now.frames <= before->frames)
			return;
		sleep_ns(10 * NSEC_PER_MSEC);
		now = count();
	}
	compare(t, "threads", before->threads, now.threads);
	compare(t, "objects", before->objects, now.objects);
	compare(t, "frames", before->frames, now.frames);
	kmalloc_dump();
}

static bool run_one(const struct ktest *t, unsigned int number)
{
	struct counts before = count();
	u64 broken;

	failures = 0;
	printk("# running %s.%s\n", t->suite, t->name);
	t->fn();
	if (!(t->flags & KTEST_NO_LEAK_CHECK))
		check_leaks(t, &before);
	broken = audit_all_mappings();
	if (broken)
		ktest_fail(t->suite, 0, "%lu broken promises found by the audit",
			   (unsigned long)broken);
	printk("%sok %u - %s.%s\n", failures ? "not " : "", number, t->suite, t->name);
	return !failures;
}

int ktest_run(const char *pattern)
{
	unsigned int nr = 0, failed = 0;
	struct ktest *t;

	for_each_registered(tests, t)
		nr += matches(pattern, t);
	printk("1..%u\n", nr);
	if (!nr)
		printk("# no test matches '%s'\n", pattern);
	nr = 0;
	for_each_registered(tests, t)
		if (matches(pattern, t))
			failed += !run_one(t, ++nr);
	return nr ? (int)failed : 1;
}
