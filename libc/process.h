/* SPDX-License-Identifier: MIT */
/*
 * process.h - what the C library keeps for each thread and each program.
 *
 * There is no ring 3: a program is a function of the image, run in kernel threads that have an
 * address space of their own. A process is such a run: descriptors, threads, what to do at exit.
 * Threads that no program started belong to the process whose mm they use, else to the first one
 * (init's, which never ends): tests and the shell share its descriptors.
 */
#ifndef LIBC_PROCESS_H
#define LIBC_PROCESS_H

#include "kernel/lib/types.h"

#include <errno.h>
#include <signal.h>
#include <sys/queue.h>
#include <sys/reent.h>
#include <sys/types.h>

#include "kernel/core/sched.h"
#include "kernel/core/sleeplock.h"

struct fault_info;
struct file;
struct mm;

#define FD_MAX		 64
#define ATEXIT_MAX	 32
#define HELD_MUTEXES_MAX 32 /* of one thread; more are not released at its end */

/* In the place of a struct file: the serial line. */
#define FD_CONSOLE ((struct file *)1)

/* p: process->lock   s: at creation   o: the thread itself */
struct pthread {
	struct thread *thread;	   /* s */
	void *(*fn)(void *);	   /* s */
	void *arg;		   /* s */
	void *result;		   /* o; read after its end */
	bool detached;		   /* p: nobody will join; swept by the next creation */
	sigset_t blocked;	   /* a: written by the thread itself */
	sigset_t pending;	   /* a: sent, and not taken yet */
	TAILQ_ENTRY(pthread) link; /* p */
};

/* p: lock   s: at creation   m: main thread only   l: process_list_lock */
struct process {
	char name[THREAD_NAME];		  /* s */
	int pid;			  /* s */
	struct mm *mm;			  /* s: NULL for the first process */
	struct mutex lock;		  /* RANK_LIBC */
	struct file *fds[FD_MAX];	  /* p: NULL: free */
	TAILQ_HEAD(, pthread) threads;	  /* p: all that were created and not yet joined */
	struct thread *main_thread;	  /* m */
	unsigned int nr_atexit;		  /* p */
	void (*atexit[ATEXIT_MAX])(void); /* p */
	struct sigaction actions[NSIG];	  /* p: zeros are SIG_DFL */
	TAILQ_ENTRY(process) link;	  /* l */
};

/* Hangs on thread->libc; made when the thread first needs it. o: the thread itself */
struct libc_thread {
	struct _reent reent;	 /* o: newlib's; first, so that __getreent is one load */
	struct process *process; /* s */
	struct pthread *pthread; /* s: &self for threads that pthread_create did not make */
	struct pthread self;
	struct __lock *held; /* o: newlib's locks, for when a fault ends the thread */
	pthread_mutex_t *mutexes[HELD_MUTEXES_MAX]; /* o: the program's, for the same */
	unsigned int nr_mutexes;		    /* o */
	bool closing; /* o: newlib closes its streams; descriptors stay (newlib.c) */
};

/* Of the calling thread; made if need be. NULL: early, in an interrupt, or out of memory. */
struct libc_thread *libc_thread(void);
/* The calling thread's process, never NULL. */
struct process *process_current_slow(void);

static inline struct process *process_current(void)
{
	const struct thread *t = current_thread();
	const struct libc_thread *lt = likely(t) ? t->libc : NULL;

	return likely(lt) ? lt->process : process_current_slow();
}

/* signal.c: thread->libc_fault; it may run a handler, or not return. */
bool signal_fault(const struct fault_info *fault);
/* signal.c. Run the handlers of what was sent and is not blocked. No lock held. */
void signal_take_pending(struct libc_thread *lt);

/* Was the thread sent something that it may take now? */
static inline bool signal_waits(const struct libc_thread *lt)
{
	return lt && READ_ONCE(lt->pthread->pending) & ~lt->pthread->blocked;
}

/* Is there a reason to leave a sleep early: the thread was killed, or a signal waits? */
static inline bool program_called(void)
{
	const struct thread *t = current_thread();

	return thread_is_killed(t) || unlikely(signal_waits(t->libc));
}

/* Here a thread of a program holds no lock of the kernel: it ends, if it was killed, or takes the
 * signals that wait. */
static inline void program_point(void)
{
	const struct thread *t = current_thread();

	if (thread_is_killed(t) && t->libc)
		thread_exit(-EINTR);
	if (unlikely(signal_waits(t->libc)))
		signal_take_pending(t->libc);
}

/* Make @t's state with @process; before anything else in a new thread. 0 or -ENOMEM. */
int libc_thread_attach(struct process *process, struct pthread *pthread);

/* A process with @parent's descriptors 0 to 2; NULL if out of memory. */
struct process *process_create(const char *name, struct mm *mm, struct process *parent);
/* After its last thread: closes its descriptors, frees it. */
void process_destroy(struct process *process);
/* In the main thread, at its end: exit functions, join what still runs, flush its streams. */
void process_end(struct process *process);

/* pthread.c. Start a thread of the calling process; 0 or -ENOMEM. */
int pthread_start(struct process *process, int cpu, bool detached, void *(*fn)(void *), void *arg,
		  struct pthread **out);
/* Is @p a thread of @process that can be asked something: its main thread, or one that nobody has
 * joined? process->lock held. */
bool pthread_of(const struct process *process, const struct pthread *p);
/* Join every thread of @process that nobody joined. */
void pthread_join_all(struct process *process);

/* pthread_sync.c. Let go of the mutexes that the thread holds although it ends: who takes one next
 * is told (EOWNERDEAD). */
void pthread_release_mutexes(struct libc_thread *lt);

/* newlib.c. Flush and close the streams that @process opened and left open. */
void newlib_close_streams(struct process *process);
/* newlib.c. Let go of newlib's locks that the thread holds because a fault ended it. */
void newlib_release_locks(struct libc_thread *lt);
/* newlib.c. Give back what newlib allocated for the thread; flushes its standard streams. */
void newlib_reclaim(struct libc_thread *lt);

/* heap.c. As sbrk: the former end, or NULL. */
void *heap_grow(s64 increment);

/* posix_file.c. The open file behind @fd, referenced (file_put it); FD_CONSOLE for the console;
 * NULL with errno EBADF. */
struct file *fd_get(int fd);
void fd_put(struct file *file);
/* The lowest free descriptor >= @from takes the reference; -1 with errno EMFILE (reference
 * kept). */
int fd_install(struct file *file, int from);
/* Kernel error to POSIX: negative becomes -1 and errno. */
long posix_result(long result);

#endif
