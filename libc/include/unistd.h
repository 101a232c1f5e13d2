/* SPDX-License-Identifier: MIT */
/*
 * unistd.h - newlib's, and what it leaves out.
 */
#ifndef LIBC_UNISTD_H
#define LIBC_UNISTD_H

#include_next <unistd.h>

/* All of the file system that holds @fd to the disk: 0, or -1 with the error (EIO, ENOSPC) of a
 * write of any of its files since @fd was opened that it has not been told of. EBADF; EINVAL: the
 * console. */
int syncfs(int fd);

#endif
