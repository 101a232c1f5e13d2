/* SPDX-License-Identifier: MIT */
/*
 * b06_mremap_dirty.c - B6: an entry moves while somebody else looks for it (rules 37, 59).
 *
 *	M (mremap)		K (fsync)		W
 *	moves a PTE with W, D
 *				takes W and D of the
 *				new entry, flushes the
 *				new address
 *							stores by its entry of the old
 *				writes the page, clean
 *	flushes the old address
 *
 * So K has to wait for M's flush. And T (truncate), which looks for the entry to free its page, has
 * to find it at the one place or the other.
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "tests/util.h"

#define WHERE 0x200000000000UL /* nobody else is there */

static int move_job(void *stage)
{
	struct stage *s = stage;
	vaddr_t out;

	return mm_mremap(s->mm, (vaddr_t)s->map, s->pages * PAGE_SIZE, s->pages * PAGE_SIZE,
			 MREMAP_MAYMOVE | MREMAP_FIXED, WHERE, &out);
}

static void fsync_while_moved(const struct dirty_policy *policy)
{
	struct job m, k;
	struct gate gate;
	struct stage s;
	u64 last = 1;

	if (!stage_begin(&s, 2))
		return;
	s.fs->mapping.policy = policy;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	gate_arm(&gate, "mremap_before_flush", NULL);
	job_start(&m, 0, s.mm, move_job, &s);
	gate_wait(&gate);
	job_start(&k, 0, NULL, testfs_fsync_job, s.fs);
	EXPECT(job_settles(&k) != NULL);
	remote_try_store(&s.w, s.map, 2); /* by the old entry, if its CPU still has it */
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&m), 0);
	if (!remote_wait(&s.w))
		last = 2;
	EXPECT_EQ(job_end(&k), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), last);

	EXPECT_EQ(remote_store(&s.w, s.map, 3), -EFAULT);
	EXPECT_EQ(remote_store(&s.w, (u64 *)WHERE, 4), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 4);
	EXPECT_EQ(mm_munmap(s.mm, WHERE, 2 * PAGE_SIZE), 0);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b06_mremap_dirty)
{
	fsync_while_moved(NULL);
	fsync_while_moved(&test_policy_silent);
	fsync_while_moved(&test_policy_clear_d);
}

static int truncate_job(void *fs)
{
	return testfs_truncate(fs, PAGE_SIZE);
}

/* T frees the page: no CPU may reach it by either address. */
KTEST_ON_CPU0(races, b06_truncate_finds_what_moves)
{
	struct job m, t;
	struct gate gate;
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 2))
		return;
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 1), 0);
	gate_arm(&gate, "mremap_before_flush", NULL);
	job_start(&m, 0, s.mm, move_job, &s);
	gate_wait(&gate);
	job_start(&t, 0, NULL, truncate_job, s.fs);
	EXPECT(job_settles(&t) != NULL);
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&m), 0);
	EXPECT_EQ(job_end(&t), 0);
	EXPECT_EQ(remote_load(&s.w, (u64 *)(WHERE + PAGE_SIZE), &v), -EFAULT);
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 1), &v), -EFAULT);
	EXPECT_EQ(mm_munmap(s.mm, WHERE, 2 * PAGE_SIZE), 0);
	stage_end(&s);
}
