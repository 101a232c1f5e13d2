/* SPDX-License-Identifier: MIT */
/*
 * store_latency.c - how long may a store take while another CPU syncs the same file again and
 * again?
 *
 * One thread stores to 64 hot pages, one store after the other, and times each; another makes all
 * pages of the file dirty and msyncs them. Wall time, of an emulator: only the ratio of two systems
 * on the same machine says something, and only with a thread of the host for each CPU. Needs two
 * CPUs.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGES  1024
#define HOT    64
#define ROUNDS 64
#define SLOTS  1024 /* of the histogram: 16 steps for each power of two */

static struct {
	struct bench_file file;
	volatile bool stop;
	uint64_t stores, longest;
	uint64_t count[SLOTS];
} b;

/* Slots are 1/16 of a power of two wide: error below 7 %. */
static unsigned int slot_of(uint64_t ticks)
{
	unsigned int shift;

	if (ticks < 16)
		return (unsigned int)ticks;
	shift = 59 - (unsigned int)__builtin_clzll(ticks);
	return (shift + 1) * 16 + (unsigned int)(ticks >> shift) % 16;
}

static uint64_t slot_start(unsigned int slot)
{
	if (slot < 16)
		return slot;
	return (uint64_t)(16 + slot % 16) << (slot / 16 - 1);
}

static uint64_t percentile(double share)
{
	uint64_t before = 0;
	unsigned int slot;

	for (slot = 0; slot < SLOTS - 1; slot++) {
		before += b.count[slot];
		if ((double)before >= share * (double)b.stores)
			break;
	}
	return slot_start(slot);
}

static int storing(void *unused)
{
	uint64_t start, ticks;
	size_t p = 0;

	while (!b.stop) {
		start = db_cycles();
		*(volatile char *)(b.file.map + p * PAGE) = 1;
		ticks = db_cycles() - start;
		b.count[slot_of(ticks)]++;
		b.stores++;
		if (ticks > b.longest)
			b.longest = ticks;
		p = (p + 1) % HOT;
		/* With one thread for all CPUs the other would never get its turn. */
		if (!(b.stores % 4096))
			__builtin_ia32_pause();
	}
	return 0;
}

static int syncing(void *unused)
{
	struct bench_cost c;
	int err = 0;
	int i;

	for (i = 0; i < ROUNDS && !err; i++) {
		bench_store(&b.file, b.file.pages);
		err = bench_msync(&b.file, 0, b.file.pages, MS_SYNC, &c);
	}
	b.stop = true;
	return err;
}

/* Ticks of the time-stamp counter per nanosecond. */
static double ticks_per_ns(void)
{
	struct timespec from, to, wait = { .tv_nsec = 100000000 };
	uint64_t start, ticks;

	clock_gettime(CLOCK_MONOTONIC, &from);
	start = db_cycles();
	nanosleep(&wait, NULL);
	ticks = db_cycles() - start;
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (double)ticks /
	       ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec));
}

static void report(const char *which, uint64_t ticks)
{
	bench_report("store_latency", (double)ticks / ticks_per_ns(), "ns",
		     ",\"of\":\"%s\",\"stores\":%llu,\"wall\":true", which,
		     (unsigned long long)b.stores);
}

static int store_latency_main(int argc, char **argv)
{
	struct bench_thread *store, *sync;
	int status = 1;

	if (bench_cpus() < 2)
		return 0;
	memset(&b, 0, sizeof(b));
	if (bench_file_open(&b.file, "store_latency", PAGES))
		return 1;
	store = bench_thread_start(1, storing, NULL);
	sync = store ? bench_thread_start(0, syncing, NULL) : NULL;
	if (sync)
		status = bench_thread_join(sync);
	b.stop = true;
	if (store)
		bench_thread_join(store);
	if (!status) {
		report("p50", percentile(0.5));
		report("p99", percentile(0.99));
		report("p99.99", percentile(0.9999));
		report("max", b.longest);
	}
	bench_file_close(&b.file);
	return status;
}
BENCH(store_latency, "how long a store takes beside msync (2 CPUs, wall time)");
