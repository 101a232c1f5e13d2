/* SPDX-License-Identifier: MIT */
/*
 * alloc_test.h - what the tests of alloc= share: room that is counted again, and small files full
 * of holes.
 */
#ifndef TESTS_FS_ALLOC_TEST_H
#define TESTS_FS_ALLOC_TEST_H

#include "kernel/core/args.h"
#include "kernel/fs/ext2/ext2.h"
#include "kernel/mm/writeback.h"
#include "tests/fs/fs_test.h"
#include "tests/util.h"

/* Count what is reserved on @d again, from the bits of each table up; the test fails if a count
 * differs. Nobody stores meanwhile. */
void alloc_audit(const struct fst_disk *d);
/* Blocks of @d that nobody has and nobody was promised; nothing is written for it. */
u64 alloc_free(const struct fst_disk *d);
/* Blocks that are promised. */
u64 alloc_reserved(const struct fst_disk *d);
/* A new file of @blocks blocks, all holes. */
struct file *alloc_sparse(const struct fst_disk *d, const char *name, u64 blocks);
/* Take all but @spare blocks; the file that has them is closed. */
void alloc_fill(const struct fst_disk *d, const char *name, u64 spare);
/* Run @body on disks of 1, 2 and 4 KiB blocks under alloc=@alloc; reserve is put back. */
void alloc_on_each_shape(const char *alloc, u64 bytes, void (*body)(struct fst_disk *d));

#endif
