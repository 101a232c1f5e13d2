/* SPDX-License-Identifier: MIT */
/*
 * log.c - the first store to a cleaned page goes into a log (Intel's page-modification log, KVM's
 * dirty ring; T16, D.12).
 *
 * Cleaning protects the page, but it stays among those that may be dirty: the fault of its next
 * store only writes its number into the log of this CPU, no tag, no list, no count. Who syncs reads
 * the logs, and so pays for the pages stored to and for nothing else. When a log is full, the PTEs
 * are asked once instead. With the hardware's own log the fault would go too.
 */
#include "kernel/mm/dirty_policy.h"

static enum policy_grant on_write_fault(const struct policy_page *page)
{
	return POLICY_GRANT_LOG;
}

static enum policy_clean how_to_clean(const struct policy_page *page)
{
	return POLICY_CLEAN_LOG;
}

DIRTY_POLICY(log) = {
	.name = "log",
	.summary = "first stores are logged per CPU; a sync reads the logs, not the PTEs (PML)",
	.on_write_fault = on_write_fault,
	.how_to_clean = how_to_clean,
	.breaks = BREAKS(NR_DIRTY_EXACT) | BREAKS(STABLE_PAGES) | BREAKS(NO_HOT_FAULT),
};
