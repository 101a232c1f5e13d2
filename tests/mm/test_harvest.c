/* SPDX-License-Identifier: MIT */
/*
 * test_harvest.c - stores that nobody was told of, and what becomes of their pages (rules 32,
 * 43-50).
 */
#include "kernel/core/stat.h"
#include "kernel/mm/harvest.h"
#include "tests/util.h"

static u64 harvest_all(struct stage *s, enum policy_harvest_why why)
{
	return mapping_harvest(&s->fs->mapping, 0, ~0ul, why);
}

static bool owes_times(struct stage *s)
{
	return test_and_clear_bit(&s->fs->mapping.flags, AS_CMTIME);
}

KTEST_ON_CPU0(mm_harvest, takes_d_and_leaves_w)
{
	struct page *page;
	struct stage s;

	if (!stage_begin(&s, 3))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 5), 0);
	page = testfs_page(s.fs, 1);
	EXPECT_EQ(page->dirty, PAGE_MAYBE_DIRTY);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 1);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 0);
	EXPECT(pte_dirty(test_pte(s.mm, stage_slot(&s, 1))));

	owes_times(&s);
	EXPECT_EQ(harvest_all(&s, HARVEST_FSYNC), 1);
	EXPECT(pte_write(test_pte(s.mm, stage_slot(&s, 1))));
	EXPECT(!pte_dirty(test_pte(s.mm, stage_slot(&s, 1))));
	EXPECT(test_bit(&page->flags, PG_d_seen));
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_TOWRITE), 1);
	EXPECT(owes_times(&s));
	EXPECT_EQ(harvest_all(&s, HARVEST_FSYNC), 0);
	EXPECT(!owes_times(&s));

	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 1, 0), 5);
	EXPECT_EQ(s.fs->pages_written, 1);
	EXPECT_EQ(page->dirty, PAGE_MAYBE_DIRTY);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_TOWRITE), 0);
	EXPECT(!test_bit(&page->flags, PG_d_seen));
	stage_end(&s);
}

/* After the first store no fault ever again, and each sync writes what was stored to, and nothing
 * else; stores do not go on through entries that still have D (B36). */
KTEST_ON_CPU0(mm_harvest, silent_stores_are_synced)
{
	struct stats before;
	struct stage s;

	if (!stage_begin(&s, 128))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	for (pgoff_t i = 0; i < 128; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	stats_snapshot(&before);
	for (u64 v = 2; v < 6; v++) {
		u64 written = s.fs->pages_written;

		for (pgoff_t i = 0; i < 128; i += v)
			EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), v), 0);
		if (v & 1)
			EXPECT_EQ(testfs_fsync(s.fs), 0);
		else
			testfs_background(s.fs);
		EXPECT_EQ(s.fs->pages_written - written, (127 / v) + 1);
		for (pgoff_t i = 0; i < 128; i += v)
			EXPECT_EQ(testfs_platter(s.fs, i, 0), v);
	}
	EXPECT_EQ(stat_since(&before, STAT_WRITE_FAULTS), 0);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_harvest, only_the_range)
{
	struct stage s;

	if (!stage_begin(&s, 200))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	for (pgoff_t i = 0; i < 200; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), i + 1), 0);
	EXPECT_EQ(mapping_harvest(&s.fs->mapping, 70, 130, HARVEST_MSYNC), 61);
	for (pgoff_t i = 0; i < 200; i++)
		EXPECT_EQ(pte_dirty(test_pte(s.mm, stage_slot(&s, i))), i < 70 || i > 130);
	EXPECT_EQ(filemap_write_and_wait_range(&s.fs->mapping, 65, 75, HARVEST_MSYNC), 0);
	EXPECT_EQ(s.fs->pages_written, 11);
	for (pgoff_t i = 0; i < 200; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), i >= 65 && i <= 75 ? i + 1 : 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < 200; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), i + 1);
	EXPECT_EQ(s.fs->pages_written, 200);
	stage_end(&s);
}

/* --- pages that write() made dirty, and mapped nowhere --- */

