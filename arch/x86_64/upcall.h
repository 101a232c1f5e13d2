/* SPDX-License-Identifier: MIT */
/*
 * upcall.h - the few functions that arch calls in layers above it. Declared here, defined there.
 */
#ifndef ARCH_X86_64_UPCALL_H
#define ARCH_X86_64_UPCALL_H

#include "arch/x86_64/asm/frame.h"
#include "kernel/lib/types.h"

struct boot_info;

/*
 * kernel/mm/fault.c: a page fault at @addr. Called with interrupts as they were at the faulting
 * instruction. Returns when the instruction may be retried or @frame was pointed at a fixup; ends
 * the thread or panics otherwise.
 */
void handle_page_fault(struct trap_frame *frame, vaddr_t addr);

/*
 * kernel/mm/fault_fast.c: a store to @addr faulted, which is mapped read-only; @rflags are those of
 * the store. Interrupts off. True: it may be retried. False: ask handle_page_fault().
 */
bool fault_fast(vaddr_t addr, u64 rflags);

/* kernel/mm/vmap.c: what lies at @va, to tell a stack overflow from other double faults; or NULL.
 * Any context. */
const char *vmap_describe(vaddr_t va, char *buf, size_t size);

/* kernel/main.c: first C code, on the boot CPU, boot tables loaded, interrupts off. */
__noreturn void kmain(const struct boot_info *info);
/* kernel/main.c: first C code of CPU @cpu; its GDT, IDT, TSS, %gs, APIC and page tables are set. */
__noreturn void kmain_ap(unsigned int cpu);

#endif
