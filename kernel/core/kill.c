/* SPDX-License-Identifier: MIT */
/*
 * kill.c - a thread is told to end, and wakes up for it where it may.
 *
 * Owns:  thread->killed.
 * Not:   where a program's thread ends (kernel/mm/fault.c, libc).
 * Key fact: a sleeper queues itself, then looks at the flag; a killer sets the flag, then wakes who
 *        is queued. Whoever comes second sees the other. A sleeper that waits for something else as
 *        well stands in two queues, and is in both before it looks at either condition: what marks
 *        it as sleeping must come before what may wake it.
 */
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "kernel/core/wait.h"

void thread_kill(struct thread *t)
{
	stat_inc(STAT_KILLS);
	atomic_store(&t->killed, true);
	wake_up_key(wait_hash(t), t);
}

void kill_prepare(struct waiter *w)
{
	struct thread *t = current_thread();

	wait_prepare(wait_hash(t), w, t);
}

void kill_finish(struct waiter *w)
{
	wait_finish(wait_hash(w->key), w);
}

bool sleep_until_killable(ktime_t when)
{
	struct waiter w;

	while (!thread_killed() && ktime_get() < when) {
		kill_prepare(&w);
		if (!thread_killed())
			wait_sleep(when);
		kill_finish(&w);
	}
	return !thread_killed();
}
