/* SPDX-License-Identifier: MIT */
/*
 * sys/signal.h - signals, for <signal.h> of newlib, which includes it. Numbers are newlib's.
 *
 * What is offered: SIGBUS and SIGSEGV with the exact address, to the thread whose access was
 * refused; handlers per program, a mask per thread; signals that a program sends to itself or to
 * one of its threads. A thread takes a signal that another sent when a call sleeps or takes a
 * descriptor. There are no process groups, no queues, no alternate stacks.
 *
 * A handler runs on the stack of the thread it interrupted, with interrupts on; it may return (the
 * access is tried again, which is what a handler wants that mapped the page) or siglongjmp() away.
 * Without a handler, or when the signal is blocked or ignored or the stack is nearly full, a
 * refused access ends the thread: one line says what, where and why, its locks are released (a
 * mutex tells its next owner: EOWNERDEAD), and the rest of the program goes on.
 */
#ifndef _SYS_SIGNAL_H
#define _SYS_SIGNAL_H

#include <sys/_sigset.h>
#include <sys/cdefs.h>
#include <sys/types.h>

#ifndef _SIGSET_T_DECLARED
#define _SIGSET_T_DECLARED
typedef __sigset_t sigset_t;
#endif

#define SIGHUP	  1
#define SIGINT	  2
#define SIGQUIT	  3
#define SIGILL	  4
#define SIGTRAP	  5
#define SIGABRT	  6
#define SIGIOT	  6
#define SIGEMT	  7
#define SIGFPE	  8
#define SIGKILL	  9
#define SIGBUS	  10
#define SIGSEGV	  11
#define SIGSYS	  12
#define SIGPIPE	  13
#define SIGALRM	  14
#define SIGTERM	  15
#define SIGURG	  16
#define SIGSTOP	  17
#define SIGTSTP	  18
#define SIGCONT	  19
#define SIGCHLD	  20
#define SIGTTIN	  21
#define SIGTTOU	  22
#define SIGIO	  23
#define SIGXCPU	  24
#define SIGXFSZ	  25
#define SIGVTALRM 26
#define SIGPROF	  27
#define SIGWINCH  28
#define SIGLOST	  29
#define SIGUSR1	  30
#define SIGUSR2	  31
#define NSIG	  32

typedef void (*_sig_func_ptr)(int);

union sigval {
	int sival_int;
	void *sival_ptr;
};

typedef struct {
	int si_signo;
	int si_code;
	int si_errno;  /* SIGBUS: ENOSPC or EIO where that is why, 0: beyond the end of the file */
	pid_t si_pid;  /* SI_USER */
	void *si_addr; /* SIGBUS, SIGSEGV: the address that was used, to the byte */
	union sigval si_value;
} siginfo_t;

/* si_code */
#define SI_USER	    0 /* kill() */
#define SI_QUEUE    (-1)
#define SI_TKILL    (-6) /* raise(), pthread_kill() */
#define SEGV_MAPERR 1	 /* nothing is mapped there */
#define SEGV_ACCERR 2	 /* the mapping does not permit it */
#define BUS_ADRALN  1
#define BUS_ADRERR  2 /* the file has no such byte, and can have none */
#define BUS_OBJERR  3

/* For <time.h>; no timer sends signals. */
struct sigevent {
	int sigev_notify;
	int sigev_signo;
	union sigval sigev_value;
};

struct sigaction {
	union {
		_sig_func_ptr sa_handler;
		/* @context is NULL: what was interrupted cannot be changed, only left. */
		void (*sa_sigaction)(int sig, siginfo_t *info, void *context);
	};
	sigset_t sa_mask; /* blocked while the handler runs, beside the signal itself */
	int sa_flags;
};

#define SA_NOCLDSTOP 0x01 /* accepted: there are no children */
#define SA_SIGINFO   0x02 /* sa_sigaction, not sa_handler */
#define SA_ONSTACK   0x04 /* accepted: a thread has one stack */
#define SA_RESTART   0x08 /* accepted: only sleeping is cut short by a handler, as on Linux */
#define SA_NODEFER   0x10 /* the signal itself is not blocked while its handler runs */
#define SA_RESETHAND 0x20 /* once: then SIG_DFL again */

#define SIG_SETMASK 0
#define SIG_BLOCK   1
#define SIG_UNBLOCK 2

/* EINVAL (no such signal; SIGKILL and SIGSTOP cannot be caught), EFAULT: nothing changed. */
int sigaction(int sig, const struct sigaction *act, struct sigaction *old);
/* SIGKILL and SIGSTOP are never blocked, which is no error. EINVAL (@how), EFAULT. What was blocked
 * and is pending is taken before it returns. */
int sigprocmask(int how, const sigset_t *set, sigset_t *old);
/* The same; returns the error. */
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int sigpending(sigset_t *set);
/* To the calling program only (ESRCH). */
int kill(pid_t pid, int sig);
/* To a thread of the calling program; returns ESRCH, EINVAL. SIGKILL ends that thread alone. */
int pthread_kill(pthread_t thread, int sig);

int sigemptyset(sigset_t *set);
int sigfillset(sigset_t *set);
/* EINVAL: no such signal. */
int sigaddset(sigset_t *set, int sig);
int sigdelset(sigset_t *set, int sig);
int sigismember(const sigset_t *set, int sig);

#endif
