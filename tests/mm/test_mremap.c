/* SPDX-License-Identifier: MIT */
/*
 * test_mremap.c - areas that get another length or another place (rules 37, 59, 120).
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "kernel/mm/harvest.h"
#include "tests/util.h"

#define RW	  (PROT_READ | PROT_WRITE)
#define ANON	  (MAP_PRIVATE | MAP_ANONYMOUS)
#define WHERE	  0x200000000000UL /* nobody else is there */
#define AT(pages) (WHERE + (u64)(pages)*PAGE_SIZE)
#define MOVE	  MREMAP_MAYMOVE
#define FIXED	  (MREMAP_MAYMOVE | MREMAP_FIXED)

static u64 *slot_at(vaddr_t va, u64 page)
{
	return (u64 *)(va + page * PAGE_SIZE);
}

static vaddr_t map_anon(struct mm *mm, vaddr_t where, u64 pages, int prot)
{
	vaddr_t va = 0;

	EXPECT_EQ(mm_mmap(mm, where, pages * PAGE_SIZE, prot, ANON | MAP_FIXED, NULL, 0, &va), 0);
	return va;
}

/* WHERE: two pages, two that may be read only, a hole of two, and two pages. */
static const struct {
	const char *what;
	vaddr_t addr;
	u64 old_len, new_len;
	int flags;
	vaddr_t to;
	int expected;
} calls[] = {
	{ "unknown flag", WHERE, PAGE_SIZE, PAGE_SIZE, 8, 0, -EINVAL },
	{ "fixed, but may not move", WHERE, PAGE_SIZE, PAGE_SIZE, MREMAP_FIXED, AT(100), -EINVAL },
	{ "odd address", WHERE + 8, PAGE_SIZE, PAGE_SIZE, MOVE, 0, -EINVAL },
	{ "no length", WHERE, PAGE_SIZE, 0, MOVE, 0, -EINVAL },
	{ "odd new address", WHERE, PAGE_SIZE, PAGE_SIZE, FIXED, AT(100) + 8, -EINVAL },
	{ "to the kernel's half", WHERE, PAGE_SIZE, PAGE_SIZE, FIXED, KERNEL_BASE, -EINVAL },
	{ "to 0", WHERE, PAGE_SIZE, PAGE_SIZE, FIXED, 0, -EINVAL },
	{ "onto itself", WHERE, 2 * PAGE_SIZE, 2 * PAGE_SIZE, FIXED, WHERE, -EINVAL },
	{ "over its end", WHERE, 2 * PAGE_SIZE, 2 * PAGE_SIZE, FIXED, AT(1), -EINVAL },
	{ "over its start", AT(1), 2 * PAGE_SIZE, 2 * PAGE_SIZE, FIXED, WHERE, -EINVAL },
	{ "more than there is", WHERE, PAGE_SIZE, ~0ul, MOVE, 0, -EINVAL },
	{ "from more than there is", WHERE, ~0ul, PAGE_SIZE, MOVE, 0, -EINVAL },
	{ "nothing there", AT(4), PAGE_SIZE, 2 * PAGE_SIZE, MOVE, 0, -EFAULT },
	{ "into a hole", AT(3), 2 * PAGE_SIZE, 3 * PAGE_SIZE, MOVE, 0, -EFAULT },
	{ "two areas", AT(1), 2 * PAGE_SIZE, 3 * PAGE_SIZE, MOVE, 0, -EFAULT },
	{ "twice, but private", WHERE, 0, PAGE_SIZE, MOVE, 0, -EINVAL },
	{ "no room to grow", WHERE, 2 * PAGE_SIZE, 3 * PAGE_SIZE, 0, 0, -ENOMEM },
	{ "the middle cannot grow", WHERE, PAGE_SIZE, 2 * PAGE_SIZE, 0, 0, -ENOMEM },
	{ "no such room", WHERE, PAGE_SIZE, USER_END - PAGE_SIZE, MOVE, 0, -ENOMEM },
	{ "as long as before", WHERE, 2 * PAGE_SIZE, 2 * PAGE_SIZE, 0, 0, 0 },
	{ "an odd length is rounded up", WHERE, PAGE_SIZE + 1, PAGE_SIZE + 2, 0, 0, 0 },
};

