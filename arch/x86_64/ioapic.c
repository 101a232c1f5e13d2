/* SPDX-License-Identifier: MIT */
/*
 * ioapic.c - the I/O APIC: where legacy (ISA) interrupts go. PCI devices use MSI-X and never come
 * here.
 *
 * Locks: none; boot CPU, while booting. Intel 82093AA.
 */
#include <errno.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/pgtable.h"
#include "kernel/core/percpu.h"

#define REG_VERSION 1
#define REG_ENTRY   0x10 /* two for each input */
#define ENTRY_LOW   (1U << 13)
#define ENTRY_LEVEL (1U << 15)
#define ENTRY_MASK  (1U << 16)

#define INTI_LOW   0x3 /* both bits of each: active low, */
#define INTI_LEVEL 0xc /* level triggered */

static volatile u32 *ioapic; /* [0] selects, [4] is the window */
static u32 gsi_base, nr_inputs;

static u32 ioapic_read(u32 reg)
{
	ioapic[0] = reg;
	return ioapic[4];
}

static void ioapic_write(u32 reg, u32 v)
{
	ioapic[0] = reg;
	ioapic[4] = v;
}

static int ioapic_find(void)
{
	paddr_t pa = acpi_ioapic(&gsi_base);

	if (ioapic)
		return 0;
	ioapic = pa ? pgtable_map_phys(pa, 0x20, PTE_W | PTE_NX | PTE_PCD | PTE_PWT) : NULL;
	if (!ioapic)
		return -ENODEV;
	nr_inputs = (ioapic_read(REG_VERSION) >> 16 & 0xff) + 1;
	for (u32 i = 0; i < nr_inputs; i++)
		ioapic_write(REG_ENTRY + 2 * i, ENTRY_MASK);
	return 0;
}

int ioapic_route_isa(unsigned int irq, u8 vector)
{
	u32 input, entry = vector;
	u16 flags;

	if (irq >= 16 || ioapic_find() < 0)
		return -ENODEV;
	input = acpi_isa_gsi(irq, &flags) - gsi_base;
	if (input >= nr_inputs)
		return -ENODEV;
	if ((flags & INTI_LOW) == INTI_LOW)
		entry |= ENTRY_LOW;
	if ((flags & INTI_LEVEL) == INTI_LEVEL)
		entry |= ENTRY_LEVEL;
	ioapic_write(REG_ENTRY + 2 * input + 1, cpus[0].apic_id << 24);
	ioapic_write(REG_ENTRY + 2 * input, entry);
	return 0;
}
