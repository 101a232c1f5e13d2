/* SPDX-License-Identifier: MIT */
/*
 * wait.c - sleeping until something is true, and telling that it is.
 *
 * Owns:  the queues of waiters. Locks: wq->lock (irqsave, RANK_WAIT), inside it the run queue.
 *
 * No wake-up is lost:
 *	waiter					waker
 *	queues itself, state = SLEEPING		makes the condition true
 *	fence					fence
 *	tests the condition; if false, sleeps	looks at the queue
 * Whoever comes second sees the other's store. Between the waiter's test and its switch the waker
 * sets the state back to RUNNABLE, and schedule() then only yields.
 *
 * No waiter goes away under the waker's hands: the waker holds the queue's lock from the moment it
 * takes a waiter off the list until sched_wake() returned, and the waiter passes through that lock
 * (wait_finish) before its stack frame, or the thread itself, can vanish.
 */
#include "kernel/core/wait.h"

#include "kernel/core/clock.h"
#include "kernel/core/sched.h"

#define HASH_BITS 8

static struct wait_queue hashed[1 << HASH_BITS];

void wait_queue_init(struct wait_queue *wq, const char *name)
{
	spin_init(&wq->lock, name, RANK_WAIT);
	TAILQ_INIT(&wq->waiters);
}

void wait_init(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(hashed); i++)
		wait_queue_init(&hashed[i], "hashed wait queue");
}

void wait_prepare(struct wait_queue *wq, struct waiter *w, const void *key)
{
	struct thread *t = current_thread();
	u64 flags = spin_lock_irqsave(&wq->lock);

	BUG_ON(!t);
	w->thread = t;
	w->key = key;
	w->queued = true;
	TAILQ_INSERT_TAIL(&wq->waiters, w, link);
	/* Before the unlock: a waker that finds us must find us sleeping, or it would not wake. */
	t->waits_for = wq->lock.name;
	WRITE_ONCE(t->state, THREAD_SLEEPING);
	spin_unlock_irqrestore(&wq->lock, flags);
	full_fence(); /* the caller tests its condition next; pairs with wake_up_some() */
}

bool wait_sleep(ktime_t deadline)
{
	if (deadline)
		return schedule_until(deadline);
	schedule();
	return true;
}

void wait_finish(struct wait_queue *wq, struct waiter *w)
{
	u64 flags = spin_lock_irqsave(&wq->lock);

	WRITE_ONCE(w->thread->state, THREAD_RUNNABLE);
	if (w->queued) {
		TAILQ_REMOVE(&wq->waiters, w, link);
		w->queued = false;
	}
	spin_unlock_irqrestore(&wq->lock, flags);
}

/* Up to @max waiters, only those with @key unless it is NULL. */
static unsigned int wake_up_some(struct wait_queue *wq, const void *key, unsigned int max)
{
	struct waiter *w, *next;
	unsigned int n = 0;
	u64 flags;

	/* Pairs with the fence in wait_prepare(): the condition was changed before this. */
	full_fence();
	if (!READ_ONCE(TAILQ_FIRST(&wq->waiters)))
		return 0;
	flags = spin_lock_irqsave(&wq->lock);
	for (w = TAILQ_FIRST(&wq->waiters); w && n < max; w = next) {
		next = TAILQ_NEXT(w, link);
		if (key && w->key != key)
			continue;
		TAILQ_REMOVE(&wq->waiters, w, link);
		w->queued = false;
		sched_wake(w->thread);
		n++;
	}
	spin_unlock_irqrestore(&wq->lock, flags);
	return n;
}

unsigned int wake_up(struct wait_queue *wq)
{
	return wake_up_some(wq, NULL, ~0u);
}

unsigned int wake_up_one(struct wait_queue *wq)
{
	return wake_up_some(wq, NULL, 1);
}

unsigned int wake_up_key(struct wait_queue *wq, const void *key)
{
	return wake_up_some(wq, key, ~0u);
}

struct wait_queue *wait_hash(const void *key)
{
	/* Multiplication moves the low bits, which differ least in aligned objects, to the top. */
	return &hashed[(u64)key * 0x9e3779b97f4a7c15UL >> (64 - HASH_BITS)];
}

void wait_on_bit(unsigned long *word, unsigned int bit)
{
	struct wait_queue *wq = wait_hash(word);

	while (test_bit(word, bit)) {
		struct waiter w;

		wait_prepare(wq, &w, word);
		if (test_bit(word, bit))
			wait_sleep(0);
		wait_finish(wq, &w);
	}
}

void wake_up_bit(unsigned long *word)
{
	wake_up_key(wait_hash(word), word);
}
