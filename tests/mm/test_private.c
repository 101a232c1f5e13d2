/* SPDX-License-Identifier: MIT */
/*
 * test_private.c - private mappings: copy-on-write and anonymous memory (rules 10, 11, 60, 73).
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "kernel/mm/fault.h"
#include "tests/util.h"

#define RW (PROT_READ | PROT_WRITE)

KTEST_ON_CPU0(mm_private, store_is_not_the_files)
{
	struct stats before;
	struct stage s;
	u64 *private, nr;

	if (!stage_begin(&s, 2))
		return;
	testfs_set_platter(s.fs, 0, 0, 1);
	testfs_set_platter(s.fs, 1, 0, 2);
	private = testfs_mmap(s.fs, s.mm, 0, 2, RW, MAP_PRIVATE);
	EXPECT_EQ(private[0], 1); /* page 0 is mapped first, page 1 is stored to at once */
	nr = nr_dirty_pages();
	stats_snapshot(&before);
	WRITE_ONCE(private[0], 11);
	WRITE_ONCE(private[SLOTS_PER_PAGE], 12);
	EXPECT_EQ(stat_since(&before, STAT_COW_FAULTS), 2);

	/* Neither asked for, nor dirty, nor written, nor told to the file's times. */
	EXPECT_EQ(s.fs->mkwrites, 0);
	EXPECT_EQ(nr_dirty_pages(), nr);
	EXPECT_EQ(mm_msync(s.mm, (vaddr_t) private, 2 * PAGE_SIZE, MS_SYNC), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(s.fs->pages_written + s.fs->cmtimes, 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT_EQ(s.map[0], 1);
	EXPECT_EQ(s.map[SLOTS_PER_PAGE], 2);
	EXPECT_EQ(private[0], 11);
	EXPECT_EQ(private[SLOTS_PER_PAGE], 12);
	stage_end(&s);
}

/* Until it is copied, the page is the file's: stores by others show. */
KTEST_ON_CPU0(mm_private, uncopied_page_shows_the_file)
{
	struct stage s;
	u64 *private;

	if (!stage_begin(&s, 1))
		return;
	private = testfs_mmap(s.fs, s.mm, 0, 1, RW, MAP_PRIVATE);
	EXPECT_EQ(private[0], 0);
	EXPECT_EQ(remote_store(&s.w, s.map, 3), 0);
	EXPECT_EQ(private[0], 3);
	WRITE_ONCE(private[1], 4);
	EXPECT_EQ(remote_store(&s.w, s.map, 5), 0);
	EXPECT_EQ(private[0], 3);
	EXPECT_EQ(s.map[1], 0);
	stage_end(&s);
}

/* Cleaning passes private entries over; removing pages of the file (ZAP_FILE_ONLY) does too, if
 * they are copies; truncation does not (rule 11). */
KTEST_ON_CPU0(mm_private, copy_survives_all_but_truncation)
{
	struct stage s;
	u64 *private, v;

	if (!stage_begin(&s, 2))
		return;
	private = testfs_mmap(s.fs, s.mm, 0, 2, RW, MAP_PRIVATE);
	WRITE_ONCE(private[SLOTS_PER_PAGE], 6);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 7), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT(pte_write(test_pte(s.mm, private + SLOTS_PER_PAGE)));
	unmap_mapping_range(&s.fs->mapping, 0, ~0ul, ZAP_FILE_ONLY);
	EXPECT(!pte_present(test_pte(s.mm, stage_slot(&s, 1))));
	EXPECT(pte_present(test_pte(s.mm, private + SLOTS_PER_PAGE)));
	EXPECT_EQ(private[SLOTS_PER_PAGE], 6);

	EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE), 0);
	EXPECT_EQ(probe_load8(private + SLOTS_PER_PAGE, &v), -EFAULT);
	EXPECT_EQ(private[0], 0);
	stage_end(&s);
}

/* Rule 60: once the copy is written to, no CPU reads the frame that it replaced. */
KTEST_ON_CPU0(mm_private, no_cpu_keeps_the_old_frame)
{
	struct stage s;
	u64 *private, v;

	if (!stage_begin(&s, 1))
		return;
	private = testfs_mmap(s.fs, s.mm, 0, 1, RW, MAP_PRIVATE);
	EXPECT_EQ(remote_load(&s.w, private, &v), 0);
	WRITE_ONCE(private[0], 8);
	EXPECT_EQ(remote_load(&s.w, private, &v), 0);
	EXPECT_EQ(v, 8);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_private, anonymous_memory_is_zero_and_ones_own)
{
	struct stage s;
	struct mm *other = test_mm();
	vaddr_t va, vb;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	for (int round = 0; round < 2; round++) {
		EXPECT_EQ(mm_mmap(s.mm, 0, 8 * PAGE_SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0,
				  &va),
			  0);
		for (u64 i = 0; i < 8 * SLOTS_PER_PAGE; i += 64) {
			EXPECT_EQ(((u64 *)va)[i], 0);
			WRITE_ONCE(((u64 *)va)[i], i + 1);
		}
		/* The frames come back in the next round, and hold nothing of this one. */
		EXPECT_EQ(mm_munmap(s.mm, va, 8 * PAGE_SIZE), 0);
	}
	EXPECT_EQ(mm_mmap(s.mm, USER_START, PAGE_SIZE, RW, MAP_PRIVATE | MAP_ANON | MAP_FIXED, NULL,
			  0, &va),
		  0);
	EXPECT_EQ(mm_mmap(other, USER_START, PAGE_SIZE, RW, MAP_PRIVATE | MAP_ANON | MAP_FIXED,
			  NULL, 0, &vb),
		  0);
	WRITE_ONCE(*(u64 *)va, 1);
	mm_use(other);
	EXPECT_EQ(*(u64 *)vb, 0);
	WRITE_ONCE(*(u64 *)vb, 2);
	mm_use(s.mm);
	EXPECT_EQ(remote_load(&s.w, (u64 *)va, &v), 0);
	EXPECT_EQ(v, 1);
	EXPECT_EQ(mm_msync(s.mm, va, PAGE_SIZE, MS_SYNC), 0);
	mm_put(other);
	stage_end(&s);
}
