/* SPDX-License-Identifier: MIT */
/*
 * timer.h - measuring the TSC and the local APIC timer; the CMOS clock.
 */
#ifndef ARCH_X86_64_TIMER_H
#define ARCH_X86_64_TIMER_H

#include "kernel/lib/types.h"

/* Boot CPU: measure TSC and APIC timer against HPET, PM timer or PIT (a few milliseconds, ratio of
 * two readings), read the RTC, call clock_init(). */
void timer_init(void);
void timer_init_cpu(void); /* this CPU's APIC timer: one-shot, VEC_TIMER */

#endif
