/* SPDX-License-Identifier: MIT */
/*
 * test_reclaim_room.c - memory that is wanted: who gets it, who waits, and when there is none; page
 * tables that reclaim has emptied.
 */
#include <sys/errno.h>

#include "kernel/core/stat.h"
#include "kernel/lib/mman.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/reclaim.h"
#include "kernel/mm/shrinker.h"
#include "tests/util.h"

/* Take page @index of @fs out, used or not. */
static bool take_out(struct testfs *fs, pgoff_t index)
{
	struct page *page = find_get_page(&fs->mapping, index);

	return page && reclaim_page(page);
}

/* All frames that anybody may have, chained by ->next. */
static struct page *take_all(enum alloc_flags how)
{
	struct page *list = NULL, *page;

	while ((page = alloc_page(how))) {
		page->next = list;
		list = page;
	}
	return list;
}

static void give_back(struct page *list)
{
	while (list) {
		struct page *page = list;

		list = page->next;
		page->next = NULL;
		page_put(page);
	}
}

/* Rule 130: what nobody else gets is there for who writes out. */
KTEST_ON_CPU0(mm_reclaim_room, reserve_is_kept_for_writing)
{
	struct page *all, *page;

	reclaim_park();
	all = take_all(ALLOC_NORMAL);
	EXPECT(nr_shared_pages() > 0);
	current_thread()->writes_out++;
	page = alloc_page(ALLOC_NORMAL);
	current_thread()->writes_out--;
	EXPECT(page);
	if (page)
		page_put(page);
	give_back(all);
	reclaim_unpark();
}

/* Writing pages out needs no memory at all: each allocation fails while it goes on. */
KTEST_ON_CPU0(mm_reclaim_room, flush_goes_on_without_memory)
{
	struct stage s;

	if (!stage_begin(&s, 64))
		return;
	for (u64 k = 0; k < 12; k++) {
		int err;

		for (u64 i = 0; i < 64; i++)
			EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 100 * k + i), 0);
		/* The k-th allocation and all after it. */
		alloc_fail_after = k % 4;
		WRITE_ONCE(alloc_fail_nr, k < 8 ? ~0ul : 1);
		err = testfs_fsync(s.fs);
		WRITE_ONCE(alloc_fail_nr, 0);
		EXPECT_EQ(err, 0);
		for (u64 i = 0; i < 64; i++)
			EXPECT_EQ(testfs_platter(s.fs, i, 0), 100 * k + i);
	}
	alloc_fail_after = 0;
	stage_end(&s);
}

/* One failure anywhere in a fault or a read: made good by waiting, or told; never worse. */
KTEST_ON_CPU0(mm_reclaim_room, one_failure_is_made_good)
{
	struct stage s;

	if (!stage_begin(&s, 16))
		return;
	for (u64 k = 0; k < 16; k++)
		testfs_set_platter(s.fs, k, 0, k + 1);
	for (u64 k = 0; k < 16; k++) {
		alloc_fail_after = k % 5;
		WRITE_ONCE(alloc_fail_nr, 1);
		EXPECT_EQ(mm_fault_in(s.mm, (vaddr_t)stage_slot(&s, k), false), 0);
		WRITE_ONCE(alloc_fail_nr, 0);
		EXPECT_EQ(READ_ONCE(*stage_slot(&s, k)), k + 1);
	}
	alloc_fail_after = 0;
	stage_end(&s);
}

/* Memory full of clean pages is free memory, for frames and for objects. */
KTEST_ON_CPU0(mm_reclaim_room, clean_pages_leave_for_who_asks)
{
	struct testfs *fs = testfs_create(128);
	struct page *all, *page;
	struct stats before;

	if (!fs)
		return;
	for (pgoff_t i = 0; i < 128; i++) {
		u64 v;

		EXPECT_EQ(testfs_read(fs, i << PAGE_SHIFT, &v, sizeof(v)), sizeof(v));
	}
	reclaim_park();
	stats_snapshot(&before);
	all = take_all(ALLOC_NORMAL);
	page = alloc_page(ALLOC_WAIT);
	EXPECT(page);
	EXPECT_EQ(stat_since(&before, STAT_DIRECT_RECLAIMS), 1);
	EXPECT(READ_ONCE(fs->mapping.pages.nr) < 128);
	if (page)
		page_put(page);
	give_back(all);
	reclaim_unpark();
	testfs_destroy(fs);
}

