/* SPDX-License-Identifier: MIT */
/*
 * setjmp.h - newlib's, and jumps that restore the signal mask: out of a handler, for instance.
 */
#ifndef LIBC_SETJMP_H
#define LIBC_SETJMP_H

#include_next <setjmp.h>

#include <signal.h>

typedef struct {
	jmp_buf jump;
	int saved; /* is @mask to be restored? */
	sigset_t mask;
} sigjmp_buf[1];

/* A macro, because what calls setjmp() must not have returned when it is jumped to. */
#define sigsetjmp(buf, save_mask) (__sigjmp_save((buf), (save_mask)), setjmp((buf)->jump))
void siglongjmp(sigjmp_buf buf, int value) __attribute__((noreturn));
void __sigjmp_save(sigjmp_buf buf, int save_mask);

#endif
