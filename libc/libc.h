/* SPDX-License-Identifier: MIT */
/*
 * libc.h - what the composition root and the tests need of the C library, beside <dirtybit.h>.
 */
#ifndef LIBC_LIBC_H
#define LIBC_LIBC_H

#include "kernel/lib/types.h"
#include "libc/include/dirtybit.h"

/* Defined by tests/ktest.c: tests lie above the C library, which must not name them. */
extern int (*db_test_runner)(const char *pattern);

/* Frames that malloc's arena holds; it never gives any back, so leak checks subtract them. */
u64 libc_heap_pages(void);

#endif
