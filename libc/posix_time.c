/* SPDX-License-Identifier: MIT */
/*
 * posix_time.c - clocks and sleeping.
 */
#include "libc/process.h"

#include <errno.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/clock.h"

int clock_gettime(clockid_t id, struct timespec *ts)
{
	u64 ns;

	switch (id) {
	case CLOCK_REALTIME: ns = clock_realtime(); break;
	case CLOCK_MONOTONIC: ns = ktime_get(); break;
	case CLOCK_PROCESS_CPUTIME_ID:
	case CLOCK_THREAD_CPUTIME_ID: ns = sched_thread_ns(); break;
	default: return posix_result(-EINVAL);
	}
	ts->tv_sec = ns / NSEC_PER_SEC;
	ts->tv_nsec = ns % NSEC_PER_SEC;
	return 0;
}

int clock_getres(clockid_t id, struct timespec *ts)
{
	struct timespec now;

	if (clock_gettime(id, &now))
		return -1;
	if (ts)
		*ts = (struct timespec){ .tv_nsec = 1 };
	return 0;
}

int gettimeofday(struct timeval *tv, void *tz)
{
	u64 ns = clock_realtime();

	tv->tv_sec = ns / NSEC_PER_SEC;
	tv->tv_usec = ns % NSEC_PER_SEC / NSEC_PER_USEC;
	return 0;
}

clock_t times(struct tms *t)
{
	clock_t ticks = sched_thread_ns() / (NSEC_PER_SEC / CLOCKS_PER_SEC);

	*t = (struct tms){ .tms_utime = ticks };
	return ktime_get() / (NSEC_PER_SEC / CLOCKS_PER_SEC);
}

/* Sleep, unless the thread is killed, which ends it, or takes a signal: returns what is left of @ns
 * then. */
static u64 program_sleep(u64 ns)
{
	ktime_t now, when = ktime_get() + ns;
	struct waiter w;

	while ((now = ktime_get()) < when && !program_called()) {
		kill_prepare(&w);
		if (!program_called())
			wait_sleep(when);
		kill_finish(&w);
	}
	program_point();
	return now < when ? when - now : 0;
}

int nanosleep(const struct timespec *want, struct timespec *left)
{
	struct timespec ts;
	u64 rest;

	if (copy_fault(&ts, want, sizeof(ts)))
		return posix_result(-EFAULT);
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (long)NSEC_PER_SEC)
		return posix_result(-EINVAL);
	rest = program_sleep(ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec);
	ts = (struct timespec){ rest / NSEC_PER_SEC, rest % NSEC_PER_SEC };
	if (left && copy_fault(left, &ts, sizeof(ts)))
		return posix_result(-EFAULT);
	return posix_result(rest ? -EINTR : 0);
}

int usleep(useconds_t us)
{
	return posix_result(program_sleep(us * NSEC_PER_USEC) ? -EINTR : 0);
}

unsigned int sleep(unsigned int seconds)
{
	return DIV_ROUND_UP(program_sleep(seconds * NSEC_PER_SEC), NSEC_PER_SEC);
}

long sysconf(int name)
{
	switch (name) {
	case _SC_PAGESIZE: return PAGE_SIZE;
	case _SC_NPROCESSORS_CONF:
	case _SC_NPROCESSORS_ONLN: return nr_cpus;
	case _SC_OPEN_MAX: return FD_MAX;
	default: return posix_result(-EINVAL);
	}
}

int getpagesize(void)
{
	return PAGE_SIZE;
}
