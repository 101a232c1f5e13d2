/* SPDX-License-Identifier: MIT */
/*
 * test_reclaim.c - which cached pages leave memory, and that what comes back is what was stored.
 */
#include <string.h>
#include <sys/errno.h>

#include "kernel/core/stat.h"
#include "kernel/lib/mman.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/reclaim.h"
#include "tests/util.h"

/* Take page @index of @fs out, used or not. */
static bool take_out(struct testfs *fs, pgoff_t index)
{
	struct page *page = find_get_page(&fs->mapping, index);

	return page && reclaim_page(page);
}

static u64 read_slot(struct testfs *fs, pgoff_t index)
{
	u64 v = ~0ul;

	EXPECT_EQ(testfs_read(fs, index << PAGE_SHIFT, &v, sizeof(v)), sizeof(v));
	return v;
}

KTEST_ON_CPU0(mm_reclaim, unmapped_page_leaves_and_comes_back)
{
	struct testfs *fs = testfs_create(4);
	struct stats before;

	if (!fs)
		return;
	testfs_set_platter(fs, 1, 0, 77);
	EXPECT_EQ(read_slot(fs, 1), 77);
	stats_snapshot(&before);
	EXPECT(take_out(fs, 1));
	EXPECT(!testfs_page(fs, 1));
	EXPECT_EQ(stat_since(&before, STAT_PAGES_RECLAIMED), 1);
	testfs_set_platter(fs, 1, 0, 78);
	EXPECT_EQ(read_slot(fs, 1), 78);
	testfs_destroy(fs);
}

/* Written and clean, mapped in two address spaces and privately: all PTEs go, one shootdown. */
KTEST_ON_CPU0(mm_reclaim, mapped_page_is_unmapped_everywhere)
{
	struct mm *mm = test_mm();
	struct stats before;
	u64 *other, *private;
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	other = testfs_mmap(s.fs, mm, 0, 2, PROT_READ | PROT_WRITE, MAP_SHARED);
	private = testfs_mmap(s.fs, s.mm, 0, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	EXPECT_EQ(remote_store(&s.w, s.map, 5), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(mm_fault_in(mm, (vaddr_t)other, false), 0);
	EXPECT_EQ(READ_ONCE(*private), 5);
	EXPECT_EQ(atomic_load(&testfs_page(s.fs, 0)->mapcount), 3);
	stats_snapshot(&before);
	EXPECT(take_out(s.fs, 0));
	EXPECT_EQ(stat_since(&before, STAT_RECLAIM_UNMAPPED), 3);
	EXPECT_EQ(stat_since(&before, STAT_TLB_RECLAIM), 1);
	EXPECT(!testfs_page(s.fs, 0));
	EXPECT_EQ(test_pte(mm, other).v, 0);
	EXPECT_EQ(READ_ONCE(*s.map), 5);
	EXPECT_EQ(READ_ONCE(*private), 5);
	mm_put(mm);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t) private, 2 * PAGE_SIZE), 0);
	stage_end(&s);
}

/* A private copy is nobody's page but its owner's. */
KTEST_ON_CPU0(mm_reclaim, private_copy_stays)
{
	struct stage s;
	u64 *private;

	if (!stage_begin(&s, 1))
		return;
	private = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	WRITE_ONCE(*private, 9);
	EXPECT_EQ(READ_ONCE(*s.map), 0);
	EXPECT(take_out(s.fs, 0));
	EXPECT(pte_present(test_pte(s.mm, private)));
	EXPECT_EQ(READ_ONCE(*private), 9);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t) private, PAGE_SIZE), 0);
	stage_end(&s);
}

/* Rule 42: what was stored is known to the page before anybody decides anything. */
KTEST_ON_CPU0(mm_reclaim, dirty_page_stays_until_written)
{
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 3), 0);
	EXPECT(!take_out(s.fs, 0));
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);
	EXPECT(!take_out(s.fs, 0));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 3);
	EXPECT(take_out(s.fs, 0));
	EXPECT_EQ(READ_ONCE(*s.map), 3);
	stage_end(&s);
}

/* The same where only D tells of the store; the times are owed for it. */
KTEST_ON_CPU0(mm_reclaim, silent_store_is_found)
{
	struct stage s;
	u64 cmtimes;

	if (!stage_begin(&s, 2))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 1);
	cmtimes = s.fs->cmtimes;
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT(!take_out(s.fs, 0));
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	EXPECT_EQ(s.fs->cmtimes, cmtimes + 1);
	stage_end(&s);
}

