/* SPDX-License-Identifier: MIT */
/*
 * msync_clean.c - what does msync(MS_SYNC) cost when nothing in the range is dirty?
 */
#include "bench/bench.h"

#include <sys/mman.h>

#define PAGES  4096
#define ROUNDS 16

static int msync_clean_main(int argc, char **argv)
{
	struct bench_cost costs[ROUNDS];
	struct bench_result r;
	struct bench_file f;
	int i;

	if (bench_file_open(&f, "msync_clean", PAGES))
		return 1;
	for (i = 0; i < ROUNDS; i++) {
		if (bench_msync(&f, 0, f.pages, MS_SYNC, &costs[i]))
			break;
	}
	if (i == ROUNDS) {
		bench_summarize(costs, ROUNDS, 1, &r);
		bench_report_result("msync_clean", &r, ",\"pages\":%zu", f.pages);
	}
	bench_file_close(&f);
	return i < ROUNDS;
}
BENCH(msync_clean, "msync of a clean range");
