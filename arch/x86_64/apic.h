/* SPDX-License-Identifier: MIT */
/*
 * apic.h - local APIC (xAPIC, or x2APIC where the CPU has it), I/O APIC, and the ACPI tables that
 * say where they are.
 */
#ifndef ARCH_X86_64_APIC_H
#define ARCH_X86_64_APIC_H

#include "arch/x86_64/asm/arch.h"

struct boot_info;

/* Find CPUs and APICs: ACPI MADT, or fw_cfg's CPU count with APIC ids 0..n-1. Boot CPU, once.
 * A missing table is a printed sentence and one CPU. */
void acpi_init(const struct boot_info *info);
unsigned int acpi_nr_cpus(void);    /* usable ones, at most MAX_CPUS; more are named and left */
u32 acpi_apic_id(unsigned int n);   /* of the n-th; the boot CPU is the 0-th */
u16 acpi_pm_timer_port(void);	    /* 0: none */
paddr_t acpi_hpet(void);	    /* registers; 0: no HPET table */
paddr_t acpi_ioapic(u32 *gsi_base); /* the one that serves ISA interrupts; 0: none */
/* The global interrupt of ISA @irq; @flags: MPS INTI flags of an override, or 0. */
u32 acpi_isa_gsi(unsigned int irq, u16 *flags);

void apic_init_cpu(void); /* enable this CPU's local APIC */
u32 apic_id(void);	  /* of this CPU, by CPUID: works before apic_init_cpu() */
void apic_eoi(void);
/* One ICR write each. @mask: CPUs by number, never empty; a shorthand is used when it is exactly
 * all others, else one write per CPU. Returns the number of ICR writes. Any context. */
unsigned int apic_send_ipi_mask(cpumask_t mask, u8 vector);
void apic_send_ipi(unsigned int cpu, u8 vector);
cpumask_t apic_ready_cpus(void); /* have called apic_init_cpu() */
/* A CPU exists that is not ours: "all others" would reach it too, so no shorthand from now on. */
void apic_forbid_shorthand(void);
void apic_send_init(u32 apic_id);
void apic_send_startup(u32 apic_id, u8 page);
void apic_send_nmi_others(void);

/* This CPU's timer: one-shot, counts down every 16th tick of its clock; 0 stops it. */
void apic_timer_setup(u8 vector);
void apic_timer_set(u32 count);
u32 apic_timer_left(void);

/* Route legacy ISA interrupt @irq (MADT overrides applied) to @vector on the boot CPU. 0 or
 * -ENODEV. */
int ioapic_route_isa(unsigned int irq, u8 vector);
/* Address and data that make a PCI device raise @vector on @cpu (MSI, MSI-X). */
void apic_msi_message(unsigned int cpu, u8 vector, u64 *address, u32 *data);

#endif
