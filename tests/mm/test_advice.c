/* SPDX-License-Identifier: MIT */
/*
 * test_advice.c - pages that are thrown away, read ahead, asked after, locked all at once; memory
 * that is shared and has no name (rules 117, 119).
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "tests/util.h"

#define RW    (PROT_READ | PROT_WRITE)
#define ANON  (MAP_PRIVATE | MAP_ANONYMOUS)
#define WHERE 0x200000000000UL /* nobody else is there */

static int advise(struct stage *s, pgoff_t page, u64 pages, int advice)
{
	return mm_madvise(s->mm, (vaddr_t)stage_slot(s, page), pages * PAGE_SIZE, advice);
}

static u64 *map_anon(struct mm *mm, u64 pages, int flags)
{
	vaddr_t va = 0;

	EXPECT_EQ(mm_mmap(mm, 0, pages * PAGE_SIZE, RW, MAP_ANONYMOUS | flags, NULL, 0, &va), 0);
	return (u64 *)va;
}

/* --- MADV_DONTNEED --- */

/* Rule 119: also where nobody was told of the store, and while another CPU has the page. */
static void dontneed_keeps(const struct dirty_policy *policy)
{
	struct stage s;
	u64 v = 0;

	if (!stage_begin(&s, 3))
		return;
	s.fs->mapping.policy = policy;
	for (pgoff_t i = 0; i < 3; i++) {
		EXPECT_EQ(remote_load(&s.w, stage_slot(&s, i), &v), 0);
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1 + i), 0);
	}
	EXPECT_EQ(advise(&s, 1, 1, MADV_DONTNEED), 0);
	EXPECT(!pte_present(test_pte(s.mm, stage_slot(&s, 1))));
	EXPECT(pte_present(test_pte(s.mm, stage_slot(&s, 2))));
	EXPECT_EQ(remote_load(&s.w, stage_slot(&s, 1), &v), 0);
	EXPECT_EQ(v, 2);
	EXPECT_EQ(advise(&s, 0, 3, MADV_DONTNEED), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < 3; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), 1 + i);
	EXPECT_EQ(s.mm->nr_areas, 1);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_advice, r119_dontneed_loses_no_store)
{
	dontneed_keeps(NULL);
	dontneed_keeps(&test_policy_silent);
	dontneed_keeps(&test_policy_clear_d);
}

KTEST_ON_CPU0(mm_advice, dontneed_forgets_what_is_private)
{
	u64 *private, *anon, v;
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	private = testfs_mmap(s.fs, s.mm, 0, 2, RW, MAP_PRIVATE);
	anon = map_anon(s.mm, 2, MAP_PRIVATE);
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	WRITE_ONCE(private[0], 2);
	WRITE_ONCE(anon[0], 3);
	EXPECT_EQ(mm_madvise(s.mm, (vaddr_t) private, 2 * PAGE_SIZE, MADV_DONTNEED), 0);
	EXPECT_EQ(mm_madvise(s.mm, (vaddr_t)anon, 2 * PAGE_SIZE, MADV_DONTNEED), 0);
	EXPECT_EQ(remote_load(&s.w, private, &v), 0);
	EXPECT_EQ(v, 1);
	EXPECT_EQ(anon[0], 0);
	stage_end(&s);
}

/* WHERE: two pages, a hole of one, one page of a file, one that is locked. */
static const struct {
	const char *what;
	u64 page, pages;
	int advice, expected;
} calls[] = {
	{ "dontneed: a hole", 0, 3, MADV_DONTNEED, -ENOMEM },
	{ "dontneed: nothing there", 100, 1, MADV_DONTNEED, -ENOMEM },
	{ "dontneed: locked", 3, 2, MADV_DONTNEED, -EINVAL },
	{ "dontneed: no length", 4, 0, MADV_DONTNEED, 0 },
	{ "willneed: no file", 0, 1, MADV_WILLNEED, -EBADF },
	{ "willneed: a hole", 2, 2, MADV_WILLNEED, -ENOMEM },
	{ "willneed: beyond the end of the file", 3, 1, MADV_WILLNEED, 0 },
	{ "sequential: a hole", 0, 3, MADV_SEQUENTIAL, -ENOMEM },
	{ "random", 0, 2, MADV_RANDOM, 0 },
	{ "normal", 0, 2, MADV_NORMAL, 0 },
	{ "no such advice", 0, 2, 5, -EINVAL },
	{ "negative advice", 0, 2, -1, -EINVAL },
};

