/* SPDX-License-Identifier: MIT */
/*
 * thread.c - how threads begin, end, and are found.
 *
 * Owns:  the list of all threads, their references. Not: when they run (sched.c).
 * Locks: all_lock (RANK_RUNQUEUE, irqsave) guards the list.
 *
 * Two hold a thread: its creator, until thread_join() or thread_put(), and it itself, until its
 * stack was left for the last time. Whoever drops the last reference may therefore free the stack;
 * but the scheduler, which drops the thread's own, may not sleep as freeing does. A thread that
 * nobody joins goes to the graveyard; the next who creates or counts threads frees what lies there.
 */
#include <errno.h>

#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/core/sched.h"
#include "kernel/lib/fmt.h"

static struct thread *(*memory_alloc)(void);
static void (*memory_free)(struct thread *t);

static struct spinlock all_lock = { .rank = RANK_RUNQUEUE, .name = "all threads" };
static TAILQ_HEAD(, thread) all_threads = TAILQ_HEAD_INITIALIZER(all_threads);
static unsigned int nr_threads; /* all_lock */

static struct thread *graveyard; /* a: linked by next_dead */
static u32 last_id;		 /* a */

void sched_init(struct thread *(*alloc)(void), void (*free)(struct thread *t))
{
	memory_alloc = alloc;
	memory_free = free;
	runqueues_init();
	wait_init();
}

static void free_thread(struct thread *t)
{
	u64 flags = spin_lock_irqsave(&all_lock);

	TAILQ_REMOVE(&all_threads, t, all_link);
	nr_threads--;
	spin_unlock_irqrestore(&all_lock, flags);
	memory_free(t);
}

/* All at once, so no thread that is being added can be taken from under the adder's hands. */
static void empty_graveyard(void)
{
	struct thread *t = atomic_xchg(&graveyard, NULL), *next;

	for (; t; t = next) {
		next = t->next_dead;
		free_thread(t);
	}
}

void thread_bury(struct thread *t)
{
	struct thread *top;

	if (!atomic_dec_and_test(&t->refs))
		return;
	do {
		top = READ_ONCE(graveyard);
		t->next_dead = top;
	} while (!atomic_cas(&graveyard, top, t));
}

void thread_put(struct thread *t)
{
	/* Last after the thread itself, so its stack is out of use. */
	if (atomic_dec_and_test(&t->refs))
		free_thread(t);
}

struct thread *thread_create(const char *name, int cpu, struct mm *mm, struct pgtable *pgt,
			     int (*fn)(void *), void *arg)
{
	struct thread *t;
	u64 flags;

	BUG_ON(cpu != CPU_ANY && (unsigned int)cpu >= nr_cpus);
	empty_graveyard();
	t = memory_alloc();
	if (!t)
		return NULL;
	ksnprintf(t->name, sizeof(t->name), "%s", name);
	t->id = atomic_add_return(&last_id, 1);
	t->mm = mm;
	t->pgt = pgt;
	t->fn = fn;
	t->arg = arg;
	t->refs = 2;
	wait_queue_init(&t->done, "thread.done");
	t->sp = arch_prepare_stack((u8 *)t->stack + STACK_SIZE, t);
	flags = spin_lock_irqsave(&all_lock);
	TAILQ_INSERT_TAIL(&all_threads, t, all_link);
	nr_threads++;
	spin_unlock_irqrestore(&all_lock, flags);
	sched_start(t, cpu);
	return t;
}

__noreturn void thread_start(struct thread *t)
{
	/* As at the end of resched(): interrupts off, preemption disabled once. */
	sched_finish_switch();
	irq_enable();
	preempt_enable();
	thread_exit(t->fn(t->arg));
}

__noreturn void thread_exit(int code)
{
	struct thread *t = current_thread();

	assert_can_sleep();
	BUG_ON(t == this_cpu()->idle || t->fault_disabled);
	t->exit_code = code;
	t->ending = true;
	if (t->libc_exit)
		t->libc_exit(t);
	lockrank_assert_none("thread_exit");
	sched_exit();
}

int thread_join(struct thread *t)
{
	unsigned int spins = 0;
	int code;

	BUG_ON(t == current_thread());
	wait_event(&t->done, READ_ONCE(t->state) == THREAD_DEAD);
	/* Now it leaves its stack, on another CPU and with interrupts off: a few instructions. Wait
	 * for that, so that the caller finds all its memory free. */
	while (atomic_load(&t->refs) > 1)
		cpu_relax(&spins);
	code = t->exit_code;
	thread_put(t);
	return code;
}

int on_cpu(unsigned int cpu, int (*fn)(void *), void *arg)
{
	struct thread *me = current_thread();
	struct thread *t = thread_create("on_cpu", (int)cpu, me->mm, me->pgt, fn, arg);

	return t ? thread_join(t) : -ENOMEM;
}

unsigned int thread_count(void)
{
	empty_graveyard();
	return READ_ONCE(nr_threads);
}

static void dump_cpu(unsigned int cpu)
{
	unsigned int waiting;
	const struct thread *curr = sched_running(cpu, &waiting);

	printk("  CPU %u: runs %s, %u waiting, idle for %lu ms in all\n", cpu,
	       curr ? curr->name : "nothing", waiting,
	       (unsigned long)(tsc_to_ns(sched_idle_tsc(cpu)) / NSEC_PER_MSEC));
}

static void dump_thread(const struct thread *t)
{
	static const char *const states[] = { [THREAD_RUNNABLE] = "waits for the CPU",
					      [THREAD_SLEEPING] = "sleeps on ",
					      [THREAD_DEAD] = "dead" };
	bool asleep = sched_asleep(t);

	printk("  thread %u (%s) CPU %u%s, ran %lu ms, %s%s\n", t->id, t->name, t->cpu,
	       t->pinned ? " pinned" : "", (unsigned long)(t->ran_ns / NSEC_PER_MSEC),
	       t->on_cpu && !asleep ? "runs" : states[t->state],
	       asleep && t->waits_for ? t->waits_for : "");
}

void sched_dump(void)
{
	u64 flags = irq_save();
	/* A panic may come with the lock held; then the list is read as it is. */
	bool locked = spin_trylock(&all_lock);
	const struct thread *t;

	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		dump_cpu(cpu);
	TAILQ_FOREACH(t, &all_threads, all_link)
		dump_thread(t);
	if (locked)
		spin_unlock(&all_lock);
	irq_restore(flags);
}
