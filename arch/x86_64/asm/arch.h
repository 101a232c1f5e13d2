/* SPDX-License-Identifier: MIT */
/*
 * arch.h - the address-space layout, and the few things that arch must provide to kernel/core.
 *
 * Core lies below arch, so it declares here what it needs and arch defines it.
 */
#ifndef ARCH_X86_64_ASM_ARCH_H
#define ARCH_X86_64_ASM_ARCH_H

#include "kernel/lib/types.h"

/*
 *	0000000000001000 .. 00007fffffffffff	mappings of programs: one pgtable per mm
 *	ffff888000000000 + physical		direct map of all memory, 4 KiB pages, NX
 *	ffffc90000000000 ..			vmap: stacks with guard pages, device registers
 *	ffffea0000000000 + 64 * pfn		struct page of every frame
 *	ffffffff80000000 + physical		the kernel's image, W^X
 * The upper half is shared by every pgtable: its top-level entries are made once at boot and never
 * change afterwards.
 */
#define USER_START	0x0000000000001000UL
#define USER_END	0x0000800000000000UL
#define DIRECT_MAP_BASE 0xffff888000000000UL
#define VMAP_BASE	0xffffc90000000000UL
#define VMAP_END	0xffffc98000000000UL
#define VMEMMAP_BASE	0xffffea0000000000UL
#define KERNEL_BASE	0xffffffff80000000UL

static inline void *phys_to_virt(paddr_t pa)
{
	return (void *)(DIRECT_MAP_BASE + pa);
}

/* For addresses of the direct map or of the kernel's image. */
static inline paddr_t virt_to_phys(const volatile void *va)
{
	u64 v = (u64)va;

	return v >= KERNEL_BASE ? v - KERNEL_BASE : v - DIRECT_MAP_BASE;
}

#define MAX_CPUS 16
typedef u32 cpumask_t; /* bit n: CPU n */

struct thread;
struct pgtable;

/* --- provided by arch/x86_64, used by kernel/core --- */

/* Save callee-saved registers and the stack pointer at *@save_sp, load @next_sp, return on the
 * other stack. Interrupts off. switch.asm. */
void arch_switch_stack(u64 *save_sp, u64 next_sp);
/* Prepare a new stack so that the first switch to it calls thread_start(@t). Returns the sp. */
u64 arch_prepare_stack(void *stack_top, struct thread *t);

/* fxsave/fxrstor of 512 bytes, 16-aligned; a fresh area for a new thread. */
void arch_fpu_save(void *area);
void arch_fpu_restore(const void *area);
void arch_fpu_reset(void); /* as a function of C may find it */
void arch_fpu_init(void *area);

/* Use @next's translations on this CPU; NULL: none needed, stay lazily on what is loaded.
 * Interrupts off. arch/x86_64/tlb.c. */
void arch_switch_pgtable(struct pgtable *next);

/* Interrupt CPU @cpu so that it looks at need_resched. */
void arch_send_reschedule(unsigned int cpu);
/* Arm this CPU's one-shot timer for absolute time @when (ktime_get() scale); the past means soon.
 * Interrupts off. */
void arch_timer_arm(ktime_t when);
void arch_timer_disarm(void);

/* Make the other CPUs stop (NMI or VEC_STOP), for panic. Best effort, any context. */
void arch_stop_others(void);
/* Leave QEMU by isa-debug-exit with @code, after the serial line drained; else power off, else
 * halt. 0x10 pass, 0x11 fail, 0x12 panic. */
__noreturn void arch_exit(u8 code);
#define EXIT_PASS  0x10
#define EXIT_FAIL  0x11
#define EXIT_PANIC 0x12

/* One byte to the serial console, polled; any context. */
void arch_console_putc(char c);

/* Walk frame pointers from @rbp; store up to @max return addresses; returns how many. Reads only
 * addresses that are mapped kernel stack. */
unsigned int arch_backtrace(u64 rbp, u64 *pcs, unsigned int max);

#endif
