/* SPDX-License-Identifier: MIT */
/*
 * clean_writable.c - a page that was stored to once stays writable (Lutomirski #1, seeds P24, T4).
 *
 * The first store faults as under write_notify. Cleaning takes the dirty bit alone, so that every
 * later store is silent: no fault ever again in the thread that stores. The price: who syncs must
 * ask the PTEs (harvest), and until then nobody knows how much is dirty.
 *
 * `scope=` says for which areas: all of them, mlock()ed ones (what the proposal was for), or those
 * that asked by madvise(MADV_STAY_WRITABLE). The others are write-notified.
 */
#include "kernel/mm/dirty_policy.h"

static enum policy_clean how_to_clean(const struct policy_page *page)
{
	return policy_in_scope(page) ? POLICY_CLEAN_CLEAR_D : POLICY_CLEAN_PROTECT;
}

DIRTY_POLICY(clean_writable) = {
	.name = "clean_writable",
	.summary = "cleaned pages stay writable, dirty bits are asked for (scope=)",
	.how_to_clean = how_to_clean,
	.breaks = BREAKS(NR_DIRTY_EXACT) | BREAKS(STABLE_PAGES),
};
