/* SPDX-License-Identifier: MIT */
/*
 * apic.c - the local APIC: interrupts between CPUs, their acknowledgement, the timer's registers.
 *
 * Owns:  each CPU's local APIC; STAT_TLB_ICR_WRITES.
 * Registers are in memory (xAPIC) or, where the CPU has x2APIC, are MSRs. Physical destinations
 * only. Intel SDM vol. 3, chapter 10.
 */
#include "arch/x86_64/apic.h"

#include "arch/x86_64/asm/atomic.h"
#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/asm/frame.h"
#include "arch/x86_64/pgtable.h"
#include "kernel/core/percpu.h"
#include "kernel/lib/bug.h"

#define MSR_APIC_BASE	  0x1b
#define APIC_BASE_ENABLE  (1UL << 11)
#define APIC_BASE_X2APIC  (1UL << 10)
#define MSR_X2APIC	  0x800
#define CPUID_X2APIC	  (1U << 21)
#define CPUID_LEAF_X2APIC 0x0b

#define REG_TPR		0x080
#define REG_EOI		0x0b0
#define REG_SVR		0x0f0
#define REG_ESR		0x280
#define REG_ICR		0x300
#define REG_ICR_HIGH	0x310
#define REG_LVT_TIMER	0x320
#define REG_LVT_THERMAL 0x330
#define REG_LVT_PERF	0x340
#define REG_LVT_LINT0	0x350
#define REG_LVT_LINT1	0x360
#define REG_LVT_ERROR	0x370
#define REG_TIMER_INIT	0x380
#define REG_TIMER_LEFT	0x390
#define REG_TIMER_DIV	0x3e0

#define SVR_ENABLE     0x100
#define LVT_MASKED     0x10000
#define LVT_NMI	       0x400
#define DIV_16	       0x3
#define ICR_FIXED      0x4000 /* level: assert */
#define ICR_NMI	       0x4400
#define ICR_INIT       0x4500
#define ICR_STARTUP    0x4600
#define ICR_PENDING    0x1000
#define ICR_ALL_OTHERS 0xc0000

#define MSI_ADDRESS 0xfee00000

static volatile u32 *lapic; /* NULL with x2APIC */
static bool x2apic;
static cpumask_t ready; /* a */
static bool no_shorthand;

static u32 apic_read(u32 reg)
{
	if (x2apic)
		return (u32)rdmsr(MSR_X2APIC + (reg >> 4));
	return lapic[reg / 4];
}

static void apic_write(u32 reg, u32 v)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + (reg >> 4), v);
	else
		lapic[reg / 4] = v;
}

u32 apic_id(void)
{
	u32 a, b, c, d, max;

	cpuid(0, 0, &max, &b, &c, &d);
	if (max >= CPUID_LEAF_X2APIC) {
		cpuid(CPUID_LEAF_X2APIC, 0, &a, &b, &c, &d);
		if (b)
			return d;
	}
	cpuid(1, 0, &a, &b, &c, &d);
	return b >> 24;
}

/* The two legacy controllers: moved out of the exceptions' way, and silenced. */
static void pic_disable(void)
{
	static const struct {
		u16 port;
		u8 value;
	} words[] = {
		{ 0x20, 0x11 }, { 0xa0, 0x11 }, { 0x21, 0x20 }, { 0xa1, 0x28 }, { 0x21, 4 },
		{ 0xa1, 2 },	{ 0x21, 1 },	{ 0xa1, 1 },	{ 0x21, 0xff }, { 0xa1, 0xff }
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++)
		outb(words[i].port, words[i].value);
}

/* Boot CPU: how are the registers reached? */
static void apic_find(void)
{
	u32 a, b, c, d;

	pic_disable();
	cpuid(1, 0, &a, &b, &c, &d);
	x2apic = c & CPUID_X2APIC;
	if (x2apic)
		return;
	lapic = pgtable_map_phys(rdmsr(MSR_APIC_BASE) & PTE_ADDR, PAGE_SIZE,
				 PTE_W | PTE_NX | PTE_PCD | PTE_PWT);
	if (!lapic)
		panic("the local APIC at 0x%lx is out of reach",
		      (unsigned long)(rdmsr(MSR_APIC_BASE) & PTE_ADDR));
}

