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
	uint64_t ticks[ROUNDS];
	struct bench_file f;
	uint64_t start;
	char *page;
	int err = 0;
	int i;

	if (bench_file_open(&f, "msync_fixed", PAGES))
		return 1;
	for (i = 0; i < ROUNDS && !err; i++) {
		page = f.map + (size_t)i % f.pages * PAGE;
		*(volatile char *)page = (char)i;
		start = bench_work();
		err = msync(page, PAGE, MS_SYNC);
		ticks[i] = bench_work() - start;
	}
	if (!err)
		bench_report("msync_fixed", (double)bench_median(ticks, ROUNDS), "instructions",
			     ",\"pages\":1");
	bench_file_close(&f);
	return err != 0;
}
BENCH(msync_fixed, "msync of one dirty page, waiting excluded");
