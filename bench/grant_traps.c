/* SPDX-License-Identifier: MIT */
/*
 * grant_traps.c - how many faults does the sequential first write of 2 MiB take, with grant=512?
 *
 * Of a file that is in the page cache and has its blocks, and of a hole.
 */
#include "bench/bench.h"

#define PAGES 512

static int report(struct bench_file *f, const char *what)
{
	struct bench_cost c;

	if (bench_file_remap_aligned(f))
		return 1;
	bench_start(&c);
	bench_store(f, f->pages);
	bench_stop(&c);
	bench_report("grant_traps", (double)c.faults, "faults",
		     ",\"file\":\"%s\",\"pages\":%zu,\"ticks\":%llu", what, f->pages,
		     (unsigned long long)c.ticks);
	return 0;
}

static int grant_traps_main(int argc, char **argv)
{
	struct bench_file f;
	int status = 0;

	if (bench_file_open(&f, "grant_traps", PAGES))
		return 1;
	/* Where that cannot be set (Linux), it is one fault for each page. */
	bench_set("grant", "512");
	status |= report(&f, "written");
	bench_file_close(&f);
	if (bench_file_open_hole(&f, "grant_traps", PAGES)) {
		status = 1;
	} else {
		status |= report(&f, "hole");
		bench_file_close(&f);
	}
	bench_set("grant", NULL);
	return status;
}
BENCH(grant_traps, "faults of the first write of 2 MiB, with grants");
