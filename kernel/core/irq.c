/* SPDX-License-Identifier: MIT */
/*
 * irq.c - from a device's vector to its handler.
 *
 * Owns:  the vectors from VEC_IRQ_BASE to VEC_IRQ_END. Locks: vectors_lock, for giving out; the
 * dispatch takes none: it counts itself in before it reads the handler.
 */
#include "kernel/core/irq.h"

#include <errno.h>

#include "arch/x86_64/asm/frame.h"
#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/core/sched.h"
#include "kernel/core/spinlock.h"

#define NR_VECTORS (VEC_IRQ_END - VEC_IRQ_BASE)

/* v: vectors_lock   a: atomic */
static struct vector {
	irq_handler_t handler; /* a: NULL: free, or going to be */
	void *arg;	       /* v: before the handler is set */
	const char *name;      /* v */
	bool taken;	       /* v */
	bool complained;       /* a */
	int running;	       /* a: CPUs inside irq_dispatch() for this vector */
} vectors[NR_VECTORS];

static struct spinlock vectors_lock = { .rank = RANK_NONE, .name = "irq vectors" };

int irq_alloc_vector(irq_handler_t handler, void *arg, const char *name)
{
	int found = -ENOSPC;

	spin_lock(&vectors_lock);
	for (int i = 0; i < NR_VECTORS; i++) {
		struct vector *v = &vectors[i];

		if (v->taken)
			continue;
		v->taken = true;
		v->arg = arg;
		v->name = name;
		atomic_store(&v->handler, handler);
		found = VEC_IRQ_BASE + i;
		break;
	}
	spin_unlock(&vectors_lock);
	return found;
}

void irq_free_vector(unsigned int vector)
{
	struct vector *v = &vectors[vector - VEC_IRQ_BASE];

	BUG_ON(vector < VEC_IRQ_BASE || vector >= VEC_IRQ_END || !v->taken);
	/* Locked: a dispatcher that read the old handler has counted itself in before (pairs with
	 * the locked increment there), so it is seen below. */
	(void)atomic_xchg(&v->handler, NULL);
	while (atomic_load(&v->running))
		sleep_ns(20 * NSEC_PER_USEC);
	spin_lock(&vectors_lock);
	v->taken = false;
	spin_unlock(&vectors_lock);
}

void irq_dispatch(unsigned int vector)
{
	struct vector *v = &vectors[vector - VEC_IRQ_BASE];
	irq_handler_t handler;

	BUG_ON(vector < VEC_IRQ_BASE || vector >= VEC_IRQ_END);
	sched_idle_interrupted();
	atomic_inc(&v->running);
	handler = atomic_load(&v->handler);
	if (handler)
		handler(v->arg);
	else if (!atomic_xchg(&v->complained, true))
		printk("irq: interrupt on vector %u, which nobody owns; more are not named\n",
		       vector);
	atomic_dec_and_test(&v->running);
}
