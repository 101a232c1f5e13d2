/* SPDX-License-Identifier: MIT */
/*
 * printk.h - the kernel's voice on the serial line.
 */
#ifndef KERNEL_CORE_PRINTK_H
#define KERNEL_CORE_PRINTK_H

#include <stdarg.h>

#include "kernel/lib/types.h"

/* Whole lines, never mixed with another CPU's. Any context. "area: sentence\n". */
__printf(1, 2) void printk(const char *fmt, ...);
void vprintk(const char *fmt, va_list ap);
/* Raw bytes to the console in one piece (program output). Any context. */
void console_write(const char *buf, size_t len);
/* After a panic began: print although somebody may hold the console. */
void console_force(void);

/* Nearest function below @pc: "name+0x12", or "?" . Never fails. Needs @size >= 16. */
const char *ksym(u64 pc, char *buf, size_t size);

#endif
