/* SPDX-License-Identifier: MIT */
/*
 * test_rest.c - threads that halt where they sleep (kernel/core/idle.c), and completions.
 */
#include "arch/x86_64/apic.h"
#include "kernel/core/clock.h"
#include "kernel/core/completion.h"
#include "kernel/core/delay.h"
#include "kernel/core/sched.h"
#include "tests/ktest.h"
#include "tests/util.h"

#define ROUNDS 20

static u64 on_this_cpu(enum stat_id id)
{
	return READ_ONCE(this_cpu()->stats[id]);
}

/* Body of a test for each CPU, in a thread that is pinned to it. */
static void on_each_cpu(int (*body)(void *arg))
{
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		EXPECT_EQ(on_cpu(cpu, body, NULL), 0);
}

/* --- no switch, and the time is idle time --- */

/* Another thread may come by; in one round of many none does. */
static int sleeps_alone(void *arg)
{
	unsigned int quiet = 0;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		u64 switches = on_this_cpu(STAT_SWITCHES);

		sleep_ns(300 * NSEC_PER_USEC);
		quiet += on_this_cpu(STAT_SWITCHES) == switches;
	}
	EXPECT(quiet);
	return 0;
}

KTEST(rest, lone_sleeper_keeps_its_stack)
{
	on_each_cpu(sleeps_alone);
}

static int sleeps_for_nothing(void *arg)
{
	u64 all = ktime_get(), idle = sched_idle_tsc(this_cpu()->id), ran = sched_thread_ns();

	sleep_ns(5 * NSEC_PER_MSEC);
	ran = sched_thread_ns() - ran;
	idle = tsc_to_ns(sched_idle_tsc(this_cpu()->id) - idle);
	all = ktime_get() - all;
	EXPECT(idle > 0);
	/* No moment is both; a few ns are lost in the conversions. */
	EXPECT(ran + idle <= all + 100);
	return 0;
}

KTEST(rest, halted_time_is_idle_time_and_not_the_threads)
{
	on_each_cpu(sleeps_for_nothing);
}

/* --- no wake-up is lost --- */

struct wake_up {
	struct thread *thread;
	struct completion done;
	struct timer timer, rescue;
	u64 irqs; /* on its CPU, when the thread was about to halt */
};

static void complete_it(struct timer *t)
{
	complete(&container_of(t, struct wake_up, timer)->done);
}

static void do_nothing(struct timer *t)
{
}

/* Interrupts are off, the thread has looked for the last time: now its wake-up becomes due. */
static void make_it_due(void *object, void *arg)
{
	struct wake_up *w = arg;
	unsigned int spins = 0;

	if (object != w->thread)
		return;
	w->irqs = on_this_cpu(STAT_IRQS);
	timer_arm(&w->timer, ktime_get());
	while (apic_timer_left())
		cpu_relax(&spins);
}

/*
 * The interrupt is pending before the thread halts, so that it comes at the sti; were anything
 * between that and the hlt, the hlt would wait for another one, at the latest that of rescue.
 */
static int woken_by_a_pending_interrupt(void *arg)
{
	struct wake_up w = { .thread = current_thread(),
			     .timer.fn = complete_it,
			     .rescue.fn = do_nothing };
	unsigned int at_once = 0;

	EXPECT_EQ(delay_arm("rest_before_halt", make_it_due, &w), 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		completion_init(&w.done, 1);
		timer_arm(&w.rescue, ktime_get() + 20 * NSEC_PER_MSEC);
		w.irqs = ~0ul;
		/* If somebody else wants this CPU it does not rest, and nobody wakes it. */
		timer_arm(&w.timer, ktime_get() + 40 * NSEC_PER_MSEC);
		completion_wait(&w.done);
		at_once += on_this_cpu(STAT_IRQS) - w.irqs == 1;
		timer_cancel_sync(&w.timer);
		timer_cancel_sync(&w.rescue);
	}
	delay_disarm("rest_before_halt");
	EXPECT(at_once);
	return 0;
}

KTEST(rest, interrupt_between_the_look_and_the_halt_is_not_lost)
{
	on_each_cpu(woken_by_a_pending_interrupt);
}

/* --- from another CPU, at the same moment: the state changes, and an interrupt is sent --- */

struct far_wake {
	struct thread *sleeper;
	struct completion done;
	bool resting, woken; /* a */
};

static void hold_while_woken(void *object, void *arg)
{
	struct far_wake *f = arg;
	unsigned int spins = 0;

	if (object != f->sleeper)
		return;
	atomic_store(&f->resting, true);
	while (!atomic_load(&f->woken))
		cpu_relax(&spins);
}

