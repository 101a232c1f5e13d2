/* SPDX-License-Identifier: MIT */
/*
 * test_fault.c - what a load and a store to a shared file mapping do (rules 1-4, 8, 9, 19, 20).
 */
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "kernel/fs/fs.h"
#include "tests/util.h"

#define PAGES 16

KTEST_ON_CPU0(mm_fault, shared_pages_start_read_only)
{
	struct stats before;
	struct stage s;
	u64 v;

	if (!stage_begin(&s, PAGES))
		return;
	for (pgoff_t i = 0; i < PAGES; i++)
		EXPECT_EQ(probe_load8(stage_slot(&s, i), &v), 0);
	for (pgoff_t i = 0; i < PAGES; i++)
		EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, i))));
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 0);

	/* The first store to each page is told, the second is not. */
	for (u64 round = 0; round < 2; round++) {
		stats_snapshot(&before);
		for (pgoff_t i = 0; i < PAGES; i++)
			WRITE_ONCE(*stage_slot(&s, i), i);
		EXPECT_EQ(stat_since(&before, STAT_WRITE_FAULTS), round ? 0 : PAGES);
	}
	EXPECT_EQ(s.fs->mkwrites, PAGES);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), PAGES);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_fault, read_fault_grants_nothing_to_neighbours)
{
	struct stats before;
	struct stage s;
	u64 v;

	if (!stage_begin(&s, PAGES))
		return;
	EXPECT_EQ(probe_load8(stage_slot(&s, PAGES / 2), &v), 0);
	for (pgoff_t i = 0; i < PAGES; i++)
		EXPECT(!pte_write(test_pte(s.mm, stage_slot(&s, i))));
	stats_snapshot(&before);
	WRITE_ONCE(*stage_slot(&s, PAGES / 2 + 1), 1);
	EXPECT_EQ(stat_since(&before, STAT_WRITE_FAULTS), 1);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 1);
	stage_end(&s);
}

/* A and D are set with W, so that cleaning sees the store at once (rule 19). */
KTEST_ON_CPU0(mm_fault, write_fault_presets_a_and_d)
{
	struct gate gate;
	struct stage s;
	pte_t pte;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(probe_load8(s.map, &v), 0);
	/* Stop the fault where the PTE is set and the store has not happened. */
	gate_arm(&gate, "mkwrite_pte_set", testfs_page(s.fs, 0));
	remote_try_store(&s.w, s.map, 1);
	gate_wait(&gate);
	pte = test_pte(s.mm, s.map);
	EXPECT(pte_write(pte) && pte_dirty(pte) && pte_young(pte));
	EXPECT_EQ(*(u64 *)page_address(testfs_page(s.fs, 0)), 0);
	gate_disarm(&gate);
	EXPECT_EQ(remote_wait(&s.w), 0);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_fault, mkwrite_is_called_once_per_pte)
{
	struct stage s;
	u64 *second, nr;

	if (!stage_begin(&s, 1))
		return;
	second = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ | PROT_WRITE, MAP_SHARED);
	nr = nr_dirty_pages();
	WRITE_ONCE(*s.map, 1);
	WRITE_ONCE(*second, 2);
	EXPECT_EQ(s.fs->mkwrites, 2);
	EXPECT_EQ(nr_dirty_pages(), nr + 1);
	EXPECT_EQ(*s.map, 2);
	stage_end(&s);
}

static int store_many(void *arg)
{
	int succeeded = 0;

	for (int i = 0; i < 200; i++)
		succeeded += probe_store8(arg, 0xbad) == 0;
	return succeeded;
}

/* Everything that can fail comes before the PTE is writable (rule 3). */
KTEST_ON_CPU0(mm_fault, refused_store_changes_nothing)
{
	struct stage s;
	u64 v = 0;

	if (!stage_begin(&s, 1))
		return;
	testfs_set_platter(s.fs, 0, 0, 5);
	EXPECT_EQ(probe_load8(s.map, &v), 0);
	s.fs->prepare_error = -ENOSPC;
	remote_begin(&s.w, store_many, s.map);
	EXPECT_EQ(store_many(s.map), 0);
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT(!pte_write(test_pte(s.mm, s.map)));
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 0);
	EXPECT_EQ(probe_load8(s.map, &v), 0);
	EXPECT_EQ(v, 5);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 5);

	/* And with space again it is as if nothing had been. */
	s.fs->prepare_error = 0;
	EXPECT_EQ(remote_store(&s.w, s.map, 6), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 6);
	stage_end(&s);
}

/* --- two CPUs, one clean page --- */

#define ROUNDS 50

static struct stage pair;
static int ready; /* a: CPUs that stand before the store */

/* Both store to slot @arg of each page in turn, as nearly at once as they can. */
static int store_in_step(void *arg)
{
	u64 me = (u64)arg;

	for (u64 i = 0; i < ROUNDS; i++) {
		unsigned int spins = 0;

		atomic_add_return(&ready, 1);
		while (atomic_load(&ready) < 2 * (int)(i + 1)) {
			cpu_relax(&spins);
			if (nr_cpus == 1)
				yield();
		}
		WRITE_ONCE(stage_slot(&pair, i)[me], me + 1);
	}
	return 0;
}

