/* SPDX-License-Identifier: MIT */
/*
 * smp.c - how does a CPU become one of ours, and how is it stopped?
 *
 * Owns:  the AP trampoline (ap.asm, copied to low memory), its page tables, and the mailbox.
 * CPUs are started one after another; INIT goes to all first, so that its pause is paid once. A CPU
 * enters only with the ticket in the mailbox. When its time is up the ticket is withdrawn, and the
 * next CPU takes its number: whoever comes later parks itself, and harms nobody.
 */
#include "arch/x86_64/smp.h"

#include <string.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/asm/atomic.h"
#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/desc.h"
#include "arch/x86_64/pgtable.h"
#include "arch/x86_64/timer.h"
#include "arch/x86_64/tlb.h"
#include "arch/x86_64/uaccess.h"
#include "arch/x86_64/upcall.h"
#include "kernel/core/args.h"
#include "kernel/core/clock.h"
#include "kernel/core/percpu.h"
#include "kernel/core/printk.h"
#include "kernel/core/sched.h"
#include "kernel/lib/bug.h"

#define AP_BASE	    0x8000UL /* as ap.asm */
#define INIT_WAIT   (100 * NSEC_PER_USEC)
#define SIPI_AGAIN  (20 * NSEC_PER_MSEC)
#define INIT_AGAIN  (1 * NSEC_PER_SEC)
#define AP_PATIENCE (5 * NSEC_PER_SEC)
#define STOP_TURNS  200000

#define FPU_CONTROL 0x37f
#define FPU_MXCSR   0x1f80

enum ticket {
	AP_CLOSED,  /* nobody may enter */
	AP_OPEN,    /* one may */
	AP_CLAIMED, /* one has; it is in assembly, or in cpu_init() */
	AP_READY,   /* it is ours: on its way to kmain_ap() */
};

/* Offsets are known to ap.asm. */
struct ap_mailbox {
	u32 ticket; /* a: enum ticket */
	u32 cpu;
	u64 cr3, stack_top;
};

struct ap_mailbox ap_mailbox;
void ap_main(unsigned int cpu); /* from ap.asm */

extern const u8 ap_start[], ap_end[], ap_cr3[];

/* Static, since real mode loads 32 bits of CR3: the image is low, other frames need not be. */
static pte_t ap_tables[4][PTES_PER_TABLE] __aligned(PAGE_SIZE);

static void *(*alloc_stack)(void);
static void *first_stacks[MAX_CPUS];

static cpumask_t stopped; /* a */
static bool stopping;

static u64 max_cpus = MAX_CPUS;
ARG_UINT(cpus, max_cpus, "how many CPUs to use, at most (at boot)");
static u64 dead_cpu = ~0ULL;
ARG_UINT(dead_cpu, dead_cpu, "test: the APIC id of a CPU that never gets its start-up interrupt");

/* ---- one CPU -------------------------------------------------------------------------------- */

void cpu_init(unsigned int cpu)
{
	struct cpu *c = &cpus[cpu];
	u32 mxcsr = FPU_MXCSR;

	write_cr0((read_cr0() | CR0_WP | CR0_NE | CR0_MP) & ~(CR0_EM | CR0_TS));
	write_cr4(CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT);
	desc_init_cpu(cpu);
	c->self = c;
	c->id = cpu;
	c->apic_id = apic_id();
	wrmsr(MSR_GS_BASE, (u64)c);
	wrmsr(MSR_FS_BASE, 0);
	__asm__ volatile("fninit; ldmxcsr %0" ::"m"(mxcsr));
}

void arch_fpu_init(void *area)
{
	memset(area, 0, 512);
	*(u16 *)area = FPU_CONTROL;
	*(u32 *)((char *)area + 24) = FPU_MXCSR;
}

void prove_write_protect(void)
{
	static const u64 constant = 0x5afe5afe5afe5afe;
	static struct thread nobody; /* a fault belongs to a thread, and the boot has none yet */
	struct cpu *c = this_cpu();
	struct thread *before = c->current;
	int err;

	if (!(read_cr0() & CR0_WP))
		panic("CR0.WP is off");
	if (!before)
		c->current = &nobody;
	err = probe_store8((void *)&constant, 0);
	c->current = before;
	if (err >= 0 || READ_ONCE(constant) != 0x5afe5afe5afe5afe)
		panic("CR0.WP is set, but a store to a read-only page did not fault");
}

/* ---- starting ------------------------------------------------------------------------------- */

void smp_set_memory(void *(*alloc)(void))
{
	alloc_stack = alloc;
}

void *smp_first_stack(unsigned int cpu)
{
	return cpu ? first_stacks[cpu] : boot_stack;
}

void ap_main(unsigned int cpu)
{
	cpu_init(cpu);
	tlb_init_cpu();
	if (!atomic_cas(&ap_mailbox.ticket, AP_CLAIMED, AP_READY))
		return; /* too late: ap.asm parks it */
	apic_init_cpu();
	timer_init_cpu();
	kmain_ap(cpu);
}

