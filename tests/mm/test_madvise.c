/* SPDX-License-Identifier: MIT */
/*
 * test_madvise.c - what a program may say about its memory, and mlock() (seeds P24, P25; T5).
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static u32 flags_at(struct mm *mm, const void *p)
{
	struct vm_area *vma;
	u32 flags;

	down_read(&mm->mmap_lock);
	vma = find_vma(mm, (vaddr_t)p);
	flags = vma ? vma->flags : 0;
	up_read(&mm->mmap_lock);
	return flags;
}

static int advise(struct stage *s, pgoff_t page, u64 pages, int advice)
{
	return mm_madvise(s->mm, (vaddr_t)stage_slot(s, page), pages * PAGE_SIZE, advice);
}

KTEST_ON_CPU0(mm_madvise, refusals)
{
	struct stage s;
	const u64 *ro;

	if (!stage_begin(&s, 8))
		return;
	EXPECT_EQ(mm_madvise(s.mm, (vaddr_t)s.map + 8, PAGE_SIZE, MADV_NORMAL), -EINVAL);
	EXPECT_EQ(advise(&s, 0, 1, 99), -EINVAL);
	EXPECT_EQ(advise(&s, 0, 1, MADV_POLICY(5000)), -EINVAL);
	EXPECT_EQ(advise(&s, 0, 1, MADV_POLICY(-2)), -EINVAL);
	EXPECT_EQ(mm_madvise(s.mm, (vaddr_t)s.map, ~0ul, MADV_NORMAL), -EINVAL);
	EXPECT_EQ(mm_madvise(s.mm, USER_END - PAGE_SIZE, 2 * PAGE_SIZE, MADV_NORMAL), -ENOMEM);
	EXPECT_EQ(advise(&s, 0, 0, MADV_STAY_WRITABLE), 0);
	/* Not permitted there. */
	ro = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ, MAP_SHARED);
	EXPECT_EQ(mm_madvise(s.mm, (vaddr_t)ro, PAGE_SIZE, MADV_WILL_WRITE), -EINVAL);
	EXPECT_EQ(mm_madvise(s.mm, (vaddr_t)ro, PAGE_SIZE, MADV_POPULATE_WRITE), -EINVAL);
	EXPECT_EQ(mm_madvise(s.mm, (vaddr_t)ro, PAGE_SIZE, MADV_POPULATE_READ), 0);
	/* A hole: what is mapped was told all the same. */
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)stage_slot(&s, 3), PAGE_SIZE), 0);
	EXPECT_EQ(advise(&s, 2, 3, MADV_STAY_WRITABLE), -ENOMEM);
	EXPECT(flags_at(s.mm, stage_slot(&s, 2)) & VM_ASKED);
	EXPECT(flags_at(s.mm, stage_slot(&s, 4)) & VM_ASKED);
	EXPECT_EQ(advise(&s, 2, 2, MADV_POPULATE_READ), -ENOMEM);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_madvise, areas_are_cut_at_the_borders)
{
	struct stage s;

	if (!stage_begin(&s, 8))
		return;
	for (pgoff_t i = 0; i < 8; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), i + 1), 0);
	EXPECT_EQ(advise(&s, 2, 3, MADV_STAY_WRITABLE), 0);
	EXPECT_EQ(s.mm->nr_areas, 3);
	for (pgoff_t i = 0; i < 8; i++) {
		EXPECT_EQ(!!(flags_at(s.mm, stage_slot(&s, i)) & VM_ASKED), i >= 2 && i < 5);
		EXPECT_EQ(stage_slot(&s, i)[0], i + 1);
	}
	EXPECT_EQ(advise(&s, 0, 8, MADV_NORMAL), 0);
	for (pgoff_t i = 0; i < 8; i++)
		EXPECT(!(flags_at(s.mm, stage_slot(&s, i)) & VM_ASKED));
	/* The pieces are cleaned as the whole was. */
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < 8; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), i + 1);
	stage_end(&s);
}

/* --- MADV_WILL_WRITE --- */

