/* SPDX-License-Identifier: MIT */
/*
 * delay.h - named places where a test can hold a thread, so that a race happens every time.
 *
 *	delay_point("zap_before_flush", page);
 * costs a load and a branch when no test armed anything. Where a lock forbids sleeping the hook may
 * only spin; each point's comment says which.
 */
#ifndef KERNEL_CORE_DELAY_H
#define KERNEL_CORE_DELAY_H

#include "kernel/lib/types.h"

extern bool delay_armed; /* delay.c */
void delay_hit(const char *name, void *object);

static inline void delay_point(const char *name, void *object)
{
	if (unlikely(READ_ONCE(delay_armed))) /* also in a loop that waits for it */
		delay_hit(name, object);
}

/* Call @hook(@object, @arg) whenever the point @name is passed, by any thread; one hook per name.
 * delay_disarm waits until no hook runs. May sleep. */
int delay_arm(const char *name, void (*hook)(void *object, void *arg), void *arg);
void delay_disarm(const char *name);

#endif
