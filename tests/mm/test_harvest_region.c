/* SPDX-License-Identifier: MIT */
/*
 * test_harvest_region.c - is a region of 2 MiB passed over when nobody touched it, and never when
 * somebody did (D.5b)?
 */
#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "kernel/mm/harvest.h"
#include "tests/util.h"

#define REGION_PAGES PTES_PER_TABLE
#define REGION	     (REGION_PAGES * PAGE_SIZE)
#define AT	     0x0000123400000000UL

/* One file of @pages, @of_them mapped at @at of a space in which this thread works. */
struct scene {
	struct mm *mm, *mm_before;
	struct testfs *fs[2];
	u64 *map[2];
	unsigned int nr;
};

static u64 *map_file(struct scene *s, struct testfs *fs, vaddr_t at, pgoff_t first, u64 pages)
{
	u64 *map;

	s->mm->hint = at;
	map = testfs_mmap(fs, s->mm, first, pages, PROT_READ | PROT_WRITE, MAP_SHARED);
	EXPECT_EQ((vaddr_t)map, at);
	return map;
}

static void scene_begin(struct scene *s)
{
	*s = (struct scene){ .mm = test_mm(), .mm_before = current_thread()->mm };
	mm_use(s->mm);
}

static bool add_file(struct scene *s, u64 pages, vaddr_t at)
{
	struct testfs *fs = testfs_create(pages);

	if (!fs)
		return false;
	s->fs[s->nr] = fs;
	fs->mapping.policy = &test_policy_clear_d;
	s->map[s->nr++] = map_file(s, fs, at, 0, pages);
	return !ktest_failed();
}

static void scene_end(struct scene *s)
{
	mm_use(s->mm_before);
	mm_put(s->mm);
	for (unsigned int i = 0; i < s->nr; i++)
		testfs_destroy(s->fs[i]);
}

static void store(u64 *map, pgoff_t page, u64 v)
{
	EXPECT_EQ(probe_store8(map + page * SLOTS_PER_PAGE, v), 0);
}

/* Harvest, and compare what it did. */
static void expect(struct testfs *fs, u64 found, u64 regions, u64 skipped, const char *when)
{
	struct stats before;
	u64 n;

	stats_snapshot(&before);
	n = mapping_harvest(&fs->mapping, 0, ~0ul, HARVEST_FSYNC);
	if (n != found || stat_since(&before, STAT_HARVEST_REGIONS) != regions ||
	    stat_since(&before, STAT_HARVEST_SKIPPED) != skipped)
		ktest_fail(__FILE__, __LINE__,
			   "%s: %lu found in %lu regions, %lu skipped; not %lu, %lu, %lu", when,
			   (unsigned long)n,
			   (unsigned long)stat_since(&before, STAT_HARVEST_REGIONS),
			   (unsigned long)stat_since(&before, STAT_HARVEST_SKIPPED),
			   (unsigned long)found, (unsigned long)regions, (unsigned long)skipped);
}

KTEST_ON_CPU0(mm_harvest_region, untouched_is_skipped)
{
	struct stats before;
	struct scene s;
	u64 v;

	scene_begin(&s);
	if (!add_file(&s, 3 * REGION_PAGES, AT))
		goto out;
	/* Region 1 has no table yet. */
	store(s.map[0], 0, 1);
	store(s.map[0], 2 * REGION_PAGES + 7, 1);
	expect(s.fs[0], 2, 2, 0, "stored to");
	expect(s.fs[0], 0, 2, 0, "once of grace");
	stats_snapshot(&before);
	expect(s.fs[0], 0, 0, 2, "untouched");
	EXPECT_EQ(stat_since(&before, STAT_HARVEST_PTES), 0);
	EXPECT_EQ(stat_since(&before, STAT_TLB_SHOOTDOWNS), 0);

	store(s.map[0], 2 * REGION_PAGES + 8, 2); /* a fault; walks the tables, too */
	expect(s.fs[0], 1, 1, 1, "one is stored to");
	expect(s.fs[0], 0, 1, 1, "once of grace again");
	expect(s.fs[0], 0, 0, 2, "untouched again");
	store(s.map[0], 0, 3); /* no fault */
	expect(s.fs[0], 1, 1, 1, "the other is stored to");
	expect(s.fs[0], 0, 1, 1, "its grace");
	EXPECT_EQ(probe_load8(s.map[0] + 1, &v), 0);
	expect(s.fs[0], 0, 1, 1, "read only");
	EXPECT_EQ(testfs_fsync(s.fs[0]), 0);
	EXPECT_EQ(testfs_platter(s.fs[0], 0, 0), 3);
	EXPECT_EQ(testfs_platter(s.fs[0], 2 * REGION_PAGES + 8, 0), 2);
out:
	scene_end(&s);
}