void apic_init_cpu(void)
{
	u64 base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

	if (!x2apic && !lapic)
		apic_find();
	wrmsr(MSR_APIC_BASE, base);
	if (x2apic)
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
	apic_write(REG_SVR, SVR_ENABLE | VEC_SPURIOUS);
	apic_write(REG_TPR, 0);
	apic_write(REG_LVT_TIMER, LVT_MASKED);
	apic_write(REG_LVT_THERMAL, LVT_MASKED);
	apic_write(REG_LVT_PERF, LVT_MASKED);
	apic_write(REG_LVT_LINT0, LVT_MASKED);
	apic_write(REG_LVT_LINT1, LVT_NMI);
	apic_write(REG_LVT_ERROR, LVT_MASKED);
	apic_write(REG_ESR, 0);
	apic_write(REG_EOI, 0);
	atomic_or(&ready, 1U << this_cpu()->id);
}

cpumask_t apic_ready_cpus(void)
{
	return atomic_load(&ready);
}

void apic_forbid_shorthand(void)
{
	no_shorthand = true;
}

void apic_eoi(void)
{
	apic_write(REG_EOI, 0);
}

/* ---- interrupts to other CPUs --------------------------------------------------------------- */

/*
 * In memory the command is two words: an interrupt handler between them would send ours elsewhere.
 * As an MSR it is one, but not ordered after the stores that the receiver is to see.
 */
static void icr_write(u32 dest, u32 command)
{
	unsigned int spins = 0;
	u64 flags;

	if (x2apic) {
		full_fence();
		wrmsr(MSR_X2APIC + (REG_ICR >> 4), (u64)dest << 32 | command);
		return;
	}
	flags = irq_save();
	while (unlikely(lapic[REG_ICR / 4] & ICR_PENDING))
		cpu_relax(&spins);
	lapic[REG_ICR_HIGH / 4] = dest << 24;
	lapic[REG_ICR / 4] = command;
	irq_restore(flags);
}

void apic_send_ipi(unsigned int cpu, u8 vector)
{
	if (vector == VEC_TLB)
		stat_inc(STAT_TLB_ICR_WRITES);
	icr_write(cpus[cpu].apic_id, ICR_FIXED | vector);
}

unsigned int apic_send_ipi_mask(cpumask_t mask, u8 vector)
{
	cpumask_t others = atomic_load(&ready) & ~(1U << this_cpu()->id);
	unsigned int sent = 0;

	if (mask == others && !no_shorthand) {
		if (vector == VEC_TLB)
			stat_inc(STAT_TLB_ICR_WRITES);
		icr_write(0, ICR_ALL_OTHERS | ICR_FIXED | vector);
		return 1;
	}
	for (; mask; mask &= mask - 1, sent++)
		apic_send_ipi((unsigned int)__builtin_ctz(mask), vector);
	return sent;
}

void apic_send_init(u32 id)
{
	icr_write(id, ICR_INIT);
}

void apic_send_startup(u32 id, u8 page)
{
	icr_write(id, ICR_STARTUP | page);
}

/* One by one: a CPU that has not come far enough to take an NMI must not get one. */
void apic_send_nmi_others(void)
{
	cpumask_t mask = atomic_load(&ready) & ~(1U << this_cpu()->id);

	for (; mask; mask &= mask - 1)
		icr_write(cpus[__builtin_ctz(mask)].apic_id, ICR_NMI);
}

void arch_send_reschedule(unsigned int cpu)
{
	apic_send_ipi(cpu, VEC_RESCHEDULE);
}

void apic_msi_message(unsigned int cpu, u8 vector, u64 *address, u32 *data)
{
	*address = MSI_ADDRESS | (u64)(cpus[cpu].apic_id & 0xff) << 12;
	*data = vector; /* edge, fixed, physical */
}

/* ---- timer ---------------------------------------------------------------------------------- */

void apic_timer_setup(u8 vector)
{
	apic_write(REG_TIMER_DIV, DIV_16);
	apic_write(REG_LVT_TIMER, vector);
}

void apic_timer_set(u32 count)
{
	apic_write(REG_TIMER_INIT, count);
}

u32 apic_timer_left(void)
{
	return apic_read(REG_TIMER_LEFT);
}