KTEST(mm_advice, errors)
{
	struct testfs *fs = testfs_create(1);
	struct mm *mm = test_mm();
	struct mmap_file file = { .readable = true };
	vaddr_t va;

	if (!fs)
		return;
	file.mapping = &fs->mapping;
	EXPECT_EQ(mm_mmap(mm, WHERE, 5 * PAGE_SIZE, RW, ANON | MAP_FIXED, NULL, 0, &va), 0);
	EXPECT_EQ(mm_munmap(mm, WHERE + 2 * PAGE_SIZE, PAGE_SIZE), 0);
	EXPECT_EQ(mm_mmap(mm, WHERE + 3 * PAGE_SIZE, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED,
			  &file, 4 * PAGE_SIZE, &va),
		  0);
	EXPECT_EQ(mm_mlock(mm, WHERE + 4 * PAGE_SIZE, PAGE_SIZE), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		int err = mm_madvise(mm, WHERE + calls[i].page * PAGE_SIZE,
				     calls[i].pages * PAGE_SIZE, calls[i].advice);

		if (err != calls[i].expected)
			ktest_fail(__FILE__, __LINE__, "%s: %d, not %d", calls[i].what, err,
				   calls[i].expected);
	}
	mm_put(mm);
	testfs_destroy(fs);
}

/* --- reading ahead, and mincore() --- */

static u64 resident(struct stage *s, pgoff_t page, u64 pages)
{
	u8 vec[200];
	u64 n = 0;

	EXPECT_EQ(mm_mincore(s->mm, (vaddr_t)stage_slot(s, page), pages * PAGE_SIZE, vec), 0);
	for (u64 i = 0; i < pages; i++)
		n += vec[i];
	return n;
}

KTEST_ON_CPU0(mm_advice, willneed_and_mincore)
{
	struct stage s;

	if (!stage_begin(&s, 200))
		return;
	EXPECT_EQ(resident(&s, 0, 200), 0);
	EXPECT_EQ(advise(&s, 10, 150, MADV_WILLNEED), 0);
	WAIT_FOR(resident(&s, 10, 150) == 150);
	EXPECT_EQ(resident(&s, 0, 200), 150);
	EXPECT(!pte_present(test_pte(s.mm, stage_slot(&s, 10)))); /* read, not mapped */
	EXPECT_EQ(s.fs->pages_read, 150);
	EXPECT_EQ(advise(&s, 10, 150, MADV_WILLNEED), 0);
	EXPECT_EQ(s.fs->pages_read, 150);
	stage_end(&s);
}

static u64 read_by_one_fault(struct stage *s, pgoff_t page, int advice)
{
	u64 v, before = s->fs->pages_read;

	EXPECT_EQ(advise(s, 0, s->pages, advice), 0);
	EXPECT_EQ(probe_load8(stage_slot(s, page), &v), 0);
	return s->fs->pages_read - before;
}

