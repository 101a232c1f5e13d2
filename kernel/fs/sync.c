/* SPDX-License-Identifier: MIT */
/*
 * sync.c - whole file systems to their disks.
 *
 * Owns:  the order: all data started, all data waited for, inodes, metadata, the device's cache.
 * Not:   one file (a_ops->fsync), when the flusher writes (kernel/mm/flusher.c).
 * Locks: mount_lock (read) while going through the mounts; supers_lock for the flusher's look.
 * Key fact: an error is told to who syncs everything and noted again for the file's own fsync,
 *        which is the one that promised something to somebody.
 */
#include "kernel/block/buf.h"
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
	int err = filemap_fdatawait_range(&inode->data, 0, ~0ul), e = 0;

	/* Told here to who syncs everything; the file's own fsync has to hear of it as well. */
	if (err)
		mapping_set_error(&inode->data, err);
	inode_flush_cmtime(&inode->data);
	if (ops->write_inode)
		e = ops->write_inode(&inode->data, SYNC_FULL);
	return err ? err : e;
}

int sync_super(struct super_block *sb)
{
	int err;

	if (!sb->dev)
		return 0;
	err = inode_for_each(sb, start_write);
	err = first_error(err, inode_for_each(sb, finish_write));
	if (sb->ops->sync_fs)
		err = first_error(err, sb->ops->sync_fs(sb));
	err = first_error(err, bsync(sb->dev));
	return first_error(err, blkdev_flush(sb->dev));
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
	return first_error(err, bsync(dev));
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
