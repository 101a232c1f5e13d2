/* SPDX-License-Identifier: MIT */
/*
 * test_oracle.c - a random mix of everything on one file, judged by the oracle.
 *
 * Arguments: seed= repeats what each thread does (printed); oracle_ops= makes each thread do so
 * many operations however long it takes, instead of as many as fit in oracle_ms=.
 *
 * The file stays as /oracle-NAME.dat on the root's disk, and "# verify" tells the host what it must
 * find there. Where the root is in memory, an ext2 on a RAM disk serves instead.
 */
#include "tests/stress/stress.h"

#include <string.h>

#include "kernel/core/args.h"
#include "kernel/core/clock.h"
#include "kernel/core/percpu.h"
#include "kernel/core/sched.h"
#include "kernel/lib/fmt.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/vmap.h"
#include "tests/fs/fs_test.h"
#include "tests/ktest.h"

static u64 oracle_ops, oracle_ms = 3000;
ARG_UINT(oracle_ops, oracle_ops, "operations of each thread of an oracle test; 0: see oracle_ms");
ARG_UINT(oracle_ms, oracle_ms, "how long an oracle test goes on, in milliseconds");

#define RAM_DISK_BYTES (8UL << 20)
#define MIN_WORKERS    5
#define USUAL_WORKERS  8

enum stress_disk { ROOT_DISK, HELD_RAM_DISK };

enum stress_policy { USUAL_POLICY, WHIMS };

struct plan {
	const char *name;
	enum stress_disk disk;
	unsigned int cpus; /* how many to use */
	bool truncates;
	enum stress_policy policy;
};

/* --- spaces and workers --- */

static bool space_begin(struct stress *s, struct stress_space *space)
{
	vaddr_t at;

	mutex_init(&space->remapping, "remapping", RANK_NONE);
	space->mm = mm_create();
	EXPECT(space->mm);
	if (!space->mm)
		return false;
	s->nr_spaces++;
	EXPECT_EQ(vfs_mmap(space->mm, STRESS_VA, STRESS_SIZE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, s->file, 0, &at),
		  0);
	return !ktest_failed();
}

static bool worker_begin(struct stress *s, u64 seed)
{
	struct worker *w = &s->worker[s->nr_workers];
	u64 window = STRESS_WINDOW * ORACLE_PAGE_SLOTS * sizeof(u64);

	w->stress = s;
	w->number = s->nr_workers;
	/* Every space is used by several CPUs, and every CPU goes from one space to another. */
	w->space = &s->space[(w->number + w->number / max(nr_cpus, 1u)) % s->nr_spaces];
	w->seed = (seed + w->number + 1) * 0x9e3779b97f4a7c15ul | 1;
	w->bound = vmalloc(DIV_ROUND_UP(window, PAGE_SIZE));
	w->buffer = kmalloc(PAGE_SIZE);
	EXPECT(w->bound && w->buffer);
	s->nr_workers++;
	return w->bound && w->buffer;
}

static void run_workers(struct stress *s, unsigned int cpus)
{
	s->end = ktime_get() + oracle_ms * NSEC_PER_MSEC;
	for (unsigned int i = 0; i < s->nr_workers; i++) {
		struct worker *w = &s->worker[i];

		w->thread = thread_create("worker", (int)(i % cpus), w->space->mm,
					  &w->space->mm->pgt, stress_worker, w);
		EXPECT(w->thread);
	}
	for (unsigned int i = 0; i < s->nr_workers; i++)
		if (s->worker[i].thread)
			thread_join(s->worker[i].thread);
}

static bool begin(struct stress *s, const struct plan *plan, u64 seed)
{
	unsigned int workers = max(plan->cpus, min(2 * plan->cpus, (unsigned int)USUAL_WORKERS));

	mutex_init(&s->cutting, "cutting", RANK_NONE);
	rwsem_init(&s->growing, "growing", RANK_NONE);
	s->behind_end = STRESS_NO_SLOT;
	EXPECT_EQ(vfs_open(s->path, O_RW | FS_O_CREAT | FS_O_TRUNC, 0644, &s->file), 0);
	if (!s->file)
		return false;
	s->dev = s->file->inode->sb->dev;
	if (plan->policy == WHIMS)
		WRITE_ONCE(s->file->inode->data.policy, &stress_whims);
	EXPECT_EQ(vfs_ftruncate(s->file, STRESS_SIZE), 0);
	EXPECT(oracle_init(&s->oracle, STRESS_SLOTS));
	for (unsigned int i = 0; i < STRESS_SPACES && !ktest_failed(); i++)
		space_begin(s, &s->space[i]);
	for (unsigned int i = 0; i < max(workers, (unsigned int)MIN_WORKERS) && !ktest_failed();
	     i++)
		worker_begin(s, seed);
	return !ktest_failed();
}

