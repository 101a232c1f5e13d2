/* SPDX-License-Identifier: MIT */
/*
 * b09_async_reprotect.c - B9: who takes W away for the sake of the times, without writing anything
 * (rule 23). In 2008 that was msync(MS_ASYNC); here it is a look at a file's times (arm.h).
 *
 *	L (look)				W
 *	loads the PTE: writable, D=0
 *						stores: its CPU sets D
 *	stores the PTE back: read-only, D=0
 *	the store is neither on the next sync's way to the disk, nor in the times
 */
#include "kernel/mm/arm.h"
#include "tests/util.h"

static void store_now(void *object, void *arg)
{
	struct stage *s = arg;

	/* Under pgtable.lock; W needs no fault, its PTE is writable. */
	if (object == &s->fs->mapping && !*(u64 *)page_address(testfs_page(s->fs, 0)))
		EXPECT_EQ(remote_store(&s->w, s->map, 11), 0);
}

KTEST_ON_CPU0(races, b09_async_reprotect)
{
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = &test_policy_silent;
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	EXPECT(pte_write(test_pte(s.mm, s.map)) && !pte_dirty(test_pte(s.mm, s.map)));
	mapping_want_notes(&s.fs->mapping, true);
	clear_bit(&s.fs->mapping.flags, AS_CMTIME);

	BUG_ON(delay_arm("arm_between_read_and_write", store_now, &s));
	mapping_arm(&s.fs->mapping);
	delay_disarm("arm_between_read_and_write");
	EXPECT(!pte_write(test_pte(s.mm, s.map)));
	EXPECT(test_bit(&s.fs->mapping.flags, AS_CMTIME));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 11);
	mapping_want_notes(&s.fs->mapping, false);
	stage_end(&s);
}
