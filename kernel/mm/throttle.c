/* SPDX-License-Identifier: MIT */
/*
 * throttle.c - who dirties faster than the disk writes must wait (rules 124-128).
 *
 * Owns:  the two limits.
 * Not:   counting (page_dirty.c), writing (flusher.c).
 * Locks: none; called with none held.
 */
#include "kernel/core/args.h"
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "kernel/core/stat.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/writeback.h"

static u64 dirty_percent = 40, background_percent = 20;
ARG_UINT(dirty_percent, dirty_percent, "of memory that may be dirty before storing threads wait");
ARG_UINT(background_percent, background_percent, "of memory dirty that wakes the flusher");

static u64 dirty_limit = ~0ul;	  /* pages */
s64 background_limit = INT64_MAX; /* pages */

void throttle_init(void)
{
	dirty_limit = nr_total_pages() * min(dirty_percent, 90ul) / 100;
	background_limit =
		(s64)min(nr_total_pages() * min(background_percent, 90ul) / 100, dirty_limit);
}

/*
 * Pages under I/O count, since their frames are no more free than dirty ones. MAYBE_DIRTY ones
 * count as well, or hidden dirt had no limit; the flusher protects them when there are too many. A
 * policy that gives that up would make us wait for nothing.
 */
static bool over_limit(void)
{
	u64 nr = nr_dirty_pages() + nr_writeback_pages();

	if (READ_ONCE(global_policy)->breaks & BREAKS(THROTTLED))
		nr -= min(nr, nr_maybe_pages());
	return nr > dirty_limit;
}

/* Over the limit: let the flusher work, look again every 10 ms. */
static void wait_below_limit(struct writeback *wb)
{
	stat_inc(STAT_THROTTLED);
	for (unsigned int i = 0; i < 1000; i++) {
		writeback_kick(wb);
		sleep_ns(10 * NSEC_PER_MSEC);
		if (!over_limit())
			return;
	}
}

void balance_dirty_pages_slow(struct writeback *wb)
{
	if (!wb)
		return;
	if (!READ_ONCE(wb->kick))
		writeback_kick(wb);
	if (over_limit())
		wait_below_limit(wb);
}
