/* SPDX-License-Identifier: MIT */
/*
 * sys/dirent.h - the types behind newlib's <dirent.h>.
 *
 * There are opendir, readdir, rewinddir, dirfd and closedir (libc/posix_dir.c).
 */
#ifndef LIBC_SYS_DIRENT_H
#define LIBC_SYS_DIRENT_H

#include <sys/types.h>

#define DT_UNKNOWN 0
#define DT_DIR	   4
#define DT_REG	   8

struct dirent {
	unsigned long d_ino;
	unsigned char d_type;
	char d_name[256];
};

typedef struct libc_dir DIR;

#endif
