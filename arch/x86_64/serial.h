/* SPDX-License-Identifier: MIT */
/*
 * serial.h - COM1: the console. Output is polled; input is by interrupt into a small ring.
 */
#ifndef ARCH_X86_64_SERIAL_H
#define ARCH_X86_64_SERIAL_H

#include "kernel/lib/types.h"

void serial_init(void);	      /* early; output works */
void serial_init_input(void); /* after interrupts: input wakes readers */
/* At least one byte, at most @len; blocks. Returns how many; 0 if there is no UART. May sleep. */
size_t serial_read(char *buf, size_t len);
bool serial_input_ready(void);
void serial_drain(void); /* wait until the last byte left the wire */

#endif