KTEST_ON_CPU0(mm_fault, two_cpus_store_at_once)
{
	struct stats before;
	u64 nr;

	if (!stage_begin(&pair, ROUNDS))
		return;
	ready = 0;
	nr = nr_dirty_pages();
	stats_snapshot(&before);
	remote_begin(&pair.w, store_in_step, (void *)1);
	store_in_step((void *)0);
	EXPECT_EQ(remote_wait(&pair.w), 0);

	/* One upgrade of each PTE, one page dirtied: the other fault was for nothing. */
	EXPECT_EQ(stat_since(&before, STAT_WRITE_FAULTS), ROUNDS);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_DIRTIED), ROUNDS);
	EXPECT_EQ(nr_dirty_pages(), nr + ROUNDS);
	EXPECT_EQ(testfs_fsync(pair.fs), 0);
	for (pgoff_t i = 0; i < ROUNDS; i++) {
		EXPECT_EQ(testfs_platter(pair.fs, i, 0), 1);
		EXPECT_EQ(testfs_platter(pair.fs, i, 1), 2);
	}
	stage_end(&pair);
}

/* --- refusals --- */

static const struct {
	const char *what;
	int prepare_error; /* what the file system says to a store */
	int expected;
} refusals[] = {
	{ "no space", -ENOSPC, -ENOSPC },
	{ "I/O error", -EIO, -EIO },
	{ "agreed", 0, 0 },
};

KTEST_ON_CPU0(mm_fault, refusals_stay_distinguishable)
{
	struct stats before;
	struct stage s;
	const u64 *ro;
	u64 v, asked;

	if (!stage_begin(&s, PAGES))
		return;
	stats_snapshot(&before);
	for (unsigned int i = 0; i < ARRAY_SIZE(refusals); i++) {
		s.fs->prepare_error = refusals[i].prepare_error;
		if (probe_store8(stage_slot(&s, i), 1) != refusals[i].expected)
			ktest_fail(__FILE__, __LINE__, "%s: not error %d", refusals[i].what,
				   refusals[i].expected);
	}
	EXPECT_EQ(stat_since(&before, STAT_SIGBUS_FAULTS), 2);
	/* Not permitted: nobody is asked, and it is not the file that refuses. */
	ro = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ, MAP_SHARED);
	asked = s.fs->mkwrites;
	EXPECT_EQ(probe_load8(ro, &v), 0);
	EXPECT_EQ(probe_store8((void *)ro, 1), -EFAULT);
	EXPECT_EQ(s.fs->mkwrites, asked);

	/* Not mapped, and behind the end of the file. */
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)ro, PAGE_SIZE), 0);
	EXPECT_EQ(probe_load8(ro, &v), -EFAULT);
	EXPECT_EQ(stat_since(&before, STAT_SIGBUS_FAULTS), 2);
	EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE), 0);
	EXPECT_EQ(probe_load8(stage_slot(&s, 1), &v), -EFAULT);
	EXPECT_EQ(probe_store8(stage_slot(&s, 1), 1), -EFAULT);
	EXPECT_EQ(probe_store8(s.map, 1), 0);
	stage_end(&s);
}

/* A page that could not be read is asked for again by the next who wants it. */
KTEST_ON_CPU0(mm_fault, read_error_is_not_for_ever)
{
	struct stage s;
	u64 v = 0;

	if (!stage_begin(&s, 1))
		return;
	testfs_set_platter(s.fs, 0, 0, 8);
	ramblk_fail(s.fs->dev, BIO_READ, 0, ~0ul, 1, 1, -EIO);
	EXPECT_EQ(probe_load8(s.map, &v), -EIO);
	EXPECT_EQ(probe_load8(s.map, &v), 0);
	EXPECT_EQ(v, 8);
	stage_end(&s);
}

/* Memory is all there is: nobody wants notice, a store costs the one fault that maps the page. */
KTEST_ON_CPU0(mm_fault, ramfs_takes_no_write_notify_fault)
{
	struct mm *mm = test_mm(), *mm_before = current_thread()->mm;
	struct stats before;
	struct file *file;
	vaddr_t va;
	u64 v;

	ASSERT_EQ(vfs_open("/tmp/mm_fault", 2 | FS_O_CREAT | FS_O_TRUNC, 0644, &file), 0);
	EXPECT_EQ(vfs_ftruncate(file, PAGE_SIZE), 0);
	EXPECT_EQ(vfs_mmap(mm, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0, &va), 0);
	mm_use(mm);
	EXPECT_EQ(probe_load8((void *)va, &v), 0);
	stats_snapshot(&before);
	WRITE_ONCE(*(u64 *)va, 9);
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 0);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT_EQ(vfs_pread(file, &v, sizeof(v), 0), sizeof(v));
	EXPECT_EQ(v, 9);
	mm_use(mm_before);
	mm_put(mm);
	file_put(file);
	EXPECT_EQ(vfs_unlink("/tmp/mm_fault"), 0);
}
