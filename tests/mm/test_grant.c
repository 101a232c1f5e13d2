/* SPDX-License-Identifier: MIT */
/*
 * test_grant.c - what a policy's answer to a fault leaves in the PTE and in the page, and pages
 * that become writable before they are stored to (T5, D.7).
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/args.h"
#include "kernel/core/stat.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

#define PAGES 32

static enum policy_map map_writable(const struct policy_page *page)
{
	return POLICY_MAP_WRITABLE;
}

static enum policy_grant grant_clean(const struct policy_page *page)
{
	return POLICY_GRANT_CLEAN;
}

static const struct dirty_policy on_read = { .name = "on-read", .on_read_fault = map_writable };
static const struct dirty_policy on_write = { .name = "on-write", .on_write_fault = grant_clean };

/* --- one page --- */

KTEST_ON_CPU0(mm_grant, read_fault_may_grant)
{
	struct stats before;
	struct stage s;
	pte_t pte;
	u64 v;

	if (!stage_begin(&s, 2))
		return;
	s.fs->mapping.policy = &on_read;
	stats_snapshot(&before);
	EXPECT_EQ(probe_load8(s.map, &v), 0);
	pte = test_pte(s.mm, s.map);
	EXPECT(pte_write(pte) && !pte_dirty(pte));
	EXPECT_EQ(testfs_page(s.fs, 0)->dirty, PAGE_MAYBE_DIRTY);
	EXPECT(test_bit(&s.fs->mapping.flags, AS_SILENT));
	EXPECT_EQ(s.fs->mkwrites, 1);
	/* A load: no store is owed any times. */
	EXPECT(!test_bit(&s.fs->mapping.flags, AS_CMTIME));
	WRITE_ONCE(*s.map, 7);
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 1);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 7);
	stage_end(&s);
}

/* The file system refuses the store that nobody asked for: the load is served all the same. */
KTEST_ON_CPU0(mm_grant, read_fault_survives_refusal)
{
	struct stage s;
	u64 v = 0;

	if (!stage_begin(&s, 1))
		return;
	testfs_set_platter(s.fs, 0, 0, 5);
	s.fs->mapping.policy = &on_read;
	s.fs->prepare_error = -ENOSPC;
	EXPECT_EQ(probe_load8(s.map, &v), 0);
	EXPECT_EQ(v, 5);
	EXPECT(!pte_write(test_pte(s.mm, s.map)));
	EXPECT_EQ(testfs_page(s.fs, 0)->dirty, PAGE_CLEAN);
	EXPECT_EQ(probe_store8(s.map, 1), -ENOSPC);
	s.fs->prepare_error = 0;
	EXPECT_EQ(probe_store8(s.map, 1), 0);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_grant, write_fault_may_grant_clean)
{
	struct gate gate;
	struct stage s;
	pte_t pte;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	s.fs->mapping.policy = &on_write;
	EXPECT_EQ(probe_load8(s.map, &v), 0);
	gate_arm(&gate, "mkwrite_pte_set", testfs_page(s.fs, 0));
	remote_try_store(&s.w, s.map, 3);
	gate_wait(&gate);
	pte = test_pte(s.mm, s.map);
	EXPECT(pte_write(pte) && !pte_dirty(pte));
	EXPECT_EQ(testfs_page(s.fs, 0)->dirty, PAGE_MAYBE_DIRTY);
	EXPECT(test_bit(&s.fs->mapping.flags, AS_SILENT));
	gate_disarm(&gate);
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT(pte_dirty(test_pte(s.mm, s.map)));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 3);
	stage_end(&s);
}

/* A store that is told makes a page that may be dirty a dirty one. */
KTEST_ON_CPU0(mm_grant, maybe_dirty_becomes_dirty)
{
	struct stage s;
	u64 *second, v, nr;

	if (!stage_begin(&s, 1))
		return;
	nr = nr_dirty_pages();
	s.fs->mapping.policy = &on_read;
	EXPECT_EQ(probe_load8(s.map, &v), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 1);
	s.fs->mapping.policy = NULL;
	second = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ | PROT_WRITE, MAP_SHARED);
	WRITE_ONCE(*second, 2);
	EXPECT_EQ(testfs_page(s.fs, 0)->dirty, PAGE_DIRTY);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);
	EXPECT_EQ(nr_dirty_pages(), nr + 1);
	stage_end(&s);
}

