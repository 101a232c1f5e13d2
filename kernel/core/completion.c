/* SPDX-License-Identifier: MIT */
/*
 * completion.c - waiting for the end of what was started.
 *
 * Locks: none of its own. The last to end counts down and wakes in one hold of the run queue lock
 * of the waiter's CPU (sched_complete), so that the waiter, once it sees 0 and that lock free,
 * knows that nobody looks at it or at the count any more:
 *	last					waiter
 *	count = 0
 *						sees 0, returns, its thread ends and is freed
 *	looks whether the thread sleeps: a thread that is no more
 */
#include "kernel/core/completion.h"

void completion_wait_slow(struct completion *c)
{
	struct thread *t = c->thread;

	DEBUG_ON(t != current_thread());
	t->waits_for = "completion";
	/* Ours goes last, or first. A locked instruction, as is each below: the state is visible
	 * before the count is read, and in sched_complete() the count before the state. */
	if (atomic_sub_return(&c->pending, 1)) {
		do {
			(void)atomic_xchg(&t->state, THREAD_SLEEPING);
			if (!atomic_load(&c->pending))
				break;
			schedule();
		} while (atomic_load(&c->pending));
		WRITE_ONCE(t->state, THREAD_RUNNABLE);
	}
	sched_waker_gone();
}
