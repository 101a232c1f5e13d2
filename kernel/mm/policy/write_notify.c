/* SPDX-License-Identifier: MIT */
/*
 * write_notify.c - what Linux does since 2006 (Zijlstra, Howells; T1, with batches T13).
 *
 * A clean page is mapped read-only; the first store faults, the page becomes DIRTY and writable;
 * cleaning takes writability away again. nr_dirty is exact and a full disk is known before the
 * store; the price is one fault per page and cleaning.
 */
#include "kernel/mm/dirty_policy.h"

static enum policy_map on_read_fault(const struct policy_page *page)
{
	return POLICY_MAP_READONLY;
}

static enum policy_grant on_write_fault(const struct policy_page *page)
{
	return POLICY_GRANT_DIRTY;
}

static enum policy_clean how_to_clean(const struct policy_page *page)
{
	return POLICY_CLEAN_PROTECT;
}

static bool harvest_now(enum policy_harvest_why why)
{
	return false; /* there is never hidden dirt */
}

DIRTY_POLICY(write_notify) = {
	.name = "write_notify",
	.summary = "clean pages are read-only, the first store faults (Linux)",
	.on_read_fault = on_read_fault,
	.on_write_fault = on_write_fault,
	.how_to_clean = how_to_clean,
	.harvest_now = harvest_now,
};
