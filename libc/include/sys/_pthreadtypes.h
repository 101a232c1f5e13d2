/* SPDX-License-Identifier: MIT */
/*
 * sys/_pthreadtypes.h - what a pthread object holds; <sys/types.h> of newlib includes it.
 *
 * Replaces newlib's, whose objects are numbers for a run-time system to look up. Zeros are a valid
 * initial state of each, and each waits on a 32-bit word (libc/pthread_sync.c).
 */
#ifndef _SYS__PTHREADTYPES_H_
#define _SYS__PTHREADTYPES_H_

#include <sys/sched.h>

typedef struct pthread *pthread_t;

typedef struct {
	int detachstate;
	int cpu; /* pinned to cpu - 1; 0: any */
} pthread_attr_t;

typedef struct {
	int type;
} pthread_mutexattr_t;

typedef struct {
	unsigned int state; /* 0 free, 1 held, 2 held and somebody may sleep */
	int type;
	void *owner;
	unsigned int depth;
	unsigned int owner_ended; /* it did not let go: who takes it next gets EOWNERDEAD */
} pthread_mutex_t;

typedef struct {
	int clock;
} pthread_condattr_t;

typedef struct {
	unsigned int sequence; /* moves with every signal */
	int clock;
} pthread_cond_t;

typedef struct {
	int unused;
} pthread_barrierattr_t;

typedef struct {
	unsigned int count, arrived, round;
} pthread_barrier_t;

typedef struct {
	unsigned int state; /* 0 not yet, 1 running, 2 done */
} pthread_once_t;

typedef unsigned int pthread_key_t;

#endif
