/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the benches need beyond POSIX, here and on Linux.
 *
 * A bench is one C file that is compiled unchanged for both. Here it is a program of the kernel's
 * image (`run NAME`, or the argument bench=NAME); for Linux all of them are linked into one static
 * program, the init of a small initramfs (bench/linux). What differs hides behind this header:
 * bench/system.c here, bench/linux/system.c there.
 *
 * A figure is one line of JSON. Costs are ticks of the time-stamp counter; under QEMU's
 * -icount shift=0 one tick is one instruction. Files live in $BENCH_DIR, else /bench.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096UL

#if __has_include(<dirtybit.h>)

#include <dirtybit.h>
#define BENCH(id, text)                                                                            \
	static int id##_main(int argc, char **argv);                                               \
	PROGRAM_OF_KIND(id, id##_main, text, PROGRAM_BENCH)

#else

#include "bench/linux/linux.h"

#endif

/* --- measuring --- */

/* What one operation costs; between bench_start() and bench_stop() where both began. */
struct bench_cost {
	uint64_t ticks;	    /* of this CPU's work: without what it spent halted */
	int64_t faults;	    /* page faults of all threads */
	int64_t ipis;	    /* interrupts sent to other CPUs for their TLBs */
	int64_t shootdowns; /* batches of TLB entries flushed; -1 where nobody counts (Linux) */
	uint64_t idle;	    /* ticks that this CPU was halted */
};

/* Nothing between the two costs 0 ticks: what the measuring takes is known and subtracted. */
void bench_start(struct bench_cost *c);
void bench_stop(struct bench_cost *c);

/* What repeated measurements come to. */
struct bench_result {
	uint64_t median, least;
	double faults, ipis, shootdowns; /* mean of one operation */
};

/* @each: operations that one of the @n costs stands for. Sorts. */
void bench_summarize(struct bench_cost *costs, size_t n, size_t each, struct bench_result *r);
uint64_t bench_median(uint64_t *values, size_t n); /* sorts */

/* One line: {"figure":...,"value":...,"unit":...,"policy":...,"fs":...,"cpus":...@more}; @more is
 * JSON that begins with a comma, made as by printf. */
__attribute__((format(printf, 4, 5))) void bench_report(const char *figure, double value,
							const char *unit, const char *more, ...);
/* The same for instructions: the median, and beside it least, faults and ipis. */
__attribute__((format(printf, 3, 4))) void
bench_report_result(const char *figure, const struct bench_result *r, const char *more, ...);

/* --- files --- */

/* A file that is mapped shared and whose blocks are all allocated, in order. */
struct bench_file {
	int fd;
	size_t pages;
	char *map;
	char name[128];
};

/* Make @f with @pages pages, or as many as the disk holds; all clean, each page mapped. 0, or -1
 * after one line that says what failed. */
int bench_file_open(struct bench_file *f, const char *name, size_t pages);
/* The same, but one hole from end to end; mapped, no page of it looked at. */
int bench_file_open_hole(struct bench_file *f, const char *name, size_t pages);
void bench_file_close(struct bench_file *f); /* and remove it */
/* 0 or -1 as above; bench_file_remap() maps it again. */
int bench_file_unmap(struct bench_file *f);
/* Map it anew, with no page mapped yet; all of it is in the page cache. 0 or -1 as above. */
int bench_file_remap(struct bench_file *f);
/* The same, and its address is a multiple of 2 MiB. */
int bench_file_remap_aligned(struct bench_file *f);
/* One store to each of the first @pages pages. */
void bench_store(struct bench_file *f, size_t pages);
/* What msync(@flags) of @pages pages from page @first on costs. 0, or -1 after a line that says
 * what failed. */
int bench_msync(struct bench_file *f, size_t first, size_t pages, int flags, struct bench_cost *c);
/* Pages that half of the free memory holds. */
size_t bench_memory_pages(void);
/* The file's time of last modification in nanoseconds since 1970; negative: errno says why. */
int64_t bench_mtime(int fd);

/* --- CPUs --- */

/* One turn of a loop that waits for another CPU. PAUSE hands an emulator with one thread for all
 * CPUs to the next of them; now and then other threads of this CPU get their turn. */
static inline void bench_relax(unsigned int *spins)
{
	if (++*spins % 1024)
		__builtin_ia32_pause();
	else
		sched_yield();
}

int bench_cpus(void);
/* Run @fn(@arg) in a thread that stays on @cpu. */
struct bench_thread;
struct bench_thread *bench_thread_start(int cpu, int (*fn)(void *), void *arg);
int bench_thread_join(struct bench_thread *t);

/* Further address spaces that map @f: here by the kernel's help, on Linux forked processes. */
struct bench_spaces;
struct bench_spaces *bench_spaces_open(struct bench_file *f, size_t pages, int count);
int bench_spaces_store(struct bench_spaces *s); /* one store to each page in each of them */
void bench_spaces_close(struct bench_spaces *s);

/* --- what only one of the two has --- */

/* A counter of the kernel; -1 where there are none (Linux). */
int64_t bench_counter(const char *name);
/* Set an argument of the kernel; value NULL: as it was before the first bench_set() of it. Choose a
 * policy; NULL: the one that the run began with. 0, or -1: there is none here, or no such one. */
int bench_set(const char *key, const char *value);
int bench_policy(const char *name);
/* madvise(MADV_WILL_WRITE): make the pages writable before they are stored to. 0 or -1. */
int bench_will_write(void *addr, size_t len);
/* One request to the disk for the page of the file at @offset, and nothing else: a descriptor for
 * it, or -1: there is none here. Reading: bytes, or -1. One at a time. */
int bench_raw_open(int fd, uint64_t offset);
int bench_raw_read(int raw);
void bench_raw_close(int raw);
/* Ask PTEs for stores to the file that nobody was told of, and do nothing else: how many there
 * were, or -1 where that cannot be asked. */
int64_t bench_harvest(int fd);
/* Take up to so many unused pages out of the page cache, here and now: how many left; -1 where that
 * cannot be asked. */
int64_t bench_reclaim(size_t pages);
/* Ask @n times what a fault asks before it dirties a page of the file. 0, or -1: there is no such
 * question that could be asked alone. */
int bench_throttle_ask(int fd, uint64_t n);

#endif
