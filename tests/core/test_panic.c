/* SPDX-License-Identifier: MIT */
/*
 * test_panic.c - what the machine says when it ends, or nearly does.
 *
 * Each of these ends or disturbs the machine, so none is part of test=all: tests.cfg boots each by
 * its name and looks at what was printed.
 */
#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/core/sched.h"
#include "kernel/core/sleeplock.h"
#include "kernel/core/trace.h"
#include "arch/x86_64/tlb.h"
#include "tests/ktest.h"

/* Not inlined and not a tail call: it must be seen in the back trace. */
static __attribute__((noinline)) void fail_deliberately(volatile int *deep)
{
	BUG_ON(*deep == 42);
	barrier();
}

/* Registers, back trace with names, held locks, trace and counters: the run greps for them. */
KTEST_FLAGS(panic, tells_where_and_why, KTEST_MANUAL)
{
	struct mutex m;
	volatile int deep = 42;

	mutex_init(&m, "a lock of the test", RANK_NONE + 1);
	mutex_lock(&m);
	trace(TRACE_MARK, 4711, 4712);
	fail_deliberately(&deep);
	barrier();
}

static __attribute__((noinline)) u64 eat_stack(u64 depth)
{
	volatile u64 frame[64];

	frame[0] = depth;
	return depth == ~0ul ? 0 : eat_stack(depth + 1) + frame[0];
}

/* The guard page stops it: a double fault that names the stack, not silent corruption. */
KTEST_FLAGS(panic, stack_overflow_is_named, KTEST_MANUAL)
{
	EXPECT(eat_stack(0));
}

KTEST_FLAGS(panic, wild_pointer_is_named, KTEST_MANUAL)
{
	preempt_disable(); /* a fault here cannot be made good, whatever is mapped */
	*(volatile u64 *)0xffff900000000008ul = 1;
	preempt_enable();
}

static int deaf(void *arg)
{
	volatile bool *stop = arg;
	unsigned int spins = 0;

	irq_disable();
	*stop = false;
	while (!*stop)
		cpu_relax(&spins);
	irq_enable();
	return 0;
}

static void hear_again(struct timer *t)
{
	*(volatile bool *)((char *)t + sizeof(*t)) = true;
}

/* A CPU that stops answering an IPI for a second is named; when it answers, all goes on. */
KTEST_FLAGS(tlb, deaf_cpu_is_named, KTEST_MANUAL)
{
	struct {
		struct timer timer;
		volatile bool stop;
	} s = { .timer = { .fn = hear_again }, .stop = true };
	struct thread *t;

	ASSERT(nr_cpus > 1);
	t = thread_create("deaf", (int)(nr_cpus - 1 - this_cpu()->id % nr_cpus), NULL, NULL, deaf,
			  (void *)&s.stop);
	ASSERT(t);
	while (s.stop)
		yield();
	timer_arm(&s.timer, ktime_get() + 5 * NSEC_PER_SEC / 2);
	tlb_flush_kernel(VMAP_BASE, VMAP_BASE + PAGE_SIZE);
	EXPECT(s.stop);
	thread_join(t);
}
