/* SPDX-License-Identifier: MIT */
/*
 * mkfs.h - an empty ext2 in memory.
 */
#ifndef TESTS_FS_MKFS_H
#define TESTS_FS_MKFS_H

#include "kernel/fs/ext2/ondisk.h"

/* Make @disk (@bytes of memory) an empty ext2, revision 1, with filetype. */
void mkfs_ext2(void *disk, u64 bytes, u32 block_size, u32 inode_size);

#endif
