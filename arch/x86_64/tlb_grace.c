/* SPDX-License-Identifier: MIT */
/*
 * tlb_grace.c - have all CPUs forgotten by themselves?
 *
 * Owns:  the count of grace periods, tlb_cpu.passed, the ticks of flush=deferred.
 * Not:   how a CPU forgets (tlb.c), what the wait is for (kernel/mm/preclean.c).
 * Locks: none. One counter for all tables, as in RCU: a CPU that has passed it owes nothing of any
 *        table, so that who waits keeps no pointer to a table that may be gone meanwhile.
 * Key fact: the order. Waiting side: PTE, tlb_gen of its table, then the grace period, then look at
 *        `passed` and `lazy`. A CPU: read the grace period, read tlb_gen, load CR3, and then say
 *        that it passed. So who reads that CPU c passed knows that c's CR3 was loaded after the
 *        PTEs had changed, and sees every store that c made through an old entry.
 */
#include "arch/x86_64/tlb_grace.h"

#include "arch/x86_64/tlb_cpu.h"
#include "kernel/core/args.h"
#include "kernel/core/delay.h"
#include "kernel/core/sched.h"
#include "kernel/core/stat.h"

unsigned int flush_mode = FLUSH_BATCH;
static const char *const flush_names[] = { "batch", "page", "deferred", NULL };
ARG_CHOICE(flush, flush_mode, flush_names, "cleaned PTEs per shootdown; deferred: no interrupts");

static u64 flush_deadline_ms = 100, flush_tick_ms = 10;
ARG_UINT(flush_deadline, flush_deadline_ms,
	 "flush=deferred: milliseconds after which CPUs are interrupted after all");
ARG_UINT(flush_tick, flush_tick_ms, "flush=deferred: milliseconds between a busy CPU's ticks");

u64 tlb_grace_asked;

/* --- the side that passes --- */

void tlb_pass_slow(void)
{
	struct tlb_cpu *t = &tlb_cpus[this_cpu()->id];
	u64 asked = atomic_load(&tlb_grace_asked);

	/* A lazy CPU compares when it stops being lazy. */
	if (likely(t->passed == asked) || t->lazy)
		return;
	/* Its table may have been none of those: then there is nothing to forget. */
	if (t->seen_gen != atomic_load(&t->loaded->tlb_gen))
		tlb_forget_all(t);
	else
		atomic_store(&t->passed, asked);
}

static ktime_t next_tick(void)
{
	return ktime_get() + max(flush_tick_ms, 1ul) * NSEC_PER_MSEC;
}

/* The pass itself stands in timer_interrupt(), for every timer's sake. */
static void tick(struct timer *timer)
{
	struct tlb_cpu *t = container_of(timer, struct tlb_cpu, tick);

	if (flush_mode == FLUSH_DEFERRED && !t->lazy)
		timer_arm(timer, next_tick());
}

void tlb_start_tick(struct tlb_cpu *t)
{
	ktime_t next = next_tick();

	/* It may be armed for later: flush_tick was longer then. */
	if (t->tick.armed && t->tick.when <= next)
		return;
	t->tick.fn = tick;
	timer_arm(&t->tick, next);
}

/* --- the side that waits --- */

void tlb_grace_add(struct tlb_grace *grace, struct pgtable *pgt)
{
	/* Locked, so the PTEs are changed before it is raised, and it is raised before the mask is
	 * read: pairs with arch_switch_pgtable(). Who comes into the mask later starts fresh. */
	atomic_add_return(&pgt->tlb_gen, 1);
	grace->cpus |= atomic_load(&pgt->cpus);
}

/* Of @mask, who has still to pass @asked. A CPU seen lazy once owes nothing: all that it stored
 * through its table is visible, and before the next store it compares. */
static cpumask_t not_passed(cpumask_t mask, u64 asked)
{
	cpumask_t rest = mask;

	for (cpumask_t m = mask; m; m &= m - 1) {
		unsigned int c = (unsigned int)__builtin_ctz(m);

		if (atomic_load(&tlb_cpus[c].passed) >= asked || READ_ONCE(tlb_cpus[c].lazy))
			rest &= ~cpu_bit(c);
	}
	return rest;
}

/* The CPU that waits need not: it can pass at once, whether or not it has ticks. */
static void pass_here(void)
{
	u64 flags = irq_save();

	tlb_pass_slow();
	irq_restore(flags);
}

bool tlb_grace_wait(struct tlb_grace *grace)
{
	cpumask_t rest = grace->cpus;
	ktime_t end;
	u64 asked;

	if (!rest)
		return true;
	assert_can_sleep();
	stat_inc(STAT_TLB_DEFERRED);
	grace->cpus = 0;
	asked = atomic_add_return(&tlb_grace_asked, 1);
	end = ktime_get() + flush_deadline_ms * NSEC_PER_MSEC;
	delay_point("grace_asked", grace);
	pass_here();
	while ((rest = not_passed(rest, asked)) && ktime_get() < end)
		sleep_ns(NSEC_PER_MSEC / 2);
	if (!rest)
		return true;
	/* Perhaps we run on one of them now: it passes here, so that nobody interrupts himself. */
	preempt_disable();
	pass_here();
	rest = not_passed(rest, asked);
	if (rest)
		tlb_interrupt_cpus(rest);
	preempt_enable();
	return !rest;
}
