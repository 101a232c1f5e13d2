/* SPDX-License-Identifier: MIT */
/*
 * alloc_fail.c - allocations that fail because a test wants them to (rule 130).
 *
 * Owns:  the two counters, which count allocations of frames and of objects, by anybody.
 * Not:   what the caller makes of it.
 */
#include "kernel/core/args.h"
#include "kernel/mm/page_alloc.h"

u64 alloc_fail_after, alloc_fail_nr;
ARG_UINT(alloc_fail_after, alloc_fail_after, "allocations that succeed before alloc_fail_nr fail");
ARG_UINT(alloc_fail_nr, alloc_fail_nr, "allocations of frames and objects that fail, for tests");

/* How often @n may still be counted down, and once of it taken. */
static bool count_down(u64 *n)
{
	u64 old = atomic_load(n);

	while (old && !atomic_cas(n, old, old - 1))
		old = atomic_load(n);
	return old;
}

bool alloc_fails_slow(void)
{
	return !count_down(&alloc_fail_after) && count_down(&alloc_fail_nr);
}
