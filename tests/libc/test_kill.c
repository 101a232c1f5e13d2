/* SPDX-License-Identifier: MIT */
/*
 * test_kill.c - a thread that is told to end does so where it holds nothing, and not before.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "libc/process.h"
#include "tests/util.h"

#define FOR_EVER (1000UL * 1000 * NSEC_PER_SEC)

/* --- threads of the kernel --- */

static int sleep_for_ever(void *arg)
{
	return sleep_until_killable(ktime_get() + FOR_EVER);
}

KTEST(kill, ends_a_killable_sleep)
{
	struct job j;

	job_start(&j, 1, NULL, sleep_for_ever, NULL);
	EXPECT(job_settles(&j));
	thread_kill(j.thread);
	EXPECT_EQ(job_end(&j), false);
}

static int sleep_when_told(void *gate)
{
	wait_event(&((struct gate *)gate)->wait, atomic_load(&((struct gate *)gate)->open));
	return sleep_until_killable(ktime_get() + FOR_EVER);
}

/* The kill comes first, and is not forgotten. */
KTEST(kill, before_the_sleep_is_remembered)
{
	struct gate gate = { .open = false };
	struct job j;

	wait_queue_init(&gate.wait, "gate");
	job_start(&j, 1, NULL, sleep_when_told, &gate);
	thread_kill(j.thread);
	gate_open(&gate);
	EXPECT_EQ(job_end(&j), false);
}

/* A wake-up for another reason does not end the sleep. */
KTEST(kill, only_a_kill_shortens_the_sleep)
{
	ktime_t start = ktime_get();

	EXPECT(sleep_until_killable(start + 3 * NSEC_PER_MSEC));
	EXPECT(ktime_get() >= start + 3 * NSEC_PER_MSEC);
}

/* --- at the end of a page fault --- */

static struct stage s;
static bool went_on; /* a */

static int store_directly(void *arg)
{
	WRITE_ONCE(*s.map, 7);
	atomic_store(&went_on, true);
	return 0;
}

static int store_by_probe(void *arg)
{
	int err = probe_store8(s.map, 7);

	atomic_store(&went_on, true);
	return err;
}

/* @store in a thread that is killed while its fault is under way; what the thread ended with. */
static int kill_in_fault(int (*store)(void *))
{
	struct gate gate;
	struct job j;

	atomic_store(&went_on, false);
	gate_arm(&gate, "mkwrite_done", testfs_page(s.fs, 0));
	job_start(&j, 1, s.mm, store, NULL);
	gate_wait(&gate);
	thread_kill(j.thread);
	gate_disarm(&gate);
	return thread_join(j.thread);
}

KTEST_ON_CPU0(kill, ends_a_program_at_the_end_of_its_fault)
{
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(probe_load8(s.map, &v), 0);
	EXPECT_EQ(kill_in_fault(store_directly), -EINTR);
	EXPECT(!atomic_load(&went_on));
	EXPECT_EQ(*s.map, 0);
	stage_end(&s);
}

/* The kernel's own access may be made with a lock held: what called it asks. */
KTEST_ON_CPU0(kill, does_not_end_a_copy_of_the_kernel)
{
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(probe_load8(s.map, &v), 0);
	EXPECT_EQ(kill_in_fault(store_by_probe), 0);
	EXPECT(atomic_load(&went_on));
	EXPECT_EQ(*s.map, 7);
	stage_end(&s);
}

/* --- in calls of the C library --- */

static pthread_mutex_t mutex;
static pthread_cond_t cond;
static pthread_barrier_t barrier;
static pthread_once_t once;

static void *in_nanosleep(void *arg)
{
	nanosleep(&(struct timespec){ .tv_sec = 1000000 }, NULL);
	return arg;
}

static void *in_mutex(void *arg)
{
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	return arg;
}

static void *in_cond(void *arg)
{
	pthread_mutex_t mine = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&mine);
	pthread_cond_wait(&cond, &mine);
	return arg;
}

static void *in_barrier(void *arg)
{
	pthread_barrier_wait(&barrier);
	return arg;
}

static void *in_yields(void *arg)
{
	for (;;)
		sched_yield();
	return arg;
}

