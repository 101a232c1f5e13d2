/* SPDX-License-Identifier: MIT */
/*
 * msync_clean.c - what does msync(MS_SYNC) cost when nothing in the range is dirty?
 */
#include "bench/bench.h"

#define PAGES  4096
#define ROUNDS 16

static int msync_clean_main(int argc, char **argv)
{
	uint64_t ticks[ROUNDS];
	struct bench_file f;
	int i;

	if (bench_file_open(&f, "msync_clean", PAGES))
		return 1;
	for (i = 0; i < ROUNDS; i++) {
		ticks[i] = bench_msync(&f, f.pages);
		if (!ticks[i])
			break;
	}
	if (i == ROUNDS)
		bench_report("msync_clean", (double)bench_median(ticks, ROUNDS), "instructions",
			     ",\"pages\":%zu", f.pages);
	bench_file_close(&f);
	return i < ROUNDS;
}
BENCH(msync_clean, "msync of a clean range");
