/* SPDX-License-Identifier: MIT */
/*
 * kill.c - a thread is told to end, and wakes up for it where it may.
 *
 * Owns:  thread->killed.
 * Not:   where a program's thread ends (kernel/mm/fault.c, libc).
 * Key fact: a sleeper queues itself, then looks at the flag; a killer sets the flag, then wakes who
 *        is queued. Whoever comes second sees the other.
 */
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "kernel/core/wait.h"

void thread_kill(struct thread *t)
{
	atomic_store(&t->killed, true);
	wake_up_key(wait_hash(t), t);
}

bool sleep_until_killable(ktime_t when)
{
	struct thread *t = current_thread();
	struct wait_queue *wq = wait_hash(t);
	struct waiter w;

	while (!atomic_load(&t->killed) && ktime_get() < when) {
		wait_prepare(wq, &w, t);
		if (!atomic_load(&t->killed))
			wait_sleep(when);
		wait_finish(wq, &w);
	}
	return !t->killed;
}
