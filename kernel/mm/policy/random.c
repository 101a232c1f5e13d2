/* SPDX-License-Identifier: MIT */
/*
 * random.c - answers anything to every question, and must not be able to lose a store.
 *
 * It proves that the mechanism, not the policy, keeps the guarantees: whatever mixture of
 * protected, silent, logged and forked pages comes out, each sync finds each store.
 */
#include "kernel/mm/dirty_policy.h"

/* Several CPUs may draw the same number or skip one: no less random for it. */
static u64 state = 0x9e3779b97f4a7c15;

static u64 draw(void)
{
	u64 x = READ_ONCE(state);

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	WRITE_ONCE(state, x);
	return x * 0x2545f4914f6cdd1d >> 32;
}

static enum policy_map on_read_fault(const struct policy_page *page)
{
	return draw() % 2 ? POLICY_MAP_READONLY : POLICY_MAP_WRITABLE;
}

static enum policy_grant on_write_fault(const struct policy_page *page)
{
	static const enum policy_grant grants[] = { POLICY_GRANT_DIRTY, POLICY_GRANT_CLEAN,
						    POLICY_GRANT_LOG, POLICY_GRANT_FORK };

	return grants[draw() % 4];
}

static enum policy_clean how_to_clean(const struct policy_page *page)
{
	static const enum policy_clean ways[] = { POLICY_CLEAN_PROTECT, POLICY_CLEAN_CLEAR_D,
						  POLICY_CLEAN_LOG };

	return ways[draw() % 3];
}

static u64 on_harvest(const struct policy_group *group)
{
	group->memory[draw() % POLICY_MEMORY] = draw();
	return draw() << 32 | draw();
}

static bool harvest_now(enum policy_harvest_why why)
{
	return draw() % 2;
}

DIRTY_POLICY(random) = {
	.name = "random",
	.summary = "answers at random; no store may be lost for it",
	.on_read_fault = on_read_fault,
	.on_write_fault = on_write_fault,
	.how_to_clean = how_to_clean,
	.on_harvest = on_harvest,
	.harvest_now = harvest_now,
	.breaks = BREAKS(NR_DIRTY_EXACT) | BREAKS(STABLE_PAGES) | BREAKS(NO_HOT_FAULT),
};
