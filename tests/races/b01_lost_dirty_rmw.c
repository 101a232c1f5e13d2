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
 * K has to see that the PTE changed, and look again; so has mprotect(). The same when the PTE is
 * removed: what counts is the D that the exchange brings back, not the one that was there when T
 * looked.
 */
#include "tests/util.h"

static void store_now(void *object, void *arg)
{
	struct stage *s = arg;

	/* Under pgtable.lock; W needs no fault, its PTE is writable. Only the first time. */
	if (object == testfs_page(s->fs, 0) && !*(u64 *)page_address(object))
		EXPECT_EQ(remote_store(&s->w, stage_slot(s, 0), 11), 0);
}

KTEST_ON_CPU0(races, b01_lost_dirty_rmw)
{
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = &test_policy_silent;
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 0), &v), 0);
	EXPECT(pte_write(test_pte(s.mm, s.map)) && !pte_dirty(test_pte(s.mm, s.map)));

	BUG_ON(delay_arm("mkclean_between_read_and_write", store_now, &s));
	EXPECT_EQ(testfs_protect(s.fs), 0);
	delay_disarm("mkclean_between_read_and_write");
	EXPECT_EQ(*stage_slot(&s, 0), 11);

	/* The store came after the first call began; before the second. */
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 11);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b01_lost_dirty_zap)
{
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = &test_policy_silent;
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	BUG_ON(delay_arm("zap_between_read_and_exchange", store_now, &s));
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, PAGE_SIZE), 0);
	delay_disarm("zap_between_read_and_exchange");
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 11);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b01_lost_dirty_mprotect)
{
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = &test_policy_silent;
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	BUG_ON(delay_arm("mprotect_between_read_and_write", store_now, &s));
	EXPECT_EQ(mm_mprotect(s.mm, (vaddr_t)s.map, PAGE_SIZE, PROT_READ), 0);
	delay_disarm("mprotect_between_read_and_write");
	EXPECT(pte_dirty(test_pte(s.mm, s.map)));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 11);
	stage_end(&s);
}
