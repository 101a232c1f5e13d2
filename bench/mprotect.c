/* SPDX-License-Identifier: MIT */
/*
 * mprotect.c - what does it cost to make dirty pages read-only and writable again?
 */
#include "bench/bench.h"

#include <stdio.h>
#include <sys/mman.h>

#define PAGES  1024
#define ROUNDS 16

static int round_trip(struct bench_file *f, struct bench_cost *c)
{
	size_t len = f->pages * PAGE;
	int err;

	bench_store(f, f->pages);
	bench_start(c);
	err = mprotect(f->map, len, PROT_READ) || mprotect(f->map, len, PROT_READ | PROT_WRITE);
	bench_stop(c);
	return err ? -1 : 0;
}

static int mprotect_main(int argc, char **argv)
{
	struct bench_cost costs[ROUNDS];
	struct bench_result r;
	struct bench_file f;
	int i;

	if (bench_file_open(&f, "mprotect", PAGES))
		return 1;
	for (i = 0; i < ROUNDS && !round_trip(&f, &costs[i]); i++)
		;
	if (i == ROUNDS) {
		bench_summarize(costs, ROUNDS, 1, &r);
		bench_report_result("mprotect", &r, ",\"pages\":%zu", f.pages);
	} else {
		perror("bench: cannot mprotect");
	}
	bench_file_close(&f);
	return i < ROUNDS;
}
BENCH(mprotect, "read-only and writable again");
