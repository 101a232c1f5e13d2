/* SPDX-License-Identifier: MIT */
/*
 * mtime_error.c - after a store and an msync, how much older than the store may st_mtime be?
 *
 * A page is stored to when it is clean, and again, already dirty, two seconds later: a kernel that
 * moves the time only at a fault shows the age of the first store. POSIX wants the time between the
 * last store and the msync.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGES 16

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int measure(struct bench_file *f, int flags, const char *how)
{
	struct bench_cost c;
	int64_t before, mtime;

	bench_store(f, 1);
	sleep(2);
	before = now();
	bench_store(f, 1);
	if (bench_msync(f, 0, f->pages, flags, &c))
		return 1;
	mtime = bench_mtime(f->fd);
	bench_report("mtime_error", before > mtime ? (double)(before - mtime) : 0, "ns",
		     ",\"msync\":\"%s\"", how);
	return bench_msync(f, 0, f->pages, MS_SYNC, &c);
}

static int mtime_error_main(int argc, char **argv)
{
	struct bench_file f;
	int status;

	if (bench_file_open(&f, "mtime_error", PAGES))
		return 1;
	status = measure(&f, MS_SYNC, "sync") || measure(&f, MS_ASYNC, "async");
	bench_file_close(&f);
	return status;
}
BENCH(mtime_error, "how much older than the last store st_mtime is after msync");
