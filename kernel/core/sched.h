/* SPDX-License-Identifier: MIT */
/*
 * sched.h - threads: what they are, how they start, run, wait and end.
 *
 * Preemptive, round-robin, one run queue per CPU. A thread stays on the CPU it was placed on unless
 * an idle CPU steals it while it is runnable; a pinned thread never moves. Kernel threads and
 * programs are the same thing: a program's thread has an mm.
 */
#ifndef KERNEL_CORE_SCHED_H
#define KERNEL_CORE_SCHED_H

#include <sys/queue.h>

#include "arch/x86_64/asm/cpu.h"
#include "kernel/core/percpu.h"
#include "kernel/core/wait.h"
#include "kernel/lib/types.h"

struct fault_info;
struct mm;
struct pgtable;

enum thread_state { THREAD_RUNNABLE, THREAD_SLEEPING, THREAD_DEAD };

#define THREAD_NAME    24
#define STACK_PAGES    8 /* and a guard page below */
#define STACK_SIZE     (STACK_PAGES * 4096UL)
#define MAX_HELD_LOCKS 1100 /* writeback holds a batch of page locks */

struct held_lock {
	const void *lock;
	const char *name;
	u64 order;
	u32 rank;
	bool in_irq; /* taken by an interrupt handler on top of this thread */
};

/* r: run queue lock of its CPU   o: the thread itself   s: set at creation   a: atomic */
struct thread {
	u64 sp;			 /* r: while not running */
	void *stack;		 /* s: lowest address; its guard page lies below */
	u8 *fpu;		 /* s: 512 bytes, 16-aligned */
	enum thread_state state; /* r; SLEEPING is set by the thread itself */
	bool queued;		 /* r: in a run queue, or on the way to one */
	bool on_cpu;		 /* a: its stack is in use by a CPU */
	bool pinned;		 /* s */
	bool in_reclaim;	 /* o: it makes room already; kernel/mm/reclaim.c */
	u8 writes_out;		 /* o: >0: it may take the last frames; page_alloc.h */
	u32 cpu;		 /* r: where it runs or last ran */
	u32 id;			 /* s */
	char name[THREAD_NAME];	 /* s */
	struct pgtable *pgt;	 /* o: translations; NULL for kernel threads */
	struct mm *mm;		 /* o: the address space that owns pgt; opaque here */
	union {
		struct {
			int fault_disabled; /* o: >0: a fault fails at once: pagefault_disable() */
			bool killed;	    /* a: thread_kill() */
			bool ending;	    /* o: in thread_exit(): nothing can end it twice */
		};
		u64 unusual; /* any of them, in one look: fault_fast() declines */
	};
	int (*fn)(void *arg);		     /* s */
	void *arg;			     /* s */
	int exit_code;			     /* o, valid when DEAD */
	int refs;			     /* a: creator and itself */
	u64 ran_ns;			     /* r: time on a CPU, for CLOCK_THREAD_CPUTIME_ID */
	u64 since_ns;			     /* r: start of the turn, by its CPU's clock of work */
	struct wait_queue done;		     /* woken at exit */
	void *libc;			     /* o: rank 7 keeps newlib's struct _reent here */
	void (*libc_exit)(struct thread *t); /* o: frees it, runs in the exiting thread; or NULL */
	/* o: an access of this thread was refused; true: try it again. NULL: it ends. */
	bool (*libc_fault)(const struct fault_info *fault);
	void *mm_exit_arg;	      /* spare for rank 4 */
	const char *waits_for;	      /* o: name of the queue it sleeps on, for sched_dump() */
	struct thread *next_dead;     /* list of those whose memory is to be freed */
	TAILQ_ENTRY(thread) run_link; /* r */
	TAILQ_ENTRY(thread) all_link; /* all_threads lock */
	unsigned int nr_held;	      /* o: debug=1 */
	struct held_lock *held;	      /* o: MAX_HELD_LOCKS, allocated with debug=1 */
};

/*
 * How core gets memory for threads although frames lie above it: mm gives these at boot.
 * alloc returns a zeroed thread with stack and fpu set (held too when debug_checks), or NULL;
 * free takes all of it back. Both may sleep.
 */
void sched_init(struct thread *(*alloc)(void), void (*free)(struct thread *t));
/* Make the running code of this CPU its idle thread; called once on each CPU, interrupts off. */
void sched_init_cpu(struct thread *idle);
/* The idle loop: halts, steals, never returns. */
__noreturn void sched_idle_loop(void);

#define CPU_ANY (-1)
/*
 * Start @fn(@arg) in a new thread. @cpu: CPU_ANY or a CPU to be pinned to. @mm, @pgt: address space
 * or NULL (the caller holds a reference for the thread's life). The caller gets a reference: join
 * or put it. NULL if out of memory. May sleep.
 */
