/* SPDX-License-Identifier: MIT */
/*
 * throttle_off.c - what does throttling add to a fault when there is little dirt?
 *
 * One question, two comparisons, is asked before each page is dirtied; it stands inline in the
 * fault. Here the same lines are asked many times in a loop, whose own two instructions (count
 * down, go back) are subtracted; one more is what the fault pays for counting the page as its
 * file's.
 */
#include "bench/bench.h"

#include <stdio.h>

#define TIMES	 10000
#define ROUNDS	 16
#define LOOP	 2
#define COUNTING 1 /* mapping->nr_unwritten++ */

static int throttle_off_main(int argc, char **argv)
{
	struct bench_cost none, many;
	uint64_t ticks[ROUNDS];
	struct bench_file f;
	double each;
	int i;

	if (bench_file_open(&f, "throttle_off", 1))
		return 1;
	for (i = 0; i < ROUNDS; i++) {
		bench_start(&none);
		if (bench_throttle_ask(f.fd, 0))
			break;
		bench_stop(&none);
		bench_start(&many);
		if (bench_throttle_ask(f.fd, TIMES))
			break;
		bench_stop(&many);
		ticks[i] = many.ticks - none.ticks;
	}
	bench_file_close(&f);
	if (i < ROUNDS) {
		printf("bench: throttle_off: cannot be asked alone here\n");
		return 0;
	}
	each = (double)bench_median(ticks, ROUNDS) / TIMES;
	bench_report("throttle_off", each - LOOP + COUNTING, "instructions", ",\"asking\":%.3f",
		     each - LOOP);
	return 0;
}
BENCH(throttle_off, "throttling's share of a fault below the limits");
