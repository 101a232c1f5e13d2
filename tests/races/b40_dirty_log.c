/* SPDX-License-Identifier: MIT */
/*
 * b40_dirty_log.c - B40: a log that is read may tell of too much, and never of too little.
 *
 *	K				W
 *	takes the page out of the log
 *					stores: its PTE is writable still, and nothing
 *					is logged
 *	writes the page
 *	protects the PTE		(wrong: after the page was read, or never)
 *
 * and, since a PTE belongs to all threads of an address space:
 *
 *	F (fault)			W			S (fsync)
 *	PTE writable
 *					stores, no fault
 *								reads the log: nothing
 *	makes the entry
 */
#include "arch/x86_64/uaccess.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

/* Page 0 is MAYBE_DIRTY and protected: its next store goes into the log. */
static bool begin(struct stage *s)
{
	if (!stage_begin(s, 2))
		return false;
	s->fs->mapping.policy = policy_find("log");
	EXPECT_EQ(remote_store(&s->w, s->map, 1), 0);
	EXPECT_EQ(testfs_fsync(s->fs), 0);
	EXPECT_EQ(testfs_page(s->fs, 0)->dirty, PAGE_MAYBE_DIRTY);
	return true;
}

KTEST_ON_CPU0(races, b40_log_read_and_not_protected)
{
	struct stage s;

	if (!begin(&s))
		return;
	for (u64 v = 2; v < 6; v++) {
		EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		EXPECT_EQ(testfs_platter(s.fs, 0, 0), v);
	}
	stage_end(&s);
}

static struct stage *scene;

static void store_again(void *object, void *arg)
{
	if (object == &scene->fs->mapping && *scene->map == 2)
		remote_try_store(&scene->w, scene->map, 3);
}

/* W stores between the reading of the log and the protection of the PTE. */
KTEST_ON_CPU0(races, b40_store_after_the_log_was_read)
{
	struct stage s;

	if (!begin(&s))
		return;
	scene = &s;
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	BUG_ON(delay_arm("log_drained", store_again, NULL));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	delay_disarm("log_drained");
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 3);
	stage_end(&s);
}

static int fault_job(void *arg)
{
	return probe_store8(arg, 1);
}

struct sync {
	struct testfs *fs;
	u64 platter; /* when fsync returned */
};

static int sync_job(void *arg)
{
	struct sync *s = arg;
	int err = testfs_fsync(s->fs);

	s->platter = testfs_platter(s->fs, 0, 1);
	return err;
}

KTEST_ON_CPU0(races, b40_entry_before_the_pte)
{
	struct sync seen = { 0 };
	struct gate gate;
	struct job f, sync;
	struct stage s;

	if (!begin(&s))
		return;
	seen.fs = s.fs;
	gate_arm(&gate, "mkwrite_pte_set", testfs_page(s.fs, 0));
	job_start(&f, 0, s.mm, fault_job, s.map);
	gate_wait(&gate);
	EXPECT_EQ(remote_store(&s.w, s.map + 1, 2), 0);
	job_start(&sync, 0, NULL, sync_job, &seen);
	job_settles(&sync);
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&f), 0);
	EXPECT_EQ(job_end(&sync), 0);
	EXPECT_EQ(seen.platter, 2);
	stage_end(&s);
}

/* One log for all files: who reads it for one must not throw away the others' entries. */
KTEST_ON_CPU0(races, b40_log_read_for_another_file)
{
	struct stage a, b;

	if (!begin(&a))
		return;
	if (begin(&b)) {
		EXPECT_EQ(remote_store(&b.w, b.map, 2), 0);
		mm_use(a.mm);
		EXPECT_EQ(remote_store(&a.w, a.map, 3), 0);
		EXPECT_EQ(testfs_fsync(b.fs), 0);
		EXPECT_EQ(testfs_platter(b.fs, 0, 0), 2);
		EXPECT_EQ(testfs_fsync(a.fs), 0);
		EXPECT_EQ(testfs_platter(a.fs, 0, 0), 3);
		mm_use(b.mm);
		stage_end(&b);
	}
	stage_end(&a);
}