struct thread *thread_create(const char *name, int cpu, struct mm *mm, struct pgtable *pgt,
			     int (*fn)(void *), void *arg);
/* Wait for its end; returns its exit code and drops the caller's reference. May sleep. */
int thread_join(struct thread *t);
void thread_put(struct thread *t);
/* End the current thread. libc_exit runs first and may read t->exit_code. Asserts that it holds no
 * lock. */
__noreturn void thread_exit(int code);
/*
 * End @t (referenced) as soon as it is where it may end: it leaves a killable sleep at once, and
 * ends with -EINTR, its locks released, at the next point at which a program's thread asks
 * thread_killed(): the end of a page fault in its own code, and calls of the C library that sleep
 * or take a descriptor. A thread of the kernel that never asks goes on. Any context.
 */
void thread_kill(struct thread *t);
/* Was @t, the current thread, told to end, and is not about to? */
static inline bool thread_is_killed(const struct thread *t)
{
	return unlikely(READ_ONCE(t->killed)) && !t->ending;
}
static inline bool thread_killed(void)
{
	return thread_is_killed(current_thread());
}
/* Sleep until @when, or until killed: false. May sleep. */
bool sleep_until_killable(ktime_t when);
/*
 * For other sleeps that a kill ends: kill_prepare(), then wait_prepare() for what is waited for;
 * then test the condition and thread_killed(), and sleep if neither holds; wait_finish(),
 * kill_finish().
 */
void kill_prepare(struct waiter *w);
void kill_finish(struct waiter *w);
/* First C code of a new thread; called by arch_prepare_stack's trampoline. */
__noreturn void thread_start(struct thread *t);

/* Run @fn(@arg) on CPU @cpu in a pinned thread that borrows the caller's mm; wait; its result.
 * -ENOMEM if it could not start. May sleep. */
int on_cpu(unsigned int cpu, int (*fn)(void *), void *arg);

void schedule(void); /* give the CPU away; runnable threads come back */
void yield(void);
void sleep_until(ktime_t when);	   /* may sleep */
void sleep_ns(u64 ns);		   /* may sleep */
void sched_wake(struct thread *t); /* any context */
void sched_tick(void);		   /* timer interrupt: the slice may have ended */
/* Threads whose memory is not freed, idle ones excluded: leak checks. Frees what can be freed. May
 * sleep. */
unsigned int thread_count(void);
void sched_dump(void);		      /* one line per thread, for panic and `stats` */
u64 sched_idle_tsc(unsigned int cpu); /* ticks of the TSC that CPU spent halted */
u64 sched_thread_ns(void);	      /* time the current thread has run; any context */
/* Has @t gone to sleep, all of it: its CPU does something else, or nothing? For tests, which must
 * know otherwise that nobody wakes it. */
bool sched_asleep(const struct thread *t);

/* --- between the files of kernel/core --- */

/* Give the CPU away until sched_wake() or @deadline; the thread has set its state to sleeping
 * before it looked for the last time whether it must. False: the deadline passed. */
bool schedule_until(ktime_t deadline);
/* End of the running thread's slice, 0 while nobody waits for this CPU. Interrupts off. */
ktime_t sched_slice_end(void);
/* Make run queues; put a new thread on @cpu or CPU_ANY; end the current thread; what a thread that
 * was just switched to does first, interrupts off. */
void runqueues_init(void);
void sched_start(struct thread *t, int cpu);
__noreturn void sched_exit(void);
void sched_finish_switch(void);
/* For completion.h: *@pending counts down by one, and @t is woken, in one hold of its queue's
 * lock; @t may go on and end as soon as *@pending is 0 and sched_waker_gone() has returned. Any
 * context. */
void sched_complete(struct thread *t, int *pending);
/* The current thread saw a count at 0: returns when sched_complete() knows it no more. */
void sched_waker_gone(void);
/* thread.c: drop the reference that a dead thread held on itself; its stack is out of use. Any
 * context. */
void thread_bury(struct thread *t);
/* The thread that runs on @cpu, and how many wait there: for sched_dump(). */
struct thread *sched_running(unsigned int cpu, unsigned int *waiting);

/* An interrupt: if this CPU was halted, its idle time ends here. Interrupts off. */
static inline void sched_idle_interrupted(void)
{
	struct cpu *c = this_cpu();

	if (likely(!c->halted_since))
		return;
	WRITE_ONCE(c->idle_tsc, c->idle_tsc + rdtsc() - c->halted_since);
	WRITE_ONCE(c->halted_since, 0);
}

/* Panics unless the caller may sleep: no spinlock, interrupts on, not in an interrupt. */
void assert_can_sleep(void);

#endif
