/* SPDX-License-Identifier: MIT */
/*
 * r05_dirty_before_writable.c - rules 3 and 5: other threads can store from the moment a PTE is
 * writable, so that by then the page must be where a sync looks for it.
 *
 *	F (fault)			W			S (fsync)
 *	makes the PTE writable
 *					stores, no fault
 *								no page is tagged:
 *								returns
 *	marks the page dirty
 *	W's store had retired before S began, and is not on the disk
 *
 * The page lock does not help: S looks at tags without it.
 */
#include "arch/x86_64/uaccess.h"
#include "tests/util.h"

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

static void dirty_before_writable(const struct dirty_policy *policy)
{
	struct stage s;
	struct gate gate;
	struct job f, sync;
	struct sync seen = { 0 };
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	seen.fs = s.fs;
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	s.fs->mapping.policy = policy;
	gate_arm(&gate, "mkwrite_pte_set", testfs_page(s.fs, 0));
	job_start(&f, 0, s.mm, fault_job, s.map);
	gate_wait(&gate);
	EXPECT(pte_write(test_pte(s.mm, s.map)));
	EXPECT_EQ(remote_store(&s.w, s.map + 1, 2), 0);
	job_start(&sync, 0, NULL, sync_job, &seen);
	job_settles(&sync);
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&f), 0);
	EXPECT_EQ(job_end(&sync), 0);
	EXPECT_EQ(seen.platter, 2);
	stage_end(&s);
}

KTEST_ON_CPU0(races, r05_dirty_before_writable)
{
	dirty_before_writable(NULL);
	dirty_before_writable(&test_policy_silent);
}
