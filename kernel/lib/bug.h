/* SPDX-License-Identifier: MIT */
/*
 * bug.h - what a broken invariant does.
 *
 * BUG_ON is always compiled in and is for invariants. DEBUG_ON is for checks that walk something;
 * the argument debug=1 turns it on at run time. Input from a disk, a device, a command line or the
 * serial line is never asserted: it is checked and refused with a sentence.
 */
#ifndef KERNEL_LIB_BUG_H
#define KERNEL_LIB_BUG_H

#include "kernel/lib/types.h"

/* Stop every CPU, tell all that is known, leave QEMU with a failing status. kernel/core/panic.c;
 * host tests bring their own. Any context. */
__noreturn __printf(1, 2) void panic(const char *fmt, ...);

/* Set by debug=1. Owner: kernel/core/panic.c. */
extern bool debug_checks;

#define BUG_ON(cond)                                                                               \
	do {                                                                                       \
		if (unlikely(cond))                                                                \
			panic("BUG: %s at %s:%d", #cond, __FILE__, __LINE__);                      \
	} while (0)

#define DEBUG_ON(cond)                                                                             \
	do {                                                                                       \
		if (unlikely(debug_checks) && (cond))                                              \
			panic("DEBUG: %s at %s:%d", #cond, __FILE__, __LINE__);                    \
	} while (0)

#endif
