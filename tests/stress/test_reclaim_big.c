/* SPDX-License-Identifier: MIT */
/*
 * test_reclaim_big.c - files that do not fit into memory: what was stored comes back.
 *
 * Each page holds a number of its own in two places, made from its index and a generation; each
 * store writes the next generation. What the page must hold is known without keeping it. All CPUs
 * work on one file, twice the size of memory, through one mapping, each on pages of its own; and
 * through read(), which must find the same.
 */
#include <string.h>

#include "kernel/core/percpu.h"
#include "kernel/core/sched.h"
#include "kernel/core/stat.h"
#include "kernel/lib/mman.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/vmap.h"
#include "arch/x86_64/uaccess.h"
#include "tests/fs/fs_test.h"
#include "tests/util.h"

#define TAIL (PAGE_SIZE / 8 - 1) /* the last slot of a page */

struct big {
	struct file *file;
	u64 *map;
	u64 pages;
	u8 *generation; /* of each page */
	u64 wrong, refused, seed;
	enum big_step { BIG_STORE_ALL, BIG_STORE_SOME, BIG_LOAD_ALL, BIG_READ_SOME } step;
};

struct big_worker {
	struct big *b;
	u64 number;
	u64 rng;
};

static u64 content(pgoff_t page, u8 generation)
{
	return (page + 1) * 0x9e3779b97f4a7c15ul ^ generation;
}

static void expect(struct big *b, pgoff_t page, u64 head, u64 tail)
{
	u64 want = content(page, b->generation[page]);

	if (head == want && tail == want)
		return;
	if (atomic_add_return(&b->wrong, 1) < 5)
		ktest_note("page %lu holds %#lx and %#lx, want %#lx", (unsigned long)page,
			   (unsigned long)head, (unsigned long)tail, (unsigned long)want);
}

static void store(struct big *b, pgoff_t page)
{
	u64 *p = b->map + page * (PAGE_SIZE / 8), v;

	v = content(page, ++b->generation[page]);
	if (probe_store8(p, v) || probe_store8(p + TAIL, v))
		(void)atomic_add_return(&b->refused, 1);
}

static void load(struct big *b, pgoff_t page)
{
	u64 *p = b->map + page * (PAGE_SIZE / 8), head = 0, tail = 0;

	if (probe_load8(p, &head) || probe_load8(p + TAIL, &tail))
		(void)atomic_add_return(&b->refused, 1);
	expect(b, page, head, tail);
}

static void read(struct big *b, pgoff_t page)
{
	u64 head = 0, tail = 0;

	if (vfs_pread(b->file, &head, 8, page << PAGE_SHIFT) != 8 ||
	    vfs_pread(b->file, &tail, 8, (page << PAGE_SHIFT) + TAIL * 8) != 8)
		(void)atomic_add_return(&b->refused, 1);
	expect(b, page, head, tail);
}

static int work(void *arg)
{
	struct big_worker *w = arg;
	struct big *b = w->b;

	for (pgoff_t i = w->number; i < b->pages; i += nr_cpus) {
		/* Some page of its own, anywhere. */
		pgoff_t any = ktest_rand(&w->rng) % (b->pages / nr_cpus) * nr_cpus + w->number;

		if (b->step == BIG_STORE_ALL)
			store(b, i);
		else if (b->step == BIG_LOAD_ALL)
			load(b, i);
		else if (i / nr_cpus % 2 && b->step == BIG_STORE_SOME)
			store(b, any);
		else if (i / nr_cpus % 2)
			read(b, any);
	}
	return 0;
}

static void step(struct big *b, enum big_step how)
{
	struct big_worker w[MAX_CPUS];
	struct job jobs[MAX_CPUS];

	b->step = how;
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++) {
		w[cpu] = (struct big_worker){ b, cpu, ++b->seed };
		job_start(&jobs[cpu], cpu, current_thread()->mm, work, &w[cpu]);
	}
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		EXPECT_EQ(job_end(&jobs[cpu]), 0);
}

static void under_policy(struct big *b, const struct dirty_policy *policy)
{
	struct stats before;

	stats_snapshot(&before);
	policy_choose(policy->name);
	step(b, BIG_STORE_SOME);
	step(b, BIG_READ_SOME);
	ktest_note("%s: %lu pages left memory, %lu PTEs removed", policy->name,
		   (unsigned long)stat_since(&before, STAT_PAGES_RECLAIMED),
		   (unsigned long)stat_since(&before, STAT_RECLAIM_UNMAPPED));
	EXPECT(stat_since(&before, STAT_PAGES_RECLAIMED) > b->pages / 16);
	EXPECT_EQ(stat_since(&before, STAT_OOM), 0);
}

/* Every policy, on this machine's first disk. */
KTEST_FLAGS(reclaim_big, twice_memory_under_all_policies, KTEST_MANUAL)
{
	const struct dirty_policy *was = global_policy, *policy;
	struct big b = { .pages = nr_total_pages() * 2 };

	b.pages -= b.pages % nr_cpus;
	b.generation = vmalloc(DIV_ROUND_UP(b.pages, PAGE_SIZE));
	ASSERT(b.generation);
	b.file = fst_open("/big.dat", O_RW | FS_O_CREAT | FS_O_TRUNC);
	ASSERT(b.file && !vfs_ftruncate(b.file, b.pages << PAGE_SHIFT));
	b.map = (u64 *)fst_map(b.file, 0, b.pages << PAGE_SHIFT, PROT_READ | PROT_WRITE);
	ASSERT(b.map);
	step(&b, BIG_STORE_ALL);
	for (unsigned int n = 0; (policy = policy_by_number(n)) && !b.wrong; n++)
		under_policy(&b, policy);
	policy_choose(was->name);
	step(&b, BIG_LOAD_ALL);
	EXPECT_EQ(b.wrong, 0);
	EXPECT_EQ(b.refused, 0);
	fst_unmap(b.map, b.pages << PAGE_SHIFT);
	EXPECT_EQ(vfs_fsync(b.file, false), 0);
	file_put(b.file);
	fst_remove("/big.dat");
	vfree(b.generation);
}