/* A page that only may be dirty is known when nothing maps it any more. */
KTEST_ON_CPU0(mm_reclaim, silent_page_without_store_is_clean)
{
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(nr_maybe_pages(), 1);
	EXPECT(take_out(s.fs, 0));
	EXPECT_EQ(nr_maybe_pages(), 0);
	EXPECT_EQ(READ_ONCE(*s.map), 1);
	stage_end(&s);
}

/* A D that a munmap found before, and that nobody has asked for yet. */
KTEST_ON_CPU0(mm_reclaim, page_with_d_seen_stays)
{
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = &test_policy_silent;
	EXPECT_EQ(remote_store(&s.w, s.map, 7), 0);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, PAGE_SIZE), 0);
	EXPECT(!take_out(s.fs, 0));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 7);
	EXPECT(take_out(s.fs, 0));
	stage_end(&s);
}

KTEST_ON_CPU0(mm_reclaim, locked_area_keeps_its_pages)
{
	struct stage s;
	u64 *other;

	if (!stage_begin(&s, 3))
		return;
	other = testfs_mmap(s.fs, s.mm, 1, 1, PROT_READ | PROT_WRITE, MAP_SHARED);
	EXPECT_EQ(READ_ONCE(*other), 0);
	EXPECT_EQ(mm_mlock(s.mm, (vaddr_t)stage_slot(&s, 1), PAGE_SIZE), 0);
	EXPECT_EQ(READ_ONCE(*s.map), 0);
	EXPECT(take_out(s.fs, 0));
	EXPECT(!take_out(s.fs, 1));
	reclaim_pages(~0ul, 3 * reclaim_revolution(), RECLAIM_ANY);
	EXPECT(testfs_page(s.fs, 1));
	EXPECT(pte_present(test_pte(s.mm, stage_slot(&s, 1))));
	EXPECT(pte_present(test_pte(s.mm, other))); /* nor is it taken from others */
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)other, PAGE_SIZE), 0);
	EXPECT_EQ(mm_munlock(s.mm, (vaddr_t)stage_slot(&s, 1), PAGE_SIZE), 0);
	EXPECT(take_out(s.fs, 1));
	stage_end(&s);
}

/* Somebody holds a reference: a device, a copy that is under way. */
KTEST_ON_CPU0(mm_reclaim, referenced_page_stays)
{
	struct page *page;
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(READ_ONCE(*s.map), 0);
	page = find_get_page(&s.fs->mapping, 0);
	EXPECT(!take_out(s.fs, 0));
	EXPECT_EQ(testfs_page(s.fs, 0), page);
	EXPECT_EQ(atomic_load(&page->refs), PAGE_CACHED + 1);
	EXPECT_EQ(READ_ONCE(*s.map), 0);
	page_put(page);
	EXPECT(take_out(s.fs, 0));
	stage_end(&s);
}

static int refuse(struct address_space *mapping, struct page *page)
{
	return -EBUSY;
}

/* P21: the file system may refuse. */
KTEST_ON_CPU0(mm_reclaim, file_system_may_refuse)
{
	struct address_space_operations ops;
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(READ_ONCE(*s.map), 0);
	ops = *s.fs->mapping.a_ops;
	ops.release_page = refuse;
	s.fs->mapping.a_ops = &ops;
	EXPECT(!take_out(s.fs, 0));
	EXPECT(testfs_page(s.fs, 0));
	ops.release_page = NULL;
	EXPECT(take_out(s.fs, 0));
	stage_end(&s);
}

/* --- the clock --- */

static u64 cached(struct testfs *fs)
{
	return READ_ONCE(fs->mapping.pages.nr);
}

/* Turn the clock once. What is used all the time is used by whoever calls this. */
static void once_round(void)
{
	reclaim_pages(~0ul, reclaim_revolution(), RECLAIM_UNUSED);
}

/* Read twice: used. Once round both hands pass it; a page between them when they start is passed by
 * the back hand first. */
