/* SPDX-License-Identifier: MIT */
/*
 * smp.h - starting the other CPUs.
 */
#ifndef ARCH_X86_64_SMP_H
#define ARCH_X86_64_SMP_H

#include "arch/x86_64/asm/arch.h"

/* Set up descriptor tables, %gs, FPU, control registers of this CPU; @cpu 0 is the boot CPU, which
 * calls it before anything that counts, locks or prints (they use %gs), and before pgtable_boot()
 * (the loader's tables go with the low memory). */
void cpu_init(unsigned int cpu);
/* INIT-SIPI to every CPU that ACPI named, seconds of patience for each; one that does not come is
 * named in a line and left out. Returns how many run. cpus=n (argument) limits. May sleep. */
unsigned int smp_boot(void);
/* Needs memory for AP stacks and structures: given by mm at boot, like sched_init. */
void smp_set_memory(void *(*alloc_stack)(void));
/* Lowest address of the stack on which CPU @cpu started: STACK_SIZE bytes, its idle thread's. */
void *smp_first_stack(unsigned int cpu);
/* From the NMI and VEC_STOP: does not return once arch_stop_others() was called. */
void smp_stop_if_asked(void);
/* True, proved: a ring-0 store to a read-only page faults. Panics if not. */
void prove_write_protect(void);

#endif
