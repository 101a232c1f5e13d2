/* SPDX-License-Identifier: MIT */
/*
 * test_mm_fork.c - an address space that begins as a copy of another (rule 116; B30).
 *
 * The child runs in the test's thread by mm_use(); the parent's other thread is W, on CPU 1.
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "tests/util.h"

#define RW    (PROT_READ | PROT_WRITE)
#define ANON  (MAP_PRIVATE | MAP_ANONYMOUS)
#define WHERE 0x200000000000UL /* nobody else is there */

static u64 *map_anon(struct mm *mm, u64 pages, int prot)
{
	vaddr_t va = 0;

	EXPECT_EQ(mm_mmap(mm, WHERE, pages * PAGE_SIZE, prot, ANON | MAP_FIXED, NULL, 0, &va), 0);
	return (u64 *)va;
}

static u64 load_in(struct mm *mm, const u64 *p)
{
	struct mm *before = current_thread()->mm;
	u64 v = ~0ul;

	mm_use(mm);
	EXPECT_EQ(probe_load8(p, &v), 0);
	mm_use(before);
	return v;
}

static void store_in(struct mm *mm, u64 *p, u64 v)
{
	struct mm *before = current_thread()->mm;

	mm_use(mm);
	EXPECT_EQ(probe_store8(p, v), 0);
	mm_use(before);
}

static struct mm *fork_of(struct mm *mm)
{
	struct mm *child = NULL;

	EXPECT_EQ(mm_fork(mm, &child), 0);
	return child;
}

/* What was stored before is seen by both, what is stored after by one; W has its translations. */
KTEST_ON_CPU0(mm_fork, r116_private_memory_parts)
{
	struct mm *child;
	struct stage s;
	u64 *anon, v;

	if (!stage_begin(&s, 1))
		return;
	anon = map_anon(s.mm, 3, RW);
	for (u64 i = 0; i < 2; i++)
		EXPECT_EQ(remote_store(&s.w, anon + i * SLOTS_PER_PAGE, 1 + i), 0);
	child = fork_of(s.mm);
	EXPECT_EQ(remote_store(&s.w, anon, 11), 0); /* by a stale entry, if there were one */
	EXPECT_EQ(load_in(child, anon), 1);
	store_in(child, anon + SLOTS_PER_PAGE, 22);
	EXPECT_EQ(remote_load(&s.w, anon + SLOTS_PER_PAGE, &v), 0);
	EXPECT_EQ(v, 2);
	EXPECT_EQ(load_in(child, anon + SLOTS_PER_PAGE), 22);
	EXPECT_EQ(remote_load(&s.w, anon, &v), 0);
	EXPECT_EQ(v, 11);
	/* Absent in both: each gets its own zeros. */
	store_in(child, anon + 2 * SLOTS_PER_PAGE, 3);
	EXPECT_EQ(anon[2 * SLOTS_PER_PAGE], 0);
	mm_put(child);
	EXPECT_EQ(anon[0], 11);
	EXPECT_EQ(anon[SLOTS_PER_PAGE], 2);
	stage_end(&s);
}

/* The last one that has a page keeps it; before, it is copied. */
KTEST_ON_CPU0(mm_fork, pages_are_copied_once_and_then_kept)
{
	struct stats before;
	struct mm *child;
	struct stage s;
	u64 *anon;

	if (!stage_begin(&s, 1))
		return;
	anon = map_anon(s.mm, 1, RW);
	WRITE_ONCE(anon[0], 1);
	child = fork_of(s.mm);
	stats_snapshot(&before);
	WRITE_ONCE(anon[0], 2);
	EXPECT_EQ(stat_since(&before, STAT_COW_FAULTS), 1);
	store_in(child, anon, 3);
	EXPECT_EQ(stat_since(&before, STAT_COW_FAULTS), 1);
	EXPECT_EQ(stat_since(&before, STAT_COW_REUSED), 1);
	mm_put(child);

	child = fork_of(s.mm);
	mm_put(child);
	stats_snapshot(&before);
	WRITE_ONCE(anon[0], 4);
	EXPECT_EQ(stat_since(&before, STAT_COW_FAULTS), 0);
	EXPECT_EQ(stat_since(&before, STAT_COW_REUSED), 1);
	/* And after mprotect(), where nobody shares. */
	EXPECT_EQ(mm_mprotect(s.mm, WHERE, PAGE_SIZE, PROT_READ), 0);
	EXPECT_EQ(mm_mprotect(s.mm, WHERE, PAGE_SIZE, RW), 0);
	WRITE_ONCE(anon[0], 5);
	EXPECT_EQ(stat_since(&before, STAT_COW_REUSED), 2);
	EXPECT_EQ(anon[0], 5);
	stage_end(&s);
}

