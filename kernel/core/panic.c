/* SPDX-License-Identifier: MIT */
/*
 * panic.c - the kernel cannot go on: tell all that is known, leave with a failing status.
 *
 * Owns:  debug_checks, and who may speak last.
 * The first CPU that panics speaks; the others are stopped, and one that panics meanwhile stays
 * silent. Nothing here takes a lock for granted: whoever holds it will never release it.
 */
#include "kernel/core/panic.h"

#include <string.h>

#include "arch/x86_64/asm/arch.h"
#include "arch/x86_64/asm/atomic.h"
#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/asm/frame.h"
#include "kernel/core/args.h"
#include "kernel/core/lockrank.h"
#include "kernel/core/printk.h"
#include "kernel/core/sched.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"

#define BACKTRACE_MAX 32
#define TRACE_TAIL    32

static const char last_line[] = "dirtybit: done: panic\n";

bool debug_checks;
ARG_BOOL(debug, debug_checks, "check lock order and walk data structures (slow); at boot only");

static u32 panicking; /* 0, or 1 + id of the CPU that speaks */

/* The right to speak. Does not return to a CPU that came second. */
static void become_speaker(void)
{
	u32 me = this_cpu()->id + 1;

	if (atomic_cas(&panicking, 0, me))
		return;
	if (READ_ONCE(panicking) != me)
		for (;;) {
			irq_disable();
			__asm__ volatile("hlt");
		}
	/* A panic on the way through a panic: what was to be told is broken too. */
	console_write(last_line, strlen(last_line));
	arch_exit(EXIT_PANIC);
}

static void print_registers(const struct trap_frame *f)
{
	char sym[96];

	printk("  vector %lu error %#lx cr2 0x%016lx cr3 %#lx\n", (unsigned long)f->vector,
	       (unsigned long)f->error, (unsigned long)read_cr2(), (unsigned long)read_cr3());
	printk("  rip 0x%016lx %s\n", (unsigned long)f->rip, ksym(f->rip, sym, sizeof(sym)));
	printk("  rsp 0x%016lx ss %#lx cs %#lx rflags %#lx\n", (unsigned long)f->rsp,
	       (unsigned long)f->ss, (unsigned long)f->cs, (unsigned long)f->rflags);
	printk("  rax 0x%016lx rbx 0x%016lx rcx 0x%016lx\n", (unsigned long)f->rax,
	       (unsigned long)f->rbx, (unsigned long)f->rcx);
	printk("  rdx 0x%016lx rsi 0x%016lx rdi 0x%016lx\n", (unsigned long)f->rdx,
	       (unsigned long)f->rsi, (unsigned long)f->rdi);
	printk("  rbp 0x%016lx r8  0x%016lx r9  0x%016lx\n", (unsigned long)f->rbp,
	       (unsigned long)f->r8, (unsigned long)f->r9);
	printk("  r10 0x%016lx r11 0x%016lx r12 0x%016lx\n", (unsigned long)f->r10,
	       (unsigned long)f->r11, (unsigned long)f->r12);
	printk("  r13 0x%016lx r14 0x%016lx r15 0x%016lx\n", (unsigned long)f->r13,
	       (unsigned long)f->r14, (unsigned long)f->r15);
}

/* Without a frame: where panic() was called and what the CPU holds now; the caller-saved registers
 * are gone. */
static void print_registers_here(u64 rbp)
{
	const u64 *frame = (const u64 *)rbp; /* panic()'s own: saved rbp, return address */
	char sym[96];
	u64 rbx, r12, r13, r14, r15;

	__asm__ volatile("mov %%rbx, %0; mov %%r12, %1; mov %%r13, %2; mov %%r14, %3; mov %%r15, %4"
			 : "=m"(rbx), "=m"(r12), "=m"(r13), "=m"(r14), "=m"(r15));
	printk("  rip 0x%016lx %s\n", (unsigned long)frame[1], ksym(frame[1], sym, sizeof(sym)));
	printk("  rsp 0x%016lx rbp 0x%016lx rflags %#lx\n", (unsigned long)(rbp + 16),
	       (unsigned long)frame[0], (unsigned long)read_rflags());
	printk("  cr0 %#lx cr2 0x%016lx cr3 %#lx cr4 %#lx\n", (unsigned long)read_cr0(),
	       (unsigned long)read_cr2(), (unsigned long)read_cr3(), (unsigned long)read_cr4());
	printk("  rbx 0x%016lx r12 0x%016lx r13 0x%016lx\n", (unsigned long)rbx, (unsigned long)r12,
	       (unsigned long)r13);
	printk("  r14 0x%016lx r15 0x%016lx\n", (unsigned long)r14, (unsigned long)r15);
}

static void print_backtrace(u64 rbp)
{
	u64 pcs[BACKTRACE_MAX];
	unsigned int n = arch_backtrace(rbp, pcs, BACKTRACE_MAX);
	char sym[96];

	printk("back trace:\n");
	for (unsigned int i = 0; i < n; i++)
		printk("  0x%016lx %s\n", (unsigned long)pcs[i], ksym(pcs[i], sym, sizeof(sym)));
}

static __noreturn void tell_and_exit(const struct trap_frame *frame, u64 rbp, const char *fmt,
				     va_list ap)
{
	struct thread *t;

	irq_disable();
	become_speaker();
	/* From here on nothing may panic for being called with the wrong locks. */
	debug_checks = false;
	trace_on = false;
	console_force();
	arch_stop_others();
	t = current_thread();
	printk("\npanic: CPU %u thread %u (%s): ", this_cpu()->id, t ? t->id : 0,
	       t ? t->name : "before the first thread");
	vprintk(fmt, ap);
	printk("\n");
	if (frame)
		print_registers(frame);
	else
		print_registers_here(rbp);
	print_backtrace(rbp);
	printk("held locks:\n");
	lockrank_dump();
	printk("last events:\n");
	trace_dump(TRACE_TAIL);
	printk("counters:\n");
	stats_print();
	printk("threads:\n");
	sched_dump();
	console_write(last_line, strlen(last_line));
	arch_exit(EXIT_PANIC);
}

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell_and_exit(NULL, (u64)__builtin_frame_address(0), fmt, ap);
}

void panic_frame(const struct trap_frame *frame, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell_and_exit(frame, frame->rbp, fmt, ap);
}
