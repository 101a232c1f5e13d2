/* SPDX-License-Identifier: MIT */
/*
 * reclaim.c - what does it cost to take a cached page out of memory, unmapping it first or not?
 *
 * All clean; the clock goes over all of memory, most of which is free, and over the marks of use
 * where there are any: that is part of the price. The pages were read once; where they are mapped,
 * each was loaded from once, so that the front hand finds an A bit in every PTE.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES  32768
#define ROUNDS 3

/* Whatever is cached leaves. */
static void empty_cache(void)
{
	while (bench_reclaim(PAGES) > 0)
		;
}

static int fill_cache(struct bench_file *f, bool mapped)
{
	static char buf[64 * PAGE];
	size_t p;

	for (p = 0; p < f->pages; p += 64)
		if (pread(f->fd, buf, sizeof(buf), (off_t)(p * PAGE)) != (ssize_t)sizeof(buf))
			return -1;
	for (p = 0; mapped && p < f->pages; p++)
		(void)*(volatile char *)(f->map + p * PAGE);
	return 0;
}

static int measure(struct bench_file *f, bool mapped)
{
	struct bench_cost costs[ROUNDS];
	struct bench_result r;
	int64_t gone = 0;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		empty_cache();
		if (bench_file_remap(f) || fill_cache(f, mapped))
			return -1;
		bench_start(&costs[i]);
		gone = bench_reclaim(f->pages);
		bench_stop(&costs[i]);
		/* Some pages of the file system itself may stay or go. */
		if (gone < (int64_t)f->pages - 64) {
			fprintf(stderr, "bench: only %lld pages left memory\n", (long long)gone);
			return -1;
		}
	}
	bench_summarize(costs, ROUNDS, (size_t)gone, &r);
	bench_report_result("reclaim_page", &r, ",\"mapped\":%d,\"pages\":%zu", mapped, f->pages);
	return 0;
}

static int reclaim_main(int argc, char **argv)
{
	struct bench_file f;
	int status;

	if (bench_reclaim(0) < 0)
		return 0;
	if (bench_file_open(&f, "reclaim", PAGES))
		return 1;
	status = fsync(f.fd) || measure(&f, false) || measure(&f, true);
	bench_file_close(&f);
	return status;
}
BENCH(reclaim, "a cached page leaves memory");
