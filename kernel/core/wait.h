/* SPDX-License-Identifier: MIT */
/*
 * wait.h - sleeping until something is true.
 *
 * A wait queue is a list of threads. The waiter queues itself first and tests its condition after,
 * the waker changes the condition first and looks at the queue after; both sides pass through the
 * queue's lock, so a wake-up between test and sleep is never lost.
 * All sleeping calls assert: no spinlock held, interrupts on, not in an interrupt.
 */
#ifndef KERNEL_CORE_WAIT_H
#define KERNEL_CORE_WAIT_H

#include <sys/queue.h>

#include "kernel/core/spinlock.h"

struct thread;

struct waiter {
	struct thread *thread;
	const void *key; /* NULL or what is waited for, in hashed queues */
	bool queued;	 /* under the queue's lock */
	TAILQ_ENTRY(waiter) link;
};

struct wait_queue {
	struct spinlock lock; /* irqsave */
	TAILQ_HEAD(, waiter) waiters;
};

void wait_queue_init(struct wait_queue *wq, const char *name);
#define WAIT_QUEUE(var)                                                                            \
	struct wait_queue var = { .lock = { .rank = RANK_WAIT, .name = #var },                     \
				  .waiters = TAILQ_HEAD_INITIALIZER(var.waiters) }

/* Queue the current thread and mark it sleeping; then test the condition; then wait_sleep() or
 * give up; wait_finish() in any case. @deadline: ktime, 0 means none. */
void wait_prepare(struct wait_queue *wq, struct waiter *w, const void *key);
bool wait_sleep(ktime_t deadline); /* false: the deadline passed */
void wait_finish(struct wait_queue *wq, struct waiter *w);

/* Wake all (or those with @key). Any context, interrupt handlers too. Returns how many. The caller
 * has changed the condition by any kind of store; without waiters it costs a fence and a load. */
unsigned int wake_up(struct wait_queue *wq);
unsigned int wake_up_one(struct wait_queue *wq); /* the one that waits longest */
unsigned int wake_up_key(struct wait_queue *wq, const void *key);

/* Sleep until @cond holds; @cond is evaluated repeatedly, without locks. */
#define wait_event(wq, cond)                                                                       \
	do {                                                                                       \
		struct waiter _w;                                                                  \
		while (!(cond)) {                                                                  \
			wait_prepare((wq), &_w, NULL);                                             \
			if (!(cond))                                                               \
				wait_sleep(0);                                                     \
			wait_finish((wq), &_w);                                                    \
		}                                                                                  \
	} while (0)

/* The same with a deadline (ktime); evaluates to whether @cond holds at the end. */
#define wait_event_until(wq, cond, deadline)                                                       \
	({                                                                                         \
		struct waiter _w;                                                                  \
		bool _in_time = true;                                                              \
		while (!(cond) && _in_time) {                                                      \
			wait_prepare((wq), &_w, NULL);                                             \
			if (!(cond))                                                               \
				_in_time = wait_sleep(deadline);                                   \
			wait_finish((wq), &_w);                                                    \
		}                                                                                  \
		(cond);                                                                            \
	})

/* Hashed queues, for bits in objects too many to hold a queue each: pages. */
struct wait_queue *wait_hash(const void *key);
void wait_init(void); /* the hashed queues: sched_init() calls it */
/* Sleep until bit @bit of *@word is clear. */
void wait_on_bit(unsigned long *word, unsigned int bit);
/* After clearing the bit. Any context. */
void wake_up_bit(unsigned long *word);

#endif
