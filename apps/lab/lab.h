/* SPDX-License-Identifier: MIT */
/*
 * lab.h - what the files of the laboratory know of each other.
 *
 * One experiment is one policy, one workload (or one guarantee) and one file of its own. The
 * workloads count what a policy costs (cost.h); the guarantees try to break a promise (verdict.h).
 * Everything runs in a thread on CPU 0 of the program; threads on other CPUs are a crew.
 */
#ifndef APPS_LAB_LAB_H
#define APPS_LAB_LAB_H

#include <dirtybit.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAB_PAGE	 4096
#define LAB_MAX_CPUS	 64
#define LAB_MAX_POLICIES 32
#define LAB_MAX_P	 16
#define LAB_MAX_SETS	 16

enum lab_advice { LAB_ADVICE_NONE, LAB_ADVICE_STAY, LAB_ADVICE_WILL };

/* options.c: the axes of a run. */
struct lab_options {
	const char *policies[LAB_MAX_POLICIES];
	int nr_policies;
	uint64_t workloads, guarantees, axes; /* bit masks, in the order of their tables */
	bool times, json, list;
	enum lab_advice advice;
	int cpus, rounds, spaces;
	int warm; /* rounds before the clock starts: what a policy learns is learnt */
	size_t pages;
	uint64_t seed;
	double p[LAB_MAX_P];
	int nr_p;
	const char *on;			 /* where files are made; NULL: / or the RAM disk */
	const char *sets[LAB_MAX_SETS];	 /* "key=value" */
	const char *saved[LAB_MAX_SETS]; /* what it was before, NULL: unknown */
	int nr_sets;
};

extern struct lab_options lab_options;
extern const char *lab_dir; /* where files are made: "" for the root, else without a last slash */
extern int lab_failures;    /* cells that differ, experiments that could not be done */

/* "all", "none" or names with commas between: a bit of *@mask for each nth(n). False: one line said
 * why (@what). */
bool parse_names(char *list, const char *(*nth)(int), const char *what, uint64_t *mask);
/* From the words of a command line (argv[0] is skipped); false: one line said why. @argv's texts
 * are cut up and kept. */
bool lab_parse(int argc, char **argv);
void lab_usage(void);
/* Set what --set named; lab_restore() puts back what was there. */
bool lab_apply_sets(void);
void lab_restore_sets(void);

/* Something could not be done: said in one line, counted in lab_failures. */
void lab_trouble(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A line that is overwritten, on a terminal: what is being done now. NULL: wipe it. */
void lab_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* --- file.c: a file of an experiment --- */

enum lab_filled { LAB_HOLES, LAB_FILLED };

struct lab_file {
	int fd;
	size_t pages;
	char *map; /* shared, writable, advised as --advice says; NULL: not mapped */
	char path[96];
};

/* A new file of @pages in directory @dir ("" is the root): nothing of an earlier policy is left on
 * it. LAB_FILLED: zeros that are on the disk, so that no store needs a block. False: trouble. */
bool lab_open(struct lab_file *f, const char *dir, const char *name, size_t pages,
	      enum lab_filled filled);
/* Unmap, close, remove. */
void lab_close(struct lab_file *f);
/* Another mapping of @f in the calling thread's space, or NULL with trouble. */
char *lab_map(const struct lab_file *f);
void lab_advise(char *map, size_t bytes);
static inline volatile uint64_t *lab_word(const struct lab_file *f, size_t page, unsigned int word)
{
	return (volatile uint64_t *)(f->map + page * LAB_PAGE) + word;
}
/* The word that is on the disk now; ~0: it could not be read (trouble). */
uint64_t lab_disk_word(const struct lab_file *f, size_t page, unsigned int word);
/* All of @f through msync(MS_SYNC): 0 or errno. */
int lab_msync(const struct lab_file *f, int flags);
/* Store to each page once and msync, twice: the first faults of a page are over. */
void lab_warm_up(const struct lab_file *f);

/* --- disk.c: a small disk in memory, with an ext2 on it, for what needs one of our own --- */

#define LAB_DISK "lab0"

/* Where it is mounted, or NULL with trouble; made at the first call. */
const char *lab_disk(void);
/* From now on only @pages blocks are free; or none is taken. False: trouble. */
bool lab_disk_fill(size_t pages);
void lab_disk_unfill(void);
void lab_disk_remove(void);
/* mkfs.c. The beginning of an empty ext2 of @bytes (at most 128 MiB; blocks of 4 KiB, inodes of 256
 * bytes): LAB_MKFS_BLOCKS blocks into @disk, zeros before, as is all that follows them. Pure. */
#define LAB_MKFS_BLOCKS 9
void lab_mkfs(uint8_t *disk, size_t bytes);

/* --- crew.c: threads on the other CPUs, in this address space --- */

/* They sleep until lab_crew_hold(), spin until lab_crew_let_go(): the shootdowns of what is done in
 * between reach them. */
void lab_crew_start(int cpus);
void lab_crew_hold(void);
void lab_crew_let_go(void);
void lab_crew_stop(void);

/* --- small things --- */

/* Work of this CPU: ticks that it was not halted. Only for threads that stay on a CPU. */
static inline uint64_t lab_work(void)
{
	return db_cycles() - db_idle_cycles();
}
int64_t lab_now(void); /* CLOCK_REALTIME in nanoseconds */
int64_t lab_mtime(const struct lab_file *f);
uint64_t lab_random(uint64_t *state);
static inline void lab_pause(void)
{
	__builtin_ia32_pause();
}

/* --- workloads --- */

enum lab_sweep { LAB_ONCE, LAB_SWEEP_P, LAB_SWEEP_SPACES };

struct lab_workload {
	const char *name, *summary;
	void (*run)(const char *policy, double x);
	enum lab_sweep sweep; /* @x: each p of --p; 1, 4, ... up to --spaces; else 1 */
};

/* The table of workloads.c; a name of NULL ends it. */
extern const struct lab_workload lab_workloads[];

/* workload_<what>.c */
void workload_redirty(const char *policy, double x);
void workload_sparse(const char *policy, double x);
void workload_hot(const char *policy, double x);
void workload_rt(const char *policy, double x);
void workload_append(const char *policy, double x);
void workload_many(const char *policy, double x);
void workload_commit(const char *policy, double x);
void workload_observer(const char *policy, double x);
void workload_nearfull(const char *policy, double x);
void workload_mixed(const char *policy, double x);

#endif
