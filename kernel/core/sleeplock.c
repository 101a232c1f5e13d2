/* SPDX-License-Identifier: MIT */
/*
 * sleeplock.c - mutex and rwsem, where somebody has to wait.
 *
 * Fast paths are in sleeplock.h. Both keep who waits in a wait queue under its lock.
 *
 * mutex: state 2 means that somebody may sleep. A waiter always writes 2 when it tries, so it wakes
 * the next one when it unlocks, even when there is none: one wake-up too many at the end of a row,
 * never one too few.
 *
 * rwsem: once RWSEM_WAITERS is set no fast path gets in, and releasing leads to grant(), which
 * hands the lock to the first in the line: one writer, or all readers up to the next writer. The
 * flag is set, cleared and the lock granted only under wait.lock; outside it only holders change
 * the state, by leaving.
 */
#include "kernel/core/sleeplock.h"

#include "kernel/core/sched.h"

void mutex_init(struct mutex *m, const char *name, enum lock_rank rank)
{
	*m = (struct mutex){ .rank = rank, .name = name };
	wait_queue_init(&m->wait, name);
}

void mutex_lock_slow(struct mutex *m)
{
	bool taken;

	assert_can_sleep();
	do {
		struct waiter w;

		wait_prepare(&m->wait, &w, NULL);
		/* After we queued: an unlock that misses us in the queue stored 0 before this. */
		taken = atomic_xchg(&m->state, 2) == 0;
		if (!taken)
			wait_sleep(0);
		wait_finish(&m->wait, &w);
	} while (!taken);
}

void mutex_unlock_slow(struct mutex *m)
{
	wake_up_one(&m->wait);
}

bool mutex_trylock(struct mutex *m)
{
	if (!atomic_cas(&m->state, 0, 1))
		return false;
	if (unlikely(debug_checks))
		lockrank_acquire(m, m->rank, 0, m->name);
	m->owner = current_thread();
	return true;
}

/* --- rwsem --- */

/* What a waiter wants, in waiter.key. */
static const char want_read, want_write;

void rwsem_init(struct rwsem *s, const char *name, enum lock_rank rank)
{
	*s = (struct rwsem){ .rank = rank, .name = name };
	wait_queue_init(&s->wait, name);
}

static void grant_one(struct rwsem *s, struct waiter *w)
{
	TAILQ_REMOVE(&s->wait.waiters, w, link);
	WRITE_ONCE(w->queued, false);
	sched_wake(w->thread);
}

/* Hand the lock on as far as it goes. wait.lock held, RWSEM_WAITERS set or nobody waiting. */
static void grant(struct rwsem *s)
{
	struct waiter *w;

	while ((w = TAILQ_FIRST(&s->wait.waiters))) {
		u32 n = READ_ONCE(s->state);

		if (n & RWSEM_WRITER)
			return;
		if (w->key == &want_write) {
			/* The last reader to leave comes here again. */
			if (n != RWSEM_WAITERS)
				return;
			atomic_or(&s->state, RWSEM_WRITER);
		} else {
			/* Readers leave meanwhile, hence a locked addition. */
			(void)atomic_add_return(&s->state, 1);
		}
		grant_one(s, w);
	}
	/* From this store on the fast paths work again. */
	atomic_and(&s->state, ~RWSEM_WAITERS);
}

/*
 * Take the lock without waiting, or set RWSEM_WAITERS; wait.lock held. @take is what to add, and
 * @busy are the bits of the state that forbid it. If the holder leaves between our look and our
 * flag, the exchange fails and we look again; if it leaves after it, it sees the flag and comes to
 * grant(), where it waits for wait.lock.
 */
static bool take_or_announce(struct rwsem *s, u32 take, u32 busy)
{
	for (;;) {
		u32 n = READ_ONCE(s->state);

		if (!(n & busy)) {
			if (atomic_cas(&s->state, n, n + take))
				return true;
		} else if (n & RWSEM_WAITERS || atomic_cas(&s->state, n, n | RWSEM_WAITERS)) {
			return false;
		}
	}
}

static void rwsem_wait(struct rwsem *s, const void *want, u32 take, u32 busy)
{
	struct waiter w = { .thread = current_thread(), .key = want, .queued = true };
	u64 flags;

	assert_can_sleep();
	flags = spin_lock_irqsave(&s->wait.lock);
	if (take_or_announce(s, take, busy)) {
		spin_unlock_irqrestore(&s->wait.lock, flags);
		return;
	}
	TAILQ_INSERT_TAIL(&s->wait.waiters, &w, link);
	w.thread->waits_for = s->name;
	while (w.queued) {
		/* Under the lock, so grant() finds us either not granted and sleeping, or has
		 * granted before we get here. */
		WRITE_ONCE(w.thread->state, THREAD_SLEEPING);
		spin_unlock_irqrestore(&s->wait.lock, flags);
		schedule();
		/* And again through the lock: the granter has let go of @w when we have it. */
		flags = spin_lock_irqsave(&s->wait.lock);
	}
	spin_unlock_irqrestore(&s->wait.lock, flags);
}

void down_read_slow(struct rwsem *s)
{
	rwsem_wait(s, &want_read, 1, RWSEM_WRITER | RWSEM_WAITERS);
}

/* The reader has left already; somebody waits, perhaps for just that. */
void up_read_slow(struct rwsem *s)
{
	u64 flags = spin_lock_irqsave(&s->wait.lock);

	grant(s);
	spin_unlock_irqrestore(&s->wait.lock, flags);
}

void down_write(struct rwsem *s)
{
	if (unlikely(debug_checks))
		lockrank_acquire(s, s->rank, 0, s->name);
	if (unlikely(!atomic_cas(&s->state, 0, RWSEM_WRITER)))
		rwsem_wait(s, &want_write, RWSEM_WRITER, ~0u);
	s->owner = current_thread();
}

void up_write(struct rwsem *s)
{
	u64 flags;

	DEBUG_ON(s->owner != current_thread());
	if (unlikely(debug_checks))
		lockrank_release(s);
	s->owner = NULL;
	if (likely(atomic_cas(&s->state, RWSEM_WRITER, 0)))
		return;
	flags = spin_lock_irqsave(&s->wait.lock);
	atomic_and(&s->state, ~RWSEM_WRITER);
	grant(s);
	spin_unlock_irqrestore(&s->wait.lock, flags);
}

bool down_write_trylock(struct rwsem *s)
{
	if (!atomic_cas(&s->state, 0, RWSEM_WRITER))
		return false;
	if (unlikely(debug_checks))
		lockrank_tried(s, s->rank, 0, s->name);
	s->owner = current_thread();
	return true;
}

bool down_read_trylock(struct rwsem *s)
{
	u32 n;

	do {
		n = READ_ONCE(s->state);
		if (n >= RWSEM_WRITER)
			return false;
	} while (!atomic_cas(&s->state, n, n + 1));
	if (unlikely(debug_checks))
		lockrank_tried(s, s->rank, 0, s->name);
	return true;
}
