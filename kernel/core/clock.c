/* SPDX-License-Identifier: MIT */
/*
 * clock.c - the time, and the per-CPU lists of timers.
 *
 * Owns:  what the one-shot hardware timer is armed for.
 * Locks: bases[cpu].lock (irqsave, RANK_TIMER) guards that list and every timer whose ->cpu says
 *        so, armed or not. A timer changes its CPU only under the lock of the old one.
 * Tickless: the hardware is armed for the first timer or for the end of the running thread's slice,
 *        whichever is earlier, and not at all if there is neither. It is left armed too early
 *        rather than written too often: an interrupt with nothing due only arms it anew.
 */
#include "kernel/core/clock.h"

#include "arch/x86_64/asm/arch.h"
#include "kernel/core/sched.h"
#include "kernel/core/spinlock.h"

#define MULT_SHIFT 32
#define NEVER	   (~0UL)

/* b: own lock   o: own CPU, interrupts off */
static struct timer_base {
	struct spinlock lock;
	TAILQ_HEAD(, timer) timers; /* b: by time */
	ktime_t first;		    /* b: of timers, or NEVER; clock_program() peeks */
	struct timer *running;	    /* b: its fn runs now */
	ktime_t armed;		    /* o: what the hardware waits for, or NEVER */
} __aligned(64) bases[MAX_CPUS];

static u64 tsc_hz, tsc_start, mult; /* s: ns = (tsc - tsc_start) * mult >> MULT_SHIFT */
static u64 realtime_start;	    /* s: ns since 1970 at tsc_start */

void clock_init(u64 hz, u64 realtime_sec)
{
	BUG_ON(hz < 1000000);
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++) {
		spin_init(&bases[cpu].lock, "timers", RANK_TIMER);
		TAILQ_INIT(&bases[cpu].timers);
		bases[cpu].first = bases[cpu].armed = NEVER;
	}
	tsc_hz = hz;
	tsc_start = rdtsc();
	realtime_start = realtime_sec * NSEC_PER_SEC;
	mult = (NSEC_PER_SEC << MULT_SHIFT) / hz;
}

ktime_t ktime_get(void)
{
	/* 64 x 64 to 128 bits: right for centuries. Before clock_init() mult and time are 0. */
	return (ktime_t)((unsigned __int128)(rdtsc() - tsc_start) * mult >> MULT_SHIFT);
}

u64 tsc_to_ns(u64 ticks)
{
	return (u64)((unsigned __int128)ticks * mult >> MULT_SHIFT);
}

u64 clock_realtime(void)
{
	return realtime_start + ktime_get();
}

u64 clock_tsc_hz(void)
{
	return tsc_hz;
}

/* Interrupts off. The base that guards @t, locked. */
static struct timer_base *lock_base(struct timer *t)
{
	for (;;) {
		u32 cpu = READ_ONCE(t->cpu);

		BUG_ON(cpu >= MAX_CPUS);
		spin_lock(&bases[cpu].lock);
		if (t->cpu == cpu)
			return &bases[cpu];
		spin_unlock(&bases[cpu].lock);
	}
}

static void remember_first(struct timer_base *base)
{
	struct timer *t = TAILQ_FIRST(&base->timers);

	WRITE_ONCE(base->first, t ? t->when : NEVER);
}

static void remove_timer(struct timer_base *base, struct timer *t)
{
	TAILQ_REMOVE(&base->timers, t, link);
	t->armed = false;
	remember_first(base);
}

static void insert_timer(struct timer_base *base, struct timer *t, ktime_t when)
{
	struct timer *later;

	t->when = when;
	t->armed = true;
	TAILQ_FOREACH(later, &base->timers, link)
		if (later->when > when)
			break;
	if (later)
		TAILQ_INSERT_BEFORE(later, t, link);
	else
		TAILQ_INSERT_TAIL(&base->timers, t, link);
	remember_first(base);
}

void timer_arm(struct timer *t, ktime_t when)
{
	u64 flags = irq_save();
	u32 me = this_cpu()->id;
	struct timer_base *base;

	/* Not two locks at once: another CPU may arm the same timer between, so look again. */
	for (;;) {
		base = lock_base(t);
		if (t->armed)
			remove_timer(base, t);
		if (t->cpu == me)
			break;
		WRITE_ONCE(t->cpu, me);
		spin_unlock(&base->lock);
	}
	insert_timer(base, t, when);
	clock_program();
	spin_unlock_irqrestore(&base->lock, flags);
}

bool timer_cancel(struct timer *t)
{
	u64 flags = irq_save();
	struct timer_base *base = lock_base(t);
	bool armed = t->armed;

	if (armed)
		remove_timer(base, t);
	spin_unlock_irqrestore(&base->lock, flags);
	return armed;
}

bool timer_cancel_sync(struct timer *t)
{
	unsigned int spins = 0;

	for (;;) {
		u64 flags = irq_save();
		struct timer_base *base = lock_base(t);
		bool armed = t->armed, runs = base->running == t;

		if (armed)
			remove_timer(base, t);
		spin_unlock_irqrestore(&base->lock, flags);
		if (!runs)
			return armed;
		/* fn runs on another CPU: on this one it would have interrupted us, and be done. */
		cpu_relax(&spins);
	}
}

void clock_program(void)
{
	struct timer_base *base = &bases[this_cpu()->id];
	/* A timer of this base is armed only by this CPU, so the peek cannot miss an earlier one;
	 * one that is cancelled meanwhile costs an interrupt for nothing. */
	ktime_t want = READ_ONCE(base->first), slice = sched_slice_end();

	if (slice && slice < want)
		want = slice;
	if (want >= base->armed)
		return;
	base->armed = want;
	arch_timer_arm(want);
}

void clock_interrupt(void)
{
	struct timer_base *base = &bases[this_cpu()->id];
	struct timer *t;

	sched_idle_interrupted();
	base->armed = NEVER;
	spin_lock(&base->lock);
	while ((t = TAILQ_FIRST(&base->timers)) && t->when <= ktime_get()) {
		remove_timer(base, t);
		base->running = t;
		spin_unlock(&base->lock);
		t->fn(t);
		/* From here on only the address of @t is used: fn may have let it go. */
		spin_lock(&base->lock);
		base->running = NULL;
	}
	spin_unlock(&base->lock);
	sched_tick();
	clock_program();
}
