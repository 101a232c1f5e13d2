/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the benches need beyond POSIX, here and on Linux.
 *
 * Only this file and system.c know where they are compiled. Here every bench is a program of the
 * kernel's image (`run NAME`, or the argument bench=NAME); on Linux one executable each:
 *	gcc -O2 -I. bench/NAME.c bench/bench.c bench/system.c -lpthread
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

#define BENCH(id, text)                                                                            \
	static int id##_main(int argc, char **argv);                                               \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return id##_main(argc, argv);                                                      \
	}                                                                                          \
	extern int bench_one_bench_per_executable

static inline uint64_t db_cycles(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return (uint64_t)hi << 32 | lo;
}

#endif

/* Ticks of work: here without those that this CPU spent halted, as while a disk works. */
uint64_t bench_work(void);

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
void bench_file_close(struct bench_file *f); /* and remove it */
/* One store to each of the first @pages pages. */
void bench_store(struct bench_file *f, size_t pages);
/* MS_SYNC of the first @pages pages: ticks of work, or 0 after a line that says what failed. */
uint64_t bench_msync(struct bench_file *f, size_t pages);
/* Pages that half of the free memory holds. */
size_t bench_memory_pages(void);

/* One turn of a loop that waits for another CPU. PAUSE hands an emulator with one thread for all
 * CPUs to the next of them; now and then other threads of this CPU get their turn. */
static inline void bench_relax(unsigned int *spins)
{
	if (++*spins % 1024)
		__builtin_ia32_pause();
	else
		sched_yield();
}

uint64_t bench_median(uint64_t *values, size_t n); /* sorts */

int bench_cpus(void);
/* Run @fn(@arg) in a thread that stays on @cpu. */
struct bench_thread;
struct bench_thread *bench_thread_start(int cpu, int (*fn)(void *), void *arg);
int bench_thread_join(struct bench_thread *t);

/* A counter of the kernel; -1 where there are none (Linux). */
int64_t bench_counter(const char *name);

/* Further address spaces that map @f: here by the kernel's help, on Linux none (0 from open). */
struct bench_spaces;
struct bench_spaces *bench_spaces_open(struct bench_file *f, size_t pages, int count);
int bench_spaces_store(struct bench_spaces *s); /* one store to each page in each of them */
void bench_spaces_close(struct bench_spaces *s);

/* One line: {"figure":...,"value":...,"unit":...,"policy":...,"fs":...,"cpus":...@more}; @more is
 * JSON that begins with a comma, made as by printf. */
__attribute__((format(printf, 4, 5))) void bench_report(const char *figure, double value,
							const char *unit, const char *more, ...);

#endif
