/* SPDX-License-Identifier: MIT */
/*
 * idle.c - what a CPU does while nobody runs: it halts, and the time is counted.
 *
 * Owns:  every hlt after boot, idle_tsc, rq->resting. Not: who comes next (sched.c), which CPU is
 *        given work (placement.c). Locks: see runqueue.h.
 *
 * There are two ways to halt. The idle thread does, when nobody is left to run. But a thread that
 * sleeps on a CPU which nobody else wants halts where it stands (it rests): no stack is left, no
 * registers are saved, and the interrupt that ends its wait returns to it. To everybody else such a
 * CPU is idle: its bit in idle_mask is set, it takes waiting threads from others, it is lazy about
 * translations.
 */
#include "kernel/core/delay.h"
#include "kernel/core/runqueue.h"

/*
 * Interrupts and preemption off on entry and return; one interrupt, or several, in between. The
 * caller has looked for work with interrupts off, and sti lets none in before the hlt: whatever
 * came since that look ends the hlt at once. With an instruction between the two:
 *	looks: nothing to do, sti, the interrupt brings work and returns, hlt: for ever.
 */
static inline void halt(struct cpu *c)
{
	WRITE_ONCE(c->halted_since, rdtsc());
	sti_hlt();
	irq_disable();
	sched_idle_interrupted();
}

__noreturn void sched_idle_loop(void)
{
	struct cpu *c = this_cpu();
	struct runqueue *rq = &rqs[c->id];
	cpumask_t bit = (cpumask_t)1 << c->id;

	BUG_ON(c->current != c->idle);
	/* Not preempted, so that all the time between bit and switch is idle time. */
	preempt_disable();
	for (;;) {
		irq_enable();
		/* Bit first, queues second: see rouse_idle(). */
		atomic_or(&idle_mask, bit);
		steal(c->id);
		irq_disable();
		if (!READ_ONCE(c->need_resched) && !READ_ONCE(rq->nr))
			halt(c);
		atomic_and(&idle_mask, ~bit);
		resched(VOLUNTARY);
	}
}

/* --- resting --- */

/* Is there anything but its own wake-up that @c has to look at? */
static inline bool wanted(const struct cpu *c, const struct runqueue *rq)
{
	return READ_ONCE(c->need_resched) || READ_ONCE(rq->nr);
}

/*
 * From here to the end of the rest everybody takes this CPU for idle, so that what must be true of
 * idle CPUs comes first: no shootdown waits for it, and no work lies in a queue that nobody tells
 * it of (bit first, queues second: see rouse_idle()).
 */
static void offer_cpu(struct cpu *c)
{
	arch_switch_pgtable(NULL);
	atomic_or(&idle_mask, (cpumask_t)1 << c->id);
	steal(c->id);
}

static void withdraw_cpu(struct cpu *c, const struct thread *t)
{
	atomic_and(&idle_mask, ~((cpumask_t)1 << c->id));
	arch_switch_pgtable(t->pgt);
}

/* Somebody else wants the CPU. True if meanwhile the wake-up came as well. */
static __noinline bool end_rest(struct runqueue *rq)
{
	bool woken;

	spin_lock(&rq->lock);
	woken = !rq->resting;
	WRITE_ONCE(rq->resting, false);
	spin_unlock(&rq->lock);
	return woken;
}

bool sched_rest(void)
{
	struct cpu *c = this_cpu();
	struct runqueue *rq = &rqs[c->id];
	struct thread *t = c->current;
	bool woken = true;

	if (wanted(c, rq))
		return false;
	spin_lock(&rq->lock);
	/* Under the lock: who wakes us finds us resting, or has set the state before. */
	if (t->state != THREAD_SLEEPING) {
		spin_unlock(&rq->lock);
		return true;
	}
	rq->turn_start = 0;
	WRITE_ONCE(rq->resting, true);
	spin_unlock(&rq->lock);
	if (nr_cpus > 1)
		offer_cpu(c);
	delay_point("rest_before_halt", t); /* may only spin */
	while (READ_ONCE(rq->resting)) {
		if (unlikely(wanted(c, rq))) {
			woken = end_rest(rq);
			break;
		}
		halt(c);
	}
	if (nr_cpus > 1)
		withdraw_cpu(c, t);
	return woken;
}

/*
 * Who counted down to 0 did so with our queue's lock held, and forgets us when it lets go of it. It
 * was the lock of the CPU that we run on now: to be moved we would have passed through that lock.
 */
void sched_waker_gone(void)
{
	const struct runqueue *rq = &rqs[READ_ONCE(current_thread()->cpu)];
	unsigned int spins = 0;

	while (spin_is_locked(&rq->lock))
		cpu_relax(&spins);
}

/* --- for others --- */

u64 sched_idle_tsc(unsigned int cpu)
{
	const struct cpu *c = &cpus[cpu];
	u64 since = READ_ONCE(c->halted_since);

	return READ_ONCE(c->idle_tsc) + (since ? rdtsc() - since : 0);
}

bool sched_asleep(const struct thread *t)
{
	const struct runqueue *rq = &rqs[READ_ONCE(t->cpu)];

	if (READ_ONCE(t->state) != THREAD_SLEEPING)
		return false;
	return !atomic_load(&t->on_cpu) || (READ_ONCE(rq->resting) && READ_ONCE(rq->curr) == t);
}
