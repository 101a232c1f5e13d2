/* SPDX-License-Identifier: MIT */
/*
 * fsync.c - what a program stored is on the disk when this returns.
 *
 * Owns:  the order: data, inode with times, metadata, the device's cache (rule 79).
 * Not:   each of these.
 * Locks: none held.
 * Key fact: the inode's counters, not its flags, say whether metadata is on the disk. A flag that
 *        one sync has taken would tell the next one that there is nothing to do, while the first is
 *        still writing; the counters agree only when it is done.
 */
#include "kernel/fs/data_sync.h"
#include "kernel/fs/ext2/ext2.h"
#include "kernel/mm/writeback.h"

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
		sb_set_error(inode->sb, err);
		atomic_or(&inode->data.flags, 1ul << AS_DIRTY_META | 1ul << AS_DIRTY_TIME);
		mapping_mark_dirty(&inode->data);
		return err;
	}
	WRITE_ONCE(inode->synced_meta, meta);
	WRITE_ONCE(inode->synced_time, time);
	return 0;
}

/*
 * The data that @wbc says, then the times that its cleaning found; waits for the data, whose errors
 * are in mapping->wb_err. *@flushed: since no metadata was to follow, the device's flush has
 * followed the data.
 */
static int sync_data(struct address_space *mapping, struct writeback_control *wbc, bool *flushed)
{
	struct data_sync sync;
	bool all;
	int err;

	data_sync_begin(&sync);
	wbc->sync = &sync;
	err = filemap_fdatawrite_range(mapping, wbc);
	inode_flush_cmtime(mapping);
	all = metadata_synced(mapping->host, wbc->mode);
	data_sync_wait(&sync, mapping, all ? DATA_SYNC_FLUSH : DATA_SYNC_ONLY);
	*flushed = sync.flushed;
	if (!*flushed)
		filemap_fdatawait_range(mapping, wbc->first, wbc->last);
	if (unlikely(sync.flush_error))
		inode_set_error(mapping->host, sync.flush_error);
	return err;
}

int ext2_fsync(struct address_space *mapping, pgoff_t first, pgoff_t last, enum sync_mode mode,
	       enum policy_harvest_why why)
{
	struct writeback_control wbc = {
		.mode = mode, .why = why, .first = first, .last = last, .nr_to_write = ~0ul
	};
	struct inode *inode = mapping->host;
	bool flushed = false;
	int err, e = 0;

	if (mapping_needs_sync(mapping)) {
		err = sync_data(mapping, &wbc, &flushed);
		if (flushed)
			return err;
	} else {
		mapping->history.passes++;
		err = 0;
		inode_flush_cmtime(mapping);
	}
	if (!metadata_synced(inode, mode))
		e = sync_metadata(inode);
	err = err ? err : e;
	err = err ? err : e;
	e = blkdev_flush(inode->sb->dev);
	/* What others wrote is in that cache as well. */
	if (unlikely(e))
		inode_set_error(inode, e);
	return err ? err : e;
}