static int wake_far(void *arg)
{
	struct far_wake *f = arg;
	ktime_t end = ktime_get() + 20 * NSEC_PER_MSEC;

	/* It does not rest if somebody else wants its CPU. */
	while (!atomic_load(&f->resting) && ktime_get() < end)
		sleep_ns(20 * NSEC_PER_USEC);
	complete(&f->done);
	atomic_store(&f->woken, true);
	return 0;
}

static int rests_while_woken(void *arg)
{
	struct far_wake f = { .sleeper = current_thread() };
	struct job waker;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		f.resting = f.woken = false;
		completion_init(&f.done, 1);
		EXPECT_EQ(delay_arm("rest_before_halt", hold_while_woken, &f), 0);
		job_start(&waker, (this_cpu()->id + 1) % nr_cpus, NULL, wake_far, &f);
		completion_wait(&f.done);
		delay_disarm("rest_before_halt");
		EXPECT_EQ(job_end(&waker), 0);
	}
	return 0;
}

KTEST(rest, wake_up_from_another_cpu_is_not_lost)
{
	if (nr_cpus > 1)
		on_each_cpu(rests_while_woken);
}

/* The same when it halts already: only an interrupt ends that, and rescue's would come late. */
struct halted {
	struct completion done;
	struct timer rescue;
	bool rescued, late; /* a */
};

static void rescue(struct timer *t)
{
	atomic_store(&container_of(t, struct halted, rescue)->rescued, true);
}

static int halts(void *arg)
{
	struct halted *h = arg;

	h->done.thread = current_thread();
	timer_arm(&h->rescue, ktime_get() + 2 * NSEC_PER_SEC);
	completion_wait(&h->done);
	h->late = atomic_load(&h->rescued);
	timer_cancel_sync(&h->rescue);
	return 0;
}

static bool woken_late(unsigned int cpu)
{
	struct halted h = { .rescue.fn = rescue };
	struct job job;

	completion_init(&h.done, 1);
	job_start(&job, cpu, NULL, halts, &h);
	EXPECT(job_settles(&job));
	complete(&h.done);
	EXPECT_EQ(job_end(&job), 0);
	return h.late;
}

/* Another interrupt may come by and help, or the host may stand still: so several times. */
KTEST_ON_CPU0(rest, halted_thread_is_woken_from_another_cpu)
{
	unsigned int cpu = nr_cpus - 1, in_time = 0;

	for (unsigned int i = 0; i < 10 && in_time < 5; i++)
		in_time = woken_late(cpu) ? 0 : in_time + 1;
	EXPECT_EQ(in_time, 5);
}

/* --- who rests is in nobody's way --- */

static int wait_for(void *c)
{
	struct completion *done = c;

	/* Begun by the test; only who waits was not known then. */
	done->thread = current_thread();
	completion_wait(done);
	return 0;
}

static int nothing(void *arg)
{
	return 42;
}

KTEST(rest, cpu_of_a_resting_thread_runs_others)
{
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++) {
		struct completion done;
		struct job rester;

		completion_init(&done, 1);
		job_start(&rester, cpu, NULL, wait_for, &done);
		EXPECT(job_settles(&rester));
		for (unsigned int i = 0; i < ROUNDS; i++)
			EXPECT_EQ(on_cpu(cpu, nothing, NULL), 42);
		EXPECT(!rester.done);
		complete(&done);
		EXPECT_EQ(job_end(&rester), 0);
	}
}

/* The waiter's frame goes away at once: the last to complete must have let go of it. */
struct short_life {
	struct completion done;
	u64 guard;
};

static int complete_one(void *arg)
{
	complete(arg);
	return 0;
}

static __attribute__((noinline)) void one_life(void)
{
	struct short_life s = { .guard = 0x600d };
	struct thread *t[3];

	completion_init(&s.done, ARRAY_SIZE(t));
	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++) {
		t[i] = thread_create("completes", CPU_ANY, NULL, NULL, complete_one, &s.done);
		if (!t[i])
			panic("no memory for a thread of a test");
		thread_put(t[i]);
	}
	completion_wait(&s.done);
	EXPECT_EQ(s.guard, 0x600d);
	s.done.thread = NULL; /* who still looks falls */
	barrier();
}

KTEST(rest, completion_is_nobodys_after_the_wait)
{
	for (unsigned int i = 0; i < 200; i++)
		one_life();
}
