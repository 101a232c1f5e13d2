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
#include <sys/mman.h>

#define SHARE	     16
#define ROUNDS	     9 /* of few pages: what else runs meanwhile would show (Linux) */
#define ROUNDS_MANY  3
#define MANY	     4096
#define SMALLEST     (1UL << 8)
#define LARGEST	     (1UL << 18)
#define SPACES_PAGES (1UL << 10)
#define SPACES_MAX   256

/* An msync of @pages pages, dirty in this and in every other space. 0 or -1. */
static int cost(struct bench_file *f, struct bench_spaces *spaces, size_t pages,
		struct bench_result *r)
{
	int rounds = pages < MANY ? ROUNDS : ROUNDS_MANY;
	struct bench_cost costs[ROUNDS];
	int64_t cleaned;
	int i;

	for (i = 0; i < rounds; i++) {
		bench_store(f, pages);
		if (spaces && bench_spaces_store(spaces))
			return -1;
		cleaned = bench_counter("pages_cleaned");
		if (bench_msync(f, 0, pages, MS_SYNC, &costs[i]))
			return -1;
		cleaned = bench_counter("pages_cleaned") - cleaned;
		if (bench_counter("pages_cleaned") >= 0 && cleaned < (int64_t)pages) {
			printf("bench: of %zu pages only %lld were still dirty for msync\n", pages,
			       (long long)cleaned);
			return -1;
		}
	}
	bench_summarize(costs, (size_t)rounds, 1, r);
	return 0;
}

/* The difference per page, of the medians and of the least. */
static void report(const struct bench_result *small, const struct bench_result *large, size_t pages,
		   int mappings)
{
	double n = (double)(pages - pages / SHARE);
	double median = ((double)large->median - (double)small->median) / n;
	double least = ((double)large->least - (double)small->least) / n;

	bench_report("msync_page", median, "instructions",
		     ",\"least\":%lld,\"faults\":0,\"ipis\":%lld,\"pages\":%zu,\"mappings\":%d",
		     (long long)least, (long long)((large->ipis - small->ipis) / n), pages,
		     mappings);
}

static int by_pages(struct bench_file *f)
{
	struct bench_result small, large;
	size_t pages;

	for (pages = SMALLEST; pages <= f->pages; pages *= 4) {
		if (cost(f, NULL, pages / SHARE, &small) || cost(f, NULL, pages, &large))
			return pages <= 4096;
		report(&small, &large, pages, 1);
	}
	return 0;
}

/* The same pages, mapped and dirty in @count further address spaces. */
static int cost_shared(struct bench_file *f, size_t pages, int count, struct bench_result *r)
{
	struct bench_spaces *spaces = bench_spaces_open(f, pages, count);
	int err;

	if (!spaces)
		return -1;
	err = cost(f, spaces, pages, r);
	bench_spaces_close(spaces);
	return err;
}

static int by_mappings(struct bench_file *f)
{
	struct bench_result small, large;
	int mappings;

	for (mappings = 4; mappings <= SPACES_MAX; mappings *= 4) {
		if (cost_shared(f, SPACES_PAGES / SHARE, mappings - 1, &small) ||
		    cost_shared(f, SPACES_PAGES, mappings - 1, &large)) {
			printf("bench: %d address spaces cannot be had here\n", mappings);
			return bench_counter("msyncs") >= 0;
		}
		report(&small, &large, SPACES_PAGES, mappings);
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
