/* SPDX-License-Identifier: MIT */
/*
 * sys/features.h - newlib's feature macros, plus what this system adds to POSIX for newlib's own
 * headers to declare: clocks that nanosleep and clock_gettime know, mapped files, thread times.
 */
#ifndef LIBC_SYS_FEATURES_H
#define LIBC_SYS_FEATURES_H

#include_next <sys/features.h>

#ifndef _POSIX_TIMERS
#define _POSIX_TIMERS		   200809L
#define _POSIX_MONOTONIC_CLOCK	   200809L
#define _POSIX_CPUTIME		   200809L
#define _POSIX_THREAD_CPUTIME	   200809L
#define _POSIX_MAPPED_FILES	   200809L
#define _POSIX_SYNCHRONIZED_IO	   200809L
#define _POSIX_FSYNC		   200809L
#define _POSIX_CLOCK_SELECTION	   200809L
#define _POSIX_PRIORITY_SCHEDULING 200809L
#endif

#endif