static void *in_calls(void *arg)
{
	for (;;)
		isatty(99);
	return arg;
}

static const struct {
	const char *what;
	void *(*fn)(void *);
} calls[] = {
	{ "nanosleep", in_nanosleep }, { "mutex", in_mutex },	     { "cond", in_cond },
	{ "barrier", in_barrier },     { "sched_yield", in_yields }, { "a descriptor", in_calls },
};

/* A thread of this program, killed a while after it began; what pthread_join() says of it. */
static s64 kill_pthread(void *(*fn)(void *))
{
	void *result = NULL;
	pthread_t t;

	EXPECT_EQ(pthread_create(&t, NULL, fn, NULL), 0);
	usleep(300);
	thread_kill(t->thread);
	EXPECT_EQ(pthread_join(t, &result), 0);
	return (s64)result;
}

KTEST(kill, ends_calls_of_the_c_library)
{
	EXPECT_EQ(pthread_barrier_init(&barrier, NULL, 2), 0);
	EXPECT_EQ(pthread_mutex_init(&mutex, NULL), 0);
	pthread_mutex_lock(&mutex);
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++)
		if (kill_pthread(calls[i].fn) != -EINTR)
			ktest_fail(__FILE__, __LINE__, "%s: not ended", calls[i].what);
	EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
	EXPECT_EQ(pthread_mutex_lock(&mutex), 0);
	EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
}

/* --- what it leaves behind --- */

static void *sleep_with_mutex(void *arg)
{
	pthread_mutex_lock(arg);
	in_nanosleep(NULL);
	return NULL;
}

static void *take(void *arg)
{
	return (void *)(s64)pthread_mutex_lock(arg);
}

/* Its mutex is free again; who takes it first is told, and nobody after. */
KTEST(kill, gives_mutexes_back)
{
	static const int types[] = { PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
				     PTHREAD_MUTEX_ERRORCHECK };
	pthread_t owner, waiter;
	void *got = NULL;

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		pthread_mutex_t m = { .type = types[i] };

		EXPECT_EQ(pthread_create(&owner, NULL, sleep_with_mutex, &m), 0);
		WAIT_FOR(READ_ONCE(m.owner));
		EXPECT_EQ(pthread_create(&waiter, NULL, take, &m), 0);
		thread_kill(owner->thread);
		EXPECT_EQ(pthread_join(owner, NULL), 0);
		/* It takes the mutex, is told, and ends without letting go as well. */
		EXPECT_EQ(pthread_join(waiter, &got), 0);
		EXPECT_EQ((s64)got, EOWNERDEAD);
		EXPECT_EQ(pthread_mutex_trylock(&m), EOWNERDEAD);
		EXPECT_EQ(pthread_mutex_unlock(&m), 0);
		EXPECT_EQ(pthread_mutex_lock(&m), 0);
		EXPECT_EQ(pthread_mutex_unlock(&m), 0);
	}
}

/* Out of the order in which they were taken, and more than are remembered. */
KTEST(kill, mutexes_are_forgotten_when_they_are_let_go)
{
	static pthread_mutex_t many[HELD_MUTEXES_MAX + 3];
	struct libc_thread *lt = libc_thread();
	unsigned int before = lt->nr_mutexes;

	for (unsigned int i = 0; i < ARRAY_SIZE(many); i++)
		EXPECT_EQ(pthread_mutex_lock(&many[i]), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(many); i++)
		EXPECT_EQ(pthread_mutex_unlock(&many[i]), 0);
	EXPECT_EQ(lt->nr_mutexes, before);
}

static void nothing(void)
{
}

static void *do_once(void *arg)
{
	pthread_once(&once, nothing);
	return NULL;
}

/* Kills that come late, or twice, do nothing. */
KTEST(kill, of_a_thread_that_ended_does_nothing)
{
	pthread_t t;

	EXPECT_EQ(pthread_create(&t, NULL, do_once, NULL), 0);
	WAIT_FOR(READ_ONCE(t->thread->state) == THREAD_DEAD);
	thread_kill(t->thread);
	thread_kill(t->thread);
	EXPECT_EQ(pthread_join(t, NULL), 0);
}