/* A child of a child; held pages go along. */
KTEST_ON_CPU0(mm_fork, three_generations)
{
	struct mm *child, *grandchild;
	struct stage s;
	u64 *anon;

	if (!stage_begin(&s, 1))
		return;
	anon = map_anon(s.mm, 2, RW);
	WRITE_ONCE(anon[0], 1);
	WRITE_ONCE(anon[SLOTS_PER_PAGE], 2);
	EXPECT_EQ(mm_mprotect(s.mm, WHERE + PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	child = fork_of(s.mm);
	grandchild = fork_of(child);
	store_in(child, anon, 10);
	WRITE_ONCE(anon[0], 20);
	EXPECT_EQ(load_in(grandchild, anon), 1);
	EXPECT_EQ(mm_mprotect(grandchild, WHERE + PAGE_SIZE, PAGE_SIZE, RW), 0);
	store_in(grandchild, anon + SLOTS_PER_PAGE, 30);
	mm_put(grandchild);
	EXPECT_EQ(mm_mprotect(child, WHERE + PAGE_SIZE, PAGE_SIZE, PROT_READ), 0);
	EXPECT_EQ(load_in(child, anon + SLOTS_PER_PAGE), 2);
	EXPECT_EQ(load_in(child, anon), 10);
	EXPECT_EQ(anon[0], 20);
	mm_put(child);
	stage_end(&s);
}

/* Private copies of a file's pages, too; and a truncate takes them from both (rule 99). */
KTEST_ON_CPU0(mm_fork, r99_private_copies_of_a_file)
{
	struct mm *child, *before;
	u64 *private, v;
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	private = testfs_mmap(s.fs, s.mm, 0, 2, RW, MAP_PRIVATE);
	WRITE_ONCE(private[0], 1);
	WRITE_ONCE(private[SLOTS_PER_PAGE], 2);
	child = fork_of(s.mm);
	store_in(child, private, 3);
	EXPECT_EQ(private[0], 1);
	EXPECT_EQ(s.map[0], 0);
	EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE), 0);
	EXPECT_EQ(probe_load8(private + SLOTS_PER_PAGE, &v), -EFAULT);
	before = current_thread()->mm;
	mm_use(child);
	EXPECT_EQ(probe_load8(private + SLOTS_PER_PAGE, &v), -EFAULT);
	mm_use(before);
	EXPECT_EQ(load_in(child, private), 3);
	mm_put(child);
	stage_end(&s);
}

/* B30: the child has no entry of a shared page before it faults, so its stores are noticed; the
 * parent's dirt is not forgotten. */
KTEST_ON_CPU0(mm_fork, b30_fork_child_clean_writable)
{
	struct mm *child;
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	child = fork_of(s.mm);
	EXPECT(!pte_present(test_pte(child, s.map)));
	EXPECT(pte_write(test_pte(s.mm, s.map)));
	EXPECT_EQ(load_in(child, s.map), 1);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	store_in(child, s.map, 2);
	EXPECT_EQ(s.map[0], 2);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	/* The child's store outlives the child. */
	store_in(child, stage_slot(&s, 1), 3);
	mm_put(child);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 1, 0), 3);
	stage_end(&s);
}

static const struct vm_area *area_at(struct mm *mm, const void *p)
{
	const struct vm_area *vma;

	down_read(&mm->mmap_lock);
	vma = find_vma(mm, (vaddr_t)p);
	up_read(&mm->mmap_lock);
	return vma;
}

KTEST_ON_CPU0(mm_fork, what_is_inherited)
{
	const struct vm_area *vma;
	struct mm *child;
	struct stage s;

	if (!stage_begin(&s, 4))
		return;
	EXPECT_EQ(mm_mlock(s.mm, (vaddr_t)s.map, PAGE_SIZE), 0);
	EXPECT_EQ(mm_mprotect(s.mm, (vaddr_t)stage_slot(&s, 2), PAGE_SIZE, PROT_READ), 0);
	EXPECT_EQ(mm_madvise(s.mm, (vaddr_t)stage_slot(&s, 3), PAGE_SIZE, MADV_STAY_WRITABLE), 0);
	child = fork_of(s.mm);
	EXPECT_EQ(child->nr_areas, s.mm->nr_areas);
	vma = area_at(child, s.map);
	EXPECT(vma && vma->mapping == &s.fs->mapping && !(vma->flags & VM_LOCKED));
	vma = area_at(child, stage_slot(&s, 2));
	EXPECT(vma && !(vma->flags & VM_WRITE) && vma->pgoff == 2);
	vma = area_at(child, stage_slot(&s, 3));
	EXPECT(vma && vma->flags & VM_ASKED);
	mm_put(child);
	stage_end(&s);
}

/* W's store waits for the flush, or came before it and is the child's as well: held in between. */
static int fork_job(void *arg)
{
	struct mm **child = arg;

	return mm_fork(current_thread()->mm, child);
}

KTEST_ON_CPU0(mm_fork, stores_of_the_parent_while_it_forks)
{
	struct mm *child = NULL;
	struct gate gate;
	struct stage s;
	struct job f;
	u64 *anon;

	if (!stage_begin(&s, 1))
		return;
	anon = map_anon(s.mm, 1, RW);
	EXPECT_EQ(remote_store(&s.w, anon, 1), 0);
	gate_arm(&gate, "fork_before_flush", NULL);
	job_start(&f, 0, s.mm, fork_job, &child);
	gate_wait(&gate);
	remote_try_store(&s.w, anon, 2);
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&f), 0);
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT_EQ(anon[0], 2);
	EXPECT_EQ(remote_store(&s.w, anon, 3), 0);
	EXPECT(load_in(child, anon) < 3);
	mm_put(child);
	stage_end(&s);
}
