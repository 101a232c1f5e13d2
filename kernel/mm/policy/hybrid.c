/* SPDX-License-Identifier: MIT */
/*
 * hybrid.c - writable while it is being written to, protected once it rests (NetBSD, T9).
 *
 * A page that was stored to stays writable when it is cleaned. A pass that asks it and finds
 * nothing protects it: it is known clean again, and a file all of whose pages rest leaves the
 * device's list. So a page costs one fault for each time that it goes from rest to use, and one
 * pass more than it is used.
 */
#include "kernel/mm/dirty_policy.h"

static enum policy_clean how_to_clean(const struct policy_page *page)
{
	return page->dirty ? POLICY_CLEAN_CLEAR_D : POLICY_CLEAN_PROTECT;
}

static u64 on_harvest(const struct policy_group *group)
{
	return group->maybe & ~group->dirty;
}

DIRTY_POLICY(hybrid) = {
	.name = "hybrid",
	.summary = "pages stay writable until a pass finds them unused (NetBSD)",
	.how_to_clean = how_to_clean,
	.on_harvest = on_harvest,
	.breaks = BREAKS(NR_DIRTY_EXACT) | BREAKS(STABLE_PAGES) | BREAKS(NO_HOT_FAULT),
};
