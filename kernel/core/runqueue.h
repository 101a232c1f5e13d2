/* SPDX-License-Identifier: MIT */
/*
 * runqueue.h - the run queues, shared by sched.c (who runs next) and placement.c (where).
 *
 * Locks: rqs[cpu].lock (RANK_RUNQUEUE, interrupts off) guards that queue and every thread whose
 * ->cpu says so; two are never held at once. A thread on its way from one queue to another is
 * marked ->queued, so nobody else puts it anywhere.
 */
#ifndef KERNEL_CORE_RUNQUEUE_H
#define KERNEL_CORE_RUNQUEUE_H

#include "kernel/core/sched.h"

/* r: lock   o: own CPU, interrupts off */
struct runqueue {
	struct spinlock lock;
	TAILQ_HEAD(, thread) queue;    /* r: those who wait; not who runs */
	unsigned int nr;	       /* r: in queue; others peek */
	struct thread *curr;	       /* r: who runs, or was chosen to */
	ktime_t turn_start, slice_end; /* r: of curr */
	struct thread *prev;	       /* o: whose stack was just left */
	ktime_t halted_since;	       /* o: 0: not halted; others peek */
} __aligned(64);

extern struct runqueue rqs[MAX_CPUS]; /* sched.c */

/* a: CPUs that halt or are about to. Whoever gives one work takes its bit, so two wakers do not
 * choose the same; the CPU sets it anew each time it goes idle. placement.c */
extern cpumask_t idle_mask;

/* Threads that may move wait for a busy CPU: if another is idle, it comes and steals. Interrupts
 * off, after the queue changed. placement.c */
void rouse_idle(void);

/* Take a waiting thread from another CPU's queue into that of @me. placement.c */
void steal(unsigned int me);

/* Interrupts off. The run queue that guards @t, locked. */
static inline struct runqueue *lock_rq(const struct thread *t)
{
	for (;;) {
		u32 cpu = READ_ONCE(t->cpu);

		spin_lock(&rqs[cpu].lock);
		if (t->cpu == cpu)
			return &rqs[cpu];
		spin_unlock(&rqs[cpu].lock);
	}
}

static inline void enqueue(struct runqueue *rq, struct thread *t)
{
	t->queued = true;
	TAILQ_INSERT_TAIL(&rq->queue, t, run_link);
	WRITE_ONCE(rq->nr, rq->nr + 1);
}

/* It stays ->queued if it goes to another queue. */
static inline void dequeue(struct runqueue *rq, struct thread *t)
{
	TAILQ_REMOVE(&rq->queue, t, run_link);
	WRITE_ONCE(rq->nr, rq->nr - 1);
}

#endif
