/* SPDX-License-Identifier: MIT */
/*
 * timer.c - how fast do the TSC and the local APIC timer run, and what time is it?
 *
 * Owns:  the APIC timer's rate, and the CMOS clock.
 * A rate is the ratio of two differences: TSC and reference are read back to back at two moments,
 * however long lies between. So a host that stops us in the middle does no harm; and the time
 * between is spent halted, which an emulator that counts instructions gives for free. The reference
 * is the HPET, the ACPI PM timer, or channel 2 of the PIT.
 */
#include "arch/x86_64/timer.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/asm/frame.h"
#include "arch/x86_64/pgtable.h"
#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/lib/bug.h"

#define HPET_USUAL	0xfed00000
#define HPET_SIZE	0x400
#define HPET_PERIOD	(0x004 / 4) /* femtoseconds */
#define HPET_CONFIG	(0x010 / 4)
#define HPET_COUNTER	(0x0f0 / 4)
#define HPET_MAX_PERIOD 100000000
#define HPET_MIN_PERIOD 100000
#define FEMTO		1000000000000000ULL

#define PM_TIMER_HZ   3579545
#define PM_TIMER_MASK 0xffffff
#define PIT_HZ	      1193182
#define PIT_CH2	      0x42
#define PIT_COMMAND   0x43
#define PIT_GATE      0x61

#define SLEEP_TICKS  125000 /* 2 ms of a 1 GHz APIC timer by 16; less than the PIT's 55 ms */
#define APIC_NS	     200000
#define SAMPLE_TRIES 6
#define MAX_SLEEP    (60 * NSEC_PER_SEC)

#define CMOS_INDEX   0x70
#define CMOS_DATA    0x71
#define RTC_STATUS_A 0x0a
#define RTC_STATUS_B 0x0b
#define RTC_CENTURY  0x32
#define RTC_UPDATING 0x80
#define RTC_BINARY   0x04
#define RTC_24H	     0x02
#define RTC_TRIES    1000000

struct reference {
	const char *name;
	u64 hz, mask;
	u64 (*read)(void); /* counts upwards */
};

struct sample {
	u64 tsc, ref;
};

static volatile u32 *hpet;
static u16 pm_port;
static u64 ticks_per_ns_32; /* APIC timer ticks per ns, 32 bits of fraction */

/* ---- references ----------------------------------------------------------------------------- */

static u64 hpet_read(void)
{
	return hpet[HPET_COUNTER];
}

static u64 pm_read(void)
{
	return inl(pm_port);
}

static u64 pit_read(void)
{
	u8 lo;

	outb(PIT_COMMAND, 0x80); /* latch channel 2 */
	lo = inb(PIT_CH2);
	return 0xffff - (lo | inb(PIT_CH2) << 8); /* it counts downwards */
}

static u64 apic_read_timer(void)
{
	return 0xffffffff - apic_timer_left();
}

static bool find_hpet(struct reference *ref, paddr_t pa)
{
	u32 period;

	if (!pa)
		return false;
	hpet = pgtable_map_phys(pa, HPET_SIZE, PTE_W | PTE_NX | PTE_PCD | PTE_PWT);
	if (!hpet)
		return false;
	period = hpet[HPET_PERIOD];
	if (period < HPET_MIN_PERIOD || period > HPET_MAX_PERIOD)
		return false;
	hpet[HPET_CONFIG] |= 1; /* count */
	*ref = (struct reference){ "HPET", FEMTO / period, 0xffffffff, hpet_read };
	return true;
}

static bool find_pm_timer(struct reference *ref)
{
	unsigned int spins = 0;
	u64 first;

	pm_port = acpi_pm_timer_port();
	if (!pm_port)
		return false;
	first = pm_read();
	while (pm_read() == first && spins < 10000) /* some firmware names a port that is dead */
		cpu_relax(&spins);
	if (pm_read() == first)
		return false;
	*ref = (struct reference){ "PM timer", PM_TIMER_HZ, PM_TIMER_MASK, pm_read };
	return true;
}

static void find_reference(struct reference *ref)
{
	if (find_hpet(ref, acpi_hpet()) || find_pm_timer(ref) || find_hpet(ref, HPET_USUAL))
		return;
	outb(PIT_GATE, (inb(PIT_GATE) & ~2) | 1); /* gate on, speaker off */
	outb(PIT_COMMAND, 0xb0);		  /* channel 2, both bytes, mode 0 */
	outb(PIT_CH2, 0xff);
	outb(PIT_CH2, 0xff);
	*ref = (struct reference){ "PIT", PIT_HZ, 0xffff, pit_read };
}

/* ---- measuring ------------------------------------------------------------------------------ */

/* The tightest of a few tries: in between, a host may have run something else. */
static struct sample take_sample(u64 (*read)(void))
{
	struct sample best = { 0, 0 };
	u64 least = ~0ULL;

	for (unsigned int i = 0; i < SAMPLE_TRIES; i++) {
		u64 before = rdtsc(), ref = read(), after = rdtsc();

		if (after - before >= least)
			continue;
		least = after - before;
		best = (struct sample){ before + least / 2, ref };
	}
	return best;
}

