/* SPDX-License-Identifier: MIT */
/*
 * dirtybit.h - what a program of this laboratory may use beyond POSIX.
 *
 * Programs, shell commands and benches are ordinary C linked into the kernel's image. They include
 * newlib's headers and this one, nothing of the kernel. A program registers itself:
 *
 *	static int hello(int argc, char **argv) { puts("hello"); return 0; }
 *	PROGRAM(hello, hello, "say hello");
 *
 * and runs by `run hello` in an address space and with a descriptor table of its own. Functions
 * that can fail return -1 or NULL and set errno, as POSIX calls do, unless said.
 */
#ifndef DIRTYBIT_H
#define DIRTYBIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernel/lib/errors.h" /* ERACE */
#include "kernel/lib/sections.h"

#ifndef __dirtybit__
#define __dirtybit__ 1
#endif

/* --- programs and commands --- */

enum program_kind { PROGRAM_APP, PROGRAM_BENCH };

struct program {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *help;
	uint64_t kind; /* enum program_kind */
};

#define PROGRAM_OF_KIND(id, main_fn, text, knd)                                                    \
	REGISTER(programs, struct program, program_##id) = { #id, main_fn, text, knd }
#define PROGRAM(id, main_fn, text) PROGRAM_OF_KIND(id, main_fn, text, PROGRAM_APP)

/* NULL starts, NULL ends. */
const struct program *program_next(const struct program *p);
/*
 * Run "name arg 'another arg'" in a new address space, wait for it and for all its threads; its
 * exit status. PROGRAM_NO_START: it could not be started (one line said why). Negative: a fault
 * ended it, or it was refused something it cannot do without (one line said what).
 */
#define PROGRAM_NO_START 127
int program_run(const char *line);
/* The same with a ready argument vector. */
int program_run_argv(int argc, char **argv);
/* Cut @line in place at blanks; '...' and "..." keep theirs. Fills @argv, NULL at the end; returns
 * argc, or -1 when a quote is not closed or there are more than @max - 1 words. */
int db_split(char *line, char **argv, int max);
/* Does @name match @pattern: '*' any text, '?' one character, '+' between alternatives? */
bool db_glob(const char *pattern, const char *name);

/* A command of the shell; status 0 is success. */
struct command {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *usage; /* arguments, "" if none */
	const char *help;
};

#define COMMAND(id, function, args, text)                                                          \
	REGISTER(commands, struct command, command_##id) = { #id, function, args, text }

/* --- counters --- */

#define DB_MAX_STATS 128

struct db_stats {
	uint64_t v[DB_MAX_STATS];
};

int db_nr_stats(void);
const char *db_stat_name(int n);
const char *db_stat_doc(int n);
/* Number of the counter @name, or -1. */
int db_stat_find(const char *name);
/* One counter, summed over the CPUs; 0 if there is none of this name. */
uint64_t db_stat_read(const char *name);
/* All of them, and what one rose by between two readings. */
void db_stats_read(struct db_stats *s);
uint64_t db_stats_diff(const struct db_stats *from, const struct db_stats *to, const char *name);

/* --- arguments and policies --- */

/* 0, or -1: no such key or value (one line said so). */
int db_arg_set(const char *key, const char *value);
/* The value as db_arg_set() takes it. -1: there is no such argument, or its owner keeps the value
 * to itself (policy: db_policy_current). */
int db_arg_get(const char *key, char *buf, size_t size);
void db_args_print(void);

/* The n-th policy, or NULL; the one in force; choosing one: 0 or -1 (one line said why). */
const char *db_policy_name(int n);
const char *db_policy_summary(int n);
const char *db_policy_current(void);
int db_policy_choose(const char *name);
/* Number of the policy @name, as in MADV_POLICY; -1: there is none. */
int db_policy_index(const char *name);
/* For this file only, from now on; NULL: as all the others again. */
int db_policy_set_fd(int fd, const char *name);
/* Ask page tables for stores to the file that nobody was told of, and do nothing else, as a sync
 * does first: how many pages had one. -1: @fd is no file. */
int64_t db_harvest(int fd);
/* What policy @n gives up by design: bit g stands for db_guarantee_name(g). */
uint64_t db_policy_breaks(int n);
/* "no_lost_store", ...; NULL: there are not so many. */
const char *db_guarantee_name(int g);

/* --- CPUs, threads, address spaces --- */

int db_nr_cpus(void);
/* Of the calling thread, now; it may move unless it is pinned. */
int db_this_cpu(void);

/* A thread of this program that stays on @cpu. NULL if it could not start. Join exactly once. */
struct db_thread;
struct db_thread *db_thread_start(int cpu, int (*fn)(void *), void *arg);
int db_thread_join(struct db_thread *t);

/* Further address spaces of this program: @fn runs in a thread of space @s, with this program's
 * descriptors; what it maps stays until the space is destroyed. db_space_run returns @fn's
 * result. */
struct db_space;
struct db_space *db_space_create(void);
/* The same, and it begins with what the calling thread's space has mapped, as a child of fork(). */
struct db_space *db_space_fork(void);
int db_space_run(struct db_space *s, int (*fn)(void *), void *arg);
void db_space_destroy(struct db_space *s);

/* --- time --- */

/* The time-stamp counter: with QEMU's -icount shift=0 one tick is one instruction. */
static inline uint64_t db_cycles(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return (uint64_t)hi << 32 | lo;
}

/* Ticks that the calling thread's CPU spent halted since boot: what passes while a disk works.
 * (db_cycles() - db_idle_cycles()) advances only by work. */
uint64_t db_idle_cycles(void);
/* Work from the first instruction of the kernel to the moment the shell could prompt. */
uint64_t db_boot_cycles(void);
/* Called once by init, at that moment. */
void db_boot_mark(void);

/* --- files and disks --- */

struct db_time {
	int64_t sec;
	uint32_t nsec;
};

/* What struct stat of newlib has no room for. */
struct db_stat {
	uint64_t ino, size, blocks, version; /* blocks: 512 bytes each */
	uint32_t mode, nlink, blksize;
	struct db_time atime, mtime, ctime;
};

int db_stat_path(const char *path, struct db_stat *st);
int db_stat_fd(int fd, struct db_stat *st);

/* The bytes that are on the DISK now at @offset of the file, read outside every cache; a hole reads
 * as zeros. @len, or -1. ENODEV: the file is on no disk. */
ssize_t db_disk_read(int fd, uint64_t offset, void *buf, size_t len);
/* The bare request behind a read of one page: made ready for the page of @fd at @offset, then asked
 * for as often as wanted, then forgotten. NULL or -1: errno (ENODEV, ENXIO: a hole, ENOMEM, EIO);
 * db_raw_read() returns the bytes of a page. What it reads nobody sees: it is there to be timed. */
struct db_raw;
struct db_raw *db_raw_open(int fd, uint64_t offset);
int db_raw_read(struct db_raw *raw);
void db_raw_close(struct db_raw *raw);
/* One store or load of 8 bytes that may be refused: 0, or -1 with what elsewhere a signal would say
 * (ENOSPC, EIO: SIGBUS; EFAULT: no such address, or the end of the file). */
int db_try_store8(void *p, uint64_t value);
int db_try_load8(const void *p, uint64_t *value);
/* The flusher of the device that holds the file looks now, and writes all that is dirty. */
int db_writeback_kick(int fd);

/* Kind and device of the file system mounted at @path ("ext2", "vda"), or NULL. */
const char *db_fs_type(const char *path);
const char *db_fs_device(const char *path);

/* Blocks of the file system that holds @fd, and those of them that a store may still get: neither
 * taken nor promised. 0, or -1: it keeps no count. */
int db_fs_space(int fd, uint64_t *blocks, uint64_t *left);

struct db_disk {
	char name[16];
	uint64_t bytes, reads, writes, flushes;
	uint32_t sector_size;
	bool read_only, in_use;
};

/* The n-th disk: 0, or -1 when there are fewer. */
int db_disk_info(int n, struct db_disk *d);
/* A new disk in memory: a copy of the @len bytes of @image, then zeros; and its end, when nothing
 * is mounted on it. */
int db_ramdisk_create(const char *name, size_t bytes, const void *image, size_t len);
int db_ramdisk_destroy(const char *name);
/* Writes to a disk made above wait, their data not yet read from memory; or go on. ENOTSUP: another
 * disk. */
int db_disk_hold(const char *name, bool on);
/* Writes to a disk made above fail (EIO); or they do not. ENOTSUP: another disk. */
int db_disk_fail(const char *name, bool on);
/* Writes that wait now. */
unsigned int db_disk_held(const char *name);
/* NULL: no device; type NULL: whatever it is. 0, or -1 (one line said why). */
int db_mount(const char *device, const char *type, const char *path);
/* 0, or -1 (one line said why). */
int db_umount(const char *path);

/* --- the kernel, looked at --- */

struct db_memory {
	uint64_t total, free, dirty, writeback, heap; /* pages of 4 KiB */
	uint64_t maybe;	     /* of the dirty ones: only a PTE may know of a store */
	uint64_t peak_maybe; /* the most there were since db_memory_reset_peak() */
};

void db_memory(struct db_memory *m);
void db_memory_reset_peak(void);
/* The calling thread makes room as if memory were wanted: until @pages cached pages left memory
 * that nobody used since the clock passed them, or the clock went round twice. How many did. */
uint64_t db_reclaim(uint64_t pages);

/* One file's pages. What is counted is dirty + maybe. */
struct db_dirty {
	uint64_t dirty, maybe, writeback; /* found by looking at each page */
	uint64_t counted;		  /* dirty and maybe, as the kernel counts them */
	uint64_t truly; /* stored to since they were cleaned: dirty, or a PTE has D; found by
			 * looking at every PTE, which changes nothing */
};

int db_dirty_fd(int fd, struct db_dirty *d);
/* At most @pages of the file shall wait for the disk from now on, whoever stores to it; 0: what the
 * argument file_dirty_pages= says. -1: @fd is no file. */
int db_file_dirty_limit(int fd, uint64_t pages);
/* Ask up to @n times what each fault asks of throttling, as long as no store to the file would have
 * to look closer: how often. For the figure throttle_off. -1: @fd is no file. */
int64_t db_throttle_ask(int fd, uint64_t n);
void db_objects_print(void); /* object caches, one line each */
void db_threads_print(void); /* threads, one line each */
void db_trace_print(unsigned int max);

/* --- the run as a whole --- */

/* What the boot arguments asked for; texts are empty when they were not given. */
struct db_init_args {
	bool tty;  /* somebody can type */
	bool demo; /* tell the demonstration before the prompt */
	const char *test, *bench, *run;
	const char *lab; /* words with colons between */
};

const struct db_init_args *db_init_args(void);

/* Run the kernel's tests that match; number of failures, or -1 if there are no tests. */
int db_test(const char *pattern);

/* Unmount, say "dirtybit: done: pass" (or fail), leave QEMU with that status. */
void db_finish(bool ok) __attribute__((noreturn));

/* kernel/main.c calls it in a thread that has an address space; does not return. */
int init_main(void);

#endif