KTEST_ON_CPU0(mm_madvise, will_write_is_writable_and_clean)
{
	struct stats before;
	struct stage s;

	if (!stage_begin(&s, 700))
		return;
	s.fs->mapping.policy = policy_find("will_write");
	EXPECT_EQ(advise(&s, 10, 600, MADV_WILL_WRITE), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 600);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 0);
	EXPECT_EQ(s.fs->mkwrites, 600);
	stats_snapshot(&before);
	for (pgoff_t i = 10; i < 610; i++) {
		pte_t pte = test_pte(s.mm, stage_slot(&s, i));

		EXPECT(pte_write(pte) && !pte_dirty(pte));
		WRITE_ONCE(*stage_slot(&s, i), i);
	}
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 0);
	EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, 9))));
	EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, 610))));
	/* It stays so. */
	for (u64 round = 1; round < 3; round++) {
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		EXPECT_EQ(testfs_platter(s.fs, 609, 0), 608 + round);
		WRITE_ONCE(*stage_slot(&s, 609), 609 + round);
	}
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 0);
	EXPECT_EQ(s.fs->pages_written, 600 + 1);
	stage_end(&s);
}

/* The call returns what the store would have died of. */
KTEST_ON_CPU0(mm_madvise, will_write_returns_errors)
{
	struct stage s;

	if (!stage_begin(&s, 16))
		return;
	s.fs->prepare_error = -ENOSPC;
	EXPECT_EQ(advise(&s, 0, 4, MADV_WILL_WRITE), -ENOSPC);
	s.fs->prepare_error = -EIO;
	EXPECT_EQ(advise(&s, 0, 4, MADV_WILL_WRITE), -EIO);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 0);
	s.fs->prepare_error = 0;
	/* A batch that fails is not the page's fault; that it fails alone is. */
	ramblk_fail(s.fs->dev, BIO_READ, 8 * PAGE_SIZE / SECTOR_SIZE, ~0ul, 1, 2, -EIO);
	EXPECT_EQ(advise(&s, 8, 4, MADV_WILL_WRITE), -EIO);
	EXPECT_EQ(testfs_truncate(s.fs, 6 * PAGE_SIZE), 0);
	EXPECT_EQ(advise(&s, 0, 16, MADV_WILL_WRITE), -EFAULT);
	/* What lies before is granted. */
	EXPECT(pte_write(test_pte(s.mm, stage_slot(&s, 5))));
	EXPECT_EQ(advise(&s, 0, 6, MADV_WILL_WRITE), 0);
	stage_end(&s);
}

/* Where nobody tracks anything it only brings the pages in. */
KTEST_ON_CPU0(mm_madvise, will_write_of_private_memory)
{
	struct mm *mm = test_mm();
	struct stats before;
	vaddr_t va;

	EXPECT_EQ(mm_mmap(mm, 0, 4 * PAGE_SIZE, RW, ANON, NULL, 0, &va), 0);
	stats_snapshot(&before);
	EXPECT_EQ(mm_madvise(mm, va, 4 * PAGE_SIZE, MADV_WILL_WRITE), 0);
	EXPECT_EQ(stat_since(&before, STAT_ANON_FAULTS), 4);
	EXPECT(pte_write(test_pte(mm, (void *)(va + 3 * PAGE_SIZE))));
	mm_put(mm);
}

/* --- MADV_POPULATE_*, MAP_POPULATE, mlock --- */