/* @hz of the thing that @dividend counted while a thing of @divisor_hz counted @divisor. */
static u64 ratio(u64 dividend, u64 divisor, u64 divisor_hz)
{
	if (!divisor)
		panic("timer: the reference clock stands still");
	return dividend * divisor_hz / divisor;
}

/* The interrupt only has to wake us; VEC_RESCHEDULE does nothing else. */
static void sleep_a_little(void)
{
	u64 flags = irq_save();

	apic_timer_setup(VEC_RESCHEDULE);
	apic_timer_set(SLEEP_TICKS);
	while (apic_timer_left()) {
		sti_hlt();
		irq_disable();
	}
	irq_restore(flags);
}

static u64 measure_tsc(const struct reference *ref)
{
	struct sample a = take_sample(ref->read), b;

	sleep_a_little();
	b = take_sample(ref->read);
	return ratio(b.tsc - a.tsc, (b.ref - a.ref) & ref->mask, ref->hz);
}

static u64 measure_apic(u64 tsc_hz)
{
	u64 ticks = tsc_hz / (NSEC_PER_SEC / APIC_NS);
	struct sample a, b;

	apic_timer_set(0xffffffff);
	a = take_sample(apic_read_timer);
	while (rdtsc() - a.tsc < ticks)
		barrier();
	b = take_sample(apic_read_timer);
	apic_timer_set(0);
	return ratio(b.ref - a.ref, b.tsc - a.tsc, tsc_hz);
}

/* ---- the CMOS clock ------------------------------------------------------------------------- */

struct rtc {
	u8 sec, min, hour, day, month, year, century, status_b;
};

static u8 cmos_read(u8 reg)
{
	outb(CMOS_INDEX, reg);
	return inb(CMOS_DATA);
}

/* False if an update was in progress before or after: then the fields may not belong together. */
static bool rtc_read_once(struct rtc *t)
{
	if (cmos_read(RTC_STATUS_A) & RTC_UPDATING)
		return false;
	t->sec = cmos_read(0);
	t->min = cmos_read(2);
	t->hour = cmos_read(4);
	t->day = cmos_read(7);
	t->month = cmos_read(8);
	t->year = cmos_read(9);
	t->century = cmos_read(RTC_CENTURY);
	t->status_b = cmos_read(RTC_STATUS_B);
	return !(cmos_read(RTC_STATUS_A) & RTC_UPDATING) && cmos_read(0) == t->sec;
}

static unsigned int from_bcd(const struct rtc *t, u8 v)
{
	return t->status_b & RTC_BINARY ? v : (v >> 4) * 10U + (v & 15);
}

/* Days since 1970 of a date in the Gregorian calendar; the year begins in March. */
static u64 days_from_date(u64 year, u64 month, u64 day)
{
	if (month <= 2) {
		month += 12;
		year--;
	}
	return 365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day -
	       1 - 719468;
}

static u64 rtc_seconds(void)
{
	unsigned int spins = 0, hour, year, century;
	struct rtc t;
	u64 days;

	while (!rtc_read_once(&t))
		if (spins < RTC_TRIES)
			cpu_relax(&spins);
		else
			return 0; /* no clock: 1970 */
	hour = from_bcd(&t, t.hour & 0x7f);
	if (!(t.status_b & RTC_24H))
		hour = hour % 12 + (t.hour & 0x80 ? 12 : 0);
	century = from_bcd(&t, t.century);
	year = from_bcd(&t, t.year) + 100 * (century >= 19 && century <= 21 ? century : 20);
	days = days_from_date(year, from_bcd(&t, t.month), from_bcd(&t, t.day));
	return ((days * 24 + hour) * 60 + from_bcd(&t, t.min)) * 60 + from_bcd(&t, t.sec);
}

/* ---- interface ------------------------------------------------------------------------------ */

void timer_init(void)
{
	struct reference ref;
	u64 tsc_hz, apic_hz;

	find_reference(&ref);
	tsc_hz = measure_tsc(&ref);
	apic_hz = measure_apic(tsc_hz);
	if (!apic_hz)
		panic("timer: the local APIC timer stands still");
	ticks_per_ns_32 = (apic_hz << 32) / NSEC_PER_SEC;
	clock_init(tsc_hz, rtc_seconds());
	printk("timer: TSC %lu kHz by %s, APIC timer %lu kHz\n", (unsigned long)(tsc_hz / 1000),
	       ref.name, (unsigned long)(apic_hz / 1000));
	timer_init_cpu();
}

void timer_init_cpu(void)
{
	apic_timer_set(0);
	apic_timer_setup(VEC_TIMER);
}

/* A wait too long for the timer's 32 bits ends early; clock_interrupt() then arms the rest. */
void arch_timer_arm(ktime_t when)
{
	ktime_t now = ktime_get();
	u64 ns = when > now ? min(when - now, MAX_SLEEP) : 0;
	u64 ticks = ns * ticks_per_ns_32 >> 32;

	apic_timer_set((u32)max(1ULL, min(ticks, 0xffffffffULL)));
}

void arch_timer_disarm(void)
{
	apic_timer_set(0);
}
