/* SPDX-License-Identifier: MIT */
/*
 * adaptive.c - buy or rent (ski rental, D.6; compare T15): for the file, and for each page.
 *
 * To leave pages writable costs in every pass, since they must be asked: a fixed part, and a
 * little for each PTE (rent). To protect them costs a fault whenever one is stored to again (buy).
 * One page that stays writable makes the harvest necessary for all, so the file decides:
 *
 *	The file keeps an account of what was wasted. Each pass adds the rent, whether it is paid or
 *	would have been; each page that had to be written takes off the price of a fault, whether it
 *	was taken or saved. Below zero renting is the cheaper of the two. So that chance does not
 *	move a file to and fro, it changes its mind only at the other end: a file that rents buys
 *	when it has wasted @limit, one that buys rents again when the faults have cost as much more
 *	than the rent. As nobody gains by a lead of more than that, the account ends there.
 *
 * As both sides of the account are known in either state, nothing has to be tried out, and near
 * the probability at which both cost the same any answer is right. A file begins by renting: its
 * hot pages fault once.
 *
 * Within a file that rents, a page that faulted stays writable through its next 32 tellings
 * without a store, some 2,000 harvests: so long that its next fault, if it comes, costs less than
 * an instruction a harvest. Then it is known clean and write-notified, and its tag in the tree is
 * the log of its next store. Tellings are counted for 64 pages at once: bit i of memory[k] is bit
 * k of page i's counter.
 */
#include "kernel/mm/dirty_policy.h"

/* In instructions, as the laboratory weighs them (`redirty`, with and without stores). */
#define FAULT	    1050 /* what a fault costs more than a silent store */
#define RENT	    560	 /* a harvest: the fixed part */
#define RENT_OF_PTE 3	 /* and for each PTE */
#define IDLE_BITS   5

/* Words of the file's memory. Changed without a lock: what a race loses is one estimate. */
enum { WASTED, BUYS, SETTLED };

/* Bring the account up to this pass. */
static void settle(struct policy_history *h)
{
	s64 passes = (s64)h->passes, rent = RENT + h->ptes * RENT_OF_PTE;
	s64 limit = (h->ptes < 128 ? 128 : h->ptes) / 8 * FAULT;
	s64 wasted = h->memory[WASTED] + (passes - h->memory[SETTLED]) * rent;

	if (wasted >= limit) {
		wasted = limit;
		h->memory[BUYS] = true;
	} else if (wasted <= -limit) {
		wasted = -limit;
		h->memory[BUYS] = false;
	}
	h->memory[WASTED] = wasted;
	h->memory[SETTLED] = passes;
}

static enum policy_clean how_to_clean(const struct policy_page *page)
{
	struct policy_history *h = page->history;

	if (!page->dirty)
		return POLICY_CLEAN_PROTECT;
	if (h->memory[SETTLED] != (s64)h->passes)
		settle(h);
	h->memory[WASTED] -= FAULT;
	return h->memory[BUYS] ? POLICY_CLEAN_PROTECT : POLICY_CLEAN_CLEAR_D;
}

/* One telling more for each idle page, none for the others. Returns those with a full counter. */
static u64 on_harvest(const struct policy_group *group)
{
	u64 carry = group->maybe & ~group->dirty;

	settle(group->history);
	if (group->history->memory[BUYS])
		return group->maybe;
	for (unsigned int k = 0; k < IDLE_BITS; k++) {
		u64 word = group->memory[k] & ~group->dirty;

		group->memory[k] = word ^ carry;
		carry &= word;
	}
	return carry;
}

DIRTY_POLICY(adaptive) = {
	.name = "adaptive",
	.summary = "a file's pages stay writable while that is cheaper than their faults",
	.how_to_clean = how_to_clean,
	.on_harvest = on_harvest,
	.tell_every = 64,
	.breaks = BREAKS(NR_DIRTY_EXACT) | BREAKS(STABLE_PAGES),
};
