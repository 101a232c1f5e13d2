/* SPDX-License-Identifier: MIT */
/*
 * b14_clean_writable_to_notpresent.c - B14: an entry that is writable, without D, and cached, is
 * removed; a store comes before the flush (rule 53; what the machine does alone: hw.store_through_
 * clean_entry_faults_after_removal_and_protection).
 *
 *	T (munmap)			W
 *					loads: PTE cached, writable, D=0
 *	exchanges the PTE: D=0, so
 *	there was no store
 *					stores: its CPU must walk for D, finds nothing
 *					and faults; were anything left in the entry, D
 *					could be set in it after T looked
 *	flushes
 */
#include <sys/errno.h>

#include "tests/util.h"

KTEST_ON_CPU0(races, b14_clean_writable_to_notpresent)
{
	struct gate zap;
	struct stage s;
	struct job t;
	u64 v;

	if (!stage_begin(&s, 2))
		return;
	s.fs->mapping.policy = &test_policy_silent;
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	EXPECT(pte_write(test_pte(s.mm, s.map)) && !pte_dirty(test_pte(s.mm, s.map)));
	gate_arm(&zap, "zap_before_flush", NULL);
	job_start(&t, 0, s.mm, stage_munmap_job, &s);
	gate_wait(&zap);
	EXPECT_EQ(test_pte(s.mm, s.map).v, 0);
	remote_try_store(&s.w, s.map, 1);
	EXPECT_EQ(test_pte(s.mm, s.map).v, 0);
	gate_disarm(&zap);
	EXPECT_EQ(remote_wait(&s.w), -EFAULT);
	EXPECT_EQ(job_end(&t), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(s.fs->pages_written, 0);
	stage_end(&s);
}