KTEST_ON_CPU0(mm_harvest, written_page_without_pte_becomes_clean)
{
	struct stage s;
	u64 v = 9;

	if (!stage_begin(&s, 2))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	EXPECT_EQ(testfs_write(s.fs, 0, &v, sizeof(v)), sizeof(v));
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), v), 0);
	EXPECT_EQ(testfs_write(s.fs, PAGE_SIZE + 8, &v, sizeof(v)), sizeof(v));
	EXPECT_EQ(testfs_page(s.fs, 1)->dirty, PAGE_DIRTY);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_page(s.fs, 0)->dirty, PAGE_CLEAN);
	EXPECT_EQ(testfs_page(s.fs, 1)->dirty, PAGE_MAYBE_DIRTY);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), v);
	EXPECT_EQ(testfs_platter(s.fs, 1, 1), v);
	stage_end(&s);
}

/* Nobody maps the file any more: a sync leaves nothing that may be dirty, and it can be dropped. */
KTEST_ON_CPU0(mm_harvest, unmapped_file_becomes_clean)
{
	struct stage s;

	if (!stage_begin(&s, 8))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	for (pgoff_t i = 0; i < 8; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 3), 2), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 8);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, 8 * PAGE_SIZE), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_TOWRITE), 1); /* D was in the way of unmapping */
	EXPECT_EQ(testfs_drop_clean(s.fs), 8);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(s.fs->pages_written, 9);
	EXPECT_EQ(testfs_platter(s.fs, 3, 0), 2);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 0);
	EXPECT(!test_bit(&s.fs->mapping.flags, AS_SILENT));
	EXPECT_EQ(testfs_drop_clean(s.fs), 0);
	stage_end(&s);
}

/* --- several answers for one page --- */

/* Each area has a policy of its own, and the page is what the PTEs that are left make of it. */
KTEST_ON_CPU0(mm_harvest, areas_answer_for_themselves)
{
	struct vm_area *mine, *other;
	struct page *page;
	struct stage s;
	u64 *second;

	if (!stage_begin(&s, 1))
		return;
	second = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ | PROT_WRITE, MAP_SHARED);
	mine = find_vma(s.mm, (vaddr_t)s.map);
	other = find_vma(s.mm, (vaddr_t)second);
	ASSERT(mine && other && mine != other);
	mine->policy = &test_policy_clear_d;
	for (u64 v = 1; v < 4; v++) {
		EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		EXPECT_EQ(remote_store(&s.w, second + 1, v), 0);
		page = testfs_page(s.fs, 0);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		EXPECT(pte_write(test_pte(s.mm, s.map)));
		EXPECT(!pte_write(test_pte(s.mm, second)));
		EXPECT_EQ(page->dirty, PAGE_MAYBE_DIRTY);
		EXPECT_EQ(testfs_platter(s.fs, 0, 0), v);
		EXPECT_EQ(testfs_platter(s.fs, 0, 1), v);
	}
	mine->policy = NULL;
	EXPECT_EQ(remote_store(&s.w, s.map, 9), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(page->dirty, PAGE_CLEAN);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 9);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 0);
	EXPECT(!test_bit(&s.fs->mapping.flags, AS_SILENT));
	stage_end(&s);
}

/* --- what the policy is told --- */

static struct policy_group told[4];
static unsigned int nr_told;
static u64 answer, remembered;

static u64 note_group(const struct policy_group *group)
{
	if (nr_told < ARRAY_SIZE(told))
		told[nr_told] = *group;
	nr_told++;
	for (unsigned int i = 0; i < POLICY_MEMORY; i++) {
		if (nr_told == 1)
			EXPECT_EQ(group->memory[i], remembered ? remembered + i : 0);
		group->memory[i] = 100 + i;
	}
	return answer;
}

static enum policy_clean protect_idle(const struct policy_page *page)
{
	return page->dirty ? POLICY_CLEAN_CLEAR_D : POLICY_CLEAN_PROTECT;
}

static enum policy_grant grant_clean(const struct policy_page *page)
{
	return POLICY_GRANT_CLEAN;
}

static const struct dirty_policy resting = {
	.name = "test-resting",
	.on_write_fault = grant_clean,
	.how_to_clean = protect_idle,
	.on_harvest = note_group,
};