KTEST(mm_mremap, errors)
{
	struct mm *mm = test_mm();
	vaddr_t va;

	map_anon(mm, WHERE, 2, RW);
	map_anon(mm, AT(2), 2, PROT_READ);
	map_anon(mm, AT(6), 2, RW);
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		int err = mm_mremap(mm, calls[i].addr, calls[i].old_len, calls[i].new_len,
				    calls[i].flags, calls[i].to, &va);

		if (err != calls[i].expected || mm->nr_areas != 3)
			ktest_fail(__FILE__, __LINE__, "%s: %d, not %d; %u areas", calls[i].what,
				   err, calls[i].expected, mm->nr_areas);
	}
	mm_put(mm);
}

/* Longer and shorter at its place; what is cut off goes as by munmap. */
KTEST_ON_CPU0(mm_mremap, grow_and_shrink_in_place)
{
	vaddr_t va, out = 0;
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 8))
		return;
	va = (vaddr_t)s.map;
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 6), 6), 0);
	EXPECT_EQ(mm_mremap(s.mm, va, 8 * PAGE_SIZE, 3 * PAGE_SIZE, 0, 0, &out), 0);
	EXPECT_EQ(out, va);
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 3), &v), -EFAULT);
	EXPECT_EQ(mm_mremap(s.mm, va, 3 * PAGE_SIZE, 7 * PAGE_SIZE, 0, 0, &out), 0);
	EXPECT_EQ(out, va);
	EXPECT_EQ(s.mm->nr_areas, 1);
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 6), &v), 0);
	EXPECT_EQ(v, 6);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 5), 5), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0); /* finds the PTEs of the new part */
	EXPECT_EQ(testfs_platter(s.fs, 5, 0), 5);
	EXPECT_EQ(testfs_platter(s.fs, 6, 0), 6);
	EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, 5))));
	stage_end(&s);
}

/* Rule 120: what was writable and dirty is so at its new place: no fault, and no store lost; and
 * the old address is gone on every CPU. From the middle of an area, to an odd place in a table. */
KTEST_ON_CPU0(mm_mremap, r120_d_and_w_are_kept)
{
	const u64 pages = 1400, from = 100, n = 1200;
	struct stats before;
	struct stage s;
	vaddr_t to;
	u64 v;

	if (!stage_begin(&s, pages))
		return;
	for (pgoff_t i = 0; i < pages; i += 50)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1 + i), 0);
	EXPECT_EQ(mm_mremap(s.mm, (vaddr_t)stage_slot(&s, from), n * PAGE_SIZE, n * PAGE_SIZE,
			    FIXED, AT(77), &to),
		  0);
	EXPECT_EQ(to, AT(77));
	EXPECT_EQ(s.mm->nr_areas, 3);
	stats_snapshot(&before);
	for (u64 i = 0; i < n; i += 50) {
		EXPECT_EQ(*slot_at(to, i), 1 + from + i);
		EXPECT_EQ(remote_store(&s.w, slot_at(to, i), 2 + from + i), 0);
	}
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 0);
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, from), &v), -EFAULT);
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, from + n), &v), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (u64 i = 0; i < n; i += 50) {
		EXPECT_EQ(testfs_platter(s.fs, from + i, 0), 2 + from + i);
		EXPECT(!pte_write(test_pte(s.mm, slot_at(to, i))));
	}
	/* Back: the three are one again. */
	EXPECT_EQ(mm_mremap(s.mm, to, n * PAGE_SIZE, n * PAGE_SIZE, FIXED,
			    (vaddr_t)stage_slot(&s, from), &to),
		  0);
	EXPECT_EQ(s.mm->nr_areas, 1);
	EXPECT_EQ(*stage_slot(&s, from + 50), 52 + from);
	stage_end(&s);
}

/* Its neighbours stay, and so does the page table. */
KTEST_ON_CPU0(mm_mremap, r59_old_address_is_gone_on_every_cpu)
{
	struct stage s;
	vaddr_t to;

	if (!stage_begin(&s, 3))
		return;
	for (pgoff_t i = 0; i < 3; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1 + i), 0);
	EXPECT_EQ(mm_mremap(s.mm, (vaddr_t)stage_slot(&s, 1), PAGE_SIZE, PAGE_SIZE, FIXED, WHERE,
			    &to),
		  0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 9), -EFAULT);
	EXPECT_EQ(*slot_at(to, 0), 2);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 2), 9), 0);
	stage_end(&s);
}