/* --- who answers --- */

KTEST_ON_CPU0(mm_grant, area_answers_before_file)
{
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 4))
		return;
	s.fs->mapping.policy = &on_read;
	EXPECT_EQ(mm_madvise(s.mm, (vaddr_t)stage_slot(&s, 1), PAGE_SIZE,
			     MADV_POLICY((int)policy_number(policy_find("write_notify")))),
		  0);
	for (pgoff_t i = 0; i < 3; i++)
		EXPECT_EQ(probe_load8(stage_slot(&s, i), &v), 0);
	EXPECT(pte_write(test_pte(s.mm, stage_slot(&s, 0))));
	EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, 1))));
	EXPECT(pte_write(test_pte(s.mm, stage_slot(&s, 2))));
	/* And no longer. */
	EXPECT_EQ(mm_madvise(s.mm, (vaddr_t)s.map, 4 * PAGE_SIZE, MADV_POLICY(-1)), 0);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)stage_slot(&s, 3), PAGE_SIZE), 0);
	unmap_mapping_range(&s.fs->mapping, 1, 1, ZAP_FILE_ONLY);
	EXPECT_EQ(probe_load8(stage_slot(&s, 1), &v), 0);
	EXPECT(pte_write(test_pte(s.mm, stage_slot(&s, 1))));
	stage_end(&s);
}

KTEST_ON_CPU0(mm_grant, policy_of_a_file_by_name)
{
	struct testfs *fs = testfs_create(1);

	if (!fs)
		return;
	EXPECT_EQ(policy_choose_file(&fs->mapping, "will_write"), 0);
	EXPECT(mapping_policy(&fs->mapping) == policy_find("will_write"));
	EXPECT_EQ(policy_choose_file(&fs->mapping, "no such thing"), -EINVAL);
	EXPECT(mapping_policy(&fs->mapping) == policy_find("will_write"));
	EXPECT_EQ(policy_choose_file(&fs->mapping, NULL), 0);
	EXPECT(mapping_policy(&fs->mapping) == global_policy);
	for (const struct dirty_policy *p = policy_next(NULL); p; p = policy_next(p))
		EXPECT(policy_by_number(policy_number(p)) == p);
	EXPECT(!policy_by_number(1000));
	testfs_destroy(fs);
}

/* --- windows --- */

static bool stage_with_window(struct stage *s, u64 pages, const char *grant)
{
	EXPECT_EQ(args_set("grant", grant), 0);
	if (stage_begin(s, pages))
		return true;
	args_set("grant", "1");
	return false;
}

static void stage_end_window(struct stage *s)
{
	stage_end(s);
	EXPECT_EQ(args_set("grant", "1"), 0);
}

KTEST_ON_CPU0(mm_grant, window_is_writable_and_clean)
{
	struct stats before;
	struct stage s;

	if (!stage_with_window(&s, 3 * 16, "16"))
		return;
	stats_snapshot(&before);
	WRITE_ONCE(*stage_slot(&s, 20), 1);
	for (pgoff_t i = 0; i < s.pages; i++) {
		pte_t pte = test_pte(s.mm, stage_slot(&s, i));
		bool inside = i / 16 == 1;

		EXPECT_EQ(pte_write(pte), inside);
		EXPECT_EQ(pte_dirty(pte), i == 20);
		if (inside)
			EXPECT_EQ(testfs_page(s.fs, i)->dirty,
				  i == 20 ? PAGE_DIRTY : PAGE_MAYBE_DIRTY);
	}
	EXPECT_EQ(stat_since(&before, STAT_PAGES_GRANTED), 15);
	EXPECT_EQ(s.fs->mkwrites, 16);
	/* D is the truth: what was not stored to is not written. */
	WRITE_ONCE(*stage_slot(&s, 30), 2);
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 1);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(s.fs->pages_written, 2);
	EXPECT_EQ(testfs_platter(s.fs, 20, 0), 1);
	EXPECT_EQ(testfs_platter(s.fs, 30, 0), 2);
	/* Cleaned under write_notify: protected again. */
	EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, 30))));
	stage_end_window(&s);
}

