/* SPDX-License-Identifier: MIT */
/*
 * pthread_sync.c - mutexes, condition variables, barriers, once: each a 32-bit word to wait on.
 *
 * Owns:  nothing; the state is in the program's memory.
 * Not:   threads (pthread.c).
 * Key fact: a waiter queues itself on the word's hashed wait queue before it looks at the word, a
 *	  waker changes the word before it looks at the queue: no wake-up is lost, and nothing needs
 *	  to be initialised beyond zeros. A word may lie in a mapping, whose page may be away or go
 *	  away: who is queued reads it without faulting, and faults after it has left the queue.
 */
#include "libc/process.h"

#include <errno.h>
#include <pthread.h>

#include "arch/x86_64/asm/atomic.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/clock.h"
#include "kernel/core/wait.h"
#include "kernel/mm/fault.h"

/* Is *@word @value, as far as can be seen without a fault? */
static bool word_is(const unsigned int *word, unsigned int value)
{
	u32 v;
	bool same;

	pagefault_disable();
	same = !probe_load4(word, &v) && v == value;
	pagefault_enable();
	return same;
}

/* Sleep while *@word is @value; false: ktime @deadline (0: none) passed. May return early. The
 * thread may be killed or sent a signal meanwhile. */
static bool word_wait(unsigned int *word, unsigned int value, ktime_t deadline)
{
	struct wait_queue *wq = wait_hash(word);
	struct waiter kill, w;
	bool in_time = true;

	if (READ_ONCE(*word) != value)
		return true;
	kill_prepare(&kill);
	wait_prepare(wq, &w, word);
	if (word_is(word, value) && !program_called())
		in_time = wait_sleep(deadline);
	wait_finish(wq, &w);
	kill_finish(&kill);
	program_point();
	return in_time;
}

static void word_wake(unsigned int *word)
{
	wake_up_key(wait_hash(word), word);
}

/* --- mutex --- */

int pthread_mutexattr_init(pthread_mutexattr_t *attr)
{
	attr->type = PTHREAD_MUTEX_DEFAULT;
	return 0;
}

int pthread_mutexattr_destroy(pthread_mutexattr_t *attr)
{
	return 0;
}

int pthread_mutexattr_settype(pthread_mutexattr_t *attr, int type)
{
	if (type < PTHREAD_MUTEX_NORMAL || type > PTHREAD_MUTEX_ERRORCHECK)
		return EINVAL;
	attr->type = type;
	return 0;
}

int pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
	*m = (pthread_mutex_t){ .type = attr ? attr->type : PTHREAD_MUTEX_DEFAULT };
	return 0;
}

int pthread_mutex_destroy(pthread_mutex_t *m)
{
	return READ_ONCE(m->state) ? EBUSY : 0;
}

static int mutex_again(pthread_mutex_t *m)
{
	if (m->type == PTHREAD_MUTEX_RECURSIVE) {
		m->depth++;
		return 0;
	}
	return EDEADLK;
}

static bool is_mine(pthread_mutex_t *m)
{
	return m->type != PTHREAD_MUTEX_NORMAL && READ_ONCE(m->owner) == current_thread();
}

/* The calling thread took @m. It is told once if the former owner ended without letting go of it:
 * what @m guards may be half changed. */
static int mutex_taken(pthread_mutex_t *m)
{
	struct libc_thread *lt = libc_thread();

	WRITE_ONCE(m->owner, current_thread());
	m->depth = 1;
	if (lt && lt->nr_mutexes < HELD_MUTEXES_MAX)
		lt->mutexes[lt->nr_mutexes++] = m;
	if (likely(!m->owner_ended))
		return 0;
	m->owner_ended = 0;
	return EOWNERDEAD;
}

static void mutex_free(pthread_mutex_t *m)
{
	WRITE_ONCE(m->owner, NULL);
	if (atomic_xchg(&m->state, 0) == 2)
		word_wake(&m->state);
}

/* Off the list of what the thread holds; nearly always the last of it. */
static void mutex_forget(struct libc_thread *lt, const pthread_mutex_t *m)
{
	unsigned int i = lt->nr_mutexes;

	while (i > 0 && lt->mutexes[i - 1] != m)
		i--;
	if (i > 0)
		lt->mutexes[i - 1] = lt->mutexes[--lt->nr_mutexes];
}

