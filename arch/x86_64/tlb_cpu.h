/* SPDX-License-Identifier: MIT */
/*
 * tlb_cpu.h - what tlb.c and tlb_grace.c know of each CPU. Nobody else includes this.
 */
#ifndef ARCH_X86_64_TLB_CPU_H
#define ARCH_X86_64_TLB_CPU_H

#include "arch/x86_64/tlb.h"
#include "kernel/core/clock.h"

/* What an initiator asks of the CPUs in @pending. Written by the initiator before the interrupt is
 * sent; each target clears its own bit when it is done. */
struct tlb_request {
	cpumask_t pending;	       /* a */
	const struct tlb_batch *batch; /* lower half; or NULL */
	vaddr_t start, end;	       /* kernel half, when end != 0 */
	struct pgtable *drop;	       /* let go of this table; or NULL */
};

/* o: own CPU, interrupts off   a: atomic */
struct tlb_cpu {
	struct pgtable *loaded; /* o */
	u64 seen_gen;		/* o: generation of @loaded that this CPU reached */
	u64 passed;		/* a: grace period that it reached; own CPU writes (tlb_grace.c) */
	bool lazy;		/* a: own CPU writes, initiators read */
	struct timer tick;	/* o: flush=deferred: looks again */
	struct tlb_request request;
} __aligned(64);

extern struct tlb_cpu tlb_cpus[MAX_CPUS];

static inline cpumask_t cpu_bit(unsigned int cpu)
{
	return (cpumask_t)1 << cpu;
}

/* Interrupts off. This CPU forgets everything of the table that it has loaded. */
void tlb_forget_all(struct tlb_cpu *t);
/* Make all CPUs of @mask that are not lazy forget everything, now. This CPU is not among them:
 * preemption is off, interrupts on, and no spinlock is held. */
void tlb_interrupt_cpus(cpumask_t mask);

/* The last grace period that was asked for. */
extern u64 tlb_grace_asked; /* a */
/* Interrupts off: a table is in use here, so that ticks are needed if flush=deferred. */
void tlb_start_tick(struct tlb_cpu *t);

#endif
