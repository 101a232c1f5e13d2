/* SPDX-License-Identifier: MIT */
/*
 * percpu.h - what each CPU owns, and the two instructions that reach it through %gs.
 *
 * this_cpu() is stable only while preemption is off (or the thread is pinned).
 */
#ifndef KERNEL_CORE_PERCPU_H
#define KERNEL_CORE_PERCPU_H

#include "arch/x86_64/asm/arch.h"
#include "kernel/core/stat.h"
#include "kernel/lib/types.h"

struct thread;
struct trace_ring;

/* Every field is written by its own CPU only, unless said; s: constant from the start (percpu.c).
 * Offsets are known to asm and inlines. */
struct cpu {
	struct cpu *self;	/* gs:0 */
	struct thread *current; /* gs:8 */
	int preempt_count;	/* gs:16: >0: no preemption: spinlocks held and preempt_disable */
	int need_resched;	/* gs:20: any CPU sets it */
	int irq_depth;		/* gs:24: >0: in an interrupt handler */
	u32 id;			/* gs:28: 0 .. nr_cpus-1; s */
	u32 apic_id;
	u16 lock_id;		  /* gs:36: id + 1, what a spinlock holds that this CPU holds; s */
	bool online;		  /* set once by the CPU when it may run threads */
	struct thread *idle;	  /* runs when nothing else can */
	u64 idle_tsc;		  /* ticks spent halted, see sched_idle_tsc() */
	u64 stats[NR_STATS];	  /* named counters, kernel/core/stat.h */
	u64 halted_since;	  /* 0: not halted; others peek */
	struct trace_ring *trace; /* s */
};

extern struct cpu cpus[MAX_CPUS];
/* Online; grows while booting (sched_init_cpu), then constant. */
extern unsigned int nr_cpus;

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	/* Volatile: two calls with a sleep between them may have two answers. */
	__asm__ volatile("movq %%gs:0, %0" : "=r"(c));
	return c;
}

static inline struct thread *current_thread(void)
{
	struct thread *t;

	/* Not volatile: the value is the same for as long as the asking thread runs. */
	__asm__("movq %%gs:8, %0" : "=r"(t));
	return t;
}

static inline int preempt_count(void)
{
	int n;

	__asm__ volatile("movl %%gs:16, %0" : "=r"(n)::"memory");
	return n;
}

static inline void preempt_disable(void)
{
	__asm__ volatile("incl %%gs:16" ::: "memory", "cc");
}

void preempt_from_irq(void); /* sched.c: the same at the end of an interrupt; interrupts off */
void preempt_check(void);    /* sched.c: yield if need_resched and allowed */

static inline void preempt_enable(void)
{
	bool zero, need;

	__asm__ volatile("decl %%gs:16" : "=@ccz"(zero)::"memory");
	if (zero) {
		__asm__ volatile("cmpl $0, %%gs:20" : "=@ccnz"(need)::"memory");
		if (unlikely(need))
			preempt_check();
	}
}

static inline bool in_irq(void)
{
	int n;

	__asm__ volatile("movl %%gs:24, %0" : "=r"(n)::"memory");
	return n != 0;
}

#endif
