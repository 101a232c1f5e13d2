/* SPDX-License-Identifier: MIT */
/*
 * b43_flush_hits_context_switch.c - B43: a CPU that uses the address space no more, or not yet,
 * when the shootdown comes (rules 61-63).
 *
 *	W's CPU				K (fsync)
 *	caches W+D, W goes to sleep;
 *	idle, keeps the tables: lazy
 *					cleans the PTE, raises the generation,
 *					sees that the CPU is lazy and does not ask it
 *	W wakes on the same tables:
 *	must see the generation first,
 *	or it stores by its old entry
 */
#include "arch/x86_64/uaccess.h"
#include "tests/util.h"

static struct stage s;
static struct wait_queue wake_w;
static u64 turn;   /* a: W stores the number of each turn */
static u64 stored; /* a */

static int sleeping_writer(void *arg)
{
	for (u64 n = 1; n <= (u64)arg; n++) {
		wait_event(&wake_w, atomic_load(&turn) >= n);
		EXPECT_EQ(probe_store8(s.map, n), 0);
		atomic_store(&stored, n);
	}
	return 0;
}

static void let_w_store(u64 n)
{
	atomic_store(&turn, n);
	wake_up(&wake_w);
	WAIT_FOR(atomic_load(&stored) == n);
}

static void lazy_cpu(const struct dirty_policy *policy)
{
	const u64 turns = 8;
	struct job w;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = policy;
	/* The scene's writer would keep its CPU from being idle. */
	remote_stop(&s.w);
	turn = stored = 0;
	wait_queue_init(&wake_w, "test turn");
	job_start(&w, 1, s.mm, sleeping_writer, (void *)turns);
	for (u64 n = 1; n <= turns; n++) {
		let_w_store(n);
		if (n < turns)
			job_settles(&w);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		EXPECT_EQ(testfs_platter(s.fs, 0, 0), n);
	}
	EXPECT_EQ(job_end(&w), 0);
	remote_start(&s.w, 1, s.mm);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b43_flush_hits_context_switch)
{
	lazy_cpu(NULL);
	lazy_cpu(&test_policy_clear_d);
}

/* --- the storm: W's CPU changes address spaces all the time while K cleans --- */

#define STORM_SYNCS 300

static bool storm_over; /* a */

static int storming_writer(void *arg)
{
	for (u64 n = 1; !atomic_load(&storm_over); n++) {
		if (probe_store8(s.map, n))
			return 1;
		atomic_store(&stored, n); /* retired */
		yield();
	}
	return 0;
}

static int other_space(void *arg)
{
	while (!atomic_load(&storm_over)) {
		WRITE_ONCE(*(u64 *)arg, 1);
		yield();
	}
	return 0;
}

KTEST_ON_CPU0(races, b43_switch_storm)
{
	struct mm *other = test_mm();
	struct job w, o;
	vaddr_t va;

	EXPECT_EQ(mm_mmap(other, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  NULL, 0, &va),
		  0);
	if (!stage_begin(&s, 1))
		return;
	remote_stop(&s.w);
	stored = 0;
	storm_over = false;
	job_start(&w, 1, s.mm, storming_writer, NULL);
	job_start(&o, 1, other, other_space, (void *)va);
	for (unsigned int i = 0; i < STORM_SYNCS; i++) {
		u64 before = atomic_load(&stored);

		EXPECT_EQ(testfs_fsync(s.fs), 0);
		if (testfs_platter(s.fs, 0, 0) < before)
			ktest_fail(__FILE__, __LINE__, "sync %u: %lu on the disk, %lu was stored",
				   i, (unsigned long)testfs_platter(s.fs, 0, 0),
				   (unsigned long)before);
		if (nr_cpus == 1)
			yield();
	}
	atomic_store(&storm_over, true);
	EXPECT_EQ(job_end(&w), 0);
	EXPECT_EQ(job_end(&o), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), stored);
	remote_start(&s.w, 1, s.mm);
	stage_end(&s);
	mm_put(other);
}
