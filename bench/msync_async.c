/* SPDX-License-Identifier: MIT */
/*
 * msync_async.c - what does msync(MS_ASYNC) cost after a store, and are the times right after it?
 *
 * It starts no I/O; what POSIX wants of it is that st_mtime is not older than the store from then
 * on (lag: nanoseconds that it is older, at worst).
 */
#include "bench/bench.h"

#include <sys/mman.h>
#include <time.h>

#define PAGES  4096
#define ROUNDS 16

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int msync_async_main(int argc, char **argv)
{
	struct bench_cost costs[ROUNDS];
	int64_t before, lag = 0;
	struct bench_result r;
	struct bench_file f;
	size_t i;

	if (bench_file_open(&f, "msync_async", PAGES))
		return 1;
	for (i = 0; i < ROUNDS; i++) {
		/* The same pages: all but the first rounds store to what is dirty already. */
		before = now();
		bench_store(&f, f.pages);
		if (bench_msync(&f, 0, f.pages, MS_ASYNC, &costs[i]))
			break;
		if (before - bench_mtime(f.fd) > lag)
			lag = before - bench_mtime(f.fd);
	}
	if (i == ROUNDS) {
		bench_summarize(costs, ROUNDS, 1, &r);
		bench_report_result("msync_async", &r, ",\"lag\":%lld,\"pages\":%zu",
				    (long long)lag, f.pages);
	}
	bench_file_close(&f);
	return i < ROUNDS;
}
BENCH(msync_async, "msync that starts nothing");
