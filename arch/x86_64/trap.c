/* SPDX-License-Identifier: MIT */
/*
 * trap.c - which function answers which interrupt or exception?
 *
 * Owns:  irq_depth, and STAT_IRQS.
 * Locks: none. Interrupts are off throughout, except in page faults that came with them on.
 * An interrupt is acknowledged (EOI) after its handler and before the interrupted thread may be
 * preempted, for it may not come back here soon.
 */
#include <errno.h>
#include <sys/cdefs.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/desc.h"
#include "arch/x86_64/smp.h"
#include "arch/x86_64/tlb.h"
#include "arch/x86_64/uaccess.h"
#include "arch/x86_64/upcall.h"
#include "kernel/core/clock.h"
#include "kernel/core/irq.h"
#include "kernel/core/panic.h"
#include "kernel/core/percpu.h"
#include "kernel/core/sched.h"
#include "kernel/lib/bug.h"

#define VEC_PIC_BASE 0x20 /* the masked legacy controllers; only spurious interrupts come */
#define VEC_PIC_END  0x30

static const char *const exception_names[32] = {
	"divide error",
	"debug",
	"NMI",
	"breakpoint",
	"overflow",
	"bound range",
	"invalid opcode",
	"no FPU",
	"double fault",
	"FPU segment overrun",
	"invalid TSS",
	"segment not present",
	"stack fault",
	"general protection",
	"page fault",
	"exception 15",
	"FPU error",
	"alignment check",
	"machine check",
	"SIMD error",
	"virtualization",
	"control protection",
};

void trap(struct trap_frame *frame); /* from entry.asm, interrupts off */

static void irq_enter(void)
{
	this_cpu()->irq_depth++;
	stat_inc(STAT_IRQS);
}

static void irq_exit(const struct trap_frame *f)
{
	struct cpu *cpu = this_cpu();

	apic_eoi();
	cpu->irq_depth--;
	if (cpu->need_resched && !cpu->preempt_count && !cpu->irq_depth &&
	    (f->rflags & RFLAGS_IF)) {
		/* Interrupts stay off until iretq: see there. */
		preempt_from_irq();
	}
}

/* CR2 belongs to this fault only until the next one, so it is read while interrupts are off. */
static void page_fault(struct trap_frame *f)
{
	vaddr_t addr = read_cr2();

	if (f->rflags & RFLAGS_IF)
		irq_enable();
	handle_page_fault(f, addr);
}

static __noinline void device_interrupt(struct trap_frame *f)
{
	irq_enter();
	irq_dispatch(f->vector);
	irq_exit(f);
}

static __noinline void timer_interrupt(struct trap_frame *f)
{
	irq_enter();
	tlb_pass();
	clock_interrupt();
	sched_tick();
	irq_exit(f);
}

/* The sender has set need_resched. */
static __noinline void reschedule_interrupt(struct trap_frame *f)
{
	irq_enter();
	irq_exit(f);
}

static __noinline void shootdown_interrupt(struct trap_frame *f)
{
	irq_enter();
	tlb_interrupt();
	irq_exit(f);
}

static __noinline void stop_interrupt(struct trap_frame *f)
{
	smp_stop_if_asked();
	irq_enter();
	irq_exit(f);
}

static __noinline __noreturn void double_fault(const struct trap_frame *f)
{
	vaddr_t addr = read_cr2();
	const char *guard = desc_guard_name(addr);
	char buf[80];

	if (!guard)
		guard = vmap_describe(addr, buf, sizeof(buf));
	panic_frame(f, "double fault, cr2 %#lx%s%s", (unsigned long)addr, guard ? ": " : "",
		    guard ? guard : "");
}

static __noinline void exception(struct trap_frame *f)
{
	const char *name = NULL;

	if (f->vector == VEC_GP && fixup_exception(f, -EFAULT))
		return;
	if (f->vector < ARRAY_SIZE(exception_names))
		name = exception_names[f->vector];
	panic_frame(f, "%s (vector %#lx, error %#lx)", name ? name : "unexpected interrupt",
		    (unsigned long)f->vector, (unsigned long)f->error);
}

/* Only panics send it; from elsewhere it means broken hardware. */
static __noinline void nmi(struct trap_frame *f)
{
	smp_stop_if_asked();
	exception(f);
}

/*
 * Every source of traps on one screen. Page faults are the hot ones; the others stand in functions
 * of their own, so that this one has nothing to keep across calls and hence nothing to save.
 */
void trap(struct trap_frame *f)
{
	switch (__builtin_expect(f->vector, VEC_PF)) {
	case VEC_PF: page_fault(f); return;
	case VEC_DF: double_fault(f);
	case VEC_NMI: nmi(f); return;
	case VEC_PIC_BASE ... VEC_PIC_END - 1:
	case VEC_SPURIOUS: return; /* neither wants an EOI */
	case VEC_IRQ_BASE ... VEC_IRQ_END - 1: device_interrupt(f); return;
	case VEC_TIMER: timer_interrupt(f); return;
	case VEC_RESCHEDULE: reschedule_interrupt(f); return;
	case VEC_TLB: shootdown_interrupt(f); return;
	case VEC_STOP: stop_interrupt(f); return;
	default: exception(f);
	}
}

/* ---- accesses that may fail: uaccess.asm ---------------------------------------------------- */

extern const struct {
	u64 start, end, fixup;
} fault_table[], fault_table_end[];

/* Where the access goes on if it fails; 0: it is none of those that may. */
static u64 find_fixup(const struct trap_frame *f)
{
	for (typeof(&fault_table[0]) e = fault_table; e < fault_table_end; e++)
		if (f->rip >= e->start && f->rip < e->end)
			return e->fixup;
	return 0;
}

bool fault_has_fixup(const struct trap_frame *f)
{
	return find_fixup(f) != 0;
}

bool fixup_exception(struct trap_frame *f, s64 error)
{
	u64 fixup = find_fixup(f);

	if (!fixup)
		return false;
	f->rip = fixup;
	f->rax = (u64)error;
	return true;
}