/* Nobody else's memory, and nothing beyond the end of the file. */
KTEST_ON_CPU0(mm_grant, window_is_clipped)
{
	struct stage s;
	u64 *part, v;

	if (!stage_with_window(&s, PAGES, "512"))
		return;
	EXPECT_EQ(testfs_truncate(s.fs, 10 * PAGE_SIZE), 0);
	part = testfs_mmap(s.fs, s.mm, 2, PAGES - 2, PROT_READ | PROT_WRITE, MAP_SHARED);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)part, 3 * PAGE_SIZE), 0);
	part += 3 * SLOTS_PER_PAGE; /* page 5 of the file */
	WRITE_ONCE(*part, 1);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY) + testfs_count_tag(s.fs, TAG_MAYBE), 5);
	EXPECT_EQ(s.fs->mkwrites, 5);
	EXPECT_EQ(probe_load8(part + 5 * SLOTS_PER_PAGE, &v), -EFAULT);
	EXPECT(!pte_present(test_pte(s.mm, s.map)));
	stage_end_window(&s);
}

/* A neighbour that the file system refuses is its own fault's affair. */
KTEST_ON_CPU0(mm_grant, refused_neighbour_ends_the_window)
{
	struct stage s;

	if (!stage_with_window(&s, 16, "16"))
		return;
	s.fs->nr_pages = 12; /* of blocks */
	EXPECT_EQ(probe_store8(stage_slot(&s, 3), 1), 0);
	EXPECT(pte_write(test_pte(s.mm, stage_slot(&s, 11))));
	EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, 12))));
	EXPECT_EQ(probe_store8(stage_slot(&s, 12), 1), -ENOSPC);
	s.fs->nr_pages = 16;
	stage_end_window(&s);
}

/* Absent pages come together: one request for the window, not one for each page. */
KTEST_ON_CPU0(mm_grant, window_is_read_in_a_batch)
{
	struct stats before;
	struct stage s;

	if (!stage_with_window(&s, 64, "64"))
		return;
	for (pgoff_t i = 0; i < 64; i++)
		testfs_set_platter(s.fs, i, 1, i + 100);
	stats_snapshot(&before);
	WRITE_ONCE(*stage_slot(&s, 0), 1);
	EXPECT(stat_since(&before, STAT_BIO_READS) <= 3);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_MAYBE), 63);
	for (pgoff_t i = 0; i < 64; i++)
		EXPECT_EQ(stage_slot(&s, i)[1], i + 100);
	stage_end_window(&s);
}

/* Two windows of one file, one CPU each, page by page through each other's. */
static int store_all(void *arg)
{
	u64 *map = arg;
	int err = 0;

	for (pgoff_t i = 0; i < 2 * PAGES && !err; i++)
		err = probe_store8(map + i * SLOTS_PER_PAGE, i + 1);
	return err;
}

KTEST_ON_CPU0(mm_grant, windows_do_not_wait_for_each_other)
{
	struct stage s;

	if (!stage_with_window(&s, 2 * PAGES, "16"))
		return;
	for (unsigned int round = 0; round < 20; round++) {
		remote_begin(&s.w, store_all, s.map);
		EXPECT_EQ(store_all(s.map), 0);
		EXPECT_EQ(remote_wait(&s.w), 0);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		for (pgoff_t i = 0; i < 2 * PAGES; i++)
			EXPECT_EQ(testfs_platter(s.fs, i, 0), i + 1);
		unmap_mapping_range(&s.fs->mapping, 0, ~0ul, ZAP_FILE_ONLY);
	}
	stage_end_window(&s);
}
