/* SPDX-License-Identifier: MIT */
/*
 * fallocate.c - room for a part of a file before anything is stored to it.
 *
 * Owns:  what the new blocks hold, and that room for all of them is seen before the first is taken.
 * Not:   finding a block (map.c), pages and size (kernel/fs/fallocate.c), giving up (truncate.c).
 * Locks: sbi->lock while counting, and again for each run; i_rwsem (write) by the caller keeps the
 *        holes from being filled by others, but for faults.
 * Key fact: ext2 cannot say "there is a block, but what it holds is not yours". So the zeros are on
 *        the disk, behind a flush, before the file has the block (rule 104):
 *
 *	A (allocate)			power cut
 *	takes blocks from the bitmap
 *	writes zeros over them, flush
 *					the file has a hole: zeros
 *	hangs them into the file
 *					the file has zeros, wherever the cut comes
 *
 *        Dirty zero pages in the cache would be the other way: memory as large as the range, all of
 *        it written once more by writeback, and between the pointer's way to the disk and the
 *        zeros' a cut shows what the last owner stored. Where the device can write zeros by itself,
 *        this one moves no data at all.
 */
#include <errno.h>

#include "kernel/core/stat.h"
#include "kernel/fs/ext2/ext2.h"
#include "kernel/mm/page_alloc.h"

/* Zeros to be written one piece after the other, where the device has no command for it. */
#define ZEROES_ORDER 4

#define MAX_RUN (1ul << 20) /* blocks asked for at once */

static int write_zeroes_by_hand(struct super_block *sb, u64 sector, u64 len)
{
	struct page *zeroes = alloc_pages(ZEROES_ORDER, ALLOC_ZERO);
	u64 piece = PAGE_SIZE << ZEROES_ORDER;
	int err = zeroes ? 0 : -ENOMEM;

	for (u64 done = 0; done < len && !err; done += piece)
		err = blkdev_rw(sb->dev, BIO_WRITE, sector + (done >> SECTOR_SHIFT),
				page_address(zeroes), min(piece, len - done));
	if (zeroes)
		free_pages(zeroes, ZEROES_ORDER);
	return err;
}

/* Blocks [@block, @block + @nr): zeros on the disk. */
static int write_zeroes(struct super_block *sb, u32 block, u32 nr)
{
	u32 bits = ext2_sb(sb)->block_bits;
	u64 sector = (u64)block << (bits - SECTOR_SHIFT), len = (u64)nr << bits;
	int err = -EOPNOTSUPP;

	stat_add(STAT_BLOCKS_ZEROED, nr);
	if (sb->dev->can_write_zeroes)
		err = blkdev_rw(sb->dev, BIO_WRITE_ZEROES, sector, NULL, len);
	if (err == -EOPNOTSUPP)
		err = write_zeroes_by_hand(sb, sector, len);
	return err;
}

int ext2_zero_new_blocks(struct super_block *sb, u32 block, u32 nr)
{
	int err = write_zeroes(sb, block, nr);

	return err ? err : blkdev_flush(sb->dev);
}

/* Indirect blocks that are missing on the way of @br, and were not on the way of @last, which is
 * the hole before it. */
static u32 new_tables(const struct ext2_branch *br, const struct ext2_branch *last)
{
	u32 same = 0;

	if (br->depth == last->depth)
		while (same < br->depth && br->path[same] == last->path[same])
			same++;
	return br->depth - 1 - max(br->level, min(same, br->depth - 1));
}

/* Lock held. -ENOSPC if filling all holes of [@lblock, @end) takes more than there is. */
static int check_room(struct inode *inode, u64 lblock, u64 end)
{
	u64 room = ext2_available_locked(ext2_sb(inode->sb)), missing = 0;
	struct ext2_branch br, last = { .depth = 0 };
	u32 tables;
	int err = 0;

	for (; lblock < end && !err; lblock += br.run.nr) {
		err = ext2_find_branch_locked(inode, lblock, (u32)min(end - lblock, MAX_RUN), &br);
		if (err || br.run.block)
			continue;
		tables = new_tables(&br, &last);
		missing += br.run.nr + tables - ext2_promised_locked(inode, lblock, &br, tables);
		last = br;
		if (missing > room)
			err = -ENOSPC;
	}
	return err;
}

int ext2_allocate(struct inode *inode, u64 start, u64 end)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	u64 lblock = start >> sbi->block_bits;
	u64 last = (end + sbi->block_size - 1) >> sbi->block_bits;
	struct block_run run;
	int err;

	mutex_lock(&sbi->lock);
	err = check_room(inode, lblock, last);
	mutex_unlock(&sbi->lock);
	for (; lblock < last && !err; lblock += run.nr)
		err = ext2_map_zeroed(inode, lblock, (u32)min(last - lblock, MAX_RUN), &run);
	return err;
}

int ext2_zero(struct inode *inode, u64 start, u64 end)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	u64 lblock = (start + sbi->block_size - 1) >> sbi->block_bits;
	u64 last = end >> sbi->block_bits;
	struct block_run run;
	int err = 0;

	for (; lblock < last && !err; lblock += run.nr) {
		err = ext2_map_run(inode, lblock, (u32)min(last - lblock, MAX_RUN), &run);
		if (!err && run.block)
			err = write_zeroes(inode->sb, (u32)run.block, run.nr);
	}
	return err;
}
