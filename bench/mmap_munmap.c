/* SPDX-License-Identifier: MIT */
/*
 * mmap_munmap.c - what does it cost to map pages of a file and to unmap them, and what if each was
 * stored to in between?
 */
#include "bench/bench.h"

#include <stdio.h>
#include <sys/mman.h>

#define PAGES  1024
#define ROUNDS 16

/* One round with @pages pages; 0 or -1. */
static int once(struct bench_file *f, size_t pages, bool store, struct bench_cost *c)
{
	char *map;
	size_t p;
	int err;

	bench_start(c);
	map = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	if (map == MAP_FAILED)
		return -1;
	for (p = 0; store && p < pages; p++)
		*(volatile char *)(map + p * PAGE) = 1;
	err = munmap(map, pages * PAGE);
	bench_stop(c);
	return err;
}

static int report(struct bench_file *f, size_t pages, bool store)
{
	struct bench_cost costs[ROUNDS];
	struct bench_result r;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (once(f, pages, store, &costs[i])) {
			perror("bench: cannot map or unmap");
			return 1;
		}
	}
	bench_summarize(costs, ROUNDS, 1, &r);
	bench_report_result("mmap_munmap", &r, ",\"pages\":%zu,\"stores\":%d", pages, store);
	return 0;
}

static int mmap_munmap_main(int argc, char **argv)
{
	struct bench_file f;
	int status = 1;

	if (bench_file_open(&f, "mmap_munmap", PAGES))
		return 1;
	if (f.pages == PAGES)
		status = report(&f, 1, false) || report(&f, PAGES, false) || report(&f, 1, true) ||
			 report(&f, PAGES, true);
	bench_file_close(&f);
	return status;
}
BENCH(mmap_munmap, "mapping pages and unmapping them");
