/* SPDX-License-Identifier: MIT */
/*
 * test_sched.c - threads begin, end, sleep, wake and share CPUs.
 */
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "tests/arch/runner.h"
#include "tests/ktest.h"

#define PATIENCE_NS (60 * NSEC_PER_SEC)

/* --- the end of a thread --- */

static int return_it(void *arg)
{
	return (int)(s64)arg;
}

static int exit_with_it(void *arg)
{
	thread_exit((int)(s64)arg);
}

KTEST(sched, join_returns_what_the_thread_ended_with)
{
	for (s64 code = -3; code < 4; code++)
		for (unsigned int how = 0; how < 2; how++) {
			struct thread *t = thread_create("ends", CPU_ANY, NULL, NULL,
							 how ? exit_with_it : return_it,
							 (void *)code);

			ASSERT(t);
			EXPECT_EQ(thread_join(t), code);
		}
}

KTEST(sched, threads_nobody_joins_are_freed)
{
	unsigned int before = thread_count();
	ktime_t end = ktime_get() + PATIENCE_NS;

	for (unsigned int i = 0; i < 100; i++) {
		struct thread *t = thread_create("put", CPU_ANY, NULL, NULL, return_it, NULL);

		ASSERT(t);
		thread_put(t);
	}
	while (thread_count() > before && ktime_get() < end)
		sleep_ns(NSEC_PER_MSEC);
	EXPECT(thread_count() <= before);
}

/* --- time --- */

KTEST(sched, sleep_lasts_at_least_as_long_as_asked)
{
	static const u64 lengths[] = { 0, 1, 1000, 100000, 1000000, 7000000 };

	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		ktime_t start = ktime_get();

		sleep_ns(lengths[i]);
		EXPECT(ktime_get() - start >= lengths[i]);
	}
}

static unsigned int fired; /* a */
static u32 fired_on;

static void fire(struct timer *t)
{
	fired_on = this_cpu()->id;
	atomic_add_return(&fired, 1);
}

static int arm_and_wait(void *arg)
{
	struct timer t = { .fn = fire };
	ktime_t end = ktime_get() + PATIENCE_NS;

	atomic_store(&fired, 0);
	timer_arm(&t, ktime_get() + 200 * NSEC_PER_USEC);
	while (!atomic_load(&fired) && ktime_get() < end)
		yield();
	/* It ran: there is nothing to cancel, and it does not run again. */
	EXPECT(!timer_cancel_sync(&t));
	EXPECT_EQ(fired, 1);
	EXPECT_EQ(fired_on, this_cpu()->id);
	/* Armed far away, cancelled: it never runs. */
	timer_arm(&t, ktime_get() + PATIENCE_NS);
	EXPECT(timer_cancel(&t));
	EXPECT(!timer_cancel(&t));
	EXPECT_EQ(fired, 1);
	return 0;
}

KTEST(sched, timer_fires_once_on_its_cpu_and_not_when_cancelled)
{
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		EXPECT_EQ(on_cpu(cpu, arm_and_wait, NULL), 0);
}

/* --- waiting --- */

static WAIT_QUEUE(queue);
static bool condition; /* a */

KTEST(sched, wait_ends_at_its_deadline_or_with_its_condition)
{
	ktime_t start = ktime_get();

	condition = false;
	EXPECT(!wait_event_until(&queue, READ_ONCE(condition), start + NSEC_PER_MSEC));
	EXPECT(ktime_get() >= start + NSEC_PER_MSEC);
	condition = true;
	EXPECT(wait_event_until(&queue, READ_ONCE(condition), start));
	wait_event(&queue, READ_ONCE(condition));
}

struct sleeper {
	struct thread *thread;
	unsigned int number;
	const void *key;
};

static unsigned int order[8], nr_woken; /* a */

static int sleep_once(void *arg)
{
	struct sleeper *s = arg;
	struct waiter w;

	wait_prepare(&queue, &w, s->key);
	wait_sleep(0);
	wait_finish(&queue, &w);
	order[atomic_add_return(&nr_woken, 1) - 1] = s->number;
	return 0;
}

static bool asleep(void *thread)
{
	return sched_asleep(thread);
}

static bool start_sleepers(struct sleeper *s, unsigned int n)
{
	nr_woken = 0;
	for (unsigned int i = 0; i < n; i++) {
		s[i].number = i;
		s[i].thread = thread_create("sleeper", CPU_ANY, NULL, NULL, sleep_once, &s[i]);
		if (!s[i].thread)
			return false;
		spin_until(asleep, s[i].thread, "a thread to sleep");
	}
	return true;
}

static bool woken(void *n)
{
	return atomic_load(&nr_woken) == (u64)n;
}

KTEST(sched, wake_up_one_wakes_who_waits_longest)
{
	struct sleeper s[4] = { 0 };

	ASSERT(start_sleepers(s, 4));
	for (u64 i = 0; i < 4; i++) {
		EXPECT_EQ(wake_up_one(&queue), 1);
		spin_until(woken, (void *)(i + 1), "a woken thread to run");
		EXPECT_EQ(order[i], i);
	}
	EXPECT_EQ(wake_up_one(&queue), 0);
	for (unsigned int i = 0; i < 4; i++)
		thread_join(s[i].thread);
}

