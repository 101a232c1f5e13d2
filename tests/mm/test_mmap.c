/* SPDX-License-Identifier: MIT */
/*
 * test_mmap.c - areas: where they go, what replaces them, what is left of them.
 */
#include <string.h>
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "tests/util.h"

#define RW    (PROT_READ | PROT_WRITE)
#define ANON  (MAP_PRIVATE | MAP_ANONYMOUS)
#define WHERE 0x200000000000UL /* nobody else is there */

static const struct {
	const char *what;
	vaddr_t addr;
	u64 len;
	int prot, flags;
	u64 offset;
	int expected;
} refused[] = {
	{ "no length", 0, 0, RW, ANON, 0, -EINVAL },
	{ "neither shared nor private", 0, PAGE_SIZE, RW, MAP_ANONYMOUS, 0, -EINVAL },
	{ "both", 0, PAGE_SIZE, RW, MAP_SHARED | ANON, 0, -EINVAL },
	{ "unknown flag", 0, PAGE_SIZE, RW, ANON | 1 << 30, 0, -EINVAL },
	{ "unknown protection", 0, PAGE_SIZE, 64, ANON, 0, -EINVAL },
	{ "odd offset", 0, PAGE_SIZE, RW, ANON, 100, -EINVAL },
	{ "a file, but none given", 0, PAGE_SIZE, RW, MAP_SHARED, 0, -EINVAL },
	{ "odd fixed address", WHERE + 8, PAGE_SIZE, RW, ANON | MAP_FIXED, 0, -EINVAL },
	{ "fixed at the kernel's half", KERNEL_BASE, PAGE_SIZE, RW, ANON | MAP_FIXED, 0, -ENOMEM },
	{ "fixed across the end", USER_END - PAGE_SIZE, 2 * PAGE_SIZE, RW, ANON | MAP_FIXED, 0,
	  -ENOMEM },
	{ "fixed at 0", 0, PAGE_SIZE, RW, ANON | MAP_FIXED, 0, -ENOMEM },
	{ "more than there is", 0, USER_END, RW, ANON, 0, -ENOMEM },
	{ "a length that wraps", 0, ~0ul, RW, ANON, 0, -ENOMEM },
};

KTEST_ON_CPU0(mm_mmap, refusals)
{
	struct mm *mm = test_mm();
	vaddr_t va;

	for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++) {
		int err = mm_mmap(mm, refused[i].addr, refused[i].len, refused[i].prot,
				  refused[i].flags, NULL, refused[i].offset, &va);

		if (err != refused[i].expected)
			ktest_fail(__FILE__, __LINE__, "%s: %d, not %d", refused[i].what, err,
				   refused[i].expected);
	}
	EXPECT_EQ(mm->nr_areas, 0);
	EXPECT_EQ(mm_munmap(mm, WHERE + 1, PAGE_SIZE), -EINVAL);
	EXPECT_EQ(mm_munmap(mm, WHERE, 0), -EINVAL);
	EXPECT_EQ(mm_munmap(mm, WHERE, ~0ul), -EINVAL);
	EXPECT_EQ(mm_munmap(mm, KERNEL_BASE, PAGE_SIZE), -EINVAL);
	EXPECT_EQ(mm_munmap(mm, WHERE, PAGE_SIZE), 0); /* nothing there: fine */
	mm_put(mm);
}

/* What the descriptor does not allow (rule 20). */
KTEST_ON_CPU0(mm_mmap, descriptor_limits)
{
	struct testfs *fs = testfs_create(1);
	struct mm *mm = test_mm();
	struct mmap_file file = { .mapping = &fs->mapping };
	vaddr_t va;

	if (!fs)
		return;
	EXPECT_EQ(mm_mmap(mm, 0, PAGE_SIZE, PROT_READ, MAP_SHARED, &file, 0, &va), -EACCES);
	file.readable = true;
	EXPECT_EQ(mm_mmap(mm, 0, PAGE_SIZE, RW, MAP_SHARED, &file, 0, &va), -EACCES);
	EXPECT_EQ(mm_mmap(mm, 0, PAGE_SIZE, PROT_READ, MAP_SHARED, &file, 0, &va), 0);
	EXPECT_EQ(mm_mmap(mm, 0, PAGE_SIZE, RW, MAP_PRIVATE, &file, 0, &va), 0);
	file = (struct mmap_file){ .mapping = &fs->mapping, .writable = true };
	EXPECT_EQ(mm_mmap(mm, 0, PAGE_SIZE, RW, MAP_SHARED, &file, 0, &va), -EACCES);
	mm_put(mm);
	testfs_destroy(fs);
}

