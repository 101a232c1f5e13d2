/* SPDX-License-Identifier: MIT */
/*
 * test_mprotect.c - permissions that change: what is kept, what is refused, from when on (rules 20,
 * 58, 66, 114, 115; B10).
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/args.h"
#include "kernel/core/stat.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

#define RW	  (PROT_READ | PROT_WRITE)
#define ANON	  (MAP_PRIVATE | MAP_ANONYMOUS)
#define WHERE	  0x200000000000UL /* nobody else is there */
#define AT(pages) (WHERE + (u64)(pages)*PAGE_SIZE)

static int protect(struct stage *s, pgoff_t page, u64 pages, int prot)
{
	return mm_mprotect(s->mm, (vaddr_t)stage_slot(s, page), pages * PAGE_SIZE, prot);
}

/* WHERE: two pages, a hole of two, two pages, and two that may not be written to. */
static const struct {
	const char *what;
	vaddr_t addr;
	u64 len;
	int prot, expected;
} calls[] = {
	{ "odd address", WHERE + 8, PAGE_SIZE, PROT_READ, -EINVAL },
	{ "odd address, no length", WHERE + 8, 0, PROT_READ, -EINVAL },
	{ "unknown protection", WHERE, PAGE_SIZE, 8, -EINVAL },
	{ "no length", WHERE, 0, PROT_READ, 0 },
	{ "no length, nothing there", AT(100), 0, PROT_READ, 0 },
	{ "a length that wraps", WHERE, ~0ul, PROT_READ, -ENOMEM },
	{ "a length that wraps to 0", WHERE, -WHERE, PROT_READ, -ENOMEM },
	{ "nothing there", AT(100), PAGE_SIZE, PROT_READ, -ENOMEM },
	{ "the kernel's half", KERNEL_BASE, PAGE_SIZE, PROT_READ, -ENOMEM },
	{ "into a hole", WHERE, 3 * PAGE_SIZE, RW, -ENOMEM },
	{ "out of a hole", AT(3), 2 * PAGE_SIZE, RW, -ENOMEM },
	{ "the descriptor is read-only", AT(6), PAGE_SIZE, RW, -EACCES },
	{ "the end of the range is", AT(5), 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, -EACCES },
	{ "it may be read", AT(6), 2 * PAGE_SIZE, PROT_READ, 0 },
	{ "it may be executed", AT(6), 2 * PAGE_SIZE, PROT_READ | PROT_EXEC, 0 },
	{ "an odd length is rounded up", AT(6), PAGE_SIZE + 1, PROT_READ, 0 },
};

KTEST(mm_mprotect, errors)
{
	struct testfs *fs = testfs_create(2);
	struct mm *mm = test_mm();
	struct mmap_file file = { .readable = true };
	vaddr_t va;

	if (!fs)
		return;
	file.mapping = &fs->mapping;
	EXPECT_EQ(mm_mmap(mm, WHERE, 2 * PAGE_SIZE, RW, ANON | MAP_FIXED, NULL, 0, &va), 0);
	EXPECT_EQ(mm_mmap(mm, AT(4), 2 * PAGE_SIZE, RW, ANON | MAP_FIXED, NULL, 0, &va), 0);
	EXPECT_EQ(mm_mmap(mm, AT(6), 2 * PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, &file, 0,
			  &va),
		  0);
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		int err = mm_mprotect(mm, calls[i].addr, calls[i].len, calls[i].prot);

		if (err != calls[i].expected)
			ktest_fail(__FILE__, __LINE__, "%s: %d, not %d", calls[i].what, err,
				   calls[i].expected);
	}
	EXPECT_EQ(mm->nr_areas, 3);
	mm_put(mm);
	testfs_destroy(fs);
}

/* A hole ends it; what lies before has changed, what lies behind has not. */
KTEST_ON_CPU0(mm_mprotect, as_far_as_the_first_hole)
{
	struct stage s;

	if (!stage_begin(&s, 6))
		return;
	for (pgoff_t i = 0; i < 6; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), 0);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)stage_slot(&s, 3), PAGE_SIZE), 0);
	EXPECT_EQ(protect(&s, 2, 3, PROT_READ), -ENOMEM);
	for (pgoff_t i = 0; i < 6; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 2), i == 2 || i == 3 ? -EFAULT : 0);
	EXPECT_EQ(s.mm->nr_areas, 3);
	stage_end(&s);
}

/* Rule 115: another CPU has the page writable and dirty in its TLB. */
KTEST_ON_CPU0(mm_mprotect, r115_other_cpu_cannot_store_afterwards)
{
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 3))
		return;
	for (pgoff_t i = 0; i < 3; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), 0);
	EXPECT_EQ(protect(&s, 1, 1, PROT_READ), 0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 2), -EFAULT);
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 1), &v), 0);
	EXPECT_EQ(v, 1);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 0), 3), 0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 2), 4), 0);
	EXPECT_EQ(protect(&s, 1, 1, PROT_NONE), 0);
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 1), &v), -EFAULT);
	stage_end(&s);
}

