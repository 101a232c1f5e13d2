/* SPDX-License-Identifier: MIT */
/*
 * fcntl.h - newlib's, and what it does not have.
 */
#ifndef LIBC_FCNTL_H
#define LIBC_FCNTL_H

#include_next <fcntl.h>

#include "kernel/lib/falloc.h"

/* As on Linux: -1 and errno; COLLAPSE_RANGE and INSERT_RANGE are EOPNOTSUPP. */
int fallocate(int fd, int mode, off_t offset, off_t len);
/* POSIX: returns the error itself and leaves errno alone. */
int posix_fallocate(int fd, off_t offset, off_t len);

#endif
