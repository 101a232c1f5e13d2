/* SPDX-License-Identifier: MIT */
/*
 * msync_page.c - what does msync(MS_SYNC) cost for each contiguous dirty page, how does it grow
 * with the number of pages, and with the number of address spaces that map them?
 *
 * A figure for P pages is a slope: the cost of P dirty pages less that of P/16, divided by the
 * difference, so that what a call costs once does not count (msync_fixed.c measures that).
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#define SHARE	     16
#define ROUNDS	     3
#define SMALLEST     (1UL << 8)
#define LARGEST	     (1UL << 18)
#define SPACES_PAGES (1UL << 10)
#define SPACES_MAX   256

/* Median cost of an msync of @pages pages, dirty in this and in every other space; 0: failed. */
static uint64_t cost(struct bench_file *f, struct bench_spaces *spaces, size_t pages)
{
	uint64_t ticks[ROUNDS];
	int64_t cleaned;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		bench_store(f, pages);
		if (spaces && bench_spaces_store(spaces))
			return 0;
		cleaned = bench_counter("pages_cleaned");
		ticks[i] = bench_msync(f, pages);
		if (!ticks[i])
			return 0;
		cleaned = bench_counter("pages_cleaned") - cleaned;
		if (bench_counter("pages_cleaned") >= 0 && cleaned < (int64_t)pages) {
			printf("bench: of %zu pages only %lld were still dirty for msync\n", pages,
			       (long long)cleaned);
			return 0;
		}
	}
	return bench_median(ticks, ROUNDS);
}

static double slope(uint64_t small, uint64_t large, size_t pages)
{
	return ((double)large - (double)small) / (double)(pages - pages / SHARE);
}

static int by_pages(struct bench_file *f)
{
	uint64_t small, large;
	size_t pages;

	for (pages = SMALLEST; pages <= f->pages; pages *= 4) {
		small = cost(f, NULL, pages / SHARE);
		large = cost(f, NULL, pages);
		if (!small || !large)
			return pages <= 4096;
		bench_report("msync_page", slope(small, large, pages), "instructions",
			     ",\"pages\":%zu,\"mappings\":1", pages);
	}
	return 0;
}

/* The same pages, mapped and dirty in @count further address spaces. */
static uint64_t cost_shared(struct bench_file *f, size_t pages, int count)
{
	struct bench_spaces *spaces = bench_spaces_open(f, pages, count);
	uint64_t ticks;

	if (!spaces)
		return 0;
	ticks = cost(f, spaces, pages);
	bench_spaces_close(spaces);
	return ticks;
}

static int by_mappings(struct bench_file *f)
{
	uint64_t small, large;
	int mappings;

	for (mappings = 4; mappings <= SPACES_MAX; mappings *= 4) {
		small = cost_shared(f, SPACES_PAGES / SHARE, mappings - 1);
		large = cost_shared(f, SPACES_PAGES, mappings - 1);
		if (!small || !large) {
			printf("bench: %d address spaces cannot be had here\n", mappings);
			return bench_counter("msyncs") >= 0;
		}
		bench_report("msync_page", slope(small, large, SPACES_PAGES), "instructions",
			     ",\"pages\":%lu,\"mappings\":%d", SPACES_PAGES, mappings);
	}
	return 0;
}

static int msync_page_main(int argc, char **argv)
{
	size_t most = argc > 1 ? strtoul(argv[1], NULL, 0) : LARGEST;
	size_t pages = SMALLEST;
	struct bench_file f;
	int status;

	while (pages * 4 <= most && pages * 4 <= bench_memory_pages())
		pages *= 4;
	if (pages < most)
		printf("bench: msync_page: memory for 2^%d pages, not for more\n",
		       __builtin_ctzl(pages));
	if (bench_file_open(&f, "msync_page", pages))
		return 1;
	status = by_pages(&f);
	if (f.pages >= SPACES_PAGES)
		status |= by_mappings(&f);
	bench_file_close(&f);
	return status;
}
BENCH(msync_page, "msync for each contiguous dirty page, and how that grows");