/* The same where the PTE was made stricter before, and the flush is still owed (rule 58, B13). */
static int background_job(void *fs)
{
	testfs_background(fs);
	return 0;
}

static void owed_flush_is_paid(void)
{
	struct gate gate;
	struct stage s;
	struct job p;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	gate_arm(&gate, "preclean_stripped", &s.fs->mapping);
	job_start(&p, 0, NULL, background_job, s.fs);
	gate_wait(&gate);
	/* The PTE has lost W already; W's CPU knows nothing of it. */
	EXPECT_EQ(remote_store(&s.w, s.map, 2), 0);
	EXPECT_EQ(protect(&s, 0, 1, PROT_READ), 0);
	EXPECT_EQ(remote_store(&s.w, s.map, 3), -EFAULT);
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&p), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	stage_end(&s);
}

/* More than once: W's CPU may lose its entry by itself, and then there is nothing to forget. */
KTEST_ON_CPU0(mm_mprotect, r58_owed_flush_is_paid)
{
	EXPECT_EQ(args_set("flush", "deferred"), 0);
	for (int i = 0; i < 10 && !ktest_failed(); i++)
		owed_flush_is_paid();
	EXPECT_EQ(args_set("flush", "batch"), 0);
}

/* Rule 114: dirt survives the loss of W, and W does not come back to a clean page unnoticed. */
KTEST_ON_CPU0(mm_mprotect, r114_dirt_is_kept_and_w_is_not_given_back)
{
	struct stats before;
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 2))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 1), &v), 0);
	EXPECT_EQ(protect(&s, 0, 2, PROT_READ), 0);
	EXPECT(pte_dirty(test_pte(s.mm, s.map)) && !pte_write(test_pte(s.mm, s.map)));
	EXPECT_EQ(protect(&s, 0, 2, RW), 0);
	EXPECT(!pte_write(test_pte(s.mm, s.map)));
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	EXPECT(!pte_dirty(test_pte(s.mm, s.map)));

	stats_snapshot(&before);
	EXPECT_EQ(protect(&s, 0, 2, PROT_READ), 0);
	EXPECT_EQ(protect(&s, 0, 2, RW), 0);
	EXPECT_EQ(stat_since(&before, STAT_TLB_SHOOTDOWNS), 0); /* they were read-only */
	for (pgoff_t i = 0; i < 2; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 2 + i), 0);
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 2);
	EXPECT_EQ(stat_since(&before, STAT_MKWRITE), 2);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 1, 0), 3);
	stage_end(&s);
}

/* A store that nobody was told of: D in the read-only entry is all there is. */
KTEST_ON_CPU0(mm_mprotect, r66_silent_store_is_found_in_a_read_only_area)
{
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 2))
		return;
	s.fs->mapping.policy = &test_policy_silent;
	for (pgoff_t i = 0; i < 2; i++) {
		EXPECT_EQ(remote_load(&s.w, stage_slot(&s, i), &v), 0);
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 5 + i), 0);
	}
	EXPECT_EQ(protect(&s, 0, 1, PROT_READ), 0);
	EXPECT_EQ(protect(&s, 1, 1, PROT_NONE), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 5);
	EXPECT_EQ(testfs_platter(s.fs, 1, 0), 6);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_mprotect, execution)
{
	struct stats before;
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	EXPECT(test_pte(s.mm, s.map).v & PTE_NX);
	EXPECT_EQ(protect(&s, 0, 1, PROT_READ), 0);
	stats_snapshot(&before);
	EXPECT_EQ(protect(&s, 0, 1, PROT_READ | PROT_EXEC), 0);
	EXPECT(!(test_pte(s.mm, s.map).v & PTE_NX));
	EXPECT_EQ(stat_since(&before, STAT_TLB_PROTECT), 0); /* it allows more */
	EXPECT_EQ(protect(&s, 0, 1, PROT_READ), 0);
	EXPECT(test_pte(s.mm, s.map).v & PTE_NX);
	EXPECT_EQ(stat_since(&before, STAT_TLB_PROTECT), 1);
	stage_end(&s);
}

/* --- PROT_NONE --- */

