/* SPDX-License-Identifier: MIT */
/*
 * lockrank.c - is this lock taken in the one order? Runs with debug=1 only.
 *
 * Owns:  thread->held: what the thread holds, in order of acquisition. An interrupt handler notes
 *        its locks on top of the interrupted thread's, marked, and interrupts are off while the
 *        list is changed, so that it never meets a half written entry.
 *
 * Two checks. (1) Rank and order rise along what one context holds. What the interrupted thread
 * holds does not count for the handler: it came from nowhere. But (2) the handler may wait for a
 * lock whose holder waits for the interrupted thread:
 *	CPU 0 holds B, interrupts on;		CPU 1 takes A, then waits for B
 *	an interrupt comes and waits for A
 * So a lock that interrupts take (A) must always be held with interrupts off, and while it is held
 * no lock may be taken that is ever held with interrupts on (B). Learnt per rank, as locks are
 * used.
 */
#include "kernel/core/lockrank.h"

#include <string.h>

#include "arch/x86_64/asm/cpu.h"
#include "kernel/core/percpu.h"
#include "kernel/core/printk.h"
#include "kernel/core/sched.h"
#include "kernel/lib/bug.h"

static const char *const names[NR_RANKS] = {
	[RANK_NONE] = "none",
	[RANK_LIBC] = "libc",
	[RANK_MOUNT] = "mount",
	[RANK_NAMESPACE] = "namespace",
	[RANK_I_RWSEM] = "i_rwsem",
	[RANK_MMAP_LOCK] = "mmap_lock",
	[RANK_INVALIDATE] = "invalidate_lock",
	[RANK_PAGE] = "page",
	[RANK_I_MMAP] = "i_mmap_rwsem",
	[RANK_FS_ALLOC] = "fs_alloc",
	[RANK_BUF] = "buffer",
	[RANK_PGTABLE] = "pgtable",
	[RANK_DIRTY_LOG] = "dirty_log",
	[RANK_TREE] = "tree",
	[RANK_WB_LIST] = "wb_list",
	[RANK_INODE_LIST] = "inode_list",
	[RANK_DEVICE] = "device",
	[RANK_VMAP] = "vmap",
	[RANK_SLAB] = "slab",
	[RANK_ZONE] = "zone",
	[RANK_WAIT] = "wait",
	[RANK_RUNQUEUE] = "runqueue",
	[RANK_TIMER] = "timer",
	[RANK_TRACE] = "trace",
	[RANK_CONSOLE] = "console",
};

/* Only ever set. A race between two CPUs that learn delays a complaint by one acquisition. */
static bool used_in_irq[NR_RANKS], held_irqs_on[NR_RANKS];

const char *lockrank_name(enum lock_rank rank)
{
	return (unsigned int)rank < NR_RANKS && names[rank] ? names[rank] : "?";
}

/* The innermost ranked lock of this context, or NULL. */
static const struct held_lock *innermost(const struct thread *t, bool irq)
{
	for (unsigned int i = t->nr_held; i--;) {
		const struct held_lock *h = &t->held[i];

		if (h->in_irq == irq && h->rank != RANK_NONE)
			return h;
	}
	return NULL;
}

static void check_order(const struct held_lock *outer, const struct held_lock *new)
{
	if (new->rank > outer->rank)
		return;
	if (new->rank == outer->rank &&new->rank == RANK_LIBC)
		return;
	if (new->rank == outer->rank &&new->order &&new->order > outer->order)
		return;
	panic("lock order: taking %s (%s, %lu) while holding %s (%s, %lu)", new->name,
	      lockrank_name(new->rank), (unsigned long)new->order, outer->name,
	      lockrank_name(outer->rank), (unsigned long)outer->order);
}