/* Once for each group of 64, whatever number of areas maps it; what it names is protected. */
KTEST_ON_CPU0(mm_harvest, policy_is_told_group_by_group)
{
	struct stats before;
	struct stage s;
	u64 *second;

	if (!stage_begin(&s, 100))
		return;
	s.fs->mapping.policy = &resting;
	second = testfs_mmap(s.fs, s.mm, 10, 90, PROT_READ | PROT_WRITE, MAP_SHARED);
	nr_told = 0;
	answer = remembered = 0;
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 3), 1), 0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 20), 1), 0);
	EXPECT_EQ(remote_store(&s.w, second + 10 * SLOTS_PER_PAGE + 1, 1), 0); /* page 20 */
	EXPECT_EQ(remote_store(&s.w, second + 60 * SLOTS_PER_PAGE, 1), 0);     /* page 70 */
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(nr_told, 2);
	EXPECT_EQ(told[0].file, s.fs->mapping.ino);
	EXPECT_EQ(told[0].first, 0);
	EXPECT_EQ(told[0].maybe, 1ul << 3 | 1ul << 20);
	EXPECT_EQ(told[0].dirty, 1ul << 3 | 1ul << 20);
	EXPECT_EQ(told[1].first, 64);
	EXPECT_EQ(told[1].maybe, 1ul << 6);

	/* One of them rests, and the policy wants to see all: only that one is protected. */
	nr_told = 0;
	answer = ~0ul;
	remembered = 100;
	EXPECT_EQ(remote_store(&s.w, second + 10 * SLOTS_PER_PAGE + 1, 2), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(nr_told, 2);
	EXPECT_EQ(told[0].maybe, 1ul << 3 | 1ul << 20);
	EXPECT_EQ(told[0].dirty, 1ul << 20);
	EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, 3))));
	EXPECT(pte_write(test_pte(s.mm, stage_slot(&s, 20))));
	EXPECT_EQ(testfs_page(s.fs, 3)->dirty, PAGE_CLEAN);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 1);
	EXPECT_EQ(s.fs->pages_written, 4); /* 3, 20, 70, and 20 again */

	stats_snapshot(&before);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 3), 3), 0);
	EXPECT_EQ(stat_since(&before, STAT_WRITE_FAULTS), 1);
	stage_end(&s);
}

static const struct dirty_policy seldom = {
	.name = "test-seldom",
	.on_write_fault = grant_clean,
	.how_to_clean = protect_idle,
	.on_harvest = note_group,
	.tell_every = 2,
};

/* What was stored to before a harvest that told nothing is told by the next. */
KTEST_ON_CPU0(mm_harvest, policy_is_told_every_other_time)
{
	struct stage s;

	if (!stage_begin(&s, 64))
		return;
	s.fs->mapping.policy = &seldom;
	nr_told = 0;
	answer = remembered = 0;
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 3), 1), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(nr_told, 0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 20), 1), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(nr_told, 1);
	EXPECT_EQ(told[0].maybe, 1ul << 3 | 1ul << 20);
	EXPECT_EQ(told[0].dirty, 1ul << 3 | 1ul << 20);

	/* What was told is not told again. */
	remembered = 100;
	nr_told = 0;
	answer = ~0ul;
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(nr_told, 1);
	EXPECT_EQ(told[0].maybe, 1ul << 3 | 1ul << 20);
	EXPECT_EQ(told[0].dirty, 0);
	EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, 3))));
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 0);
	stage_end(&s);
}

/* --- a policy that does not want to ask --- */

static bool never(enum policy_harvest_why why)
{
	return false;
}

static struct dirty_policy refusing = {
	.name = "test-refusing",
	.on_write_fault = grant_clean,
	.harvest_now = never,
};

/* It is heeded if it says what that breaks, and in nothing else. */
KTEST_ON_CPU0(mm_harvest, refusal_must_be_declared)
{
	static const u64 breaks[] = { BREAKS(FSYNC_COMPLETE), BREAKS(FSYNC_COMPLETE),
				      BREAKS(AGE_BOUNDED), BREAKS(POSIX_TIMES) };
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = &refusing;
	for (unsigned int why = 0; why < ARRAY_SIZE(breaks); why++) {
		EXPECT_EQ(remote_store(&s.w, s.map, why), 0);
		refusing.breaks = breaks[why];
		EXPECT_EQ(harvest_all(&s, why), 0);
		refusing.breaks = ~breaks[why];
		EXPECT_EQ(harvest_all(&s, why), 1);
	}
	refusing.breaks = 0;
	stage_end(&s);
}

/* --- times --- */