/* Too long for its place: it moves. */
KTEST_ON_CPU0(mm_mremap, anonymous_memory_moves)
{
	struct stage s;
	vaddr_t va, to;

	if (!stage_begin(&s, 1))
		return;
	va = map_anon(s.mm, WHERE, 4, RW);
	map_anon(s.mm, AT(4), 1, PROT_READ);
	for (u64 i = 0; i < 4; i++)
		WRITE_ONCE(*slot_at(va, i), 1 + i);
	EXPECT_EQ(mm_mprotect(s.mm, AT(2), 2 * PAGE_SIZE, PROT_NONE), 0); /* held entries, too */
	EXPECT_EQ(mm_mremap(s.mm, AT(2), 2 * PAGE_SIZE, 40 * PAGE_SIZE, MOVE, 0, &to), 0);
	EXPECT(to < WHERE || to >= AT(5));
	EXPECT_EQ(mm_mprotect(s.mm, to, 40 * PAGE_SIZE, RW), 0);
	EXPECT_EQ(*slot_at(to, 0), 3);
	EXPECT_EQ(*slot_at(to, 1), 4);
	EXPECT_EQ(*slot_at(to, 39), 0);
	EXPECT_EQ(*slot_at(va, 1), 2);
	EXPECT_EQ(mm_munmap(s.mm, AT(2), 2 * PAGE_SIZE), 0); /* nothing there */
	stage_end(&s);
}

/* With MREMAP_FIXED: what is there goes first, and its stores are not lost. */
KTEST_ON_CPU0(mm_mremap, fixed_replaces)
{
	struct stage s;
	vaddr_t to;

	if (!stage_begin(&s, 6))
		return;
	map_anon(s.mm, WHERE, 3, RW);
	WRITE_ONCE(*slot_at(WHERE, 0), 100);
	for (pgoff_t i = 0; i < 6; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1 + i), 0);
	/* Shorter than it was: the rest does not come along. */
	EXPECT_EQ(mm_mremap(s.mm, WHERE, 3 * PAGE_SIZE, 2 * PAGE_SIZE, FIXED,
			    (vaddr_t)stage_slot(&s, 2), &to),
		  0);
	EXPECT_EQ(s.mm->nr_areas, 3);
	EXPECT_EQ(*stage_slot(&s, 2), 100);
	EXPECT_EQ(*stage_slot(&s, 4), 5);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < 6; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), 1 + i);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_mremap, length_0_maps_a_second_time)
{
	struct stage s;
	vaddr_t to;

	if (!stage_begin(&s, 4))
		return;
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 1), 0);
	EXPECT_EQ(mm_mremap(s.mm, (vaddr_t)stage_slot(&s, 1), 0, 2 * PAGE_SIZE, 0, 0, &to),
		  -ENOMEM);
	EXPECT_EQ(mm_mremap(s.mm, (vaddr_t)stage_slot(&s, 1), 0, 2 * PAGE_SIZE, MOVE, 0, &to), 0);
	EXPECT_EQ(*slot_at(to, 0), 1);
	EXPECT_EQ(remote_store(&s.w, slot_at(to, 0), 2), 0);
	EXPECT_EQ(*stage_slot(&s, 1), 2);
	EXPECT_EQ(testfs_page(s.fs, 1)->mapcount, 2);
	EXPECT_EQ(mm_munmap(s.mm, to, 2 * PAGE_SIZE), 0);
	stage_end(&s);
}

/* A region that harvests pass over, because nobody was there since the last two: a D that is moved
 * into it came without a walk of any CPU. */
KTEST_ON_CPU0(mm_mremap, d_is_found_in_a_region_that_nobody_touched)
{
	const u64 n = PTES_PER_TABLE;
	struct stage s;
	u64 *other;
	vaddr_t to;

	if (!stage_begin(&s, n))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ((vaddr_t)s.map % (n * PAGE_SIZE), 0);
	for (pgoff_t i = 0; i < n; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), 0);
	other = testfs_mmap(s.fs, s.mm, 5, 1, RW, MAP_SHARED);
	EXPECT_EQ(remote_store(&s.w, other, 2), 0);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT(!pte_young(*pgtable_walk_region(&s.mm->pgt, (vaddr_t)s.map)));
	EXPECT_EQ(remote_store(&s.w, other, 3), 0);
	EXPECT_EQ(mm_mremap(s.mm, (vaddr_t)other, PAGE_SIZE, PAGE_SIZE, FIXED,
			    (vaddr_t)stage_slot(&s, 5), &to),
		  0);
	EXPECT_EQ(s.mm->nr_areas, 1);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 5, 0), 3);
	stage_end(&s);
}
