/* SPDX-License-Identifier: MIT */
/*
 * percpu.c - the CPUs' own memory.
 *
 * Owns:  cpus[], nr_cpus, and the promise that the offsets in assembly and inlines are right.
 * What never changes is filled in by the compiler, so that a spinlock works before anything ran.
 */
#include "kernel/core/percpu.h"

#include "kernel/core/trace.h"

#define CPU(n) [n] = { .self = &cpus[n], .id = (n), .lock_id = (n) + 1, .trace = &trace_rings[n] }

struct cpu cpus[MAX_CPUS] = {
	CPU(0), CPU(1), CPU(2),	 CPU(3),  CPU(4),  CPU(5),  CPU(6),  CPU(7),
	CPU(8), CPU(9), CPU(10), CPU(11), CPU(12), CPU(13), CPU(14), CPU(15),
};
_Static_assert(MAX_CPUS == 16, "one line above for each");

unsigned int nr_cpus;

/* percpu.h, spinlock.h, stat.h and entry.asm say these numbers. */
_Static_assert(offsetof(struct cpu, self) == 0, "gs:0");
_Static_assert(offsetof(struct cpu, current) == 8, "gs:8");
_Static_assert(offsetof(struct cpu, preempt_count) == 16, "gs:16");
_Static_assert(offsetof(struct cpu, need_resched) == 20, "gs:20");
_Static_assert(offsetof(struct cpu, irq_depth) == 24, "gs:24");
_Static_assert(offsetof(struct cpu, id) == 28, "gs:28");
_Static_assert(offsetof(struct cpu, lock_id) == 36, "gs:36");
