/* SPDX-License-Identifier: MIT */
/*
 * p12_one_hook.c - P12: what is lost when the page becomes writable before the file system is
 *asked.
 *
 *	F (fault)			S
 *	PTE writable
 *	asks the file system
 *					stores: no fault, no notice
 *	"no space": W is taken away; F's
 *	store is refused
 *					its store is neither refused nor on the disk
 *
 * What the file system accepts is on the disk all the same, whatever came in between.
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

#define OTHER 9 /* a slot that F does not store to */

static struct stage s;

/* F is W, and stands where the PTE is writable and nobody was asked. */
static bool begin(struct gate *gate, const char *policy)
{
	u64 v;

	if (!stage_begin(&s, 1))
		return false;
	s.fs->mapping.policy = policy_find(policy);
	testfs_set_platter(s.fs, 0, 0, 5);
	testfs_set_platter(s.fs, 0, OTHER, 6);
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	EXPECT_EQ(v, 5);
	gate_arm(gate, "granted_first", testfs_page(s.fs, 0));
	remote_try_store(&s.w, s.map, 1);
	return true;
}

/* The store of this thread while F stands there; it must not fault. */
static void slip_in(struct gate *gate)
{
	struct stats before;

	gate_wait(gate);
	stats_snapshot(&before);
	WRITE_ONCE(s.map[OTHER], 2);
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 0);
}

KTEST_ON_CPU0(races, p12_store_slips_in_and_is_lost)
{
	struct gate gate;

	if (!begin(&gate, "one_hook"))
		return;
	slip_in(&gate);
	s.fs->prepare_error = -ENOSPC;
	gate_disarm(&gate);
	EXPECT_EQ(remote_wait(&s.w), -ENOSPC);
	/* F was told, and changed nothing; S was not told. */
	EXPECT(!pte_write(test_pte(s.mm, s.map)) && !pte_dirty(test_pte(s.mm, s.map)));
	EXPECT_EQ(s.map[0], 5);
	EXPECT_EQ(s.map[OTHER], 2);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 5);
	EXPECT_EQ(testfs_platter(s.fs, 0, OTHER), 6);
	/* Nobody remembers it: it goes with the page. */
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY) + testfs_count_tag(s.fs, TAG_MAYBE), 0);
	stage_end(&s);
}

/* W is gone on all CPUs before F is told: S has the entry in its TLB. */
KTEST_ON_CPU0(races, p12_refused_page_is_not_writable_anywhere)
{
	struct gate gate;

	if (!begin(&gate, "one_hook"))
		return;
	slip_in(&gate);
	s.fs->prepare_error = -ENOSPC;
	gate_disarm(&gate);
	EXPECT_EQ(remote_wait(&s.w), -ENOSPC);
	EXPECT_EQ(probe_store8(s.map + OTHER, 3), -ENOSPC);
	EXPECT_EQ(s.map[OTHER], 2);
	stage_end(&s);
}

KTEST_ON_CPU0(races, p12_accepted_stores_are_kept)
{
	struct gate gate;

	if (!begin(&gate, "one_hook"))
		return;
	slip_in(&gate);
	gate_disarm(&gate);
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(testfs_platter(s.fs, 0, OTHER), 2);
	stage_end(&s);
}

/* A sync comes by while the file system is asked: it takes the entry's D, and finds no block to
 * write to. The answer makes the page dirty again. */
KTEST_ON_CPU0(races, p12_sync_before_the_answer_loses_nothing)
{
	struct gate gate;

	if (!begin(&gate, "one_hook"))
		return;
	slip_in(&gate);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	gate_disarm(&gate);
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(testfs_platter(s.fs, 0, OTHER), 2);
	stage_end(&s);
}

/* --- with two hooks nobody stores while the file system is asked, and both are told --- */

static int store_other(void *arg)
{
	return probe_store8(s.map + OTHER, 2);
}

static vm_fault_t refuse_at_gate(struct vm_fault *vmf)
{
	delay_point("p12_asked", vmf->page);
	vmf->error = -ENOSPC;
	return VM_FAULT_SIGBUS;
}

KTEST_ON_CPU0(races, p12_two_hooks_tell_both)
{
	struct gate gate;
	struct job other;

	if (!stage_begin(&s, 1))
		return;
	testfs_set_platter(s.fs, 0, OTHER, 6);
	gate_arm(&gate, "p12_asked", NULL);
	s.fs->mkwrite = refuse_at_gate;
	remote_try_store(&s.w, s.map, 1);
	gate_wait(&gate);
	EXPECT(!pte_write(test_pte(s.mm, s.map)));
	job_start(&other, 0, s.mm, store_other, NULL);
	EXPECT_EQ(job_end(&other), -ENOSPC);
	gate_disarm(&gate);
	EXPECT_EQ(remote_wait(&s.w), -ENOSPC);
	EXPECT_EQ(s.map[OTHER], 6);
	stage_end(&s);
}
