/* SPDX-License-Identifier: MIT */
/*
 * panic.h - the end, told from the place where it happened. panic() itself is in kernel/lib/bug.h.
 */
#ifndef KERNEL_CORE_PANIC_H
#define KERNEL_CORE_PANIC_H

#include "kernel/lib/bug.h"

struct trap_frame;

/* As panic(), with the registers of @frame and the back trace from there. Any context. */
__noreturn __printf(2, 3) void panic_frame(const struct trap_frame *frame, const char *fmt, ...);

#endif
