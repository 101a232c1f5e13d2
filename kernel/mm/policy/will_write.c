/* SPDX-License-Identifier: MIT */
/*
 * will_write.c - areas that say that they will be written to never fault (Lutomirski #2, seeds P25,
 * T5).
 *
 * madvise(MADV_WILL_WRITE) makes the range writable and clean ahead of the first store, and returns
 * the errors that the store would have died of. From then on stores are silent: cleaning takes the
 * dirty bit alone. Areas that said nothing are write-notified.
 */
#include "kernel/mm/dirty_policy.h"

static enum policy_map on_read_fault(const struct policy_page *page)
{
	return page->asked ? POLICY_MAP_WRITABLE : POLICY_MAP_READONLY;
}

static enum policy_clean how_to_clean(const struct policy_page *page)
{
	return page->asked ? POLICY_CLEAN_CLEAR_D : POLICY_CLEAN_PROTECT;
}

DIRTY_POLICY(will_write) = {
	.name = "will_write",
	.summary = "what madvise(MADV_WILL_WRITE) names is writable ahead and stays so",
	.on_read_fault = on_read_fault,
	.how_to_clean = how_to_clean,
	.breaks = BREAKS(NR_DIRTY_EXACT) | BREAKS(STABLE_PAGES),
};