KTEST_ON_CPU0(mm_madvise, populate)
{
	struct stage s;

	if (!stage_begin(&s, 8))
		return;
	EXPECT_EQ(advise(&s, 0, 4, MADV_POPULATE_READ), 0);
	EXPECT(pte_present(test_pte(s.mm, stage_slot(&s, 3))));
	EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, 3))));
	EXPECT(!pte_present(test_pte(s.mm, stage_slot(&s, 4))));
	EXPECT_EQ(advise(&s, 2, 4, MADV_POPULATE_WRITE), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 4);
	s.fs->prepare_error = -ENOSPC;
	EXPECT_EQ(advise(&s, 6, 2, MADV_POPULATE_WRITE), -EFAULT);
	s.fs->prepare_error = 0;
	EXPECT_EQ(testfs_truncate(s.fs, 2 * PAGE_SIZE), 0);
	EXPECT_EQ(advise(&s, 0, 4, MADV_POPULATE_READ), -EFAULT);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_madvise, mlock_brings_in_and_does_not_dirty)
{
	struct stage s;
	u64 *private;

	if (!stage_begin(&s, 8))
		return;
	private = testfs_mmap(s.fs, s.mm, 0, 4, RW, MAP_PRIVATE);
	/* Any byte of a page means the page. */
	EXPECT_EQ(mm_mlock(s.mm, (vaddr_t)stage_slot(&s, 2) + 100, PAGE_SIZE), 0);
	for (pgoff_t i = 0; i < 8; i++) {
		bool locked = i == 2 || i == 3;

		EXPECT_EQ(!!(flags_at(s.mm, stage_slot(&s, i)) & VM_LOCKED), locked);
		EXPECT_EQ(pte_present(test_pte(s.mm, stage_slot(&s, i))), locked);
	}
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY) + testfs_count_tag(s.fs, TAG_MAYBE), 0);
	EXPECT_EQ(mm_munlock(s.mm, (vaddr_t)s.map, 8 * PAGE_SIZE), 0);
	EXPECT(!(flags_at(s.mm, stage_slot(&s, 2)) & VM_LOCKED));
	/* Private pages are copied ahead, so that no store to them faults. */
	EXPECT_EQ(mm_mlock(s.mm, (vaddr_t) private, 4 * PAGE_SIZE), 0);
	EXPECT(pte_write(test_pte(s.mm, private)));

	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)stage_slot(&s, 4), PAGE_SIZE), 0);
	EXPECT_EQ(mm_mlock(s.mm, (vaddr_t)s.map, 8 * PAGE_SIZE), -ENOMEM);
	EXPECT_EQ(mm_mlock(s.mm, ~0ul, 2), -EINVAL);
	EXPECT_EQ(mm_mlock(s.mm, (vaddr_t)s.map, 0), 0);
	stage_end(&s);
}

static enum policy_map if_locked(const struct policy_page *page)
{
	return page->locked ? POLICY_MAP_WRITABLE : POLICY_MAP_READONLY;
}

static const struct dirty_policy locked_ones = { .name = "locked", .on_read_fault = if_locked };

/* What the policy would have a load get, mlock gets. */
KTEST_ON_CPU0(mm_madvise, mlock_asks_the_policy)
{
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 4))
		return;
	s.fs->mapping.policy = &locked_ones;
	EXPECT_EQ(mm_mlock(s.mm, (vaddr_t)s.map, 2 * PAGE_SIZE), 0);
	EXPECT_EQ(probe_load8(stage_slot(&s, 2), &v), 0);
	EXPECT(pte_write(test_pte(s.mm, stage_slot(&s, 1))));
	EXPECT(!pte_dirty(test_pte(s.mm, stage_slot(&s, 1))));
	EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, 2))));
	stage_end(&s);
}

KTEST_ON_CPU0(mm_madvise, map_populate_and_map_locked)
{
	struct stage s;
	u64 *map;

	if (!stage_begin(&s, 4))
		return;
	map = testfs_mmap(s.fs, s.mm, 0, 4, RW, MAP_SHARED | MAP_POPULATE);
	EXPECT(pte_present(test_pte(s.mm, map + 3 * SLOTS_PER_PAGE)));
	EXPECT(!(flags_at(s.mm, map) & VM_LOCKED));
	map = testfs_mmap(s.fs, s.mm, 0, 4, RW, MAP_SHARED | MAP_LOCKED);
	EXPECT(pte_present(test_pte(s.mm, map + 3 * SLOTS_PER_PAGE)));
	EXPECT(flags_at(s.mm, map) & VM_LOCKED);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 0);
	stage_end(&s);
}

/* --- where areas go --- */

KTEST_ON_CPU0(mm_madvise, large_areas_begin_with_a_table)
{
	const u64 region = PTES_PER_TABLE * PAGE_SIZE;
	struct mm *mm = test_mm();
	vaddr_t small, a, b, hint;

	EXPECT_EQ(mm_mmap(mm, 0, PAGE_SIZE, RW, ANON, NULL, 0, &small), 0);
	EXPECT_EQ(mm_mmap(mm, 0, region, RW, ANON, NULL, 0, &a), 0);
	EXPECT_EQ(mm_mmap(mm, 0, region + PAGE_SIZE, RW, ANON, NULL, 0, &b), 0);
	EXPECT_EQ(a % region, 0);
	EXPECT_EQ(b % region, 0);
	/* A hint is a hint. */
	EXPECT_EQ(mm_mmap(mm, b + 8 * region + PAGE_SIZE, region, RW, ANON, NULL, 0, &hint), 0);
	EXPECT_EQ(hint, b + 8 * region + PAGE_SIZE);
	mm_put(mm);
}
