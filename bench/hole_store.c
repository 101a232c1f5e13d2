/* SPDX-License-Identifier: MIT */
/*
 * hole_store.c - what does the first store into a hole of a file cost: the fault, a page, a block?
 */
#include "bench/bench.h"

#include <stdlib.h>

#define PAGES 4096

static int hole_store_main(int argc, char **argv)
{
	struct bench_cost *costs = calloc(PAGES, sizeof(*costs));
	struct bench_result r;
	struct bench_file f;
	size_t p;

	if (!costs || bench_file_open_hole(&f, "hole_store", PAGES)) {
		free(costs);
		return 1;
	}
	for (p = 0; p < f.pages; p++) {
		bench_start(&costs[p]);
		*(volatile char *)(f.map + p * PAGE) = 1;
		bench_stop(&costs[p]);
	}
	bench_summarize(costs, f.pages, 1, &r);
	bench_report_result("hole_store", &r, ",\"pages\":%zu", f.pages);
	bench_file_close(&f);
	free(costs);
	return 0;
}
BENCH(hole_store, "the first store into a hole");