KTEST_ON_CPU0(mm_reclaim, used_page_stays_unused_one_leaves)
{
	struct stats before;
	struct stage s;

	if (!stage_begin(&s, 64))
		return;
	for (int i = 0; i < 64; i++)
		read_slot(s.fs, i);
	EXPECT_EQ(cached(s.fs), 64);
	/* Nobody read them twice. */
	once_round();
	EXPECT_EQ(cached(s.fs), 0);

	for (int i = 0; i < 64; i++) {
		read_slot(s.fs, i);
		READ_ONCE(*stage_slot(&s, i));
	}
	stats_snapshot(&before);
	/* Whose mark the front hand has taken has a quarter of the round left. */
	for (int i = 0; i < 8; i++) {
		reclaim_pages(~0ul, reclaim_revolution() / 8, RECLAIM_UNUSED);
		for (int j = 0; j < 64; j += 2) {
			read_slot(s.fs, j);
			READ_ONCE(*stage_slot(&s, j + 1));
		}
	}
	EXPECT_EQ(cached(s.fs), 64);
	EXPECT_EQ(stat_since(&before, STAT_CACHE_MISSES), 0);
	once_round();
	once_round();
	EXPECT_EQ(cached(s.fs), 0);
	stage_end(&s);
}

/* Dirty pages that nobody uses are written, and then they leave. */
KTEST_ON_CPU0(mm_reclaim, dirty_page_is_written_and_leaves)
{
	struct stats before;
	struct stage s;

	if (!stage_begin(&s, 8))
		return;
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 40 + (u64)i), 0);
	testfs_unpark(s.fs);
	stats_snapshot(&before);
	WAIT_FOR((once_round(), !cached(s.fs)));
	EXPECT(stat_since(&before, STAT_RECLAIM_DIRTY_SKIPPED) >= 1);
	for (int i = 0; i < 8; i++) {
		EXPECT_EQ(testfs_platter(s.fs, i, 0), 40 + (u64)i);
		EXPECT_EQ(READ_ONCE(*stage_slot(&s, i)), 40 + (u64)i);
	}
	testfs_park(s.fs);
	stage_end(&s);
}

/* --- a frame by its number --- */

struct churn {
	struct testfs *fs;
	bool stop;
	u64 rounds;
};

/* Frames become pages of a file, slabs, blocks, tables, and free again. */
static int churn(void *arg)
{
	struct churn *c = arg;

	while (!READ_ONCE(c->stop)) {
		struct page *block = alloc_pages(c->rounds % 3, ALLOC_NORMAL);
		struct mm *mm = mm_create();
		void *objects[8];

		for (int i = 0; i < 8; i++)
			objects[i] = kmalloc(2048);
		for (pgoff_t i = 0; i < 32; i++) {
			struct page *page = find_or_create_page(&c->fs->mapping, i);

			if (page) {
				unlock_page(page);
				page_put(page);
			}
		}
		testfs_drop_clean(c->fs);
		for (int i = 0; i < 8; i++)
			kfree(objects[i]);
		if (mm)
			mm_put(mm);
		if (block)
			free_pages(block, block->order);
		if (c->rounds % 16 == 0)
			kmalloc_drain();
		c->rounds++;
	}
	return 0;
}

/*
 * A reference that is taken by a frame's number is never one that the owner of a slab, a table or a
 * block does not know of: free_pages() would panic. It may keep a page of a file a little longer.
 */
KTEST(mm_reclaim, frame_by_number_is_a_cached_page_or_nothing)
{
	struct churn c = { .fs = testfs_create(32) };
	u64 found = 0, wrong = 0;
	struct job j;

	if (!c.fs)
		return;
	job_start(&j, nr_cpus - 1, NULL, churn, &c);
	WAIT_FOR(READ_ONCE(c.rounds) > 0);
	for (u64 last = 0; READ_ONCE(c.rounds) < 60 || found < 100;) {
		for (u64 b = 0; b < nr_frame_blocks(); b++) {
			struct page *page = frame_block(b);

			for (unsigned int i = 0; i < 1u << MAX_ORDER; i++) {
				if (!page_get_cached(page + i))
					continue;
				found++;
				wrong += page[i].order || test_bit(&page[i].flags, PG_slab) ||
					 test_bit(&page[i].flags, PG_buddy);
				page_put(page + i);
			}
		}
		if (last == READ_ONCE(c.rounds))
			sleep_ns(50 * NSEC_PER_USEC);
		last = READ_ONCE(c.rounds);
	}
	EXPECT_EQ(wrong, 0);
	WRITE_ONCE(c.stop, true);
	EXPECT_EQ(job_end(&j), 0);
	testfs_destroy(c.fs);
}
