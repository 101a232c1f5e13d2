/* SPDX-License-Identifier: MIT */
/*
 * test_signal_sent.c - signals that a program sends itself, masks, and what is refused.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "libc/process.h"
#include "tests/util.h"

static unsigned int calls[NSIG]; /* a */
static sigset_t blocked_inside;
static siginfo_t last;

static void count(int sig, siginfo_t *info, void *context)
{
	last = *info;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked_inside);
	atomic_add_return(&calls[sig], 1);
}

static void count_plainly(int sig)
{
	atomic_add_return(&calls[sig], 1);
}

static void catch (int sig, sigset_t mask)
{
	struct sigaction act = { .sa_sigaction = count, .sa_flags = SA_SIGINFO, .sa_mask = mask };

	atomic_store(&calls[sig], 0);
	EXPECT_EQ(sigaction(sig, &act, NULL), 0);
}

static void block(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	EXPECT_EQ(sigprocmask(how, &set, NULL), 0);
}

static bool is_pending(int sig)
{
	sigset_t set = 0;

	EXPECT_EQ(sigpending(&set), 0);
	return sigismember(&set, sig);
}

/* --- to oneself --- */

KTEST(signal, raise_calls_the_handler_at_once)
{
	sigset_t usr2, both;

	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	both = usr2;
	sigaddset(&both, SIGUSR1);
	catch (SIGUSR1, usr2);
	EXPECT_EQ(raise(SIGUSR1), 0);
	EXPECT_EQ(calls[SIGUSR1], 1);
	EXPECT_EQ(last.si_signo, SIGUSR1);
	EXPECT_EQ(last.si_code, SI_TKILL);
	EXPECT_EQ(blocked_inside, both);
	EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
	EXPECT_EQ(calls[SIGUSR1], 2);
	EXPECT_EQ(last.si_code, SI_USER);
	EXPECT_EQ(last.si_pid, getpid());
	EXPECT_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
	EXPECT_EQ(calls[SIGUSR1], 3);
	EXPECT(signal(SIGUSR1, count_plainly) != SIG_ERR);
	EXPECT_EQ(raise(SIGUSR1), 0);
	EXPECT_EQ(calls[SIGUSR1], 4);
	EXPECT(signal(SIGUSR1, SIG_IGN) == count_plainly);
	EXPECT_EQ(raise(SIGUSR1), 0);
	EXPECT(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
	EXPECT_EQ(raise(SIGCHLD), 0); /* by default nobody minds */
	EXPECT_EQ(calls[SIGUSR1], 4);
}

KTEST(signal, blocked_signal_waits)
{
	catch (SIGUSR1, 0);
	block(SIG_BLOCK, SIGUSR1);
	EXPECT_EQ(raise(SIGUSR1), 0);
	EXPECT_EQ(raise(SIGUSR1), 0); /* it is pending or not; it is not counted */
	EXPECT(is_pending(SIGUSR1));
	EXPECT_EQ(calls[SIGUSR1], 0);
	block(SIG_UNBLOCK, SIGUSR1);
	EXPECT_EQ(calls[SIGUSR1], 1);
	EXPECT(!is_pending(SIGUSR1));
	signal(SIGUSR1, SIG_DFL);
}

static void *raise_and_return(void *sig)
{
	raise((int)(s64)sig);
	return NULL;
}

static int exit_code_of(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	int code;

	EXPECT_EQ(pthread_create(&t, NULL, fn, arg), 0);
	WAIT_FOR(READ_ONCE(t->thread->state) == THREAD_DEAD);
	code = t->thread->exit_code;
	EXPECT_EQ(pthread_join(t, NULL), 0);
	return code;
}

KTEST(signal, default_action_ends_the_thread)
{
	EXPECT_EQ(exit_code_of(raise_and_return, (void *)SIGTERM), 128 + SIGTERM);
	EXPECT_EQ(exit_code_of(raise_and_return, (void *)SIGCHLD), 0);
}

/* --- to another thread --- */

static bool asleep; /* a */

static void *sleep_long(void *arg)
{
	struct timespec left = { 0 };

	atomic_store(&asleep, true);
	if (!nanosleep(&(struct timespec){ .tv_sec = 1000 }, &left) || errno != EINTR)
		return (void *)1;
	return (void *)(s64)(left.tv_sec > 0 && left.tv_sec < 1000 ? 0 : 2);
}

/* It takes the signal, and its sleep is cut short. */
KTEST(signal, other_thread_takes_it_in_its_sleep)
{
	void *result = NULL;
	pthread_t t;

	catch (SIGUSR2, 0);
	atomic_store(&asleep, false);
	EXPECT_EQ(pthread_create(&t, NULL, sleep_long, NULL), 0);
	WAIT_FOR(atomic_load(&asleep));
	EXPECT_EQ(pthread_kill(t, 0), 0);
	usleep(500);
	EXPECT_EQ(pthread_kill(t, SIGUSR2), 0);
	EXPECT_EQ(pthread_join(t, &result), 0);
	EXPECT_EQ((s64)result, 0);
	EXPECT_EQ(calls[SIGUSR2], 1);
	signal(SIGUSR2, SIG_DFL);
}

/* It waits on a word, and goes on waiting afterwards. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *lock_and_unlock(void *arg)
{
	int err = pthread_mutex_lock(&mutex);

	atomic_store(&asleep, true);
	pthread_mutex_unlock(&mutex);
	return (void *)(s64)err;
}

KTEST(signal, other_thread_takes_it_while_it_waits_for_a_mutex)
{
	void *result = NULL;
	pthread_t t;

	catch (SIGUSR2, 0);
	atomic_store(&asleep, false);
	pthread_mutex_lock(&mutex);
	EXPECT_EQ(pthread_create(&t, NULL, lock_and_unlock, NULL), 0);
	usleep(300);
	EXPECT_EQ(pthread_kill(t, SIGUSR2), 0);
	WAIT_FOR(atomic_load(&calls[SIGUSR2]));
	EXPECT(!atomic_load(&asleep));
	pthread_mutex_unlock(&mutex);
	EXPECT_EQ(pthread_join(t, &result), 0);
	EXPECT_EQ((s64)result, 0);
	EXPECT_EQ(calls[SIGUSR2], 1);
	signal(SIGUSR2, SIG_DFL);
}

/* Whatever its mask says; a created thread has that of its creator. */
KTEST(signal, sigkill_ends_another_thread)
{
	void *result = NULL;
	sigset_t all, before;
	pthread_t t;

	sigfillset(&all);
	atomic_store(&asleep, false);
	EXPECT_EQ(sigprocmask(SIG_SETMASK, &all, &before), 0);
	EXPECT_EQ(pthread_create(&t, NULL, sleep_long, NULL), 0);
	EXPECT_EQ(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	WAIT_FOR(atomic_load(&asleep));
	EXPECT_EQ(t->blocked, all & ~(1ul << (SIGKILL - 1) | 1ul << (SIGSTOP - 1)));
	EXPECT_EQ(pthread_kill(t, SIGTERM), 0); /* blocked: nothing happens */
	EXPECT_EQ(pthread_kill(t, SIGKILL), 0);
	EXPECT_EQ(pthread_join(t, &result), 0);
	EXPECT_EQ((s64)result, -EINTR);
}

/* --- jumps --- */

static void count_down(volatile int *n, sigjmp_buf to, int save)
{
	block(SIG_BLOCK, SIGUSR1);
	--*n;
	siglongjmp(to, save + 1);
}

KTEST(signal, siglongjmp_restores_the_mask_if_it_was_saved)
{
	volatile int n = 2;
	sigjmp_buf here;
	sigset_t now;

	for (volatile int save = 1; save >= 0; save--) {
		int value = sigsetjmp(here, save);

		if (!value)
			count_down(&n, here, save);
		EXPECT_EQ(value, save + 1);
		EXPECT_EQ(sigprocmask(SIG_BLOCK, NULL, &now), 0);
		EXPECT_EQ(sigismember(&now, SIGUSR1), !save);
	}
	EXPECT_EQ(n, 0);
	block(SIG_UNBLOCK, SIGUSR1);
}

/* --- bad input: the errno of Linux's manual, and nothing changes --- */

#define BAD ((void *)8)

/* What a call that fails says, or 0. */
static int error_of(int result)
{
	return result == -1 ? errno : 0;
}

KTEST(signal, bad_numbers_are_refused)
{
	static const int bad[] = { 0, -1, NSIG, 1000000 };
	struct sigaction act = { .sa_handler = count_plainly };
	sigset_t set = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(error_of(sigaction(bad[i], &act, NULL)), EINVAL);
		EXPECT_EQ(error_of(sigaddset(&set, bad[i])), EINVAL);
		EXPECT_EQ(error_of(sigdelset(&set, bad[i])), EINVAL);
		EXPECT_EQ(error_of(sigismember(&set, bad[i])), EINVAL);
		EXPECT(signal(bad[i], count_plainly) == SIG_ERR);
		EXPECT_EQ(error_of(raise(bad[i])), EINVAL);
		if (!bad[i])
			continue; /* asks whether the receiver exists */
		EXPECT_EQ(error_of(kill(getpid(), bad[i])), EINVAL);
		EXPECT_EQ(pthread_kill(pthread_self(), bad[i]), EINVAL);
	}
	EXPECT_EQ(set, 0);
}

KTEST(signal, sigkill_and_sigstop_are_out_of_reach)
{
	static const int sigs[] = { SIGKILL, SIGSTOP };
	struct sigaction act = { .sa_handler = SIG_IGN }, old;
	sigset_t all, now;

	for (unsigned int i = 0; i < ARRAY_SIZE(sigs); i++) {
		EXPECT_EQ(error_of(sigaction(sigs[i], &act, NULL)), EINVAL);
		EXPECT_EQ(sigaction(sigs[i], NULL, &old), 0);
		EXPECT(old.sa_handler == SIG_DFL);
		EXPECT(signal(sigs[i], count_plainly) == SIG_ERR);
		sigfillset(&all);
		EXPECT_EQ(sigprocmask(SIG_SETMASK, &all, NULL), 0);
		EXPECT_EQ(sigprocmask(SIG_BLOCK, NULL, &now), 0);
		EXPECT_EQ(sigismember(&now, sigs[i]), 0);
		sigemptyset(&all);
		EXPECT_EQ(sigprocmask(SIG_SETMASK, &all, NULL), 0);
	}
}

KTEST(signal, bad_pointers_are_refused_and_change_nothing)
{
	struct sigaction act = { .sa_handler = count_plainly }, now;
	sigset_t set = 1, mask;

	EXPECT_EQ(error_of(sigaction(SIGUSR1, BAD, NULL)), EFAULT);
	EXPECT_EQ(error_of(sigaction(SIGUSR1, &act, BAD)), EFAULT);
	EXPECT_EQ(sigaction(SIGUSR1, NULL, &now), 0);
	EXPECT(now.sa_handler == SIG_DFL);
	EXPECT_EQ(error_of(sigprocmask(SIG_BLOCK, BAD, NULL)), EFAULT);
	EXPECT_EQ(error_of(sigprocmask(SIG_BLOCK, &set, BAD)), EFAULT);
	EXPECT_EQ(error_of(sigprocmask(77, &set, NULL)), EINVAL);
	EXPECT_EQ(pthread_sigmask(-1, &set, NULL), EINVAL);
	EXPECT_EQ(sigprocmask(77, NULL, &mask), 0); /* as Linux: @how does not matter */
	EXPECT_EQ(mask, 0);
	EXPECT_EQ(error_of(sigpending(BAD)), EFAULT);
	EXPECT_EQ(error_of(nanosleep(BAD, NULL)), EFAULT);
}

KTEST(signal, unknown_receivers_are_refused)
{
	EXPECT_EQ(error_of(kill(getpid() + 12345, SIGUSR1)), ESRCH);
	EXPECT_EQ(kill(getpid(), 0), 0);
	EXPECT_EQ(pthread_kill(BAD, SIGUSR1), ESRCH);
	EXPECT_EQ(pthread_kill(BAD, 0), ESRCH);
}
