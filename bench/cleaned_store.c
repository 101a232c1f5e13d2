/* SPDX-License-Identifier: MIT */
/*
 * cleaned_store.c - what does a store to a cleaned page of a shared mapping cost, the fault
 * included, under each policy that says something about it?
 *
 * All pages are stored to and written out, so often that a policy which learns has learnt; then
 * each store is timed. The same store to a page that is dirty already, timed the same way, is
 * subtracted: a page that stayed writable costs 0.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGES  4096
#define ROUNDS 4 /* until adaptive takes a page that is stored to in each of them for hot */

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

static int measure(struct bench_file *f, const char *policy, uint64_t *ticks)
{
	uint64_t least, most, dirty;
	struct bench_result r;
	struct bench_cost c;
	int i;

	/* The pages become writable when the program says what it is about to do. */
	if (policy && !strcmp(policy, "will_write") && bench_will_write(f->map, f->pages * PAGE))
		return -1;
	for (i = 0; i < ROUNDS; i++) {
		bench_store(f, f->pages);
		if (bench_msync(f, 0, f->pages, MS_SYNC, &c))
			return -1;
	}
	bench_start(&c);
	time_stores(f, ticks);
	bench_stop(&c);
	r.median = bench_median(ticks, f->pages);
	least = ticks[0];
	most = ticks[f->pages - 1];
	time_stores(f, ticks);
	dirty = bench_median(ticks, f->pages);
	r.median -= dirty;
	r.least = least - dirty;
	r.faults = (double)c.faults / (double)f->pages;
	r.ipis = (double)c.ipis / (double)f->pages;
	bench_report_result("cleaned_store", &r, ",\"most\":%llu,\"pages\":%zu",
			    (unsigned long long)(most - dirty), f->pages);
	return 0;
}

static int one_policy(const char *policy, uint64_t *ticks)
{
	struct bench_file f;
	int status;

	if (bench_file_open(&f, "cleaned_store", PAGES))
		return 1;
	status = measure(&f, policy, ticks) != 0;
	bench_file_close(&f);
	return status;
}

static int cleaned_store_main(int argc, char **argv)
{
	static const char *const others[] = { "write_notify", "clean_writable", "will_write",
					      "adaptive" };
	uint64_t *ticks = calloc(PAGES, sizeof(*ticks));
	int status = 0;
	size_t i;

	if (!ticks)
		return 1;
	if (bench_counter("faults") < 0)
		status |= one_policy(NULL, ticks);
	for (i = 0; bench_counter("faults") >= 0 && i < sizeof(others) / sizeof(*others); i++) {
		if (bench_policy(others[i]))
			status = 1;
		else
			status |= one_policy(others[i], ticks);
	}
	bench_policy(NULL);
	free(ticks);
	return status;
}
BENCH(cleaned_store, "a store to a cleaned page, fault included");