static vaddr_t map_anon(struct mm *mm, vaddr_t hint, u64 pages, int flags)
{
	vaddr_t va = 0;

	EXPECT_EQ(mm_mmap(mm, hint, pages << PAGE_SHIFT, RW, ANON | flags, NULL, 0, &va), 0);
	return va;
}

KTEST_ON_CPU0(mm_mmap, hints)
{
	struct mm *mm = test_mm();
	vaddr_t a = map_anon(mm, WHERE, 4, 0), b;

	EXPECT_EQ(a, WHERE);
	EXPECT_EQ(map_anon(mm, WHERE + 4 * PAGE_SIZE + 5, 1, 0), WHERE + 4 * PAGE_SIZE);
	/* Taken, in part: somewhere else, and nobody is hurt. */
	b = map_anon(mm, WHERE + 3 * PAGE_SIZE, 4, 0);
	EXPECT(b >= WHERE + 5 * PAGE_SIZE || b + 4 * PAGE_SIZE <= WHERE);
	EXPECT(!(b & ~PAGE_MASK));
	/* Too high: also somewhere else. */
	b = map_anon(mm, USER_END - PAGE_SIZE, 2, 0);
	EXPECT(b && b < USER_END - PAGE_SIZE);
	EXPECT_EQ(map_anon(mm, USER_END - PAGE_SIZE, 1, 0), USER_END - PAGE_SIZE);
	mm_put(mm);
}

/* All that was mapped there goes, as if unmapped: its stores reach the file. */
KTEST_ON_CPU0(mm_mmap, fixed_replaces)
{
	struct stage s;
	vaddr_t va;
	u64 v = 1;

	if (!stage_begin(&s, 6))
		return;
	for (pgoff_t i = 0; i < 6; i++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), i + 1), 0);
	EXPECT_EQ(mm_mmap(s.mm, (vaddr_t)stage_slot(&s, 2), 2 * PAGE_SIZE, RW, ANON | MAP_FIXED,
			  NULL, 0, &va),
		  0);
	EXPECT_EQ(va, (vaddr_t)stage_slot(&s, 2));
	EXPECT_EQ(s.mm->nr_areas, 3);
	for (pgoff_t i = 0; i < 6; i++) {
		EXPECT_EQ(remote_load(&s.w, stage_slot(&s, i), &v), 0);
		EXPECT_EQ(v, i == 2 || i == 3 ? 0 : i + 1);
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 10 + i), 0);
	}
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < 6; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), i == 2 || i == 3 ? i + 1 : 10 + i);
	stage_end(&s);
}

/* Page tables go with the last area they serve. */
KTEST_ON_CPU0(mm_mmap, tables_are_freed)
{
	struct mm *mm = test_mm(), *mm_before = current_thread()->mm;

	mm_use(mm);
	for (unsigned int i = 0; i < 4; i++) {
		vaddr_t va = map_anon(mm, WHERE + ((u64)i << 39), 1200, 0);

		for (u64 p = 0; p < 1200; p += 100)
			WRITE_ONCE(*(u64 *)(va + (p << PAGE_SHIFT)), p);
		EXPECT_EQ(mm_munmap(mm, va, 1200 << PAGE_SHIFT), 0);
	}
	EXPECT_EQ(mm->nr_areas, 0);
	EXPECT_EQ(mm->pgt.nr_tables, 0);
	mm_use(mm_before);
	mm_put(mm);
}

/* --- random pieces, against a model --- */

#define WINDOW	   24
#define FILE_PAGES 24
#define STEPS	   1500

enum kind { NOTHING, SHARED, PRIVATE, ANONYMOUS };

/* What a page of the window is, and what its first slot reads. */
static struct {
	enum kind kind;
	pgoff_t pgoff;
	bool own; /* private and stored to, or anonymous */
	u64 value;
} model[WINDOW];
static u64 file_value[FILE_PAGES];

