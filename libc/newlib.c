/* SPDX-License-Identifier: MIT */
/*
 * newlib.c - the only file that knows how newlib reaches a system: its hooks, under plain names.
 *
 * newlib's x86_64-elf port calls read, write, sbrk, ... directly (MISSING_SYSCALL_NAMES); those
 * that POSIX offers to programs as well are in posix_*.c, the rest is here: the re-entrancy
 * structure, the locks, the heap, and how a program ends.
 *
 * Key fact: libc.a holds dummies of every lock, all in one object that is linked silently when
 *	  none of them is defined, and clashes when some are. All are defined here.
 */
#include "libc/process.h"

#include <errno.h>
#include <reent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/lock.h>
#include <unistd.h>

#include "kernel/lib/errors.h"
#include "kernel/mm/kmalloc.h"

/* --- per-thread state --- */

/* errno, strtok, stdout and the like of the calling thread. */
struct _reent *__getreent(void)
{
	struct libc_thread *lt = libc_thread();

	return lt ? &lt->reent : _GLOBAL_REENT;
}

void newlib_reclaim(struct libc_thread *lt)
{
	/* fclose(stdout) flushes, which is wanted, and closes descriptor 1, which is everybody's.
	 * */
	lt->closing = true;
	_reclaim_reent(&lt->reent);
}

/* --- locks --- */

/* o: who holds it; others may read owner untorn and see themselves only if they are it */
struct __lock {
	struct mutex mutex;
	struct thread *owner;	  /* o */
	unsigned int depth;	  /* o: of a recursive lock */
	struct __lock *next_held; /* o: libc_thread->held */
	struct process *process;  /* s: whose stream it guards */
};

#define NEWLIB_LOCK(id)                                                                            \
	struct __lock __lock_##id = {                                                              \
		.mutex = { .rank = RANK_LIBC,                                                      \
			   .name = "newlib " #id,                                                  \
			   .wait = { .lock = { .rank = RANK_WAIT, .name = "newlib " #id },         \
				     .waiters = TAILQ_HEAD_INITIALIZER(                            \
					     __lock_##id.mutex.wait.waiters) } }                   \
	}

NEWLIB_LOCK(__sinit_recursive_mutex);
NEWLIB_LOCK(__sfp_recursive_mutex);
NEWLIB_LOCK(__atexit_recursive_mutex);
NEWLIB_LOCK(__malloc_recursive_mutex);
NEWLIB_LOCK(__env_recursive_mutex);
NEWLIB_LOCK(__at_quick_exit_mutex);
NEWLIB_LOCK(__tz_mutex);
NEWLIB_LOCK(__dd_hash_mutex);
NEWLIB_LOCK(__arc4random_mutex);

/* The calling thread took the mutex of @lock. */
static void lock_taken(struct __lock *lock)
{
	struct libc_thread *lt = libc_thread();

	WRITE_ONCE(lock->owner, current_thread());
	lock->depth = 1;
	if (lt) {
		lock->next_held = lt->held;
		lt->held = lock;
	}
}

static void lock_drop(struct __lock *lock)
{
	struct libc_thread *lt = libc_thread();
	struct __lock **p = lt ? &lt->held : NULL;

	/* Nearly always the first. */
	while (p && *p && *p != lock)
		p = &(*p)->next_held;
	if (p && *p)
		*p = lock->next_held;
	WRITE_ONCE(lock->owner, NULL);
	mutex_unlock(&lock->mutex);
}

void newlib_release_locks(struct libc_thread *lt)
{
	while (lt->held)
		lock_drop(lt->held);
}

/* A stream's lock; without memory the stream does without. */
void __retarget_lock_init(_LOCK_T *lock)
{
	*lock = kzalloc(sizeof(**lock));
	if (!*lock)
		return;
	mutex_init(&(*lock)->mutex, "stream", RANK_LIBC);
	(*lock)->process = process_current();
}

void __retarget_lock_init_recursive(_LOCK_T *lock)
{
	__retarget_lock_init(lock);
}

void __retarget_lock_close(_LOCK_T lock)
{
	kfree(lock);
}

void __retarget_lock_close_recursive(_LOCK_T lock)
{
	kfree(lock);
}

void __retarget_lock_acquire(_LOCK_T lock)
{
	if (!lock)
		return;
	mutex_lock(&lock->mutex);
	lock_taken(lock);
}

int __retarget_lock_try_acquire(_LOCK_T lock)
{
	if (!lock)
		return 1;
	if (!mutex_trylock(&lock->mutex))
		return 0;
	lock_taken(lock);
	return 1;
}

void __retarget_lock_release(_LOCK_T lock)
{
	if (lock)
		lock_drop(lock);
}

void __retarget_lock_acquire_recursive(_LOCK_T lock)
{
	if (lock && READ_ONCE(lock->owner) == current_thread())
		lock->depth++;
	else
		__retarget_lock_acquire(lock);
}

int __retarget_lock_try_acquire_recursive(_LOCK_T lock)
{
	if (!lock || READ_ONCE(lock->owner) != current_thread())
		return __retarget_lock_try_acquire(lock);
	lock->depth++;
	return 1;
}

void __retarget_lock_release_recursive(_LOCK_T lock)
{
	if (lock && !--lock->depth)
		lock_drop(lock);
}

/* --- streams that a program leaves open --- */

/* newlib has one list of opened streams for all; a stream's lock knows who opened it. */
static int close_if_ours(FILE *fp)
{
	struct __lock *lock = fp->_lock;

	if (lock && lock->process == process_current() && fp->_file > 2)
		fclose(fp);
	return 0;
}

extern int _fwalk(struct _reent *reent, int (*fn)(FILE *));

void newlib_close_streams(struct process *process)
{
	if (_GLOBAL_REENT->__sdidinit)
		_fwalk(_GLOBAL_REENT, close_if_ours);
}

/* --- errors of our own --- */

/* What strerror() asks about numbers that it does not know. */
char *_user_strerror(int number, int internal, int *error);
char *_user_strerror(int number, int internal, int *error)
{
	return number == ERACE ? "direct I/O raced with a mapping" : NULL;
}

/* --- the heap --- */

void *sbrk(ptrdiff_t increment)
{
	void *old = heap_grow(increment);

	if (old)
		return old;
	errno = ENOMEM;
	return (void *)-1;
}

/* --- the end of a program --- */

/* Ends the calling thread; a program ends when its main thread does. process_end() is called by
 * the thread's exit hook, whatever ended it. */
void _exit(int status)
{
	thread_exit(status);
}

/* newlib's own would close the streams of every program. */
void exit(int status)
{
	_exit(status);
}

int atexit(void (*fn)(void))
{
	struct process *p = process_current();
	int err = -1;

	mutex_lock(&p->lock);
	if (p->nr_atexit < ATEXIT_MAX) {
		p->atexit[p->nr_atexit++] = fn;
		err = 0;
	}
	mutex_unlock(&p->lock);
	return err;
}

pid_t getpid(void)
{
	return process_current()->pid;
}