/* Each is off the list before it is touched: if it lies in memory that is gone, the thread ends
 * again, and goes on with the next. */
void pthread_release_mutexes(struct libc_thread *lt)
{
	while (lt->nr_mutexes > 0) {
		pthread_mutex_t *m = lt->mutexes[--lt->nr_mutexes];

		if (READ_ONCE(m->owner) != current_thread())
			continue;
		m->owner_ended = 1;
		mutex_free(m);
	}
}

int pthread_mutex_lock(pthread_mutex_t *m)
{
	if (is_mine(m))
		return mutex_again(m);
	if (!atomic_cas(&m->state, 0, 1)) {
		while (atomic_xchg(&m->state, 2))
			word_wait(&m->state, 2, 0);
	}
	return mutex_taken(m);
}

int pthread_mutex_trylock(pthread_mutex_t *m)
{
	if (is_mine(m))
		return m->type == PTHREAD_MUTEX_RECURSIVE ? mutex_again(m) : EBUSY;
	if (!atomic_cas(&m->state, 0, 1))
		return EBUSY;
	return mutex_taken(m);
}

int pthread_mutex_unlock(pthread_mutex_t *m)
{
	struct libc_thread *lt = libc_thread();

	if (READ_ONCE(m->owner) != current_thread())
		return EPERM;
	if (--m->depth)
		return 0;
	if (lt)
		mutex_forget(lt, m);
	mutex_free(m);
	return 0;
}

/* --- condition variable --- */

int pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
	*c = (pthread_cond_t){ .clock = attr ? attr->clock : 0 };
	return 0;
}

int pthread_cond_destroy(pthread_cond_t *c)
{
	return 0;
}

static int cond_wait(pthread_cond_t *c, pthread_mutex_t *m, ktime_t deadline)
{
	unsigned int sequence = READ_ONCE(c->sequence);
	unsigned int depth = m->depth;
	bool in_time;
	int err;

	m->depth = 1;
	pthread_mutex_unlock(m);
	in_time = word_wait(&c->sequence, sequence, deadline);
	err = pthread_mutex_lock(m);
	m->depth = depth;
	return in_time ? err : ETIMEDOUT;
}

int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	return cond_wait(c, m, 0);
}

int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
	u64 when = until->tv_sec * NSEC_PER_SEC + until->tv_nsec;
	u64 now = clock_realtime();

	if (until->tv_nsec < 0 || until->tv_nsec >= (long)NSEC_PER_SEC)
		return EINVAL;
	if (when <= now)
		return ETIMEDOUT;
	return cond_wait(c, m, ktime_get() + (when - now));
}

int pthread_cond_broadcast(pthread_cond_t *c)
{
	atomic_add_return(&c->sequence, 1);
	word_wake(&c->sequence);
	return 0;
}

/* POSIX allows it to wake more than one. */
int pthread_cond_signal(pthread_cond_t *c)
{
	return pthread_cond_broadcast(c);
}

/* --- barrier --- */

int pthread_barrier_init(pthread_barrier_t *b, const pthread_barrierattr_t *attr,
			 unsigned int count)
{
	if (!count)
		return EINVAL;
	*b = (pthread_barrier_t){ .count = count };
	return 0;
}

int pthread_barrier_destroy(pthread_barrier_t *b)
{
	return 0;
}

int pthread_barrier_wait(pthread_barrier_t *b)
{
	unsigned int round = atomic_load(&b->round);

	if (atomic_add_return(&b->arrived, 1) == b->count) {
		atomic_store(&b->arrived, 0);
		atomic_add_return(&b->round, 1);
		word_wake(&b->round);
		return PTHREAD_BARRIER_SERIAL_THREAD;
	}
	while (atomic_load(&b->round) == round)
		word_wait(&b->round, round, 0);
	return 0;
}

/* --- once --- */

int pthread_once(pthread_once_t *once, void (*fn)(void))
{
	if (atomic_load(&once->state) == 2)
		return 0;
	if (atomic_cas(&once->state, 0, 1)) {
		fn();
		atomic_xchg(&once->state, 2);
		word_wake(&once->state);
		return 0;
	}
	while (atomic_load(&once->state) != 2)
		word_wait(&once->state, 1, 0);
	return 0;
}
