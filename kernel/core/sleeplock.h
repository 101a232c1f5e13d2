/* SPDX-License-Identifier: MIT */
/*
 * sleeplock.h - exclusion for sections that may sleep: mutex and reader-writer lock.
 *
 * Uncontended, each is one locked instruction. Nobody starves in an rwsem: whoever has to sleep
 * stands in one line, readers that stand together go in together. Not recursive, not even for
 * reading: a writer between the two would wait for ever (a recursive one is in libc, where newlib
 * demands it).
 * All may sleep; never in an interrupt, never with a spinlock held.
 */
#ifndef KERNEL_CORE_SLEEPLOCK_H
#define KERNEL_CORE_SLEEPLOCK_H

#include "kernel/core/wait.h"

struct mutex {
	u32 state; /* a: 0 free, 1 held, 2 held with waiters */
	u32 rank;  /* s */
	const char *name;
	struct thread *owner; /* while held */
	struct wait_queue wait;
};

#define MUTEX(var, lock_rank)                                                                      \
	struct mutex var = {                                                                       \
		.rank = (lock_rank),                                                               \
		.name = #var,                                                                      \
		.wait = { .lock = { .rank = RANK_WAIT, .name = #var },                             \
			  .waiters = TAILQ_HEAD_INITIALIZER(var.wait.waiters) },                   \
	}

void mutex_init(struct mutex *m, const char *name, enum lock_rank rank);
bool mutex_trylock(struct mutex *m);
void mutex_lock_slow(struct mutex *m);
void mutex_unlock_slow(struct mutex *m);

static inline void mutex_lock(struct mutex *m)
{
	if (unlikely(debug_checks))
		lockrank_acquire(m, m->rank, 0, m->name);
	if (unlikely(!atomic_cas(&m->state, 0, 1)))
		mutex_lock_slow(m);
	m->owner = current_thread();
}

static inline void mutex_unlock(struct mutex *m)
{
	DEBUG_ON(m->owner != current_thread());
	if (unlikely(debug_checks))
		lockrank_release(m);
	m->owner = NULL;
	if (unlikely(atomic_xchg(&m->state, 0) == 2))
		mutex_unlock_slow(m);
}

struct rwsem {
	/* a: number of readers; RWSEM_WRITER while written; RWSEM_WAITERS if somebody sleeps */
	u32 state;
	u32 rank; /* s */
	const char *name;
	struct thread *owner;	/* the writer, while held for write */
	struct wait_queue wait; /* who sleeps, in order of arrival */
};
#define RWSEM_WRITER  0x40000000u
#define RWSEM_WAITERS 0x80000000u

void rwsem_init(struct rwsem *s, const char *name, enum lock_rank rank);
void down_read_slow(struct rwsem *s);
void up_read_slow(struct rwsem *s);
void down_write(struct rwsem *s);
bool down_write_trylock(struct rwsem *s);
bool down_read_trylock(struct rwsem *s);
void up_write(struct rwsem *s);

static inline void down_read(struct rwsem *s)
{
	u32 n = READ_ONCE(s->state);

	if (unlikely(debug_checks))
		lockrank_acquire(s, s->rank, 0, s->name);
	if (unlikely(n >= RWSEM_WRITER || !atomic_cas(&s->state, n, n + 1)))
		down_read_slow(s);
}

static inline void up_read(struct rwsem *s)
{
	bool waiters;

	if (unlikely(debug_checks))
		lockrank_release(s);
	/* RWSEM_WAITERS is the sign bit, so the subtraction itself tells. */
	__asm__ volatile("lock decl %0" : "+m"(s->state), "=@ccs"(waiters)::"memory");
	if (unlikely(waiters))
		up_read_slow(s);
}

/* The same two for who has interrupts off from one to the other; debug=1 is not told. */
static inline bool down_read_try_irqs_off(struct rwsem *s)
{
	u32 n = READ_ONCE(s->state);

	return likely(n < RWSEM_WRITER && atomic_cas(&s->state, n, n + 1));
}

static inline void up_read_irqs_off(struct rwsem *s)
{
	bool waiters;

	__asm__ volatile("lock decl %0" : "+m"(s->state), "=@ccs"(waiters)::"memory");
	if (unlikely(waiters))
		up_read_slow(s);
}

/* For assertions. */
static inline bool rwsem_is_locked(const struct rwsem *s)
{
	return READ_ONCE(s->state) & ~RWSEM_WAITERS;
}

static inline bool rwsem_is_write_locked(const struct rwsem *s)
{
	return READ_ONCE(s->state) & RWSEM_WRITER;
}

#endif
