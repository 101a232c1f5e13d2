/* SPDX-License-Identifier: MIT */
/*
 * placement.c - on which CPU does a thread run when it becomes runnable?
 *
 * Owns:  idle_mask; the way of a woken, new or stolen thread into a queue. Locks: see runqueue.h.
 *
 * A stack is used by one CPU at a time. A thread that went to sleep may be woken while its CPU is
 * still busy leaving its stack (->on_cpu). It is then queued on just that CPU, which looks at its
 * queue again only after it left; a thief waits for that. To queue it elsewhere and let that CPU
 * wait in its switch would be wrong:
 *	CPU 0 leaves t for u, CPU 1 leaves u for t: each waits for the other, interrupts off.
 */
#include "kernel/core/clock.h"
#include "kernel/core/runqueue.h"

/* A thread that becomes runnable on a busy CPU cuts the running turn down to this: who waited for
 * a disk should not wait for a full slice as well. It queues at the end, so nobody starves. */
#define BRIEF_NS (1 * NSEC_PER_MSEC)

cpumask_t idle_mask;

/* --- choosing a CPU --- */

/* Ask @cpu to look at its queue. An interrupt only if nobody asked before: a CPU clears the flag
 * before it looks, and does not halt while it is set. */
static void ask_resched(unsigned int cpu)
{
	if (!atomic_xchg(&cpus[cpu].need_resched, 1) && cpu != this_cpu()->id)
		arch_send_reschedule(cpu);
}

static bool claim_idle(unsigned int cpu)
{
	cpumask_t bit = (cpumask_t)1 << cpu;

	return (READ_ONCE(idle_mask) & bit) && (atomic_fetch_and(&idle_mask, ~bit) & bit);
}

/* Any idle CPU, which is now the caller's to give work to; or -1. */
static int claim_any_idle(void)
{
	for (cpumask_t mask = READ_ONCE(idle_mask); mask; mask &= mask - 1)
		if (claim_idle((unsigned int)__builtin_ctz(mask)))
			return __builtin_ctz(mask);
	return -1;
}

/* Dekker: an idle CPU sets its bit and then looks at the queues; we changed a queue and look at the
 * bits. One of us sees the other. */
void rouse_idle(void)
{
	int cpu;

	full_fence();
	cpu = claim_any_idle();
	if (cpu >= 0)
		ask_resched((unsigned int)cpu);
}

static unsigned int load(unsigned int cpu)
{
	const struct runqueue *rq = &rqs[cpu];

	return READ_ONCE(rq->nr) + !rq_idle(rq, &cpus[cpu]);
}

static unsigned int least_loaded(void)
{
	unsigned int n = READ_ONCE(nr_cpus), me = this_cpu()->id, best = me;

	/* Ours comes last: it is about to go on with the caller. */
	for (unsigned int i = 1; i < n; i++) {
		unsigned int cpu = (me + i) % n;

		if (atomic_load(&cpus[cpu].online) && (best == me || load(cpu) < load(best)))
			best = cpu;
	}
	return load(me) < load(best) ? me : best;
}

/* Where a woken thread runs; its queue is locked. */
static unsigned int choose_cpu(const struct thread *t)
{
	const struct runqueue *rq = &rqs[t->cpu];
	int cpu;

	if (claim_idle(t->cpu) || t->pinned || atomic_load(&t->on_cpu))
		return t->cpu;
	if (rq_idle(rq, &cpus[t->cpu]) && !rq->nr)
		return t->cpu;
	cpu = claim_any_idle();
	return cpu < 0 ? t->cpu : (unsigned int)cpu;
}

/* --- into a queue --- */

/* @t came to the queue of @cpu from outside: must the CPU look at it now? */
static bool wants_look(struct runqueue *rq, unsigned int cpu)
{
	ktime_t brief;

	if (rq_idle(rq, &cpus[cpu]))
		return true;
	/* It has rested: its turn counts from now, when somebody minds. */
	if (!rq->turn_start)
		begin_turn(rq, ktime_get());
	brief = rq->turn_start + BRIEF_NS;
	if (brief < rq->slice_end) {
		rq->slice_end = brief;
		return true;
	}
	/* The first who waits: until now the running turn had no end, and no timer. */
	return rq->nr == 1;
}