KTEST(sched, wake_up_key_wakes_only_its_own)
{
	struct sleeper s[4] = { { .key = &s[0] }, { .key = &s[1] }, { .key = &s[0] }, { 0 } };

	ASSERT(start_sleepers(s, 4));
	EXPECT_EQ(wake_up_key(&queue, &s[0]), 2);
	spin_until(woken, (void *)2, "both to run");
	EXPECT_EQ(order[0] + order[1], 0 + 2);
	EXPECT_EQ(wake_up(&queue), 2);
	for (unsigned int i = 0; i < 4; i++)
		thread_join(s[i].thread);
}

/* --- no wake-up is lost --- */

#define TURNS	  20000
#define TENNIS_NS (2 * NSEC_PER_SEC) /* a slow host plays fewer */

struct table_tennis {
	struct wait_queue queue[2];
	u32 turns; /* a: even: player 0's */
	ktime_t end;
	bool over; /* a: said by player 0 */
};

struct player {
	struct table_tennis *table;
	unsigned int number;
	struct thread *thread;
};

static int play(void *arg)
{
	struct player *me = arg;
	struct table_tennis *t = me->table;
	bool over;

	do {
		wait_event(&t->queue[me->number], atomic_load(&t->turns) % 2 == me->number);
		if (!me->number && (t->turns >= TURNS - 2 || ktime_get() > t->end))
			t->over = true;
		over = t->over;
		atomic_store(&t->turns, t->turns + 1);
		wake_up(&t->queue[!me->number]);
	} while (!over);
	return 0;
}

/* A lost wake-up leaves both asleep: the run's time-out sees it. */
static void tennis(int cpu0, int cpu1)
{
	struct table_tennis t = { .end = ktime_get() + TENNIS_NS };
	struct player p[2] = { { &t, 0, NULL }, { &t, 1, NULL } };
	int on[2] = { cpu0, cpu1 };

	for (unsigned int i = 0; i < 2; i++)
		wait_queue_init(&t.queue[i], "tennis");
	for (unsigned int i = 0; i < 2; i++)
		p[i].thread = thread_create("player", on[i], NULL, NULL, play, &p[i]);
	ASSERT(p[0].thread && p[1].thread);
	for (unsigned int i = 0; i < 2; i++)
		thread_join(p[i].thread);
	EXPECT(t.turns % 2 == 0 && t.turns <= TURNS);
	ktest_note("%u turns", t.turns);
}

KTEST(sched, no_wake_up_is_lost_between_cpus)
{
	tennis(0, nr_cpus > 1);
}

KTEST(sched, no_wake_up_is_lost_on_one_cpu)
{
	tennis(0, 0);
}

KTEST(sched, no_wake_up_is_lost_while_threads_move)
{
	tennis(CPU_ANY, CPU_ANY);
}

/* --- sharing --- */

static bool told; /* a */

static bool was_told(void *arg)
{
	return READ_ONCE(told);
}

static int spin_until_told(void *arg)
{
	spin_until(was_told, NULL, "the thread that waits for this CPU");
	return 0;
}

static int tell(void *arg)
{
	WRITE_ONCE(told, true);
	return 0;
}

KTEST(sched, spinning_thread_is_preempted)
{
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++) {
		struct thread *a, *b;

		told = false;
		a = thread_create("spins", (int)cpu, NULL, NULL, spin_until_told, NULL);
		ASSERT(a);
		b = thread_create("tells", (int)cpu, NULL, NULL, tell, NULL);
		ASSERT(b);
		thread_join(a);
		thread_join(b);
	}
}

/* With several spinning threads, each gets its turn. */
static unsigned int meeting;

static bool all_met(void *n)
{
	return atomic_load(&meeting) == (u64)n;
}

static int meet(void *n)
{
	atomic_add_return(&meeting, 1);
	spin_until(all_met, n, "every thread to have a turn");
	return 0;
}

KTEST(sched, more_threads_than_cpus_all_get_turns)
{
	struct thread *t[3 * MAX_CPUS];
	u64 n = 3 * nr_cpus;

	meeting = 0;
	for (u64 i = 0; i < n; i++) {
		t[i] = thread_create("meets", CPU_ANY, NULL, NULL, meet, (void *)n);
		ASSERT(t[i]);
	}
	for (u64 i = 0; i < n; i++)
		thread_join(t[i]);
}

static int stay(void *arg)
{
	int moved = 0;

	for (unsigned int i = 0; i < 50; i++) {
		moved |= this_cpu()->id != (u64)arg;
		if (i % 2)
			yield();
		else
			sleep_ns(10 * NSEC_PER_USEC);
	}
	return moved;
}

KTEST(sched, pinned_thread_stays_on_its_cpu)
{
	struct thread *t[2 * MAX_CPUS];

	for (u64 i = 0; i < 2 * nr_cpus; i++) {
		t[i] = thread_create("stays", (int)(i % nr_cpus), NULL, NULL, stay,
				     (void *)(i % nr_cpus));
		ASSERT(t[i]);
	}
	for (u64 i = 0; i < 2 * nr_cpus; i++)
		EXPECT_EQ(thread_join(t[i]), 0);
}
