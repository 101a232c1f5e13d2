/* SPDX-License-Identifier: MIT */
/*
 * test_area.c - areas that are cut and grow together again, and what they leave behind.
 */
#include "kernel/core/stat.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

#define RW    (PROT_READ | PROT_WRITE)
#define ANON  (MAP_PRIVATE | MAP_ANONYMOUS)
#define WHERE 0x200000000000UL /* nobody else is there */

static void map_at(struct mm *mm, struct testfs *fs, u64 at, u64 pages, pgoff_t pgoff, int prot,
		   int flags)
{
	struct mmap_file file = { .readable = true, .writable = true };
	vaddr_t va;

	if (fs)
		file.mapping = &fs->mapping;
	EXPECT_EQ(mm_mmap(mm, WHERE + (at << PAGE_SHIFT), pages << PAGE_SHIFT, prot,
			  flags | MAP_FIXED, &file, pgoff << PAGE_SHIFT, &va),
		  0);
}

/* Neighbours that differ in nothing are one area; each difference keeps them apart. */
KTEST(mm_area, neighbours_are_joined)
{
	struct testfs *fs = testfs_create(16);
	struct mm *mm = test_mm();
	struct vm_area *vma;

	if (!fs)
		return;
	map_at(mm, fs, 0, 2, 0, RW, MAP_SHARED);
	map_at(mm, fs, 4, 2, 4, RW, MAP_SHARED);
	map_at(mm, fs, 2, 2, 2, RW, MAP_SHARED); /* the gap: with both */
	EXPECT_EQ(mm->nr_areas, 1);
	down_read(&mm->mmap_lock);
	vma = find_vma(mm, WHERE + PAGE_SIZE);
	EXPECT(vma && vma->start == WHERE && vma->end == WHERE + 6 * PAGE_SIZE);
	EXPECT(vma && vma->i_node.first == 0 && vma->i_node.last == 5);
	up_read(&mm->mmap_lock);
	EXPECT_EQ(fs->mapping.i_mmap.nr, 1);
	map_at(mm, fs, 6, 2, 7, RW, MAP_SHARED); /* another place in the file */
	EXPECT_EQ(mm->nr_areas, 2);
	map_at(mm, fs, 8, 2, 9, PROT_READ, MAP_SHARED); /* permission */
	EXPECT_EQ(mm->nr_areas, 3);
	map_at(mm, fs, 10, 2, 11, PROT_READ, MAP_PRIVATE);
	EXPECT_EQ(mm->nr_areas, 4);
	map_at(mm, NULL, 12, 2, 0, PROT_READ, ANON);
	EXPECT_EQ(mm->nr_areas, 5);
	map_at(mm, NULL, 14, 2, 0, PROT_READ, ANON);
	EXPECT_EQ(mm->nr_areas, 5);
	EXPECT_EQ(mm_munmap(mm, WHERE, 16 * PAGE_SIZE), 0);
	EXPECT_EQ(mm->nr_areas, 0);
	EXPECT_EQ(fs->mapping.i_mmap.nr, 0);
	mm_put(mm);
	testfs_destroy(fs);
}

/* Both ends of a call in one area; what is joined is cleaned as a whole. */
KTEST_ON_CPU0(mm_area, cut_at_both_ends_and_joined)
{
	struct stage s;

	if (!stage_begin(&s, 8))
		return;
	for (int round = 0; round < 3; round++) {
		EXPECT_EQ(mm_madvise(s.mm, (vaddr_t)stage_slot(&s, 2), 3 * PAGE_SIZE,
				     MADV_STAY_WRITABLE),
			  0);
		EXPECT_EQ(s.mm->nr_areas, 3);
		for (pgoff_t i = 0; i < 8; i++)
			EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 8 * round + i), 0);
		EXPECT_EQ(mm_madvise(s.mm, (vaddr_t)s.map, 8 * PAGE_SIZE, MADV_NORMAL), 0);
		EXPECT_EQ(s.mm->nr_areas, 1);
		EXPECT_EQ(s.fs->mapping.i_mmap.nr, 1);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		for (pgoff_t i = 0; i < 8; i++) {
			EXPECT_EQ(testfs_platter(s.fs, i, 0), 8 * round + i);
			EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, i))));
		}
	}
	stage_end(&s);
}

/* What nobody touched costs no shootdown; tables stay while a neighbour needs them. */
KTEST_ON_CPU0(mm_area, untouched_areas_leave_nothing)
{
	struct stats before;
	struct stage s;
	vaddr_t va;
	u64 tables;

	if (!stage_begin(&s, 4))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	tables = s.mm->pgt.nr_tables;
	stats_snapshot(&before);
	for (int i = 0; i < 4; i++) {
		va = (vaddr_t)testfs_mmap(s.fs, s.mm, 0, 4, RW, MAP_SHARED);
		EXPECT_EQ(mm_munmap(s.mm, va, 4 * PAGE_SIZE), 0);
	}
	EXPECT_EQ(stat_since(&before, STAT_TLB_SHOOTDOWNS), 0);
	EXPECT_EQ(s.mm->pgt.nr_tables, tables);
	/* The neighbour's table is another page's too. */
	map_at(s.mm, NULL, 0, 1, 0, RW, ANON);
	map_at(s.mm, NULL, 2, 1, 0, RW, ANON);
	WRITE_ONCE(*(u64 *)WHERE, 1);
	WRITE_ONCE(*(u64 *)(WHERE + 2 * PAGE_SIZE), 2);
	EXPECT(s.mm->pgt.nr_tables > tables);
	EXPECT_EQ(mm_munmap(s.mm, WHERE, PAGE_SIZE), 0);
	EXPECT(pte_present(test_pte(s.mm, (void *)(WHERE + 2 * PAGE_SIZE))));
	EXPECT_EQ(mm_munmap(s.mm, WHERE + 2 * PAGE_SIZE, PAGE_SIZE), 0);
	EXPECT_EQ(s.mm->pgt.nr_tables, tables);
	stage_end(&s);
}