/* Queue @t, which is ->queued already and in no queue, on its CPU. Interrupts and preemption off,
 * no run queue locked. */
static void deliver(struct thread *t)
{
	unsigned int cpu = t->cpu;
	struct runqueue *rq = &rqs[cpu];
	bool movable = !t->pinned, look, busy;

	spin_lock(&rq->lock);
	enqueue(rq, t);
	look = wants_look(rq, cpu);
	busy = !rq_idle(rq, &cpus[cpu]);
	spin_unlock(&rq->lock);
	/* @t may be running, or gone. */
	if (look)
		ask_resched(cpu);
	/* A CPU may have gone idle since one was chosen. */
	if (busy && movable)
		rouse_idle();
}

/*
 * @t's queue @rq is locked; returns with it unlocked. Interrupts and preemption off.
 * Who neither was asleep nor slept before, and who rests, may be gone after the unlock.
 */
static __always_inline void wake_locked(struct runqueue *rq, struct thread *t)
{
	unsigned int cpu = t->cpu;
	bool mine = false, halted = false;

	if (t->state == THREAD_SLEEPING) {
		WRITE_ONCE(t->state, THREAD_RUNNABLE);
		halted = rq->resting && rq->curr == t;
		if (halted) {
			WRITE_ONCE(rq->resting, false);
		} else if (!t->queued && rq->curr != t) {
			mine = true;
			t->queued = true;
			WRITE_ONCE(t->cpu, choose_cpu(t));
		} /* else it runs, or was preempted before it slept: schedule() sees the state */
	}
	spin_unlock(&rq->lock);
	if (halted && cpu != this_cpu()->id)
		arch_send_reschedule(cpu); /* if it has not halted yet, its hlt ends at once */
	if (mine)
		deliver(t);
}

void sched_wake(struct thread *t)
{
	u64 flags;

	/* Preemption first and last, so that it happens at the end, with interrupts on. */
	preempt_disable();
	flags = irq_save();
	wake_locked(lock_rq(t), t);
	irq_restore(flags);
	preempt_enable();
}

void sched_complete(struct thread *t, int *pending)
{
	struct runqueue *rq;
	u64 flags;

	preempt_disable();
	flags = irq_save();
	rq = lock_rq(t);
	/* A locked instruction: the count is 0 before the state is looked at. */
	(void)atomic_sub_return(pending, 1);
	wake_locked(rq, t);
	irq_restore(flags);
	preempt_enable();
}

void sched_start(struct thread *t, int cpu)
{
	u64 flags;

	preempt_disable();
	flags = irq_save();
	t->pinned = cpu != CPU_ANY;
	t->cpu = t->pinned ? (u32)cpu : least_loaded();
	t->state = THREAD_RUNNABLE;
	t->queued = true;
	claim_idle(t->cpu);
	deliver(t);
	irq_restore(flags);
	preempt_enable();
}

/* Take a waiting thread from another CPU's queue into ours. */
void steal(unsigned int me)
{
	unsigned int n = READ_ONCE(nr_cpus), spins = 0;
	struct thread *t = NULL;

	for (unsigned int i = 1; i < n && !t; i++) {
		struct runqueue *rq = &rqs[(me + i) % n];
		u64 flags;

		if (!READ_ONCE(rq->nr))
			continue;
		flags = spin_lock_irqsave(&rq->lock);
		TAILQ_FOREACH(t, &rq->queue, run_link)
			if (!t->pinned)
				break;
		if (t) {
			/* Its CPU is a few instructions from leaving its stack, and on that way
			 * takes no run queue's lock and waits for nobody. */
			while (atomic_load(&t->on_cpu))
				cpu_relax(&spins);
			dequeue(rq, t);
			WRITE_ONCE(t->cpu, me);
		}
		spin_unlock_irqrestore(&rq->lock, flags);
	}
	if (t) {
		u64 flags = spin_lock_irqsave(&rqs[me].lock);

		enqueue(&rqs[me], t);
		spin_unlock_irqrestore(&rqs[me].lock, flags);
	}
}