/* Page AP_BASE where it is, read-execute, and the kernel's half. */
static void make_trampoline(void)
{
	u8 *page = phys_to_virt(AP_BASE);
	u32 cr3 = (u32)virt_to_phys(ap_tables[3]);

	memcpy(ap_tables[3], kernel_pgtable.root, sizeof(ap_tables[3]));
	for (unsigned int level = 3; level; level--)
		ap_tables[level][0] =
			pte_make(virt_to_phys(ap_tables[level - 1]), PGTABLE_TABLE_BITS);
	ap_tables[0][AP_BASE / PAGE_SIZE] = pte_make(AP_BASE, PTE_P | PTE_A);

	memcpy(page, ap_start, (size_t)(ap_end - ap_start));
	memcpy(page + (ap_cr3 - ap_start), &cr3, sizeof(cr3));
	ap_mailbox.cr3 = virt_to_phys(kernel_pgtable.root);
}

static void wait_ns(u64 ns)
{
	ktime_t end = ktime_get() + ns;
	unsigned int spins = 0;

	while (ktime_get() < end)
		cpu_relax(&spins);
}

/* Real hardware may miss a start-up interrupt, and firmware may have left a CPU in odd states. */
static void kick(u32 id, u64 waited, u64 *next_sipi, u64 *next_init)
{
	if (id == dead_cpu)
		return;
	if (waited >= *next_init) {
		*next_init += INIT_AGAIN;
		apic_send_init(id);
		wait_ns(10 * NSEC_PER_MSEC);
		*next_sipi = waited;
	}
	if (waited >= *next_sipi) {
		*next_sipi += SIPI_AGAIN;
		apic_send_startup(id, AP_BASE >> PAGE_SHIFT);
	}
}

/* True if it came. It is then on its way to kmain_ap(), and may already be there. */
static bool start_cpu(unsigned int cpu, u32 id)
{
	u64 next_sipi = 0, next_init = INIT_AGAIN, waited;
	ktime_t start = ktime_get();
	unsigned int spins = 0;

	ap_mailbox.cpu = cpu;
	ap_mailbox.stack_top = (u64)first_stacks[cpu] + STACK_SIZE;
	atomic_store(&ap_mailbox.ticket, AP_OPEN);
	do {
		u32 ticket = atomic_load(&ap_mailbox.ticket);

		waited = ktime_get() - start;
		if (ticket == AP_READY)
			break;
		if (ticket == AP_OPEN)
			kick(id, waited, &next_sipi, &next_init);
		cpu_relax(&spins);
	} while (waited < AP_PATIENCE);
	return atomic_xchg(&ap_mailbox.ticket, AP_CLOSED) == AP_READY;
}

/* It is ours by now and cannot fail; but it may be slow, and the run queues count on it. */
static void wait_online(unsigned int cpu)
{
	ktime_t end = ktime_get() + AP_PATIENCE;
	unsigned int spins = 0;

	while (!READ_ONCE(cpus[cpu].online)) {
		cpu_relax(&spins);
		if (ktime_get() > end)
			panic("CPU %u (APIC id %u) started, but was not ready within 5 s", cpu,
			      cpus[cpu].apic_id);
	}
}

unsigned int smp_boot(void)
{
	unsigned int found = acpi_nr_cpus(), limit = (unsigned int)min(max_cpus, (u64)found);
	unsigned int cpu = 1;

	if (limit < 1)
		limit = 1;
	if (limit < found)
		apic_forbid_shorthand();
	if (limit == 1)
		return 1;
	make_trampoline();
	for (unsigned int n = 1; n < limit; n++)
		apic_send_init(acpi_apic_id(n));
	wait_ns(INIT_WAIT);
	for (unsigned int n = 1; n < limit; n++) {
		u32 id = acpi_apic_id(n);

		/* A number that was not taken keeps its stack for the next. */
		if (!first_stacks[cpu])
			first_stacks[cpu] = alloc_stack();
		if (!first_stacks[cpu]) {
			printk("smp: no memory for the stack of CPU %u; going on with %u\n", cpu,
			       cpu);
			break;
		}
		if (start_cpu(cpu, id)) {
			wait_online(cpu++);
			continue;
		}
		printk("smp: CPU %u (APIC id %u) did not start within 5 s; going on without it\n",
		       cpu, id);
		apic_forbid_shorthand();
	}
	return cpu;
}

/* ---- stopping ------------------------------------------------------------------------------- */

void smp_stop_if_asked(void)
{
	if (!READ_ONCE(stopping))
		return;
	atomic_or(&stopped, 1U << this_cpu()->id);
	for (;;)
		__asm__ volatile("cli; hlt" ::: "memory");
}

/* The others may be doing anything: an NMI reaches them, and if one does not answer, so be it. */
void arch_stop_others(void)
{
	cpumask_t others = apic_ready_cpus();
	unsigned int spins = 0;

	if (!others)
		return; /* the APIC was never enabled: there is nobody else */
	others &= ~(1U << this_cpu()->id);
	if (!others || READ_ONCE(stopping))
		return;
	WRITE_ONCE(stopping, true);
	full_fence();
	apic_send_nmi_others();
	while ((atomic_load(&stopped) & others) != others && spins < STOP_TURNS)
		cpu_relax(&spins);
}
