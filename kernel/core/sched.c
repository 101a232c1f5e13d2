/* SPDX-License-Identifier: MIT */
/*
 * sched.c - who runs next on this CPU, and the change from one thread to the other.
 *
 * Owns:  the run queues, thread->state, ->queued, ->cpu and ->on_cpu.
 * Not:   where a woken thread goes (placement.c), what a CPU does when nobody runs (idle.c), how
 *        threads are made and freed (thread.c), what they wait for (wait.c).
 * Locks: see runqueue.h.
 * Tickless: while nobody waits for a CPU, its thread has no end of slice.
 */
#include "kernel/core/sched.h"

#include "kernel/core/clock.h"
#include "kernel/core/runqueue.h"
#include "kernel/core/trace.h"
#include "kernel/lib/fmt.h"

struct runqueue rqs[MAX_CPUS];

void runqueues_init(void)
{
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++) {
		spin_init(&rqs[cpu].lock, "run queue", RANK_RUNQUEUE);
		TAILQ_INIT(&rqs[cpu].queue);
	}
}

void sched_init_cpu(struct thread *idle)
{
	struct cpu *c = this_cpu();
	struct runqueue *rq = &rqs[c->id];

	/* arch may set these fields again, but only to what percpu.c says. */
	BUG_ON(irqs_enabled() || c != &cpus[c->id] || c->lock_id != c->id + 1);
	ksnprintf(idle->name, sizeof(idle->name), "idle/%u", c->id);
	idle->state = THREAD_RUNNABLE;
	idle->on_cpu = idle->pinned = true;
	idle->cpu = c->id;
	idle->since_ns = ktime_get() - tsc_to_ns(c->idle_tsc);
	rq->curr = idle;
	c->idle = c->current = idle;
	if (nr_cpus < c->id + 1)
		WRITE_ONCE(nr_cpus, c->id + 1);
	atomic_store(&c->online, true);
}

/* --- the switch --- */

/* Who is next; @prev is queued if it can go on later. Queue locked. */
static struct thread *pick(struct runqueue *rq, struct thread *prev, struct thread *idle,
			   enum resched_why why, ktime_t now)
{
	struct thread *next;

	BUG_ON(prev == idle && prev->state != THREAD_RUNNABLE);
	/* A thread preempted between wait_prepare() and schedule() is SLEEPING, but it has yet to
	 * test its condition: it stays in the queue. */
	if (prev != idle && (why == PREEMPTED || prev->state == THREAD_RUNNABLE)) {
		if (!rq->nr || (why == PREEMPTED && now < rq->slice_end))
			return prev;
		enqueue(rq, prev);
	}
	next = TAILQ_FIRST(&rq->queue);
	if (!next)
		return idle;
	dequeue(rq, next);
	next->queued = false;
	return next;
}

void resched(enum resched_why why)
{
	struct cpu *c = this_cpu();
	struct runqueue *rq = &rqs[c->id];
	struct thread *prev = c->current, *next;
	ktime_t now = ktime_get();
	u64 work;

	BUG_ON(c->preempt_count != 1 || c->irq_depth);
	spin_lock(&rq->lock);
	/* Locked, so before the queues are read, here and in steal(): who sets the flag from now on
	 * is heard, who set it before has queued before. */
	(void)atomic_xchg(&c->need_resched, 0);
	next = pick(rq, prev, c->idle, why, now);
	if (next == prev) {
		spin_unlock(&rq->lock);
		clock_program();
		return;
	}
	BUG_ON(next->on_cpu);
	rq->curr = next;
	begin_turn(rq, now);
	work = now - tsc_to_ns(c->idle_tsc);
	prev->ran_ns += work - prev->since_ns;
	next->since_ns = work;
	WRITE_ONCE(next->on_cpu, true);
	spin_unlock(&rq->lock);
	clock_program();

	stat_inc(STAT_SWITCHES);
	trace(TRACE_SWITCH, prev->id, next->id);
	c->current = next;
	rq->prev = prev;
	if (prev->fpu)
		arch_fpu_save(prev->fpu);
	if (next->fpu)
		arch_fpu_restore(next->fpu);
	arch_switch_pgtable(next->pgt);
	arch_switch_stack(&prev->sp, next->sp);
	/* Another stack, another time, perhaps another CPU: no local above means anything now. */
	sched_finish_switch();
}

__attribute__((noinline)) void sched_finish_switch(void)
{
	struct thread *prev = rqs[this_cpu()->id].prev;
	/* Read before on_cpu falls: after that it may run, and die, elsewhere. */
	bool dead = prev->state == THREAD_DEAD;
	bool waits = READ_ONCE(prev->queued) && !prev->pinned;

	/* Release: its registers are saved. Pairs with the loads in choose_cpu() and steal(). */
	atomic_store(&prev->on_cpu, false);
	if (dead)
		thread_bury(prev);
	else if (waits)
		rouse_idle();
}

