/* SPDX-License-Identifier: MIT */
/*
 * scan.c - what Linux did before 2006: dirt is in the PTEs, and is learnt when somebody looks (T2,
 * seeds P14).
 *
 * Nothing ever faults: pages are mapped writable, and nobody is told of a store. msync asks the
 * PTEs; unmapping finds the rest. fsync and the flusher do not ask, so fsync returns before the
 * data is on disk, a store may stay in memory for ever, the times stand still, and memory fills
 * with dirty pages that no limit counts. That is what this policy is here to show.
 */
#include "kernel/mm/dirty_policy.h"

static enum policy_map on_read_fault(const struct policy_page *page)
{
	return POLICY_MAP_WRITABLE;
}

static enum policy_grant on_write_fault(const struct policy_page *page)
{
	return POLICY_GRANT_CLEAN;
}

static enum policy_clean how_to_clean(const struct policy_page *page)
{
	return POLICY_CLEAN_CLEAR_D;
}

static bool harvest_now(enum policy_harvest_why why)
{
	return why == HARVEST_MSYNC;
}

DIRTY_POLICY(scan) = {
	.name = "scan",
	.summary = "only msync and munmap look at the dirty bits (Linux before 2006)",
	.on_read_fault = on_read_fault,
	.on_write_fault = on_write_fault,
	.how_to_clean = how_to_clean,
	.harvest_now = harvest_now,
	.breaks = BREAKS(FSYNC_COMPLETE) | BREAKS(AGE_BOUNDED) | BREAKS(NR_DIRTY_EXACT) |
		  BREAKS(POSIX_TIMES) | BREAKS(COOKIE) | BREAKS(STABLE_PAGES) | BREAKS(THROTTLED),
};
