/* SPDX-License-Identifier: MIT */
/*
 * desc.h - descriptor tables, and the stacks that exist before any allocator does.
 */
#ifndef ARCH_X86_64_DESC_H
#define ARCH_X86_64_DESC_H

#include "arch/x86_64/asm/arch.h"

/* Load GDT, IDT and TSS of CPU @cpu. The IDT is made by CPU 0, before the others run. */
void desc_init_cpu(unsigned int cpu);

/* What the guard page at @va protects, or NULL: a page of the kernel's image that pgtable_boot()
 * leaves unmapped. */
const char *desc_guard_name(vaddr_t va);

/* start.asm: the stack on which CPU 0 starts, STACK_SIZE bytes, a guard page below. */
extern u8 boot_stack[], boot_stack_top[];

#endif