void schedule(void)
{
	assert_can_sleep();
	preempt_disable();
	irq_disable();
	if (!sched_rest())
		resched(VOLUNTARY);
	irq_enable();
	preempt_enable();
}

u64 sched_thread_ns(void)
{
	u64 flags = irq_save();
	struct thread *t = current_thread();
	u64 ns = t->ran_ns + ktime_get() - tsc_to_ns(this_cpu()->idle_tsc) - t->since_ns;

	irq_restore(flags);
	return ns;
}

/*
 * Interrupts are off on entry and return, and come back with the interrupted frame. Were they
 * enabled in here before preemption is disabled, the next tick would find need_resched still set
 * and do the same one frame deeper, and so on down the stack for as long as ticks come as fast as
 * they are served.
 */
void preempt_from_irq(void)
{
	do {
		preempt_disable();
		resched(PREEMPTED);
		__asm__ volatile("decl %%gs:16" ::: "memory", "cc");
	} while (READ_ONCE(this_cpu()->need_resched));
}

void preempt_check(void)
{
	if (preempt_count() || in_irq() || !current_thread())
		return;
	if (!irqs_enabled()) {
		/* Bare irq_save() around a lock: irq_restore() will not look, an interrupt will. */
		arch_send_reschedule(this_cpu()->id);
		return;
	}
	do {
		preempt_disable();
		irq_disable();
		resched(PREEMPTED);
		irq_enable();
		/* Not preempt_enable(), which would come here again. */
		__asm__ volatile("decl %%gs:16" ::: "memory", "cc");
	} while (READ_ONCE(this_cpu()->need_resched));
}

__noreturn void sched_exit(void)
{
	struct thread *t = current_thread();
	struct runqueue *rq;

	preempt_disable();
	irq_disable();
	/* Whoever joins may free the address space at once: this CPU must use it lazily by then. */
	t->pgt = NULL;
	t->mm = NULL;
	arch_switch_pgtable(NULL);
	rq = lock_rq(t);
	WRITE_ONCE(t->state, THREAD_DEAD);
	spin_unlock(&rq->lock);
	/* Not earlier, or it would never be sent: a dead thread is not scheduled again. The thread
	 * holds itself until its stack is left (sched_finish_switch). */
	wake_up(&t->done);
	resched(VOLUNTARY);
	panic("thread %u (%s) runs after its end", t->id, t->name);
}

/* --- slices, sleep --- */

void sched_tick(void)
{
	struct cpu *c = this_cpu();
	struct runqueue *rq = &rqs[c->id];

	if (READ_ONCE(rq->nr) && ktime_get() >= READ_ONCE(rq->slice_end))
		WRITE_ONCE(c->need_resched, 1);
}

ktime_t sched_slice_end(void)
{
	struct cpu *c = this_cpu();
	struct runqueue *rq = &rqs[c->id];

	/* With need_resched set the slice is over already, and resched() programs the next one;
	 * meanwhile a timer in the past would interrupt without end. */
	if (!READ_ONCE(rq->nr) || READ_ONCE(rq->curr) == c->idle || READ_ONCE(c->need_resched))
		return 0;
	return READ_ONCE(rq->slice_end);
}

struct thread *sched_running(unsigned int cpu, unsigned int *waiting)
{
	*waiting = READ_ONCE(rqs[cpu].nr);
	return READ_ONCE(rqs[cpu].curr);
}

void yield(void)
{
	schedule();
}

struct sleeper {
	struct timer timer;
	struct thread *thread;
};

static void wake_sleeper(struct timer *timer)
{
	sched_wake(container_of(timer, struct sleeper, timer)->thread);
}

bool schedule_until(ktime_t deadline)
{
	struct sleeper s = { .timer.fn = wake_sleeper, .thread = current_thread() };

	if (ktime_get() >= deadline) {
		WRITE_ONCE(s.thread->state, THREAD_RUNNABLE);
		return false;
	}
	timer_arm(&s.timer, deadline);
	schedule();
	/* Sync: somebody else may have woken us while the timer's function looks at our stack. */
	timer_cancel_sync(&s.timer);
	return ktime_get() < deadline;
}

void sleep_until(ktime_t when)
{
	struct thread *t = current_thread();

	assert_can_sleep();
	t->waits_for = "time";
	do {
		WRITE_ONCE(t->state, THREAD_SLEEPING);
	} while (schedule_until(when));
}

void sleep_ns(u64 ns)
{
	sleep_until(ktime_get() + ns);
}

void assert_can_sleep(void)
{
	if (likely(!preempt_count() && !in_irq() && irqs_enabled()))
		return;
	panic("a call that may sleep, %s (preempt_count %d)",
	      in_irq()	      ? "in an interrupt" :
	      !irqs_enabled() ? "with interrupts off" :
				"with a spinlock held",
	      preempt_count());
}