/* Dirty pages too, when the flusher has written them. */
KTEST_ON_CPU0(mm_reclaim_room, dirty_pages_are_waited_for)
{
	struct page *all, *page;
	struct stage s;

	if (!stage_begin(&s, 128))
		return;
	for (u64 i = 0; i < 128; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), i + 1), 0);
	testfs_unpark(s.fs);
	reclaim_park();
	all = take_all(ALLOC_NORMAL);
	page = alloc_page(ALLOC_WAIT);
	EXPECT(page);
	if (page)
		page_put(page);
	give_back(all);
	reclaim_unpark();
	testfs_park(s.fs);
	for (u64 i = 0; i < 128; i++)
		EXPECT_EQ(READ_ONCE(*stage_slot(&s, i)), i + 1);
	stage_end(&s);
}

/* Nothing can be made free: an answer, and soon. */
KTEST_ON_CPU0(mm_reclaim_room, out_of_memory_is_an_answer)
{
	struct stats before;
	struct page *all;
	struct mm *mm = test_mm();
	vaddr_t va;

	EXPECT_EQ(mm_mmap(mm, 0, 8 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  NULL, 0, &va),
		  0);
	reclaim_park();
	stats_snapshot(&before);
	all = take_all(ALLOC_WAIT);
	EXPECT_EQ(mm_fault_in(mm, va, true), -ENOMEM);
	EXPECT(stat_since(&before, STAT_OOM) >= 2);
	give_back(all);
	reclaim_unpark();
	EXPECT_EQ(mm_fault_in(mm, va, true), 0);
	mm_put(mm);
}

/* --- page tables --- */

#define TABLE_PAGES 512

/* A table that reclaim has emptied goes, and comes again when it is needed. */
KTEST_ON_CPU0(mm_reclaim_room, empty_table_is_given_back)
{
	struct stage s;
	u64 tables;

	if (!stage_begin(&s, TABLE_PAGES))
		return;
	EXPECT_EQ(READ_ONCE(*stage_slot(&s, 1)), 0);
	tables = s.mm->pgt.nr_tables;
	shrink_caches();
	EXPECT_EQ(s.mm->pgt.nr_tables, tables); /* a page is mapped */
	EXPECT(take_out(s.fs, 1));
	shrink_caches();
	EXPECT_EQ(s.mm->pgt.nr_tables, tables - 1);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 4), 0);
	EXPECT_EQ(s.mm->pgt.nr_tables, tables);
	stage_end(&s);
}

/* Not while somebody who came by the file may have a pointer into it. */
KTEST_ON_CPU0(mm_reclaim_room, table_stays_while_somebody_walks)
{
	struct stage s;
	u64 tables;

	if (!stage_begin(&s, TABLE_PAGES))
		return;
	EXPECT_EQ(READ_ONCE(*s.map), 0);
	EXPECT(take_out(s.fs, 0));
	tables = s.mm->pgt.nr_tables;
	down_read(&s.fs->mapping.i_mmap_rwsem);
	shrink_caches();
	EXPECT_EQ(s.mm->pgt.nr_tables, tables);
	up_read(&s.fs->mapping.i_mmap_rwsem);
	down_read(&s.mm->mmap_lock);
	shrink_caches();
	EXPECT_EQ(s.mm->pgt.nr_tables, tables);
	up_read(&s.mm->mmap_lock);
	shrink_caches();
	EXPECT_EQ(s.mm->pgt.nr_tables, tables - 1);
	stage_end(&s);
}
