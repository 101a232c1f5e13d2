/* SPDX-License-Identifier: MIT */
/*
 * completion.h - one thread waits until a number of things, usually requests, have ended.
 *
 * What a wait queue does for many waiters and any condition, for one waiter and a count: no queue,
 * no lock of its own. It lives where the waiter wants, usually on its stack:
 *	struct completion c;
 *	completion_init(&c, 0);
 *	for each request: completion_add(&c), start it; its end calls complete(&c)
 *	completion_wait(&c);
 * Once completion_wait() has returned nobody touches it any more.
 */
#ifndef KERNEL_CORE_COMPLETION_H
#define KERNEL_CORE_COMPLETION_H

#include "kernel/core/sched.h"

struct completion {
	struct thread *thread; /* s: who will wait */
	int pending;	       /* a: things under way, and 1 of the waiter's own until it waits */
};

/* The waiter itself; @n things count as under way already. */
static inline void completion_init(struct completion *c, int n)
{
	c->thread = current_thread();
	c->pending = n + 1;
}

/* One more, before it can end. The waiter, or somebody whose own has not ended yet. */
static inline void completion_add(struct completion *c)
{
	atomic_inc(&c->pending);
}

/* One has ended, unless it is the last: false, the count stays, and the waiter, who waits by now,
 * still needs complete_last(). True: *@c and the waiter may be gone. Any context. */
static inline bool complete_unless_last(struct completion *c)
{
	int n;

	while ((n = READ_ONCE(c->pending)) > 1)
		if (atomic_cas(&c->pending, n, n - 1))
			return true;
	return false;
}

/* Any context; takes a run queue's lock. *@c and the waiter may be gone on return. */
static inline void complete_last(struct completion *c)
{
	sched_complete(c->thread, &c->pending);
}

static inline void complete(struct completion *c)
{
	if (!complete_unless_last(c))
		complete_last(c);
}

void completion_wait_slow(struct completion *c);

/* Until all have ended. May sleep. */
static inline void completion_wait(struct completion *c)
{
	/* Nothing was started, or all of it has ended and left: see complete(). */
	if (atomic_load(&c->pending) != 1)
		completion_wait_slow(c);
}

#endif