/* Every first D of an untouched region is found, wherever it is. */
KTEST_ON_CPU0(mm_harvest_region, every_page_counts)
{
	struct scene s;

	scene_begin(&s);
	if (!add_file(&s, REGION_PAGES, AT))
		goto out;
	for (pgoff_t i = 0; i < REGION_PAGES; i++)
		store(s.map[0], i, 1);
	expect(s.fs[0], REGION_PAGES, 1, 0, "all");
	for (pgoff_t i = 0; i < REGION_PAGES; i++) {
		if (mapping_harvest(&s.fs[0]->mapping, 0, ~0ul, HARVEST_FSYNC) ||
		    mapping_harvest(&s.fs[0]->mapping, 0, ~0ul, HARVEST_FSYNC))
			ktest_fail(__FILE__, __LINE__, "page %lu is found again", i - 1);
		store(s.map[0], i, 2);
		expect(s.fs[0], 1, 1, 0, "one page");
		EXPECT(test_bit(&testfs_page(s.fs[0], i)->flags, PG_d_seen));
	}
out:
	scene_end(&s);
}

static void set_d(void *object, void *arg)
{
	ptep_set_bits(arg, PTE_D);
}

/* What a CPU does that has cached the upper entry: D of a PTE that was read already, and nothing
 * above it, before the flush. Of another page than the one that is found: that is visited
 * anyway. */
KTEST_ON_CPU0(mm_harvest_region, d_set_behind_the_scan)
{
	struct scene s;
	pte_t *ptep;

	scene_begin(&s);
	if (!add_file(&s, REGION_PAGES, AT))
		goto out;
	store(s.map[0], 5, 1);
	store(s.map[0], 6, 1);
	EXPECT_EQ(testfs_fsync(s.fs[0]), 0);
	store(s.map[0], 5, 2);
	ptep = pgtable_walk(&s.mm->pgt, (vaddr_t)s.map[0] + 6 * PAGE_SIZE);
	EXPECT(pte_write(ptep_get(ptep)) && !pte_dirty(ptep_get(ptep)));
	BUG_ON(delay_arm("harvest_before_flush", set_d, ptep));
	expect(s.fs[0], 1, 1, 0, "stored to");
	delay_disarm("harvest_before_flush");
	EXPECT(!pte_young(ptep_get(pgtable_walk_region(&s.mm->pgt, (vaddr_t)s.map[0]))));
	EXPECT_EQ(testfs_fsync(s.fs[0]), 0);
	EXPECT(!pte_dirty(ptep_get(ptep)));
	EXPECT_EQ(s.fs[0]->pages_written, 4);
	expect(s.fs[0], 0, 0, 1, "untouched");
out:
	scene_end(&s);
}

/* A was cleared where nothing was stored: a CPU that has the upper entry in a cache of its own
 * would set no A there again. Emulators have no such cache, so that only the flush can be seen. */
