/* SPDX-License-Identifier: MIT */
/*
 * background_shootdowns.c - how many shootdowns and IPIs does background writeback need, with
 * flush=deferred?
 *
 * All CPUs have stored to the pages and stay in the address space while the flusher writes them.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <unistd.h>

#define PAGES	 1024
#define MAX_CPUS 64
#define WAIT_MS	 20000

static struct {
	struct bench_file file;
	volatile int arrived;
	volatile bool stop;
} b;

static int other_cpu(void *unused)
{
	int i;

	bench_store(&b.file, b.file.pages);
	__atomic_add_fetch(&b.arrived, 1, __ATOMIC_SEQ_CST);
	/* Time passes by instructions: with a PAUSE in each turn it would hardly pass. */
	while (!b.stop) {
		for (i = 0; i < 10000 && !b.stop; i++)
			;
		__builtin_ia32_pause();
	}
	return 0;
}

/* Wait until the flusher has written all pages. */
static int measure(struct bench_cost *c)
{
	int64_t from = bench_counter("pages_written");
	int ms;

	bench_start(c);
	bench_set("age", "1");
	bench_set("period", "10");
	for (ms = 0; ms < WAIT_MS; ms += 10) {
		usleep(10000);
		if (bench_counter("pages_written") - from >= (int64_t)b.file.pages)
			break;
	}
	bench_stop(c);
	if (ms < WAIT_MS)
		return 0;
	printf("bench: the flusher wrote nothing for %d ms\n", WAIT_MS);
	return -1;
}

static int with_cpus(void)
{
	struct bench_thread *threads[MAX_CPUS] = { NULL };
	unsigned int spins = 0;
	struct bench_cost c;
	int others = 0;
	int status;
	int cpu;

	b.stop = false;
	b.arrived = 0;
	for (cpu = 1; cpu < bench_cpus() && cpu < MAX_CPUS; cpu++) {
		threads[cpu] = bench_thread_start(cpu, other_cpu, NULL);
		others += threads[cpu] != NULL;
	}
	bench_store(&b.file, b.file.pages);
	while (b.arrived < others)
		bench_relax(&spins);
	status = measure(&c);
	b.stop = true;
	for (cpu = 1; cpu < MAX_CPUS; cpu++) {
		if (threads[cpu])
			bench_thread_join(threads[cpu]);
	}
	if (status)
		return 1;
	bench_report("background_shootdowns", (double)c.shootdowns, "shootdowns",
		     ",\"ipis\":%lld,\"pages\":%zu", (long long)c.ipis, b.file.pages);
	return 0;
}

static int background_shootdowns_main(int argc, char **argv)
{
	int status = 1;

	if (bench_counter("tlb_shootdowns") < 0)
		return 0;
	/* Until it is measured the flusher shall not come. */
	if (bench_set("flush", "deferred") ||
	    bench_file_open(&b.file, "background_shootdowns", PAGES))
		return 1;
	status = with_cpus();
	bench_set("age", NULL);
	bench_set("period", NULL);
	bench_set("flush", NULL);
	bench_file_close(&b.file);
	return status;
}
BENCH(background_shootdowns, "shootdowns of background writeback, with flush=deferred");
