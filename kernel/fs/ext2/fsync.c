/* SPDX-License-Identifier: MIT */
/*
 * fsync.c - what a program stored is on the disk when this returns.
 *
 * Owns:  the order: data, times, inode, metadata, the device's cache (rule 79).
 * Not:   each of these.
 * Locks: none held.
 * Key fact: the inode's counters, not its flags, say whether metadata is on the disk. A flag that
 *        one sync has taken would tell the next one that there is nothing to do, while the first is
 *        still writing; the counters agree only when it is done.
 */
#include "kernel/fs/ext2/ext2.h"
#include "kernel/mm/writeback.h"

/* Data of [first, last], and the error that an earlier writeback left. */
static int sync_data(struct address_space *mapping, pgoff_t first, pgoff_t last,
		     enum sync_mode mode)
{
	struct writeback_control wbc = {
		.mode = mode, .first = first, .last = last, .nr_to_write = ~0ul
	};
	int err, wait_err;

	if (!radix_tagged(&mapping->pages, TAG_DIRTY) &&
	    !radix_tagged(&mapping->pages, TAG_WRITEBACK))
		return mapping_take_error(mapping);
	err = filemap_fdatawrite_range(mapping, &wbc);
	wait_err = filemap_fdatawait_range(mapping, first, last);
	return err ? err : wait_err;
}

static bool metadata_synced(const struct inode *inode, enum sync_mode mode)
{
	return READ_ONCE(inode->meta_gen) == READ_ONCE(inode->synced_meta) &&
	       (mode != SYNC_FULL || READ_ONCE(inode->time_gen) == READ_ONCE(inode->synced_time));
}

/* Size, blocks and times to the disk: the inode, and the indirect blocks and bitmaps with it. */
static int sync_metadata(struct inode *inode)
{
	u64 meta = atomic_load(&inode->meta_gen), time = atomic_load(&inode->time_gen);
	int err;

	/* Whatever the flags say: somebody else's write may be in a buffer only. */
	atomic_and(&inode->data.flags, ~(1ul << AS_DIRTY_META | 1ul << AS_DIRTY_TIME));
	err = ext2_write_inode(inode);
	if (!err)
		err = bsync(inode->sb->dev);
	if (err) {
		atomic_or(&inode->data.flags, 1ul << AS_DIRTY_META | 1ul << AS_DIRTY_TIME);
		mapping_mark_dirty(&inode->data);
		return err;
	}
	WRITE_ONCE(inode->synced_meta, meta);
	WRITE_ONCE(inode->synced_time, time);
	return 0;
}

int ext2_fsync(struct address_space *mapping, pgoff_t first, pgoff_t last, enum sync_mode mode)
{
	struct inode *inode = mapping->host;
	int err = sync_data(mapping, first, last, mode), e = 0;

	/* After the pages were cleaned: that is what found the last stores. */
	inode_flush_cmtime(mapping);
	if (!metadata_synced(inode, mode))
		e = sync_metadata(inode);
	err = err ? err : e;
	e = blkdev_flush(inode->sb->dev);
	return err ? err : e;
}
