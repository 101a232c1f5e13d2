/* SPDX-License-Identifier: MIT */
/*
 * spinlock.h - short exclusion among CPUs.
 *
 * A plain spinlock leaves interrupts on, so that a CPU that spins or holds one still answers a TLB
 * shootdown; it only forbids preemption. Locks that an interrupt handler takes use the irqsave
 * form, which spins with interrupts as they were. Nobody sleeps or waits for a shootdown with any
 * spinlock held: tlb_batch_flush() and every sleeping call assert it (preempt_count == 0).
 */
#ifndef KERNEL_CORE_SPINLOCK_H
#define KERNEL_CORE_SPINLOCK_H

#include "arch/x86_64/asm/atomic.h"
#include "arch/x86_64/asm/cpu.h"
#include "kernel/core/lockrank.h"
#include "kernel/core/percpu.h"
#include "kernel/lib/bug.h"

struct spinlock {
	u32 locked;	  /* a: 0 or 1 + id of the holding CPU */
	u32 rank;	  /* s: enum lock_rank */
	const char *name; /* s */
};

#define SPINLOCK(lock_name, lock_rank)                                                             \
	(struct spinlock)                                                                          \
	{                                                                                          \
		.rank = (lock_rank), .name = (lock_name)                                           \
	}

static inline void spin_init(struct spinlock *l, const char *name, enum lock_rank rank)
{
	*l = SPINLOCK(name, rank);
}

void spin_lock_slow(struct spinlock *l); /* spinlock.c: waits; names a lock stuck for seconds */

/* What this CPU writes into the locks it takes. Preemption is off. */
static inline u32 spin_lock_id(void)
{
	u32 id;

	__asm__ volatile("movzwl %%gs:36, %0" : "=r"(id));
	return id;
}

/* Compare and exchange, so that a lock names its holder and not the last who tried. */
static inline bool spin_take(struct spinlock *l)
{
	return atomic_cas(&l->locked, 0, spin_lock_id());
}

static inline void spin_lock(struct spinlock *l)
{
	preempt_disable();
	if (unlikely(debug_checks))
		lockrank_acquire(l, l->rank, 0, l->name);
	if (unlikely(!spin_take(l)))
		spin_lock_slow(l);
}

static inline void spin_unlock(struct spinlock *l)
{
	if (unlikely(debug_checks))
		lockrank_release(l);
	atomic_store(&l->locked, 0);
	preempt_enable();
}

/* True if taken. */
static inline bool spin_trylock(struct spinlock *l)
{
	preempt_disable();
	if (!spin_take(l)) {
		preempt_enable();
		return false;
	}
	if (unlikely(debug_checks))
		lockrank_acquire(l, l->rank, 0, l->name);
	return true;
}

/* Interrupts are off from before to after, so that nothing takes this CPU away: the bare lock. Not
 * for debug=1, which is not told. */
static inline bool spin_trylock_irqs_off(struct spinlock *l)
{
	return spin_take(l);
}

static inline void spin_unlock_irqs_off(struct spinlock *l)
{
	atomic_store(&l->locked, 0);
}

/* The same, with interrupts as in @flags while it waits. */
void spin_lock_irqsave_slow(struct spinlock *l, u64 flags);

static inline u64 spin_lock_irqsave(struct spinlock *l)
{
	u64 flags = irq_save();

	preempt_disable();
	if (unlikely(debug_checks))
		lockrank_acquire(l, l->rank, 0, l->name);
	if (unlikely(!spin_take(l)))
		spin_lock_irqsave_slow(l, flags);
	return flags;
}

static inline void spin_unlock_irqrestore(struct spinlock *l, u64 flags)
{
	if (unlikely(debug_checks))
		lockrank_release(l);
	atomic_store(&l->locked, 0);
	irq_restore(flags);
	preempt_enable();
}

static inline bool spin_is_locked(const struct spinlock *l)
{
	return READ_ONCE(l->locked);
}

#endif
