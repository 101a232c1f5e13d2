/* SPDX-License-Identifier: MIT */
/*
 * harvest.c - what does it cost to find d pages that were stored to without notice, among M pages
 * that are mapped writable?
 *
 * Harvesting alone: the same call for a file that nobody maps is subtracted. Before each shape all
 * is clean, and harvested so often that a region which nobody touches is known as that.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define REGION_PAGES 512
#define SMALL	     4096
#define LARGE	     65536
#define SETTLE	     3 /* after two looks at an untouched region the third leaves it out */
#define ROUNDS	     3

/* d pages at @from, from + step, ...; step 0: anywhere. */
struct shape {
	const char *name;
	size_t d, from, step;
};

static const struct shape shapes[] = {
	{ "untouched", 0, 0, 1 },     { "dense", 1, 1024, 1 },
	{ "dense", 16, 1024, 1 },     { "dense", 64, 1024, 1 },
	{ "dense", 512, 1024, 1 },    { "one in each region", 0, 7, REGION_PAGES },
	{ "1 % at random", 0, 0, 0 }, { "all", 0, 0, 1 },
};

static uint64_t random_state;

static size_t random_below(size_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(random_state >> 33) % n;
}

/* How many pages the shape has in a file of @pages. */
static size_t size_of(const struct shape *s, size_t pages)
{
	if (s->step == REGION_PAGES)
		return pages / REGION_PAGES;
	if (!s->step)
		return pages / 100;
	return s->name[0] == 'a' ? pages : s->d;
}

static void store(struct bench_file *f, const struct shape *s, size_t d)
{
	size_t i, p;

	random_state = 1;
	for (i = 0; i < d; i++) {
		/* One out of each hundred: no page twice. */
		p = s->step ? s->from + i * s->step : i * 100 + random_below(100);
		*(volatile char *)(f->map + p * PAGE) = 1;
	}
}

static int harvest(int fd, int64_t expected, struct bench_cost *c)
{
	int64_t found;

	bench_start(c);
	found = bench_harvest(fd);
	bench_stop(c);
	if (found == expected)
		return 0;
	printf("bench: harvest found %lld pages, %lld were stored to\n", (long long)found,
	       (long long)expected);
	return -1;
}

static int settle(struct bench_file *f)
{
	struct bench_cost c;
	int i;

	if (bench_msync(f, 0, f->pages, MS_SYNC, &c))
		return -1;
	for (i = 0; i < SETTLE; i++) {
		if (harvest(f->fd, 0, &c))
			return -1;
	}
	return 0;
}

static int measure(struct bench_file *f, const struct shape *s, uint64_t call)
{
	struct bench_cost costs[ROUNDS];
	size_t d = size_of(s, f->pages);
	int64_t ptes = bench_counter("harvest_ptes");
	struct bench_result r;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (settle(f))
			return -1;
		ptes = bench_counter("harvest_ptes");
		store(f, s, d);
		if (harvest(f->fd, (int64_t)d, &costs[i]))
			return -1;
		ptes = bench_counter("harvest_ptes") - ptes;
	}
	bench_summarize(costs, ROUNDS, 1, &r);
	r.median -= call;
	r.least -= call;
	bench_report_result("harvest", &r,
			    ",\"shape\":\"%s\",\"d\":%zu,\"pages\":%zu,\"ptes\":%lld", s->name, d,
			    f->pages, (long long)ptes);
	return 0;
}

static int one_size(size_t pages, uint64_t call)
{
	struct bench_file f;
	int status = 0;
	size_t i;

	if (bench_file_open(&f, "harvest", pages))
		return 1;
	if (f.pages < pages || bench_file_remap_aligned(&f))
		status = 1;
	else
		bench_store(&f, f.pages);
	for (i = 0; i < sizeof(shapes) / sizeof(*shapes) && !status; i++)
		status = measure(&f, &shapes[i], call) != 0;
	bench_file_close(&f);
	return status;
}

static int harvest_main(int argc, char **argv)
{
	struct bench_file other;
	struct bench_cost call;
	int status = 1;

	if (bench_policy("clean_writable"))
		return bench_counter("harvests") >= 0;
	if (!bench_file_open(&other, "harvest_call", 1)) {
		munmap(other.map, PAGE);
		if (!fsync(other.fd) && !harvest(other.fd, 0, &call))
			status = one_size(SMALL, call.ticks);
		if (!status && bench_memory_pages() >= LARGE)
			status = one_size(LARGE, call.ticks);
		other.map = MAP_FAILED;
		bench_file_close(&other);
	}
	bench_policy(NULL);
	return status;
}
BENCH(harvest, "finding d pages among those that are writable without notice");
