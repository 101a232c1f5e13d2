/* SPDX-License-Identifier: MIT */
/*
 * fmt.h - printf without floating point and without memory: for the kernel's own voice.
 *
 * Knows %d %i %u %x %X %o %c %s %p %% with flags -, 0, #, +, space, width, precision, and the
 * lengths hh h l ll z t j. Usable in any context, interrupt handlers too.
 */
#ifndef KERNEL_LIB_FMT_H
#define KERNEL_LIB_FMT_H

#include <stdarg.h>

#include "kernel/lib/types.h"

/* As C99's: the length the whole text would have; always terminated when size > 0. */
int kvsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
__printf(3, 4) int ksnprintf(char *buf, size_t size, const char *fmt, ...);

#endif
