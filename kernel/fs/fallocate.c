/* SPDX-License-Identifier: MIT */
/*
 * fallocate.c - room for a part of a file, or none, or zeros.
 *
 * Owns:  fallocate(2): its checks, and the order in which room, pages, blocks and size change.
 * Not:   pages (kernel/mm/punch.c), blocks (inode_operations: allocate, punch, zero).
 * Locks: i_rwsem (write); no direct I/O is under way (rule 103); invalidate_lock (write) while
 *        anything is given up, from before the pages go until the blocks have (rule 100).
 * Key fact: what can be refused comes first. Blocks are had before the file grows over them, so
 *        that one that could not grow is as it was; and before anything is zeroed.
 */
#include <errno.h>

#include "kernel/fs/vfs.h"
#include "kernel/lib/falloc.h"
#include "kernel/mm/punch.h"
#include "kernel/mm/truncate.h"

#define POS_MAX ((u64)INT64_MAX)

/* i_rwsem w held. Room for the holes of [@start, @end), and the size to match. */
static int allocate(struct inode *inode, u64 start, u64 end, bool keep_size)
{
	u64 size = inode->data.size;
	int err;

	if (keep_size && end > ALIGN_UP(size, inode->sb->block_size))
		return -EOPNOTSUPP;
	err = inode->ops->allocate(inode, start, end);
	if (!err && !keep_size && end > size)
		err = truncate_setsize(&inode->data, end);
	else if (err && end > size)
		inode_trim_behind_eof(inode);
	return err;
}

typedef int (*hole_fn)(struct inode *inode, u64 start, u64 end);

/* i_rwsem w held. What was stored to [@start, @end) is gone: pages first, then @blocks() does its
 * part. What lies behind EOF was never the file's. */
static int give_up(struct inode *inode, u64 start, u64 end, hole_fn blocks)
{
	u64 size = inode->data.size;
	struct pagecache_hole hole;
	int err, e = 0;

	if (start >= size)
		return 0;
	if (end >= size)
		end = PAGE_ALIGN(size);
	err = pagecache_hole_begin(&hole, &inode->data, start, end);
	if (err)
		return err;
	if (blocks)
		e = blocks(inode, start, end);
	err = pagecache_hole_end(&hole);
	return err ? err : e;
}

static int change_locked(struct inode *inode, int mode, u64 start, u64 end)
{
	u64 size = inode->data.size;
	int err;

	if (inode->sb->read_only)
		return -EROFS;
	inode_dio_wait(inode);
	if (mode & FALLOC_FL_PUNCH_HOLE)
		return give_up(inode, start, end, inode->ops->punch);
	err = allocate(inode, start, end, mode & FALLOC_FL_KEEP_SIZE);
	/* What lay behind EOF is new, and zeros already. */
	if (!err && mode & FALLOC_FL_ZERO_RANGE && start < size)
		err = give_up(inode, start, min(end, size), inode->ops->zero);
	return err;
}

static int check(const struct file *file, int mode, s64 offset, s64 len)
{
	const struct inode *inode = file->inode;

	if (offset < 0 || len <= 0)
		return -EINVAL;
	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE: break;
	default: return -EOPNOTSUPP;
	}
	if ((file->flags & FS_O_ACCMODE) == 0)
		return -EBADF;
	if (!inode_is_file(inode))
		return -ENODEV;
	if ((u64)len > POS_MAX - (u64)offset || (u64)offset + (u64)len > inode->sb->max_bytes)
		return -EFBIG;
	return inode->ops->allocate ? 0 : -EOPNOTSUPP;
}

int vfs_fallocate(struct file *file, int mode, s64 offset, s64 len)
{
	struct inode *inode = file->inode;
	u64 start = (u64)offset, end = start + (u64)len;
	int err = check(file, mode, offset, len);

	if (err)
		return err;
	down_write(&inode->i_rwsem);
	err = change_locked(inode, mode, start, end);
	if (!err || err == -EIO || err == -ENOMEM) {
		inode_mark_meta(inode);
		inode_touch(inode, TOUCH_M | TOUCH_C);
	}
	up_write(&inode->i_rwsem);
	if (!err && (file->flags & FS_O_SYNC) && inode->data.a_ops->fsync)
		err = inode->data.a_ops->fsync(&inode->data, start >> PAGE_SHIFT,
					       (end - 1) >> PAGE_SHIFT, SYNC_FULL, HARVEST_FSYNC);
	return err;
}

int file_vma_remove(struct vm_area *vma, u64 start, u64 end)
{
	struct file *file = vma->file;
	int err;

	/* The area may go with the lock, which comes after i_rwsem. */
	file_get(file);
	up_read(&vma->mm->mmap_lock);
	err = vfs_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (s64)start,
			    (s64)(end - start));
	file_put(file);
	return err;
}
