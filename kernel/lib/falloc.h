/* SPDX-License-Identifier: MIT */
/*
 * falloc.h - the modes of fallocate() that programs and kernel share. Values as on Linux; programs
 * reach them through <fcntl.h>.
 */
#ifndef KERNEL_LIB_FALLOC_H
#define KERNEL_LIB_FALLOC_H

#define FALLOC_FL_KEEP_SIZE	 0x01
#define FALLOC_FL_PUNCH_HOLE	 0x02
#define FALLOC_FL_COLLAPSE_RANGE 0x08
#define FALLOC_FL_ZERO_RANGE	 0x10
#define FALLOC_FL_INSERT_RANGE	 0x20

#endif