static void check_interrupts(const struct thread *t, const struct held_lock *new, bool irqs_on)
{
	if (new->in_irq)
		used_in_irq[new->rank] = true;
	else if (irqs_on)
		held_irqs_on[new->rank] = true;
	if (!held_irqs_on[new->rank])
		return;
	if (used_in_irq[new->rank])
		panic("lock order: %s (%s) is taken by interrupts and held with interrupts on",
		      new->name, lockrank_name(new->rank));
	for (unsigned int i = t->nr_held; i--;) {
		const struct held_lock *outer = &t->held[i];

		/* Sleeping locks stand before all spinlocks, and no interrupt takes one. */
		if (outer->rank < RANK_PGTABLE && outer->rank != RANK_NONE)
			return;
		if (outer->in_irq == new->in_irq && used_in_irq[outer->rank])
			panic("lock order: taking %s (%s), held elsewhere with interrupts on, "
			      "while holding %s (%s), which interrupts take",
			      new->name, lockrank_name(new->rank), outer->name,
			      lockrank_name(outer->rank));
	}
}

enum how_taken { WAITED_FOR, TRIED };

static void acquire(struct held_lock new, enum how_taken how)
{
	struct thread *t = current_thread();
	const struct held_lock *outer;
	u64 flags;

	/* Before threads, or of a thread made before debug=1 was said. */
	if (!t || !t->held)
		return;
	flags = irq_save();
	if (new.rank != RANK_NONE && how == WAITED_FOR) {
		outer = innermost(t, new.in_irq);
		if (outer)
			check_order(outer, &new);
		check_interrupts(t, &new, flags & RFLAGS_IF);
	}
	if (t->nr_held == MAX_HELD_LOCKS)
		panic("thread %u (%s) holds more than %d locks", t->id, t->name, MAX_HELD_LOCKS);
	t->held[t->nr_held++] = new;
	irq_restore(flags);
}

void lockrank_acquire(const void *lock, enum lock_rank rank, u64 order, const char *name)
{
	acquire((struct held_lock){ lock, name, order, rank, in_irq() }, WAITED_FOR);
}

void lockrank_tried(const void *lock, enum lock_rank rank, u64 order, const char *name)
{
	acquire((struct held_lock){ lock, name, order, rank, in_irq() }, TRIED);
}

void lockrank_release(const void *lock)
{
	struct thread *t = current_thread();
	u64 flags;

	if (!t || !t->held)
		return;
	flags = irq_save();
	for (unsigned int i = t->nr_held; i--;) {
		if (t->held[i].lock != lock)
			continue;
		t->nr_held--;
		memmove(&t->held[i], &t->held[i + 1], (t->nr_held - i) * sizeof(t->held[0]));
		break;
	}
	/* Not found: it was taken before debug=1 was said, or in another thread (a page lock). */
	irq_restore(flags);
}

bool lockrank_holds(const void *lock)
{
	const struct thread *t = current_thread();

	if (!t || !t->held)
		return false;
	for (unsigned int i = t->nr_held; i--;)
		if (t->held[i].lock == lock)
			return true;
	return false;
}

void lockrank_assert_none_inside(enum lock_rank rank, const char *where)
{
	const struct thread *t = current_thread();
	const struct held_lock *h;

	if (!debug_checks || !t || !t->held)
		return;
	h = innermost(t, false);
	if (h && h->rank > rank)
		panic("%s: thread %u (%s) still holds %s (%s)", where, t->id, t->name, h->name,
		      lockrank_name(h->rank));
}

void lockrank_assert_none(const char *where)
{
	lockrank_assert_none_inside(RANK_NONE, where);
}

void lockrank_dump(void)
{
	const struct thread *t = current_thread();

	if (!t || !t->held) {
		printk("  not recorded (debug=1 does)\n");
		return;
	}
	for (unsigned int i = 0; i < t->nr_held; i++) {
		const struct held_lock *h = &t->held[i];

		printk("  %s (%s) at %p, order %lu%s\n", h->name, lockrank_name(h->rank), h->lock,
		       (unsigned long)h->order, h->in_irq ? ", in an interrupt" : "");
		if (i == 15 && t->nr_held > 32) {
			i = t->nr_held - 17;
			printk("  ... %u in all ...\n", t->nr_held);
		}
	}
}
