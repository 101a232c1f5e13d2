/* SPDX-License-Identifier: MIT */
/*
 * b34_liveness.c - B34: a page may be cleaned between a store's fault and the store (rule 8).
 * Then it faults again; but it must get through, however often the page is cleaned.
 *
 *	F (fault)			K
 *	PTE writable; page lock dropped
 *					cleans the page
 *	goes back to the store: faults again; and so on
 *
 * Once in a while that is bad luck. For ever it is when the fault itself lets the page be cleaned,
 * for instance where it waits for too much dirt to be written.
 */
#include "kernel/core/stat.h"
#include "tests/util.h"

#define STORES		 200
#define FAULTS_PER_STORE 8 /* on the average; one is what it takes without bad luck */

#define MOST_FAULTS (FAULTS_PER_STORE * STORES)

static struct stage s;
static bool stop;

static int store_many(void *arg)
{
	for (u64 v = 1; v <= STORES; v++)
		WRITE_ONCE(*s.map, v);
	return 0;
}

static int clean_all_the_time(void *arg)
{
	while (!atomic_load(&stop))
		testfs_fsync(s.fs);
	return 0;
}

KTEST_ON_CPU0(races, b34_clean_before_store_liveness)
{
	struct stats before;
	struct job k;

	if (!stage_begin(&s, 1))
		return;
	stop = false;
	stats_snapshot(&before);
	job_start(&k, 0, NULL, clean_all_the_time, NULL);
	remote_begin(&s.w, store_many, NULL);
	/* W would never come back to hear of it. */
	while (atomic_load(&s.w.fn) && !ktest_failed()) {
		if (stat_since(&before, STAT_FAULTS) > MOST_FAULTS)
			panic("b34: %u faults are not enough for %u stores", MOST_FAULTS, STORES);
		sleep_ns(50 * NSEC_PER_USEC);
	}
	atomic_store(&stop, true);
	EXPECT_EQ(job_end(&k), 0);
	EXPECT_EQ(*s.map, STORES);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), STORES);
	EXPECT(stat_since(&before, STAT_FAULTS) <= MOST_FAULTS);
	stage_end(&s);
}
