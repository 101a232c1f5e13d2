/* SPDX-License-Identifier: MIT */
/*
 * shrinker.c - asks all caches that registered themselves for what they can spare.
 *
 * Owns:  nothing.
 * Not:   what a cache can spare (its file).
 */
#include "kernel/mm/shrinker.h"

#include "kernel/core/stat.h"

REGISTRY(shrinkers, struct shrinker);

u64 shrink_caches(void)
{
	struct shrinker *s;
	u64 nr = 0;

	for_each_registered(shrinkers, s)
		nr += s->shrink();
	stat_add(STAT_OBJECTS_SHRUNK, nr);
	return nr;
}
