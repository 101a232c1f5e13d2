/* SPDX-License-Identifier: MIT */
/*
 * delay.c - what tests do at the named delay points.
 *
 * A hook runs in whatever context passes the point, so the table is walked without a lock: an entry
 * in use is pinned by its count of runners, taken before the name is read.
 */
#include "kernel/core/delay.h"

#include <errno.h>
#include <string.h>

#include "arch/x86_64/asm/atomic.h"
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "kernel/core/sleeplock.h"

#define NR_HOOKS 16

/* m: arm_lock   a: atomic */
static struct hook {
	const char *name; /* a: NULL: free, or going to be; set last, cleared first */
	void (*fn)(void *object, void *arg); /* m */
	void *arg;			     /* m */
	int runners;			     /* a: inside, or looking */
} hooks[NR_HOOKS];

static MUTEX(arm_lock, RANK_NONE);

bool delay_armed;

void delay_hit(const char *name, void *object)
{
	for (struct hook *h = hooks; h < hooks + NR_HOOKS; h++) {
		const char *mine;

		if (!READ_ONCE(h->name))
			continue;
		/* Locked, so it is seen before the name is read: pairs with delay_disarm(), which
		 * clears the name before it looks at the count. */
		atomic_inc(&h->runners);
		mine = atomic_load(&h->name);
		if (mine && !strcmp(mine, name))
			h->fn(object, h->arg);
		atomic_dec_and_test(&h->runners);
	}
}

int delay_arm(const char *name, void (*fn)(void *object, void *arg), void *arg)
{
	struct hook *free_hook = NULL;
	int err = 0;

	mutex_lock(&arm_lock);
	for (struct hook *h = hooks; h < hooks + NR_HOOKS; h++) {
		if (!h->name)
			free_hook = h;
		else if (!strcmp(h->name, name))
			err = -EBUSY;
	}
	if (!err && !free_hook)
		err = -ENOSPC;
	if (!err) {
		free_hook->fn = fn;
		free_hook->arg = arg;
		atomic_store(&free_hook->name, name);
		WRITE_ONCE(delay_armed, true);
	}
	mutex_unlock(&arm_lock);
	return err;
}

void delay_disarm(const char *name)
{
	bool others = false;

	mutex_lock(&arm_lock);
	for (struct hook *h = hooks; h < hooks + NR_HOOKS; h++) {
		if (h->name && !strcmp(h->name, name)) {
			(void)atomic_xchg(&h->name, NULL);
			while (atomic_load(&h->runners))
				sleep_ns(20 * NSEC_PER_USEC);
		}
		others |= h->name != NULL;
	}
	WRITE_ONCE(delay_armed, others);
	mutex_unlock(&arm_lock);
}
