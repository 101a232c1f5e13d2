/* SPDX-License-Identifier: MIT */
/*
 * clock.h - what time it is, and calling back later.
 *
 * ktime_get(): nanoseconds since boot, monotonic, the same on all CPUs (TSC scaled by a ratio the
 * arch measured). clock_realtime(): nanoseconds since 1970 (RTC at boot + ktime).
 */
#ifndef KERNEL_CORE_CLOCK_H
#define KERNEL_CORE_CLOCK_H

#include <sys/queue.h>

#include "kernel/lib/types.h"

#define NSEC_PER_SEC  1000000000ULL
#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_USEC 1000ULL

/* arch tells, once: TSC frequency, TSC now, and the wall clock now in seconds since 1970. */
void clock_init(u64 tsc_hz, u64 realtime_sec);

ktime_t ktime_get(void);  /* any context */
u64 tsc_to_ns(u64 ticks); /* a difference of two TSC values */
u64 clock_realtime(void); /* any context */
u64 clock_tsc_hz(void);

/* TSC at the kernel's first instruction in C; boot is measured from here. kernel/main.c. */
extern u64 boot_tsc;

/* r: timer lock of the CPU it was armed on */
struct timer {
	ktime_t when;
	void (*fn)(struct timer *t); /* runs in interrupt context on that CPU */
	u32 cpu;
	bool armed;
	TAILQ_ENTRY(timer) link;
};

/* Arm @t on this CPU. Any context. Re-arming an armed timer moves it. A timer that was never armed
 * must be zero but for fn. */
void timer_arm(struct timer *t, ktime_t when);
/* True if it was armed and will not run; false if it ran, runs, or never was armed. Any context.
 * The caller of the false case may have to wait for fn itself. */
bool timer_cancel(struct timer *t);
/* The same, and when it returns fn does not run on any CPU, so that @t may go away. Thread context;
 * no lock held that fn takes. */
bool timer_cancel_sync(struct timer *t);
/* From the timer interrupt: runs what is due, re-arms the hardware. Interrupts off. */
void clock_interrupt(void);
/* Re-arm the hardware for min(first timer, end of slice); sched calls it. Interrupts off. */
void clock_program(void);

#endif