KTEST_ON_CPU0(mm_advice, random_and_sequential)
{
	struct stage s;
	u64 usual;

	if (!stage_begin(&s, 200))
		return;
	EXPECT_EQ(read_by_one_fault(&s, 0, MADV_RANDOM), 1);
	EXPECT_EQ(read_by_one_fault(&s, 1, MADV_SEQUENTIAL), 64);
	EXPECT_EQ(read_by_one_fault(&s, 190, MADV_SEQUENTIAL), 10); /* to the end */
	usual = read_by_one_fault(&s, 100, MADV_NORMAL);
	EXPECT(usual > 1 && usual < 64);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_advice, mincore_errors_and_private_memory)
{
	struct stage s;
	u8 vec[4] = { 9, 9, 9, 9 };
	u64 *anon;
	vaddr_t va;

	if (!stage_begin(&s, 1))
		return;
	anon = map_anon(s.mm, 3, MAP_PRIVATE);
	va = (vaddr_t)anon;
	WRITE_ONCE(anon[0], 1);
	WRITE_ONCE(anon[SLOTS_PER_PAGE], 1);
	EXPECT_EQ(mm_mprotect(s.mm, va + PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	EXPECT_EQ(mm_mincore(s.mm, va, 2 * PAGE_SIZE + 1, vec), 0);
	EXPECT(vec[0] == 1 && vec[1] == 1 && vec[2] == 0 && vec[3] == 9);
	EXPECT_EQ(mm_mincore(s.mm, va + 8, PAGE_SIZE, vec), -EINVAL);
	EXPECT_EQ(mm_mincore(s.mm, va, 0, vec), 0);
	EXPECT_EQ(mm_mincore(s.mm, va, ~0ul, vec), -ENOMEM);
	EXPECT_EQ(mm_mincore(s.mm, WHERE, PAGE_SIZE, vec), -ENOMEM);
	EXPECT_EQ(mm_mincore(s.mm, va, PAGE_SIZE, (u8 *)WHERE), -EFAULT);
	stage_end(&s);
}

/* --- mlockall() --- */

KTEST_ON_CPU0(mm_advice, mlockall)
{
	struct stage s;
	u64 *anon;

	if (!stage_begin(&s, 2))
		return;
	EXPECT_EQ(mm_mlockall(s.mm, 0), -EINVAL);
	EXPECT_EQ(mm_mlockall(s.mm, 8), -EINVAL);
	EXPECT_EQ(mm_mlockall(s.mm, MCL_CURRENT), 0);
	EXPECT(pte_present(test_pte(s.mm, stage_slot(&s, 1))));
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 0); /* rule 117 */
	EXPECT_EQ(advise(&s, 0, 1, MADV_DONTNEED), -EINVAL);
	anon = map_anon(s.mm, 1, MAP_PRIVATE);
	EXPECT(!pte_present(test_pte(s.mm, anon)));
	EXPECT_EQ(mm_mlockall(s.mm, MCL_FUTURE), 0);
	anon = map_anon(s.mm, 1, MAP_PRIVATE);
	EXPECT(pte_present(test_pte(s.mm, anon)));
	EXPECT_EQ(mm_munlockall(s.mm), 0);
	EXPECT_EQ(advise(&s, 0, 1, MADV_DONTNEED), 0);
	anon = map_anon(s.mm, 1, MAP_PRIVATE);
	EXPECT(!pte_present(test_pte(s.mm, anon)));
	stage_end(&s);
}

/* --- MAP_SHARED | MAP_ANONYMOUS, MAP_FIXED_NOREPLACE --- */

KTEST_ON_CPU0(mm_advice, shared_anonymous_memory)
{
	struct mm *child, *before;
	struct stage s;
	u64 *shm, v;
	vaddr_t to;

	if (!stage_begin(&s, 1))
		return;
	shm = map_anon(s.mm, 4, MAP_SHARED);
	EXPECT_EQ(shm[0], 0);
	EXPECT_EQ(remote_store(&s.w, shm, 1), 0);
	EXPECT_EQ(mm_fork(s.mm, &child), 0);
	before = current_thread()->mm;
	mm_use(child);
	EXPECT_EQ(probe_load8(shm, &v), 0);
	EXPECT_EQ(v, 1);
	EXPECT_EQ(probe_store8(shm, 2), 0);
	EXPECT_EQ(probe_store8(shm + SLOTS_PER_PAGE, 3), 0);
	mm_use(before);
	mm_put(child);
	EXPECT_EQ(remote_load(&s.w, shm, &v), 0);
	EXPECT_EQ(v, 2);
	EXPECT_EQ(shm[SLOTS_PER_PAGE], 3);
	/* Unmapped, protected, mapped twice: the contents stay as long as one area does. */
	EXPECT_EQ(mm_madvise(s.mm, (vaddr_t)shm, 4 * PAGE_SIZE, MADV_DONTNEED), 0);
	EXPECT_EQ(mm_mprotect(s.mm, (vaddr_t)shm, PAGE_SIZE, PROT_NONE), 0);
	EXPECT_EQ(mm_mprotect(s.mm, (vaddr_t)shm, PAGE_SIZE, PROT_READ), 0);
	EXPECT_EQ(shm[0], 2);
	EXPECT_EQ(mm_mprotect(s.mm, (vaddr_t)shm, PAGE_SIZE, RW), 0);
	WRITE_ONCE(shm[0], 4);
	EXPECT_EQ(mm_mremap(s.mm, (vaddr_t)shm, 0, 2 * PAGE_SIZE, MREMAP_MAYMOVE, 0, &to), 0);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)shm, 4 * PAGE_SIZE), 0);
	EXPECT_EQ(*(u64 *)to, 4);
	EXPECT_EQ(mm_msync(s.mm, to, 2 * PAGE_SIZE, MS_SYNC), 0);
	EXPECT_EQ(mm_munmap(s.mm, to, 2 * PAGE_SIZE), 0);
	stage_end(&s);
}

KTEST(mm_advice, fixed_noreplace)
{
	const int flags = ANON | MAP_FIXED_NOREPLACE | MAP_NORESERVE;
	struct mm *mm = test_mm();
	vaddr_t va = 0;

	EXPECT_EQ(mm_mmap(mm, WHERE, 2 * PAGE_SIZE, RW, flags, NULL, 0, &va), 0);
	EXPECT_EQ(va, WHERE);
	EXPECT_EQ(mm_mmap(mm, WHERE + PAGE_SIZE, 2 * PAGE_SIZE, RW, flags, NULL, 0, &va), -EEXIST);
	EXPECT_EQ(mm_mmap(mm, WHERE + 8, PAGE_SIZE, RW, flags, NULL, 0, &va), -EINVAL);
	EXPECT_EQ(mm_mmap(mm, WHERE + 2 * PAGE_SIZE, PAGE_SIZE, RW, flags, NULL, 0, &va), 0);
	EXPECT_EQ(mm->nr_areas, 1);
	mm_put(mm);
}
