/* SPDX-License-Identifier: MIT */
/*
 * hole_store.c - what does the first store into a hole of a file cost: the fault, a page, a block?
 */
#include "bench/bench.h"

#include <stdlib.h>
#include <sys/mman.h>

#define PAGES 4096

/* NULL: there is nothing to choose (Linux). */
static const char *const allocs[] = { "reserve", "fault", "writeback", NULL };

static void report(const char *figure, struct bench_cost *costs, size_t n, size_t each,
		   const char *alloc)
{
	struct bench_result r;

	bench_summarize(costs, n, each, &r);
	if (alloc)
		bench_report_result(figure, &r, ",\"pages\":%d,\"alloc\":\"%s\"", PAGES, alloc);
	else
		bench_report_result(figure, &r, ",\"pages\":%d", PAGES);
}

/* The first store to each page; and all of them together with the msync that finds or fills their
 * blocks, per page. */
static int measure(struct bench_cost *costs, const char *alloc)
{
	struct bench_cost all = { 0 }, sync;
	struct bench_file f;
	int status = 1;
	size_t p;

	if (bench_file_open_hole(&f, "hole_store", PAGES))
		return 1;
	for (p = 0; p < f.pages; p++) {
		bench_start(&costs[p]);
		*(volatile char *)(f.map + p * PAGE) = 1;
		bench_stop(&costs[p]);
		all.ticks += costs[p].ticks;
		all.faults += costs[p].faults;
	}
	if (!bench_msync(&f, 0, f.pages, MS_SYNC, &sync)) {
		all.ticks += sync.ticks;
		report("hole_store", costs, f.pages, 1, alloc);
		report("hole_fill", &all, 1, f.pages, alloc);
		status = 0;
	}
	bench_file_close(&f);
	return status;
}

static int hole_store_main(int argc, char **argv)
{
	struct bench_cost *costs = calloc(PAGES, sizeof(*costs));
	int n, status = !costs;

	for (n = 0; !status && allocs[n] && !bench_set("alloc", allocs[n]); n++)
		status = measure(costs, allocs[n]);
	if (!status && !n)
		status = measure(costs, NULL);
	bench_set("alloc", NULL);
	free(costs);
	return status;
}
BENCH(hole_store, "the first store into a hole, and until it is on the disk");
