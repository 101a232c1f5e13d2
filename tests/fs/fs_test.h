/* SPDX-License-Identifier: MIT */
/*
 * fs_test.h - what the tests of kernel/fs share: a directory of their own, disks of their own, and
 * the calls of a program with the checks around them.
 */
#ifndef TESTS_FS_FS_TEST_H
#define TESTS_FS_FS_TEST_H

#include <errno.h>
#include <string.h>

#include "kernel/block/ramblk.h"
#include "kernel/fs/ext2/ondisk.h"
#include "kernel/fs/fs.h"
#include "tests/ktest.h"

#define O_RD 0
#define O_WR 1
#define O_RW 2

/* --- a directory of the root file system --- */

/* A directory of that name in "/", new and empty. False: the test has failed. */
bool fst_mkdir(const char *path);
/* Remove @path and all below it. */
void fst_remove(const char *path);
/* True if "/" is an ext2 (tests that need a disk skip otherwise, with a note). */
bool fst_root_is_ext2(void);
/* Free blocks of the file system mounted at @mount, after everything owed was written. */
u64 fst_free_blocks(const char *mount);

/* --- files --- */

/* Open or create; NULL and the test has failed. */
struct file *fst_open(const char *path, u32 flags);
u64 fst_size(struct file *file);
struct kstat fst_stat(const char *path);
/* Bytes that tell where they belong: all [pos, pos + len) of file number @seed. */
void fst_fill(void *buf, size_t len, u64 pos, u64 seed);
/* First byte that is not as fst_fill made it, or @len. */
size_t fst_differs(const void *buf, size_t len, u64 pos, u64 seed);
bool fst_is_zero(const void *buf, size_t len);
/* Write or check such bytes through pwrite and pread; false: the test has failed. */
bool fst_write(struct file *file, u64 pos, size_t len, u64 seed);
bool fst_check(struct file *file, u64 pos, size_t len, u64 seed);
bool fst_check_zero(struct file *file, u64 pos, size_t len);
/* Create @path with @len such bytes; closes it. */
bool fst_make(const char *path, size_t len, u64 seed);
/* The bytes on the disk, outside every cache; false: a hole or an error. */
bool fst_on_disk(struct file *file, u64 pos, void *buf, size_t len);

/* Leave @path on the disk: the host reads it from the image with debugfs and compares. */
void fst_keep(const char *path);

/* --- mappings of the current program --- */

/* A shared mapping; NULL and the test has failed. */
u8 *fst_map(struct file *file, u64 offset, size_t len, int prot);
void fst_unmap(void *p, size_t len);
int fst_msync(void *p, size_t len);
/* Store or load one byte; false: refused (SIGBUS). */
bool fst_store(volatile u8 *p, u8 v);
bool fst_load(const volatile u8 *p, u8 *v);

/* --- a disk in memory with an ext2 on it, mounted --- */

struct fst_disk {
	struct blkdev *dev;
	u64 bytes;
	u32 block_size;
	const char *name; /* also the mount point: "/" and this */
	char path[24];
};

/* False: the test has failed, nothing is left. */
bool fst_disk_make(struct fst_disk *d, const char *name, u64 bytes, u32 block_size, u32 inode_size);
/* One of 4 MiB and blocks of 1 KiB with a file "f" (300000 bytes of number 1) and a directory
 * "d", not mounted. */
bool fst_disk_sample(struct fst_disk *d, const char *name);
int fst_disk_mount(struct fst_disk *d);
/* Make a file on it: 0, or the error. */
int fst_try_write(const struct fst_disk *d);
int fst_disk_umount(struct fst_disk *d);
void fst_disk_remount(struct fst_disk *d);
/* The same, and fsck.c judges what is there in between. */
void fst_disk_check(struct fst_disk *d);
/* Unmount if it is mounted, let fsck.c judge it if @sound, and give the memory back. */
enum fst_end { FST_SOUND, FST_DAMAGED };
void fst_disk_end(struct fst_disk *d, enum fst_end end);
/* Run @body on a fresh disk of each block and inode size, and judge it. */
void fst_on_each_shape(u64 bytes, void (*body)(struct fst_disk *d));
/* "@d->path/@name" in a buffer that lives until the fourth call after this one. */
const char *fst_path(const struct fst_disk *d, const char *name);
struct ext2_super_block *fst_super(const struct fst_disk *d);

#endif
