/* SPDX-License-Identifier: MIT */
/*
 * msync_fixed.c - what does msync(MS_SYNC) of one dirty page cost, waiting excluded?
 */
#include "bench/bench.h"

#include <sys/mman.h>

#define PAGES  64
#define ROUNDS 64

static int msync_fixed_main(int argc, char **argv)
{
	struct bench_cost costs[ROUNDS];
	struct bench_result r;
	struct bench_file f;
	size_t i;

	if (bench_file_open(&f, "msync_fixed", PAGES))
		return 1;
	for (i = 0; i < ROUNDS; i++) {
		*(volatile char *)(f.map + i % f.pages * PAGE) = (char)i;
		if (bench_msync(&f, i % f.pages, 1, MS_SYNC, &costs[i]))
			break;
	}
	if (i == ROUNDS) {
		bench_summarize(costs, ROUNDS, 1, &r);
		bench_report_result("msync_fixed", &r, ",\"pages\":1");
	}
	bench_file_close(&f);
	return i < ROUNDS;
}
BENCH(msync_fixed, "msync of one dirty page, waiting excluded");
