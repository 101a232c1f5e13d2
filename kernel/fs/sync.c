/* SPDX-License-Identifier: MIT */
/*
 * sync.c - whole file systems to their disks.
 *
 * Owns:  the order: all data started, all data waited for, inodes, metadata, the device's cache.
 * Not:   one file (a_ops->fsync), when the flusher writes (kernel/mm/flusher.c).
 * Locks: mount_lock (read) while going through the mounts; supers_lock for the flusher's look.
 * Key fact: who syncs everything is told of an error by the super block, and uses up nothing of
 *        what the file's own fsync will say, which is the one that promised something to somebody
 *        (B20).
 */
#include <errno.h>

#include "kernel/block/buf.h"
#include "kernel/core/printk.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/writeback.h"

static int start_write(struct inode *inode)
{
	struct writeback_control wbc = {
		.mode = SYNC_FULL, .why = HARVEST_FSYNC, .last = ~0ul, .nr_to_write = ~0ul
	};

	return filemap_fdatawrite_range(&inode->data, &wbc);
}

static int finish_write(struct inode *inode)
{
	const struct address_space_operations *ops = inode->data.a_ops;

	filemap_fdatawait_range(&inode->data, 0, ~0ul);
	inode_flush_cmtime(&inode->data);
	return ops->write_inode ? ops->write_inode(&inode->data, SYNC_FULL) : 0;
}

void sb_set_error(struct super_block *sb, int error)
{
	errseq_set(&sb->wb_err, error == -ENOSPC ? -ENOSPC : -EIO);
	atomic_add_return(&sb->nr_failed, 1); /* after it, as in mapping_set_error() */
}

void inode_set_error(struct inode *inode, int error)
{
	mapping_set_error(&inode->data, error);
	sb_set_error(inode->sb, error);
}

void inode_tell_lost(struct inode *inode, int err)
{
	struct super_block *sb = inode->sb;

	if (!err && test_bit(&inode->data.flags, AS_LOST) && errseq_untold(&inode->data.wb_err))
		err = errseq_last(&inode->data.wb_err);
	if (!err)
		return;
	printk("%s: %s: inode %lu could not be written (error %d, %u pages kept): its last "
	       "changes are lost.\n",
	       sb->type, sb->dev->name, (unsigned long)inode->ino, err, inode->data.nr_kept);
	sb->lost = first_error(sb->lost, err);
}

/* Metadata, and with it the device's cache; a failure is told to all who sync the file system. */
static int sync_metadata(struct super_block *sb)
{
	int err = sb->ops->sync_fs ? sb->ops->sync_fs(sb) : 0;

	err = first_error(err, bsync(sb->dev));
	err = first_error(err, blkdev_flush(sb->dev));
	if (err)
		sb_set_error(sb, err);
	return err;
}

int sync_super(struct super_block *sb)
{
	u32 failed = READ_ONCE(sb->nr_failed);
	int err;

	if (!sb->dev)
		return 0;
	err = inode_for_each(sb, start_write);
	err = first_error(err, inode_for_each(sb, finish_write));
	if (READ_ONCE(sb->nr_failed) != failed)
		err = first_error(err, errseq_last(&sb->wb_err));
	return first_error(err, sync_metadata(sb));
}

int vfs_sync(void)
{
	struct super_block *sb;
	int err = 0;

	down_read(&mount_lock);
	TAILQ_FOREACH(sb, &supers, link)
		err = first_error(err, sync_super(sb));
	up_read(&mount_lock);
	return err;
}

/* No lock: an open file keeps its file system mounted. */
int vfs_syncfs(struct file *file)
{
	struct super_block *sb = file->inode->sb;
	u32 told = READ_ONCE(file->sb_told);
	int err = sync_super(sb);

	return first_error(err, errseq_tell(&sb->wb_err, &file->sb_told, told));
}

/*
 * writeback->sync_metadata: from the flusher, each pass. The super block cannot go meanwhile:
 * put_super() destroys the buffer cache first, which waits for the flusher to be idle and takes
 * this hook away.
 */
int supers_sync_metadata(struct writeback *wb, enum sync_mode mode)
{
	struct blkdev *dev = container_of(wb, struct blkdev, wb);
	struct super_block *sb;
	int err = 0;

	spin_lock(&supers_lock);
	TAILQ_FOREACH(sb, &supers, link)
		if (sb->dev == dev)
			break;
	spin_unlock(&supers_lock);
	if (sb && sb->ops->sync_fs)
		err = sb->ops->sync_fs(sb);
	err = first_error(err, bsync(dev));
	if (sb && err)
		sb_set_error(sb, err);
	return err;
}

u64 vfs_drop_caches(void)
{
	struct super_block *sb;
	u64 left = 0;

	down_read(&mount_lock);
	TAILQ_FOREACH(sb, &supers, link) {
		sync_super(sb);
		left += inode_evict_all(sb, EVICT_POLITE);
		if (sb->dev)
			buf_cache_shrink(sb->dev);
	}
	up_read(&mount_lock);
	return left;
}
