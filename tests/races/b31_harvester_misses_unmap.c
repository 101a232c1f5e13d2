/* SPDX-License-Identifier: MIT */
/*
 * b31_harvester_misses_unmap.c - B31: between two harvests a PTE goes, and its D with it (rule 55,
 * promise P7).
 *
 *	S (fsync)			W		T (munmap)
 *	harvests, writes
 *					stores: D
 *							takes the PTE: PG_d_seen
 *	harvests: no PTE, no D; the page
 *	is not picked, and the store stays
 *	in memory
 */
#include "kernel/mm/fault.h"
#include "kernel/mm/harvest.h"
#include "tests/util.h"

static u64 unmap_page_0(struct stage *s)
{
	return (u64)mm_munmap(s->mm, (vaddr_t)s->map, PAGE_SIZE);
}

/* The PTE goes, and the page is mapped again before the next sync. */
static u64 unmap_and_load(struct stage *s)
{
	u64 v;

	unmap_mapping_range(&s->fs->mapping, 0, 0, ZAP_FILE_ONLY);
	return (u64)remote_load(&s->w, s->map, &v);
}

static void store_and_unmap(u64 (*unmap)(struct stage *))
{
	struct stage s;
	u64 *other;

	if (!stage_begin(&s, 2))
		return;
	/* As long as somebody maps something, a sync asks and does not protect all. */
	other = stage_slot(&s, 1);
	s.fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	EXPECT_EQ(remote_store(&s.w, other, 1), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(mapping_harvest(&s.fs->mapping, 0, ~0ul, HARVEST_FSYNC), 0);

	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT_EQ(unmap(&s), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	EXPECT_EQ(testfs_platter(s.fs, 1, 0), 1);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b31_harvester_misses_unmap)
{
	store_and_unmap(unmap_page_0);
	store_and_unmap(unmap_and_load);
}
