/* SPDX-License-Identifier: MIT */
/*
 * cleaned_store.c - what does a store to a cleaned page of a shared mapping cost, the fault
 * included?
 *
 * All pages are stored to and written out; then each store is timed. The same store to a page that
 * is dirty already, timed the same way, is subtracted.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGES 4096

/* Time one store to each page. */
static void time_stores(struct bench_file *f, uint64_t *ticks)
{
	uint64_t start;
	size_t p;

	for (p = 0; p < f->pages; p++) {
		start = db_cycles();
		*(volatile char *)(f->map + p * PAGE) = 1;
		ticks[p] = db_cycles() - start;
	}
}

static int cleaned_store_main(int argc, char **argv)
{
	uint64_t *ticks = calloc(PAGES, sizeof(*ticks));
	uint64_t cleaned, least, dirty;
	struct bench_file f;

	if (!ticks || bench_file_open(&f, "cleaned_store", PAGES)) {
		free(ticks);
		return 1;
	}
	time_stores(&f, ticks);
	cleaned = bench_median(ticks, f.pages);
	least = ticks[0];
	time_stores(&f, ticks);
	dirty = bench_median(ticks, f.pages);
	bench_report("cleaned_store", (double)(cleaned - dirty), "instructions",
		     ",\"pages\":%zu,\"least\":%llu", f.pages, (unsigned long long)(least - dirty));
	bench_file_close(&f);
	free(ticks);
	return 0;
}
BENCH(cleaned_store, "a store to a cleaned page, fault included");