KTEST_ON_CPU0(mm_mprotect, none_keeps_what_is_nowhere_else)
{
	struct stats before;
	struct stage s;
	u64 *private, *anon, v;
	vaddr_t va;

	if (!stage_begin(&s, 2))
		return;
	private = testfs_mmap(s.fs, s.mm, 0, 2, RW, MAP_PRIVATE);
	EXPECT_EQ(mm_mmap(s.mm, 0, 2 * PAGE_SIZE, RW, ANON, NULL, 0, &va), 0);
	anon = (u64 *)va;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 1), 2), 0);
	WRITE_ONCE(private[0], 3); /* a copy; page 1 is the file's */
	EXPECT_EQ(private[SLOTS_PER_PAGE], 2);
	WRITE_ONCE(anon[0], 4);
	EXPECT_EQ(mm_mprotect(s.mm, (vaddr_t) private, 2 * PAGE_SIZE, PROT_NONE), 0);
	EXPECT_EQ(mm_mprotect(s.mm, va, 2 * PAGE_SIZE, PROT_NONE), 0);
	EXPECT_EQ(probe_load8(private, &v), -EFAULT);
	EXPECT_EQ(probe_load8(private + SLOTS_PER_PAGE, &v), -EFAULT);
	EXPECT_EQ(probe_load8(anon, &v), -EFAULT);
	EXPECT_EQ(probe_store8(anon, 9), -EFAULT);
	EXPECT_EQ(mm_mprotect(s.mm, va, 2 * PAGE_SIZE, PROT_NONE), 0);

	stats_snapshot(&before);
	EXPECT_EQ(mm_mprotect(s.mm, (vaddr_t) private, 2 * PAGE_SIZE, RW), 0);
	EXPECT_EQ(mm_mprotect(s.mm, va, 2 * PAGE_SIZE, PROT_READ), 0);
	EXPECT_EQ(stat_since(&before, STAT_TLB_SHOOTDOWNS), 0);
	EXPECT_EQ(private[0], 3);
	EXPECT_EQ(private[SLOTS_PER_PAGE], 2);
	EXPECT_EQ(anon[0], 4);
	EXPECT_EQ(anon[SLOTS_PER_PAGE], 0);
	EXPECT_EQ(probe_store8(anon, 9), -EFAULT);
	WRITE_ONCE(private[0], 5);
	EXPECT_EQ(s.map[0], 1);
	stage_end(&s);
}

/* Held pages leave as present ones do: by munmap, with the address space, and private copies when
 * the file is cut off (rule 99). The runner counts pages. */
KTEST_ON_CPU0(mm_mprotect, held_pages_are_freed)
{
	struct stage s;
	u64 *private, v;
	vaddr_t va;

	if (!stage_begin(&s, 2))
		return;
	private = testfs_mmap(s.fs, s.mm, 0, 2, RW, MAP_PRIVATE);
	WRITE_ONCE(private[0], 1);
	WRITE_ONCE(private[SLOTS_PER_PAGE], 2);
	EXPECT_EQ(mm_mmap(s.mm, WHERE, 4 * PAGE_SIZE, RW, ANON, NULL, 0, &va), 0);
	WRITE_ONCE(*(u64 *)AT(0), 3);
	WRITE_ONCE(*(u64 *)AT(1), 4);
	EXPECT_EQ(mm_mprotect(s.mm, (vaddr_t) private, 2 * PAGE_SIZE, PROT_NONE), 0);
	EXPECT_EQ(mm_mprotect(s.mm, WHERE, 4 * PAGE_SIZE, PROT_NONE), 0);
	unmap_mapping_range(&s.fs->mapping, 0, ~0ul, ZAP_FILE_ONLY);
	EXPECT(pte_held(test_pte(s.mm, private + SLOTS_PER_PAGE)));
	EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE), 0);
	EXPECT_EQ(mm_munmap(s.mm, AT(1), PAGE_SIZE), 0); /* AT(0) goes with the address space */
	EXPECT_EQ(mm_mprotect(s.mm, (vaddr_t) private, 2 * PAGE_SIZE, PROT_READ), 0);
	EXPECT_EQ(private[0], 1);
	EXPECT_EQ(probe_load8(private + SLOTS_PER_PAGE, &v), -EFAULT);
	stage_end(&s);
}

/* Nothing is brought in where nothing is allowed, and mlock() says so. */
KTEST_ON_CPU0(mm_mprotect, none_from_the_start)
{
	struct stage s;
	vaddr_t va;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(mm_mmap(s.mm, WHERE, 2 * PAGE_SIZE, PROT_NONE, ANON | MAP_POPULATE, NULL, 0, &va),
		  0);
	EXPECT_EQ(probe_load8((void *)va, &v), -EFAULT);
	EXPECT_EQ(mm_mlock(s.mm, va, PAGE_SIZE), -ENOMEM);
	EXPECT_EQ(mm_mprotect(s.mm, va, 2 * PAGE_SIZE, RW), 0);
	EXPECT_EQ(probe_store8((void *)va, 1), 0);
	stage_end(&s);
}

static int protect_job(void *stage)
{
	return protect(stage, 0, 1, PROT_READ);
}

/* Cleaning waits until the flush is acknowledged: it might take a tame entry for a clean page. */
KTEST_ON_CPU0(mm_mprotect, cleaning_waits_for_the_flush)
{
	struct gate gate;
	struct job p, k;
	struct stage s;
	u64 last = 1;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	gate_arm(&gate, "mprotect_before_flush", NULL);
	job_start(&p, 0, s.mm, protect_job, &s);
	gate_wait(&gate);
	job_start(&k, 0, NULL, testfs_fsync_job, s.fs);
	EXPECT(job_settles(&k) != NULL);
	remote_try_store(&s.w, s.map, 2); /* by its old entry, if its CPU still has it */
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&p), 0);
	if (!remote_wait(&s.w))
		last = 2;
	EXPECT_EQ(job_end(&k), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), last);
	EXPECT_EQ(remote_store(&s.w, s.map, 3), -EFAULT);
	stage_end(&s);
}
