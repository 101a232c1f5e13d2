/* SPDX-License-Identifier: MIT */
/*
 * make_room.c - a store found no room: is there some that others do not need?
 *
 * Owns:  what is done before -ENOSPC is the answer (rule 96).
 * Not:   how often it is tried again (filemap_fault.c, filemap_rw.c).
 * Locks: none held when called but what may be held while pages are written: i_rwsem, mmap_lock,
 *        sb->namespace. No page lock.
 * Key fact: reserve.c puts aside what will be taken and no more, so turning promises into blocks
 *        alone gives nothing back. What does is a page that was made writable ahead of a store that
 *        did not come (madvise, grant=, policies that answer to reads). Writing with @protect says
 *        which ones those are: they are CLEAN then, no PTE can be stored through (P1), and the next
 *        store asks for a promise again. Both under the page lock.
 */
#include "kernel/core/stat.h"
#include "kernel/fs/ext2/ext2.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/writeback.h"

/* The page with block @lblock, if nothing that was stored to it is owed to the disk. Returns the
 * block to go on with. */
static u64 take_back_page(struct inode *inode, u64 lblock)
{
	u32 per_page = PAGE_SIZE / inode->sb->block_size;
	pgoff_t index = lblock / per_page;
	struct page *page = find_lock_page(&inode->data, index);

	if (!page)
		return (index + 1) * per_page;
	if (page->dirty == PAGE_CLEAN && !page_writeback(page) &&
	    !test_bit(&page->flags, PG_d_seen))
		ext2_undelay(inode, index * per_page, (index + 1) * per_page);
	unlock_page(page);
	page_put(page);
	return (index + 1) * per_page;
}

static int make_room_in(struct inode *inode)
{
	struct writeback_control wbc = { .mode = SYNC_DATA,
					 .why = HARVEST_FSYNC,
					 .protect = true,
					 .last = ~0ul,
					 .nr_to_write = ~0ul };
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	u64 lblock = 0;
	bool more;

	if (!READ_ONCE(ext2_info(inode)->reserved))
		return 0;
	/* Blocks are found before the I/O is submitted: there is nothing to wait for. Errors are
	 * the file's, and stay for its next sync. */
	filemap_fdatawrite_range(&inode->data, &wbc);
	for (;;) {
		mutex_lock(&sbi->lock);
		more = ext2_next_delayed_locked(inode, &lblock);
		mutex_unlock(&sbi->lock);
		if (!more)
			return 0;
		lblock = take_back_page(inode, lblock);
	}
}

static u64 available(struct ext2_sb *sbi)
{
	u64 nr;

	mutex_lock(&sbi->lock);
	nr = ext2_available_locked(sbi);
	mutex_unlock(&sbi->lock);
	return nr;
}

bool ext2_make_room(struct super_block *sb)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	u64 before;

	if (!READ_ONCE(sbi->reserved_blocks))
		return false;
	before = available(sbi);
	inode_for_each(sb, make_room_in);
	if (available(sbi) <= before)
		return false;
	stat_inc(STAT_ENOSPC_RETRIES);
	return true;
}
