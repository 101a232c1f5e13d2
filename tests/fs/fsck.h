/* SPDX-License-Identifier: MIT */
/*
 * fsck.h - does an ext2 in memory agree with itself?
 */
#ifndef TESTS_FS_FSCK_H
#define TESTS_FS_FSCK_H

#include "kernel/lib/types.h"

/*
 * Blocks owned once and marked, nothing else marked, link counts, i_blocks, all free counts, clean
 * state. Number of contradictions; the first one is told in @why. @seen: at least one byte per
 * block and four per inode, any contents.
 */
u32 fsck_ext2(const void *disk, u64 bytes, void *seen, char *why, size_t why_size);
/* How much @seen must hold. */
size_t fsck_memory(const void *disk);

#endif
