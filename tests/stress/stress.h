/* SPDX-License-Identifier: MIT */
/*
 * stress.h - one file, several address spaces that map it, threads on CPUs that use it in every way
 * there is, and the oracle that judges what they see.
 */
#ifndef TESTS_STRESS_STRESS_H
#define TESTS_STRESS_STRESS_H

#include "kernel/core/sleeplock.h"
#include "kernel/fs/fs.h"
#include "tests/model/oracle.h"

#define STRESS_PAGES   64
#define STRESS_SLOTS   (STRESS_PAGES * ORACLE_PAGE_SLOTS)
#define STRESS_SIZE    (STRESS_PAGES * PAGE_SIZE)
#define STRESS_VA      0x0000300000000000UL
#define STRESS_SPACES  3
#define STRESS_THREADS 16
#define STRESS_WINDOW  16 /* pages that one call syncs or reads, and that are judged then */

/* One address space, the whole file mapped at STRESS_VA but for the part that is remapped now. */
struct stress_space {
	struct mm *mm;
	struct mutex remapping;
	u32 mapped[STRESS_PAGES]; /* a: enum mapped_phase + 4 * how often; with remapping held */
};

/*
 * An access that is refused while the page is MAPPED, or that succeeds while it is GONE, from
 * before the access to after it, is a bug (unless a truncation explains it). An msync must have
 * synced what was MAPPED from before to after.
 */
enum mapped_phase { MAPPED, UNMAPPING, GONE, MAPPING };

static inline enum mapped_phase mapped_phase(u32 mapped)
{
	return mapped & 3;
}

enum stress_count {
	NR_STORES,
	NR_REFUSED,
	NR_LOADS,
	NR_READS,
	NR_WRITES,
	NR_MSYNCS,
	NR_ASYNCS,
	NR_FSYNCS,
	NR_KICKS,
	NR_REMAPS,
	NR_CUTS,
	NR_GIVEN_UP,
	NR_ALLOCATED,
	NR_JUDGED,
	NR_JUDGED_ON_DISK,
	NR_STRESS_COUNTS
};

struct stress;

struct worker {
	struct stress *stress;
	struct stress_space *space;
	struct thread *thread;
	unsigned int number;
	u64 seed;
	u64 count[NR_STRESS_COUNTS];
	/* Scratch of its own. */
	u64 *bound;  /* STRESS_WINDOW pages of slots */
	u64 *buffer; /* one page, of the direct map: devices read into it */
	u32 mapped[STRESS_WINDOW];
};

/* c: at creation */
struct stress {
	const char *name;   /* c */
	char path[64];	    /* c */
	struct file *file;  /* c */
	struct blkdev *dev; /* c: under the file's file system */
	bool truncates;	    /* c: workers truncate, punch, zero and allocate, too */
	u64 max_ops;	    /* c: of each worker; 0: until the time is over */
	ktime_t end;	    /* c */
	struct oracle oracle;
	struct mutex cutting; /* one truncation or punch at a time */
	struct rwsem growing; /* who holds it to write knows where the end of the file is */
	/* a: how often << 32 | first slot of the pages that lie behind the end for certain, or all
	 * ones: none do. From before an access to after it the same: it must be refused. */
	u64 behind_end;
	unsigned int nr_spaces, nr_workers;
	struct stress_space space[STRESS_SPACES];
	struct worker worker[STRESS_THREADS];
	unsigned int alarms; /* a: printed so far */
};

/* ops.c: what a worker's thread runs. */
int stress_worker(void *arg);

/* Slots of one writer lie together in runs, which straddle the borders of pages. */
#define STRESS_RUN 128UL

#define STRESS_NO_SLOT 0xffffffffUL

/*
 * check.c. Slots [first, first + nr). First look, then sync, then judge what is on the disk; pages
 * with a @mapped that changed since (NULL: none) are left out.
 */
void stress_look(struct worker *w, u64 first, u64 nr);
void stress_judge_disk(struct worker *w, pgoff_t first, unsigned int pages, const u32 *mapped);
/* Judge @value, seen in @slot. Complains. */
void stress_judge(struct worker *w, u64 slot, u64 bound, u64 value, enum oracle_place place);
/* The page of the file that is on the disk now, holes as zeros. 0 or an error. */
int stress_read_disk(struct stress *s, pgoff_t index, u64 *buffer);
/* All writers have ended: memory, disk and model agree, slot by slot. */
void stress_judge_final(struct stress *s);

/* chaos.c */
void dawdle_begin(void);
void dawdle_end(void);

/* Holds the writes of a RAM disk, and ends them late and in any order. */
struct slow_disk {
	struct blkdev *dev;
	struct thread *thread;
	bool stop; /* a */
	u64 seed, released;
};

bool slow_disk_start(struct slow_disk *d, struct blkdev *dev, u64 seed);
void slow_disk_stop(struct slow_disk *d);

/* Answers at random. */
extern const struct dirty_policy stress_whims;

#endif