KTEST_ON_CPU0(mm_harvest_region, cleared_a_is_flushed)
{
	struct stats before;
	struct scene s;
	u64 v;

	scene_begin(&s);
	if (!add_file(&s, REGION_PAGES, AT))
		goto out;
	store(s.map[0], 5, 1);
	expect(s.fs[0], 1, 1, 0, "stored to");
	expect(s.fs[0], 0, 1, 0, "once of grace");
	EXPECT_EQ(probe_load8(s.map[0] + 6 * SLOTS_PER_PAGE, &v), 0);
	stats_snapshot(&before);
	expect(s.fs[0], 0, 1, 0, "loaded from");
	EXPECT_EQ(stat_since(&before, STAT_TLB_HARVEST), 1);
	expect(s.fs[0], 0, 1, 0, "once of grace again");
	expect(s.fs[0], 0, 0, 1, "untouched");
	EXPECT_EQ(stat_since(&before, STAT_TLB_HARVEST), 1);
out:
	scene_end(&s);
}

/* Two areas in one region: neither may speak for the other. */
KTEST_ON_CPU0(mm_harvest_region, two_areas_of_one_file)
{
	struct scene s;
	u64 *second;

	scene_begin(&s);
	if (!add_file(&s, REGION_PAGES / 2, AT))
		goto out;
	second = map_file(&s, s.fs[0], AT + REGION / 2, 0, REGION_PAGES / 2);
	for (u64 v = 1; v < 4; v++) {
		store(s.map[0], 3, v);
		store(second, 4, v);
		expect(s.fs[0], 2, 2, 0, "stored to");
		expect(s.fs[0], 0, 2, 0, "not stored to");
		expect(s.fs[0], 0, 2, 0, "not stored to, again");
		EXPECT_EQ(testfs_fsync(s.fs[0]), 0);
		EXPECT_EQ(testfs_platter(s.fs[0], 3, 0), v);
		EXPECT_EQ(testfs_platter(s.fs[0], 4, 0), v);
	}
out:
	scene_end(&s);
}

KTEST_ON_CPU0(mm_harvest_region, two_files_in_one_region)
{
	struct scene s;

	scene_begin(&s);
	if (!add_file(&s, REGION_PAGES / 2, AT) || !add_file(&s, REGION_PAGES / 2, AT + REGION / 2))
		goto out;
	store(s.map[0], 0, 1);
	store(s.map[1], 0, 1);
	expect(s.fs[1], 1, 1, 0, "the second");
	expect(s.fs[1], 0, 1, 0, "the second, again");
	expect(s.fs[1], 0, 1, 0, "the second, once more");
	expect(s.fs[0], 1, 1, 0, "the first");
out:
	scene_end(&s);
}

/* A part of a region says nothing about the rest. */
KTEST_ON_CPU0(mm_harvest_region, part_of_a_region)
{
	struct scene s;

	scene_begin(&s);
	if (!add_file(&s, REGION_PAGES, AT))
		goto out;
	store(s.map[0], 9, 1);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(mapping_harvest(&s.fs[0]->mapping, 100, ~0ul, HARVEST_MSYNC), 0);
	expect(s.fs[0], 1, 1, 0, "all of it");
out:
	scene_end(&s);
}

/* D of a DIRTY page is left where it is, and must not be forgotten: its times may be asked for. */
KTEST_ON_CPU0(mm_harvest_region, d_that_is_left_keeps_the_region)
{
	struct address_space *mapping;
	struct scene s;

	scene_begin(&s);
	if (!add_file(&s, REGION_PAGES, AT))
		goto out;
	mapping = &s.fs[0]->mapping;
	store(s.map[0], 0, 1);
	WRITE_ONCE(mapping->policy, NULL);
	store(s.map[0], 1, 1);
	expect(s.fs[0], 1, 1, 0, "a silent and a dirty page");
	expect(s.fs[0], 0, 1, 0, "the dirty page");
	expect(s.fs[0], 0, 1, 0, "the dirty page still");
	EXPECT_EQ(mapping_harvest(mapping, 0, ~0ul, HARVEST_TIMES), 1);
	EXPECT_EQ(mapping_harvest(mapping, 0, ~0ul, HARVEST_TIMES), 0);
	expect(s.fs[0], 0, 0, 1, "untouched");
	EXPECT_EQ(testfs_fsync(s.fs[0]), 0);
	EXPECT_EQ(testfs_platter(s.fs[0], 0, 0), 1);
	EXPECT_EQ(testfs_platter(s.fs[0], 1, 0), 1);
out:
	scene_end(&s);
}
