/* SPDX-License-Identifier: MIT */
/*
 * b01_lost_dirty_rmw.c - B1: the CPU sets D between the load and the store of a PTE (rule 23).
 *
 *	K (cleaning)				W
 *	loads the PTE: writable, D=0
 *						stores: its CPU sets D in the PTE
 *	stores the PTE back: read-only, D=0
 *	no D: "never stored to", nothing is
 *	written, and the store is lost
 *
 * K has to see that the PTE changed, and look again.
 */
#include "tests/util.h"

static void store_now(void *object, void *arg)
{
	struct stage *s = arg;

	/* Under pgtable.lock; W needs no fault, its PTE is writable. Only the first time round. */
	if (object == testfs_page(s->fs, 0) && !*stage_slot(s, 0))
		EXPECT_EQ(remote_store(&s->w, stage_slot(s, 0), 11), 0);
}

static void lost_dirty_rmw(void)
{
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = &test_policy_silent;
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 0), &v), 0);
	EXPECT(pte_write(test_pte(s.mm, s.map)) && !pte_dirty(test_pte(s.mm, s.map)));

	BUG_ON(delay_arm("mkclean_between_read_and_write", store_now, &s));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	delay_disarm("mkclean_between_read_and_write");
	EXPECT_EQ(*stage_slot(&s, 0), 11);

	/* The store came after the first call began; before the second. */
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 11);
	stage_end(&s);
}

KTEST(races, b01_lost_dirty_rmw)
{
	on_cpu0(lost_dirty_rmw);
}
