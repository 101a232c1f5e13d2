/* SPDX-License-Identifier: MIT */
/*
 * spinlock.c - waiting for a spinlock, and naming one that never comes free.
 *
 * Fast paths are in spinlock.h. A waiter reads until the lock looks free and only then tries, so
 * that the holder keeps its cache line.
 */
#include "kernel/core/spinlock.h"

#include "kernel/core/clock.h"
#include "kernel/core/printk.h"

#define STUCK_NS      (10 * NSEC_PER_SEC)
#define SPINS_A_CHECK 4096

struct patience {
	unsigned int spins;
	ktime_t complain_at; /* 0: not looked at the clock yet */
};

static void one_turn(struct patience *p, const struct spinlock *l)
{
	u32 holder;

	cpu_relax(&p->spins);
	if (p->spins % SPINS_A_CHECK || l->rank == RANK_CONSOLE)
		return;
	if (p->complain_at && ktime_get() < p->complain_at)
		return;
	holder = READ_ONCE(l->locked);
	if (p->complain_at && holder)
		printk("spinlock: CPU %u has waited 10 s for '%s', which CPU %u holds\n",
		       this_cpu()->id, l->name, holder - 1);
	p->complain_at = ktime_get() + STUCK_NS;
}

/* The holder cannot be this CPU: it would wait for itself. Preemption is off, so it would be this
 * thread, or an interrupt handler that came while the lock was held with interrupts on. */
static void assert_not_mine(const struct spinlock *l)
{
	if (unlikely(READ_ONCE(l->locked) == spin_lock_id()))
		panic("CPU %u takes spinlock '%s', which it holds", this_cpu()->id, l->name);
}

void spin_lock_slow(struct spinlock *l)
{
	struct patience p = { 0 };

	assert_not_mine(l);
	do {
		while (READ_ONCE(l->locked))
			one_turn(&p, l);
	} while (!spin_take(l));
}

void spin_lock_irqsave_slow(struct spinlock *l, u64 flags)
{
	struct patience p = { 0 };

	assert_not_mine(l);
	do {
		/* The holder may be waiting for this CPU to acknowledge something (a plain spinlock
		 * may be held with interrupts on); so interrupts are as they were. */
		irq_restore(flags);
		while (READ_ONCE(l->locked))
			one_turn(&p, l);
		irq_disable();
	} while (!spin_take(l));
}
