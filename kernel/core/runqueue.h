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

#include "kernel/core/clock.h"
#include "kernel/core/sched.h"

/* r: lock   o: own CPU, interrupts off */
struct runqueue {
	struct spinlock lock;
	TAILQ_HEAD(, thread) queue;    /* r: those who wait; not who runs */
	unsigned int nr;	       /* r: in queue; others peek */
	struct thread *curr;	       /* r: who runs, or was chosen to */
	ktime_t turn_start, slice_end; /* r: of curr; start 0: not before somebody waits */
	bool resting;		       /* r: curr sleeps, but on its own stack; curr peeks */
	struct thread *prev;	       /* o: whose stack was just left */
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

enum resched_why { VOLUNTARY, PREEMPTED };

/*
 * Give this CPU to whoever is next. Interrupts off, preemption disabled exactly once: the count
 * belongs to the CPU and is the same on both sides of every switch. Returns when the caller's
 * thread runs again, perhaps on another CPU. sched.c
 */
void resched(enum resched_why why);

/*
 * Instead of resched(), with the same rules, for a thread that sleeps while nobody else wants its
 * CPU: halts right there until it is woken. True: it may go on. False: it did not halt, or halts no
 * more, since somebody else is to run: resched(). idle.c
 */
bool sched_rest(void);

/* Nobody's turn, or that of a thread that sleeps: whoever comes runs at once. Locked, or a peek. */
static inline bool rq_idle(const struct runqueue *rq, const struct cpu *c)
{
	return READ_ONCE(rq->curr) == c->idle || READ_ONCE(rq->resting);
}

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

#define SLICE_NS (10 * NSEC_PER_MSEC)

static inline void begin_turn(struct runqueue *rq, ktime_t now)
{
	rq->turn_start = now;
	rq->slice_end = now + SLICE_NS;
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