/* A DIRTY page's PTE is asked, too: the times may be owed again although its data is. */
KTEST_ON_CPU0(mm_harvest, times_are_owed_for_dirty_pages)
{
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	owes_times(&s);
	EXPECT_EQ(harvest_all(&s, HARVEST_TIMES), 1);
	EXPECT(owes_times(&s));
	EXPECT_EQ(harvest_all(&s, HARVEST_TIMES), 0);
	EXPECT(!owes_times(&s));
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT(!owes_times(&s)); /* no fault */
	EXPECT_EQ(harvest_all(&s, HARVEST_TIMES), 1);
	EXPECT(owes_times(&s));
	EXPECT_EQ(testfs_page(s.fs, 0)->dirty, PAGE_DIRTY);
	EXPECT_EQ(filemap_write_and_wait_range(&s.fs->mapping, 0, ~0ul, HARVEST_FSYNC), 0);
	EXPECT(!owes_times(&s)); /* nobody stored since */
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);

	/* Found while unmapping: at once, and not again when the page is cleaned. */
	EXPECT_EQ(remote_store(&s.w, s.map, 3), 0);
	owes_times(&s);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, PAGE_SIZE), 0);
	EXPECT(owes_times(&s));
	EXPECT_EQ(filemap_write_and_wait_range(&s.fs->mapping, 0, ~0ul, HARVEST_FSYNC), 0);
	EXPECT(!owes_times(&s));
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 3);
	stage_end(&s);
}

/* --- too much of what may be dirty --- */

KTEST_ON_CPU0(mm_harvest, too_much_hidden_dirt_is_protected)
{
	s64 limit = background_limit;
	struct stage s;

	if (!stage_begin(&s, 4))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	for (pgoff_t i = 0; i < 4; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), i + 1), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 7), 0);
	EXPECT_EQ(nr_maybe_pages(), 4);
	WRITE_ONCE(background_limit, 3);
	testfs_unpark(s.fs);
	writeback_kick(&s.fs->dev->wb);
	WAIT_FOR(!testfs_count_tag(s.fs, TAG_MAYBE));
	testfs_park(s.fs);
	WRITE_ONCE(background_limit, limit);
	EXPECT_EQ(nr_maybe_pages(), 0);
	filemap_fdatawait_range(&s.fs->mapping, 0, ~0ul);
	EXPECT_EQ(testfs_platter(s.fs, 1, 0), 7);
	EXPECT_EQ(s.fs->pages_written, 5);
	for (pgoff_t i = 0; i < 4; i++)
		EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, i))));
	EXPECT(!s.fs->mapping.on_dirty_list);
	stage_end(&s);
}

/* --- the flusher, the list, and the numbers --- */

/* Stores that nobody is told of are on the disk in time (rule 43), while a page may hide one. */
KTEST_ON_CPU0(mm_harvest, flusher_comes_back_for_hidden_dirt)
{
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	testfs_unpark(s.fs);
	for (u64 v = 1; v < 5; v++) {
		EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		writeback_kick(&s.fs->dev->wb);
		WAIT_FOR(testfs_platter(s.fs, 0, 0) == v);
	}
	testfs_park(s.fs);
	EXPECT(s.fs->mapping.on_dirty_list);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_harvest, counts_say_what_is_hidden)
{
	struct dirty_count n;
	struct stage s;
	u64 v = 1;

	if (!stage_begin(&s, 8))
		return;
	s.fs->mapping.policy = &test_policy_clear_d;
	nr_maybe_peak_reset();
	for (pgoff_t i = 0; i < 6; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(nr_maybe_peak(), 6);
	n = mapping_count_dirty(&s.fs->mapping);
	EXPECT(n.dirty == 0 && n.maybe == 6 && n.truly == 0 && n.writeback == 0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 2), 2), 0);
	EXPECT_EQ(testfs_write(s.fs, 7 * PAGE_SIZE, &v, sizeof(v)), sizeof(v));
	n = mapping_count_dirty(&s.fs->mapping);
	EXPECT(n.dirty == 1 && n.maybe == 6 && n.truly == 2);
	EXPECT_EQ(harvest_all(&s, HARVEST_FSYNC), 1);
	n = mapping_count_dirty(&s.fs->mapping);
	EXPECT(n.dirty == 1 && n.maybe == 6 && n.truly == 2);
	EXPECT_EQ(testfs_protect(s.fs), 0);
	n = mapping_count_dirty(&s.fs->mapping);
	EXPECT(n.dirty == 0 && n.maybe == 0 && n.truly == 0);
	EXPECT_EQ(nr_maybe_peak(), 6);
	nr_maybe_peak_reset();
	EXPECT_EQ(nr_maybe_peak(), 0);
	stage_end(&s);
}
