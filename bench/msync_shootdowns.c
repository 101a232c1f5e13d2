/* SPDX-License-Identifier: MIT */
/*
 * msync_shootdowns.c - how many shootdowns does one msync need, and how many interrupts to each
 * other CPU that runs the address space?
 *
 * A thread on every other CPU stores to the same pages and then stays, spinning, in the address
 * space while the first CPU syncs. Needs counters: says nothing on Linux.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <sys/mman.h>

#define PAGES	 1024
#define MAX_CPUS 64

static struct {
	struct bench_file file;
	size_t pages; /* of this round */
	volatile int round, arrived;
	volatile bool stop;
	int others;
} b;

static int other_cpu(void *unused)
{
	unsigned int spins = 0;
	int seen = 0;
	size_t p;

	for (;;) {
		while (b.round == seen && !b.stop)
			bench_relax(&spins);
		if (b.stop)
			return 0;
		seen = b.round;
		for (p = 0; p < b.pages; p++)
			*(volatile char *)(b.file.map + p * PAGE + 1) = (char)seen;
		__atomic_add_fetch(&b.arrived, 1, __ATOMIC_SEQ_CST);
	}
}

/* All CPUs store to @pages pages. */
static void store_everywhere(size_t pages)
{
	unsigned int spins = 0;

	b.pages = pages;
	b.arrived = 0;
	__atomic_add_fetch(&b.round, 1, __ATOMIC_SEQ_CST);
	bench_store(&b.file, pages);
	while (b.arrived < b.others)
		bench_relax(&spins);
}

static int first_cpu(void *unused)
{
	struct bench_cost c;
	size_t pages;

	for (pages = 1; pages <= PAGES && pages <= b.file.pages; pages *= 4) {
		store_everywhere(pages);
		if (bench_msync(&b.file, 0, pages, MS_SYNC, &c))
			return 1;
		if (c.shootdowns >= 0)
			bench_report("msync_shootdowns", (double)c.shootdowns, "shootdowns",
				     ",\"pages\":%zu", pages);
		if (b.others)
			bench_report("msync_ipis", (double)c.ipis / b.others, "IPIs per other CPU",
				     ",\"pages\":%zu", pages);
	}
	return 0;
}

static int msync_shootdowns_main(int argc, char **argv)
{
	struct bench_thread *threads[MAX_CPUS] = { NULL };
	struct bench_thread *first;
	int status = 1;
	int cpu;

	b.round = 0;
	b.stop = false;
	b.others = 0;
	if (bench_file_open(&b.file, "msync_shootdowns", PAGES))
		return 1;
	for (cpu = 1; cpu < bench_cpus() && cpu < MAX_CPUS; cpu++) {
		threads[cpu] = bench_thread_start(cpu, other_cpu, NULL);
		b.others += threads[cpu] != NULL;
	}
	first = bench_thread_start(0, first_cpu, NULL);
	if (first)
		status = bench_thread_join(first);
	b.stop = true;
	for (cpu = 1; cpu < MAX_CPUS; cpu++) {
		if (threads[cpu])
			bench_thread_join(threads[cpu]);
	}
	bench_file_close(&b.file);
	return status;
}
BENCH(msync_shootdowns, "shootdowns and IPIs that one msync needs");