static void map_some(struct stage *s, u64 at, u64 n, enum kind kind, pgoff_t pgoff)
{
	struct mmap_file file = { .mapping = &s->fs->mapping, .readable = true, .writable = true };
	vaddr_t va, want = WHERE + (at << PAGE_SHIFT);
	struct vm_area *vma;

	/* The operations of the scene's own area. */
	down_read(&s->mm->mmap_lock);
	vma = find_vma(s->mm, (vaddr_t)s->map);
	file.ops = vma->ops;
	up_read(&s->mm->mmap_lock);
	EXPECT_EQ(mm_mmap(s->mm, want, n << PAGE_SHIFT, RW,
			  MAP_FIXED | (kind == SHARED	 ? MAP_SHARED :
				       kind == ANONYMOUS ? ANON :
							   MAP_PRIVATE),
			  kind == ANONYMOUS ? NULL : &file,
			  kind == ANONYMOUS ? 0 : pgoff << PAGE_SHIFT, &va),
		  0);
	EXPECT_EQ(va, want);
	for (u64 i = 0; i < n; i++) {
		model[at + i].kind = kind;
		model[at + i].pgoff = pgoff + i;
		model[at + i].own = kind == ANONYMOUS;
		model[at + i].value = 0;
	}
}

static void unmap_some(struct stage *s, u64 at, u64 n)
{
	EXPECT_EQ(mm_munmap(s->mm, WHERE + (at << PAGE_SHIFT), n << PAGE_SHIFT), 0);
	for (u64 i = 0; i < n; i++)
		model[at + i].kind = NOTHING;
}

static void check_page(u64 at, u64 step)
{
	u64 v = 0, want = model[at].own ? model[at].value : file_value[model[at].pgoff];
	int err = probe_load8((void *)(WHERE + (at << PAGE_SHIFT)), &v);

	if (model[at].kind == NOTHING ? err != -EFAULT : err || v != want)
		ktest_fail(__FILE__, __LINE__, "step %lu, page %lu: error %d, %lu instead of %lu",
			   (unsigned long)step, (unsigned long)at, err, (unsigned long)v,
			   (unsigned long)want);
}

static void store_page(u64 at, u64 v)
{
	int err = probe_store8((void *)(WHERE + (at << PAGE_SHIFT)), v);

	EXPECT_EQ(err, model[at].kind == NOTHING ? -EFAULT : 0);
	if (model[at].kind == SHARED) {
		file_value[model[at].pgoff] = v;
	} else {
		model[at].own = true;
		model[at].value = v;
	}
}

static void random_step(struct stage *s, u64 *random, u64 step)
{
	u64 at = ktest_rand(random) % WINDOW, n = 1 + ktest_rand(random) % (WINDOW - at);
	pgoff_t pgoff = ktest_rand(random) % (FILE_PAGES - n + 1);

	n = min(n, 8ul);
	switch (ktest_rand(random) % 8) {
	case 0: map_some(s, at, n, SHARED, pgoff); break;
	case 1: map_some(s, at, n, PRIVATE, pgoff); break;
	case 2: map_some(s, at, n, ANONYMOUS, 0); break;
	case 3: unmap_some(s, at, n); break;
	case 4: EXPECT_EQ(testfs_fsync(s->fs), 0); break;
	default: store_page(at, step); break;
	}
	check_page(ktest_rand(random) % WINDOW, step);
}

KTEST_ON_CPU0(mm_mmap, random_pieces)
{
	u64 random = ktest_seed() | 1;
	struct stage s;

	if (!stage_begin(&s, FILE_PAGES))
		return;
	memset(model, 0, sizeof(model));
	memset(file_value, 0, sizeof(file_value));
	for (u64 step = 1; step <= STEPS && !ktest_failed(); step++)
		random_step(&s, &random, step);
	for (u64 at = 0; at < WINDOW; at++)
		check_page(at, STEPS);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < FILE_PAGES; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 0), file_value[i]);
	unmap_some(&s, 0, WINDOW);
	EXPECT_EQ(s.mm->nr_areas, 1);
	stage_end(&s);
}
