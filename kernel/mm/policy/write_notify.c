/* SPDX-License-Identifier: MIT */
/*
 * write_notify.c - what Linux does since 2006 (Zijlstra, Howells; T1, with batches T13).
 *
 * A clean page is mapped read-only; the first store faults, the page becomes DIRTY and writable;
 * cleaning takes writability away again. nr_dirty is exact and a full disk is known before the
 * store; the price is one fault per page and cleaning.
 *
 * Every question of dirty_policy.h is left to its default answer, since the defaults are this
 * policy: map read-only, grant DIRTY, protect when cleaning.
 */
#include "kernel/mm/dirty_policy.h"

DIRTY_POLICY(write_notify) = {
	.name = "write_notify",
	.summary = "clean pages are read-only, the first store faults (Linux)",
	.breaks = BREAKS(STABLE_PAGES) | BREAKS(NO_HOT_FAULT),
};
