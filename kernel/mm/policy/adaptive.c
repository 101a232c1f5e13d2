/* SPDX-License-Identifier: MIT */
/*
 * adaptive.c - buy or rent, page by page (ski rental, D.6; compare T15).
 *
 * To leave a page writable costs a little in every round, since it must be asked (rent: some 3
 * instructions). To protect it costs one fault when it is stored to again (buy: a trap and some 250
 * instructions, about 1,300 in all). Who does not know the future rents until the rent paid equals
 * the price and then buys: never more than twice the cost of who knows it. So a page that faulted
 * stays writable through its next 128 idle rounds, and is write-notified after them; its tag in
 * the tree is the log of its next store.
 *
 * The rounds are counted for 64 pages at once: bit i of memory[k] is bit k of page i's counter, and
 * adding one to 64 counters is seven half-adders.
 */
#include "kernel/mm/dirty_policy.h"

static enum policy_clean how_to_clean(const struct policy_page *page)
{
	return page->dirty ? POLICY_CLEAN_CLEAR_D : POLICY_CLEAN_PROTECT;
}

/* One round more for each idle page, none for the others. Returns those whose counter was full. */
static u64 on_harvest(const struct policy_group *group)
{
	u64 carry = group->maybe & ~group->dirty;

	for (unsigned int k = 0; k < POLICY_MEMORY; k++) {
		u64 word = group->memory[k] & ~group->dirty;

		group->memory[k] = word ^ carry;
		carry &= word;
	}
	return carry;
}

DIRTY_POLICY(adaptive) = {
	.name = "adaptive",
	.summary = "hot pages stay writable, cold ones are protected after 128 idle rounds",
	.how_to_clean = how_to_clean,
	.on_harvest = on_harvest,
	.breaks = BREAKS(NR_DIRTY_EXACT) | BREAKS(STABLE_PAGES),
};
