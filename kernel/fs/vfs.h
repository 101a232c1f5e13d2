/* SPDX-License-Identifier: MIT */
/*
 * vfs.h - what the files of this folder tell each other, and nobody else.
 */
#ifndef KERNEL_FS_VFS_H
#define KERNEL_FS_VFS_H

#include "kernel/fs/fs.h"

static inline int first_error(int a, int b)
{
	return a ? a : b;
}

/* mount.c: held to read while a path is walked and what it leads to is done; to write while the
 * table changes. RANK_MOUNT. */
extern struct rwsem mount_lock;
/* All that is mounted; a mount comes after the one below it. Changed with mount_lock (write) and
 * supers_lock, looked at with either: the flusher may not wait for an unmount that waits for it. */
TAILQ_HEAD(super_list, super_block);
extern struct super_list supers;
extern struct spinlock supers_lock;

/* The root directory of all, referenced, or NULL while nothing is mounted. mount_lock held. */
struct inode *mount_root(void);
/* What is mounted on @dir, which has I_COVERED. mount_lock held. */
struct super_block *mounted_on(const struct inode *dir);

/*
 * path.c: a path as a program gave it, in memory that nobody takes away or changes while locks are
 * held. -EFAULT: not all of it can be read; -ENAMETOOLONG, -ENOMEM. No lock held; may sleep. Every
 * success is undone by path_put().
 */
struct path {
	const char *text;
	char *copy; /* NULL: it is the kernel's own */
};
int path_get(struct path *path, const char *from);
void path_put(struct path *path);

/* namei.c: what @path leads to, referenced. mount_lock held. */
int walk(const char *path, struct inode **out);
/* The same, or a new file of @mode if the name is free (-EEXIST if it is not and @exclusive). No
 * lock held. */
int walk_create(const char *path, bool exclusive, u32 mode, struct inode **out);

/* sync.c: everything of @sb, durable. 0 or the first error. */
int sync_super(struct super_block *sb);
/* @inode goes, and with it what could not be written: now (@err), or earlier, and nobody has been
 * told. One line, and sb->lost. If all is on the disk after all there is nothing to tell. */
void inode_tell_lost(struct inode *inode, int err);
/* For writeback->sync_metadata of a mounted device. */
int supers_sync_metadata(struct writeback *wb, enum sync_mode mode);

/* file.c: with owed times settled first. */
void inode_stat(struct inode *inode, struct kstat *st);
/* Through the cache, access and @pos (reading) checked. i_rwsem held to read. */
s64 file_read_locked(struct file *file, void *buf, size_t len, u64 pos);
/* i_rwsem w held. With times, and without what a failed write left behind the end. */
s64 inode_write_locked(struct inode *inode, const void *buf, size_t len, u64 pos);
/* i_rwsem w held: the file ends at @size from now on, its blocks too. */
int inode_truncate(struct inode *inode, u64 size);
/* i_rwsem w held. What a failed write or allocation prepared behind EOF goes. */
void inode_trim_behind_eof(struct inode *inode);

#endif
