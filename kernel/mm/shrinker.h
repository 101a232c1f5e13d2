/* SPDX-License-Identifier: MIT */
/*
 * shrinker.h - caches of objects that give some back when memory is low.
 *
 *	SHRINKER(inodes, shrink_inodes);
 *
 * A shrinker is called by kreclaimd alone, when the clock finds too few pages: no lock held, may
 * sleep, but waits for no I/O and for no lock that a thread without memory may hold (tried locks
 * only). Returns how many objects it gave back; they may share frames with others that stay.
 */
#ifndef KERNEL_MM_SHRINKER_H
#define KERNEL_MM_SHRINKER_H

#include "kernel/lib/sections.h"
#include "kernel/lib/types.h"

struct shrinker {
	const char *name;
	u64 (*shrink)(void);
};

#define SHRINKER(id, fn) REGISTER(shrinkers, struct shrinker, shrinker_##id) = { #id, fn }

/* All of them; how many objects they gave back. */
u64 shrink_caches(void);

#endif
