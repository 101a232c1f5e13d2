/* SPDX-License-Identifier: MIT */
/*
 * pthread.c - a program's threads: each is a kernel thread in the program's address space.
 *
 * Owns:  process->threads.
 * Not:   mutexes and what waits on memory (pthread_sync.c).
 * Locks: process->lock for the list.
 */
#include "libc/process.h"

#include <errno.h>
#include <pthread.h>

#include "kernel/fs/fs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/vm_area.h"
#include "libc/include/dirtybit.h"

/* First code of a thread of a program. The starter waits in pthread_start until it is attached. */
struct pthread_boot {
	struct pthread *pthread;
	struct process *process;
};

static int pthread_main(void *arg)
{
	struct pthread_boot boot = *(struct pthread_boot *)arg;

	kfree(arg);
	if (libc_thread_attach(boot.process, boot.pthread))
		panic("pthread: no memory for the state of a thread of %s", boot.process->name);
	boot.pthread->result = boot.pthread->fn(boot.pthread->arg);
	return 0;
}

/* Free what detached threads left behind. */
static void sweep_detached(struct process *process)
{
	struct pthread *p, *next;
	TAILQ_HEAD(, pthread) dead = TAILQ_HEAD_INITIALIZER(dead);

	mutex_lock(&process->lock);
	TAILQ_FOREACH_SAFE(p, &process->threads, link, next) {
		if (p->detached && READ_ONCE(p->thread->state) == THREAD_DEAD) {
			TAILQ_REMOVE(&process->threads, p, link);
			TAILQ_INSERT_TAIL(&dead, p, link);
		}
	}
	mutex_unlock(&process->lock);
	TAILQ_FOREACH_SAFE(p, &dead, link, next) {
		thread_join(p->thread);
		kfree(p);
	}
}

int pthread_start(struct process *process, int cpu, bool detached, void *(*fn)(void *), void *arg,
		  struct pthread **out)
{
	struct mm *mm = current_thread()->mm;
	struct pthread_boot *boot = kmalloc(sizeof(*boot));
	struct pthread *p = kzalloc(sizeof(*p));
	int err = -ENOMEM;

	sweep_detached(process);
	if (!boot || !p)
		goto out_free;
	*boot = (struct pthread_boot){ .pthread = p, .process = process };
	p->fn = fn;
	p->arg = arg;
	p->detached = detached;
	p->blocked = libc_thread() ? libc_thread()->pthread->blocked : 0; /* inherited (POSIX) */
	/* Under the lock, so that the thread is in the list before anyone can look for it. */
	mutex_lock(&process->lock);
	p->thread = thread_create(process->name, cpu, mm, mm ? &mm->pgt : NULL, pthread_main, boot);
	if (p->thread) {
		TAILQ_INSERT_TAIL(&process->threads, p, link);
		*out = p;
		err = 0;
	}
	mutex_unlock(&process->lock);
	if (!err)
		return 0;
out_free:
	kfree(p);
	kfree(boot);
	return err;
}

bool pthread_of(const struct process *process, const struct pthread *p)
{
	const struct thread *main = process->main_thread;
	const struct pthread *q;

	if (main && p == ((const struct libc_thread *)main->libc)->pthread)
		return true;
	TAILQ_FOREACH(q, &process->threads, link) {
		if (q == p)
			break;
	}
	return q;
}

/* Take @p off the list; false if somebody else did. */
static bool pthread_claim(struct process *process, struct pthread *p)
{
	struct pthread *q;

	mutex_lock(&process->lock);
	TAILQ_FOREACH(q, &process->threads, link) {
		if (q == p)
			break;
	}
	if (q)
		TAILQ_REMOVE(&process->threads, q, link);
	mutex_unlock(&process->lock);
	return q;
}

void pthread_join_all(struct process *process)
{
	struct pthread *p;

	for (;;) {
		mutex_lock(&process->lock);
		p = TAILQ_FIRST(&process->threads);
		if (p)
			TAILQ_REMOVE(&process->threads, p, link);
		mutex_unlock(&process->lock);
		if (!p)
			return;
		thread_join(p->thread);
		kfree(p);
	}
}

int pthread_attr_init(pthread_attr_t *attr)
{
	*attr = (pthread_attr_t){ 0 };
	return 0;
}

int pthread_attr_destroy(pthread_attr_t *attr)
{
	return 0;
}

int pthread_attr_setdetachstate(pthread_attr_t *attr, int state)
{
	if (state != PTHREAD_CREATE_JOINABLE && state != PTHREAD_CREATE_DETACHED)
		return EINVAL;
	attr->detachstate = state;
	return 0;
}

int pthread_attr_setcpu_np(pthread_attr_t *attr, int cpu)
{
	if (cpu < 0 || cpu >= (int)nr_cpus)
		return EINVAL;
	attr->cpu = cpu + 1;
	return 0;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	int cpu = attr && attr->cpu ? attr->cpu - 1 : CPU_ANY;
	bool detached = attr && attr->detachstate == PTHREAD_CREATE_DETACHED;

	struct pthread *p;

	if (pthread_start(process_current(), cpu, detached, fn, arg, &p))
		return EAGAIN;
	*thread = p; /* with no lock held: the address is the program's */
	return 0;
}

int pthread_join(pthread_t thread, void **result)
{
	if (thread == pthread_self())
		return EDEADLK;
	if (!pthread_claim(process_current(), thread))
		return ESRCH;
	thread_join(thread->thread);
	if (result)
		*result = thread->result;
	kfree(thread);
	return 0;
}

int pthread_detach(pthread_t thread)
{
	struct process *p = process_current();

	mutex_lock(&p->lock);
	thread->detached = true;
	mutex_unlock(&p->lock);
	return 0;
}

pthread_t pthread_self(void)
{
	struct libc_thread *lt = libc_thread();

	return lt ? lt->pthread : NULL;
}

int pthread_equal(pthread_t a, pthread_t b)
{
	return a == b;
}

void pthread_exit(void *result)
{
	struct libc_thread *lt = libc_thread();

	if (lt)
		lt->pthread->result = result;
	thread_exit(0);
}

int sched_yield(void)
{
	program_point();
	yield();
	return 0;
}

/* --- threads pinned to a CPU: <dirtybit.h> --- */

struct db_thread {
	struct pthread *pthread;
	int (*fn)(void *);
	void *arg;
};

static void *db_thread_main(void *arg)
{
	struct db_thread *t = arg;

	return (void *)(intptr_t)t->fn(t->arg);
}

struct db_thread *db_thread_start(int cpu, int (*fn)(void *), void *arg)
{
	struct db_thread *t;

	if (cpu < 0 || cpu >= (int)nr_cpus) {
		errno = EINVAL;
		return NULL;
	}
	t = kmalloc(sizeof(*t));
	if (t) {
		t->fn = fn;
		t->arg = arg;
		if (!pthread_start(process_current(), cpu, false, db_thread_main, t, &t->pthread))
			return t;
	}
	kfree(t);
	errno = ENOMEM;
	return NULL;
}

int db_thread_join(struct db_thread *t)
{
	void *result = NULL;
	int err = pthread_join(t->pthread, &result);

	kfree(t);
	return err ? -1 : (int)(intptr_t)result;
}
