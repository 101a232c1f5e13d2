/* SPDX-License-Identifier: MIT */
/*
 * read_fault.c - what does it cost to load from each page of a fresh mapping, all of it cached?
 *
 * Per page, so that a kernel which maps the neighbours too is paid for it; faults says how many
 * there were for each page.
 */
#include "bench/bench.h"

#define PAGES  4096
#define ROUNDS 3

static int read_fault_main(int argc, char **argv)
{
	struct bench_cost costs[ROUNDS];
	struct bench_result r;
	struct bench_file f;
	char sum = 0;
	size_t p;
	int i;

	if (bench_file_open(&f, "read_fault", PAGES))
		return 1;
	for (i = 0; i < ROUNDS && !bench_file_remap(&f); i++) {
		bench_start(&costs[i]);
		for (p = 0; p < f.pages; p++)
			sum += *(volatile char *)(f.map + p * PAGE);
		bench_stop(&costs[i]);
	}
	if (i == ROUNDS) {
		bench_summarize(costs, ROUNDS, f.pages, &r);
		bench_report_result("read_fault", &r, ",\"pages\":%zu,\"sum\":%d", f.pages, sum);
	}
	bench_file_close(&f);
	return i < ROUNDS;
}
BENCH(read_fault, "a load from a page that is cached and not mapped");
