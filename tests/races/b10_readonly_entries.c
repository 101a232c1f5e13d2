/* SPDX-License-Identifier: MIT */
/*
 * b10_readonly_entries.c - B10, B11, B30: which entries cleaning must not pass over (rule 22).
 *
 * B10, B11:
 *	W stores: PTE writable, D
 *	mprotect(PROT_READ): PTE read-only, D stays
 *	K cleans: the area is read-only, or the PTE is; nothing to do; the page is called clean
 *	mprotect(PROT_READ | PROT_WRITE): the PTE has D, so it may have W without a fault
 *	W stores, and nobody knows
 *
 * B30:
 *	a second PTE of the page is writable without D (in Linux a child's after fork, here a page
 *	that was read under a policy that wants no notice)
 *	K cleans: takes W and D where D is; the page is called clean
 *	W stores through the second PTE, and nobody is told
 *
 * Each with the real mprotect(), and with one that gives W back to an entry with D, as Linux's does
 * and ours does not: cleaning must be right without knowing which.
 */
#include "arch/x86_64/tlb.h"
#include "tests/util.h"

static void change_pte(struct stage *s, u64 clear, u64 set)
{
	TLB_BATCH(batch, TLB_WHY_TEST);
	pte_t *ptep = pgtable_walk(&s->mm->pgt, (vaddr_t)s->map);

	ptep_clear_bits(ptep, clear);
	ptep_set_bits(ptep, set);
	tlb_batch_add(&batch, &s->mm->pgt, (vaddr_t)s->map);
	tlb_batch_flush(&batch);
}

static void nothing(void *object, void *arg)
{
}

/* Cleaning has a short way for pages of the usual kind; not where somebody watches. */
static int sync_the_long_way(struct stage *s)
{
	int err;

	BUG_ON(delay_arm("mkclean_before_flush", nothing, NULL));
	err = testfs_fsync(s->fs);
	delay_disarm("mkclean_before_flush");
	return err;
}

static void protect_clean_unprotect(u32 area_loses, bool short_way)
{
	struct vm_area *vma;
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	vma = find_vma(s.mm, (vaddr_t)s.map);
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	vma->flags &= ~area_loses;
	change_pte(&s, PTE_W, 0);
	EXPECT_EQ(short_way ? testfs_fsync(s.fs) : sync_the_long_way(&s), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	vma->flags |= area_loses;
	change_pte(&s, 0, pte_dirty(test_pte(s.mm, s.map)) ? PTE_W : 0);

	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b10_mkclean_skips_readonly_area)
{
	protect_clean_unprotect(VM_WRITE, true);
	protect_clean_unprotect(VM_WRITE, false);
}

/* One store, then as many turns of the wheel as there are places to stop at. */
KTEST_ON_CPU0(races, b10_mprotect)
{
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	for (u64 v = 1; v < 9; v++) {
		bool while_readonly = v & 1, twice = v & 2, none = v & 4;

		EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		EXPECT_EQ(mm_mprotect(s.mm, (vaddr_t)s.map, PAGE_SIZE,
				      none ? PROT_NONE : PROT_READ),
			  0);
		if (while_readonly) {
			EXPECT_EQ(twice ? sync_the_long_way(&s) : testfs_fsync(s.fs), 0);
			EXPECT_EQ(testfs_platter(s.fs, 0, 0), v);
		}
		EXPECT_EQ(mm_mprotect(s.mm, (vaddr_t)s.map, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		EXPECT_EQ(testfs_platter(s.fs, 0, 0), v);
	}
	stage_end(&s);
}

KTEST_ON_CPU0(races, b11_mkclean_tests_w_only)
{
	protect_clean_unprotect(0, true);
	protect_clean_unprotect(0, false);
}

KTEST_ON_CPU0(races, b30_writable_without_d)
{
	struct stage s;
	u64 *second, v;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = &test_policy_silent;
	second = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ | PROT_WRITE, MAP_SHARED);
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	EXPECT_EQ(remote_load(&s.w, second, &v), 0);
	EXPECT(pte_write(test_pte(s.mm, second)) && !pte_dirty(test_pte(s.mm, second)));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(remote_store(&s.w, second, 2), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}