static void end(struct stress *s)
{
	for (unsigned int i = 0; i < s->nr_spaces; i++)
		mm_put(s->space[i].mm);
	if (s->file) {
		stress_judge_final(s);
		WRITE_ONCE(s->file->inode->data.policy, NULL);
	}
	for (unsigned int i = 0; i < s->nr_workers; i++) {
		vfree(s->worker[i].bound);
		kfree(s->worker[i].buffer);
	}
	if (s->file)
		file_put(s->file);
	oracle_free(&s->oracle);
}

static void tell(const struct stress *s)
{
	u64 sum[NR_STRESS_COUNTS] = { 0 };

	for (unsigned int i = 0; i < s->nr_workers; i++)
		for (unsigned int c = 0; c < NR_STRESS_COUNTS; c++)
			sum[c] += s->worker[i].count[c];
	ktest_note("%u threads in %u spaces: %lu stores, %lu loads, %lu refused, %lu reads, "
		   "%lu writes",
		   s->nr_workers, s->nr_spaces, (unsigned long)sum[NR_STORES],
		   (unsigned long)sum[NR_LOADS], (unsigned long)sum[NR_REFUSED],
		   (unsigned long)sum[NR_READS], (unsigned long)sum[NR_WRITES]);
	ktest_note("%lu msyncs, %lu async, %lu fsyncs, %lu flusher kicks, %lu remaps, "
		   "%lu truncations, %lu punched or zeroed, %lu allocated; "
		   "judged %lu slots in memory, %lu on disk",
		   (unsigned long)sum[NR_MSYNCS], (unsigned long)sum[NR_ASYNCS],
		   (unsigned long)sum[NR_FSYNCS], (unsigned long)sum[NR_KICKS],
		   (unsigned long)sum[NR_REMAPS], (unsigned long)sum[NR_CUTS],
		   (unsigned long)sum[NR_GIVEN_UP], (unsigned long)sum[NR_ALLOCATED],
		   (unsigned long)sum[NR_JUDGED], (unsigned long)sum[NR_JUDGED_ON_DISK]);
	EXPECT(sum[NR_STORES] && sum[NR_JUDGED]);
}

/* --- a test --- */

static void run_on(struct stress *s, const struct plan *plan, u64 seed)
{
	struct slow_disk disk;
	bool slow = false;

	if (begin(s, plan, seed)) {
		if (plan->disk == HELD_RAM_DISK)
			slow = slow_disk_start(&disk, s->dev, seed);
		dawdle_begin();
		run_workers(s, plan->cpus);
		dawdle_end();
		tell(s);
		if (slow)
			slow_disk_stop(&disk);
	}
	end(s);
}

static void run(const struct plan *plan)
{
	struct stress *s = vmalloc(DIV_ROUND_UP(sizeof(*s), PAGE_SIZE));
	struct super_block *root = vfs_find_super("/");
	bool on_root = plan->disk == ROOT_DISK && root && root->dev && !root->read_only;
	u64 seed = ktest_seed();
	struct fst_disk ram;

	ASSERT(s);
	s->name = plan->name;
	s->truncates = plan->truncates;
	s->max_ops = oracle_ops;
	ksnprintf(s->path, sizeof(s->path), "%s/oracle-%s.dat", on_root ? "" : "/oracle_disk",
		  plan->name);
	if (on_root || fst_disk_make(&ram, "oracle_disk", RAM_DISK_BYTES, 1024, 256)) {
		run_on(s, plan, seed);
		/* The host has the disks that QEMU has. */
		if (on_root && !strncmp(root->dev->name, "vd", 2))
			fst_keep(s->path);
		if (!on_root)
			fst_disk_end(&ram, FST_SOUND);
	}
	vfree(s);
}

KTEST(oracle, one_cpu)
{
	run(&(struct plan){ .name = "one_cpu", .cpus = 1 });
}

KTEST(oracle, all_cpus)
{
	run(&(struct plan){ .name = "all_cpus", .cpus = nr_cpus });
}

KTEST(oracle, with_truncate)
{
	run(&(struct plan){ .name = "with_truncate", .cpus = nr_cpus, .truncates = true });
}

/* Writes that take long and end out of order, read memory early or late, blocks smaller than
 * pages. */
KTEST(oracle, on_ramblk_held)
{
	run(&(struct plan){ .name = "on_ramblk_held",
			    .disk = HELD_RAM_DISK,
			    .cpus = nr_cpus,
			    .truncates = true });
}

/* A policy may cost, but it cannot lose a store. */
KTEST(oracle, whims_of_a_policy)
{
	run(&(struct plan){ .name = "whims", .cpus = nr_cpus, .truncates = true, .policy = WHIMS });
}
