/* SPDX-License-Identifier: MIT */
/*
 * machine.c - leaving the machine, and looking back along a stack.
 */
#include "arch/x86_64/asm/arch.h"
#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/asm/frame.h"
#include "arch/x86_64/pgtable.h"
#include "arch/x86_64/serial.h"

#define PORT_DEBUG_EXIT 0xf4
#define PORT_PM1A	0x604 /* of QEMU's ACPI */
#define PM1A_SLEEP_S5	0x2000

extern const u8 isr_return[]; /* entry.asm */

void arch_exit(u8 code)
{
	irq_disable();
	serial_drain();
	outb(PORT_DEBUG_EXIT, code);
	outw(PORT_PM1A, PM1A_SLEEP_S5);
	for (;;)
		__asm__ volatile("cli; hlt" ::: "memory");
}

/* Two words at @rbp can be read, and could be a stack's. */
static bool frame_readable(u64 rbp)
{
	return rbp >= DIRECT_MAP_BASE && !(rbp & 7) && pgtable_kernel_mapped(rbp) &&
	       pgtable_kernel_mapped(rbp + 15);
}

unsigned int arch_backtrace(u64 rbp, u64 *pcs, unsigned int max)
{
	unsigned int n = 0;

	while (n < max && frame_readable(rbp)) {
		const u64 *words = (const u64 *)rbp;
		u64 next = words[0], pc = words[1];

		if (!pc)
			break;
		pcs[n++] = pc;
		/* The interrupted registers lie right above trap()'s frame: tell that place too. */
		if (pc == (u64)isr_return && n < max &&
		    pgtable_kernel_mapped(rbp + 16 + sizeof(struct trap_frame)))
			pcs[n++] = ((const struct trap_frame *)(rbp + 16))->rip;
		if (next == rbp)
			break;
		rbp = next;
	}
	return n;
}
