/* SPDX-License-Identifier: MIT */
/*
 * map.c - which disk block holds block n of a file, and making it so.
 *
 * Owns:  the pointers of an inode and of its indirect blocks, while they grow.
 * Not:   which block is free (balloc.c), taking pointers away (truncate.c).
 * Locks: sbi->lock, taken here; one buffer at a time inside.
 * Key fact: a branch is made from its end and hung into the tree with one pointer at last. Whatever
 *        fails before that, the file is as it was.
 */
#include <errno.h>

#include "kernel/core/delay.h"
#include "kernel/fs/ext2/ext2.h"

u32 ext2_block_path(const struct ext2_sb *sbi, u64 lblock, u32 path[4])
{
	u32 bits = sbi->addr_bits;
	u64 ptrs = 1ul << bits;

	if (lblock < EXT2_NDIR) {
		path[0] = (u32)lblock;
		return 1;
	}
	lblock -= EXT2_NDIR;
	for (u32 depth = 2; depth <= 4; depth++) {
		u64 span = 1ul << bits * (depth - 1);

		if (lblock < span) {
			path[0] = EXT2_IND + depth - 2;
			for (u32 i = 1; i < depth; i++)
				path[i] = (u32)(lblock >> bits * (depth - 1 - i) & (ptrs - 1));
			return depth;
		}
		lblock -= span;
	}
	return 0;
}

u64 ext2_max_bytes(const struct ext2_sb *sbi)
{
	u64 ptrs = 1ul << sbi->addr_bits;
	u64 tree = EXT2_NDIR + ptrs + ptrs * ptrs + ptrs * ptrs * ptrs;
	u64 pointers = 1 + (1 + ptrs) + (1 + ptrs + ptrs * ptrs);
	/* i_blocks counts 512-byte units in 32 bits, pointer blocks included. */
	u64 counted = (0xffffffffu >> (sbi->block_bits - SECTOR_SHIFT)) - pointers;

	return min(tree, counted) << sbi->block_bits;
}

/* From @ptr on: how many of at most @max pointers are neighbours on the disk, or all zero. */
static void count_run(const u32 *ptr, u32 max, struct block_run *run)
{
	u32 n = 1;

	while (n < max && ptr[n] == (ptr[0] ? ptr[0] + n : 0))
		n++;
	run->block = ptr[0];
	run->nr = n;
}

static int bad_pointer(struct inode *inode, u64 lblock, u64 block)
{
	return ext2_error(inode->sb,
			  "inode %lu: the pointer for its block %lu is %lu, which holds "
			  "no data",
			  (unsigned long)inode->ino, (unsigned long)lblock, (unsigned long)block);
}

int ext2_find_branch_locked(struct inode *inode, u64 lblock, u32 max, struct ext2_branch *br)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	const u32 *first = ext2_info(inode)->block;
	u32 ptrs = 1u << sbi->addr_bits, block;
	struct buf *b;
	int err;

	br->depth = ext2_block_path(sbi, lblock, br->path);
	if (!br->depth)
		return -EFBIG;
	br->parent = 0;
	br->level = 0;
	if (br->depth == 1) {
		count_run(first + br->path[0], min(max, EXT2_NDIR - br->path[0]), &br->run);
		goto found;
	}
	block = first[br->path[0]];
	while (block) {
		if (!ext2_data_blocks_ok(sbi, block, 1))
			return bad_pointer(inode, lblock, block);
		err = ext2_bread(inode->sb, block, "indirect block", &b);
		if (err)
			return err;
		br->parent = block;
		br->level++;
		first = (const u32 *)b->data + br->path[br->level];
		if (br->level == br->depth - 1) {
			count_run(first, min(max, ptrs - br->path[br->level]), &br->run);
			brelse(b);
			goto found;
		}
		block = *first;
		brelse(b);
	}
	/* A whole subtree is missing: the hole goes on at least to the end of its leaf. */
	br->run.block = 0;
	br->run.nr = min(max, ptrs - br->path[br->depth - 1]);
	return 0;
found:
	if (br->run.block && !ext2_data_blocks_ok(sbi, br->run.block, br->run.nr))
		return bad_pointer(inode, lblock, br->run.block);
	return 0;
}

int ext2_map_run(struct inode *inode, u64 lblock, u32 max, struct block_run *run)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	struct ext2_branch br;
	int err;

	mutex_lock(&sbi->lock);
	err = ext2_find_branch_locked(inode, lblock, max, &br);
	mutex_unlock(&sbi->lock);
	if (!err)
		*run = br.run;
	return err;
}

/* ---- growing ------------------------------------------------------------------------------- */

/* Behind the block before it; else where the file's group begins. */
static u32 find_goal(struct inode *inode, u64 lblock)
{
	struct ext2_inode_info *info = ext2_info(inode);
	struct ext2_branch br;

	if (info->last_block && lblock == info->last_lblock + 1)
		return info->last_block + 1;
	if (lblock && !ext2_find_branch_locked(inode, lblock - 1, 1, &br) && br.run.block)
		return (u32)br.run.block + 1;
	return ext2_group_first(ext2_sb(inode->sb), info->group);
}

/* What new data blocks hold when the file gets them: their last owner's bytes, and the caller
 * writes over them; or zeros, on the disk. */
enum fill_with { FILL_ANYTHING, FILL_ZEROES };

/* What a growing step took from the bitmap. */
struct taken {
	u32 meta[3], nr_meta;
	u32 data, nr_data;
};

static void give_back(struct super_block *sb, const struct taken *t)
{
	for (u32 i = 0; i < t->nr_meta; i++) {
		bforget(sb->dev, t->meta[i]);
		ext2_free_blocks_locked(sb, t->meta[i], 1);
	}
	if (t->nr_data)
		ext2_free_blocks_locked(sb, t->data, t->nr_data);
}

static int take_blocks(struct inode *inode, u64 lblock, const struct ext2_branch *br,
		       struct taken *t)
{
	u32 goal = find_goal(inode, lblock), nr_meta = br->depth - 1 - br->level;
	u32 want = ext2_may_fill_locked(inode, lblock, br);
	int err = want ? 0 : -ENOSPC;

	while (t->nr_meta < nr_meta && !err) {
		err = ext2_alloc_meta_locked(inode->sb, goal, &t->meta[t->nr_meta]);
		if (!err)
			t->nr_meta++;
	}
	if (!err)
		err = ext2_alloc_data_locked(inode->sb, goal, want, &t->data, &t->nr_data);
	return err;
}

/* The pointers from @ptr on, for the data or for the first of the new indirect blocks. */
static void set_pointers(u32 *ptr, u32 block, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		ptr[i] = block + i;
}

/* Fill the new indirect blocks, the last one first. */
static int make_indirect(struct inode *inode, const struct ext2_branch *br, const struct taken *t)
{
	for (u32 i = t->nr_meta; i-- > 0;) {
		u32 index = br->path[br->level + 1 + i];
		struct buf *b;
		int err = bnew(inode->sb->dev, t->meta[i], &b);

		if (err)
			return err;
		if (i == t->nr_meta - 1)
			set_pointers((u32 *)b->data + index, t->data, t->nr_data);
		else
			set_pointers((u32 *)b->data + index, t->meta[i + 1], 1);
		brelse(b);
	}
	return 0;
}

/* The one step that changes the file. */
static int hang_in(struct inode *inode, const struct ext2_branch *br, const struct taken *t)
{
	u32 block = t->nr_meta ? t->meta[0] : t->data, nr = t->nr_meta ? 1 : t->nr_data;
	u32 index = br->path[br->level];
	struct buf *b;
	int err;

	if (!br->parent) {
		set_pointers(ext2_info(inode)->block + index, block, nr);
		return 0;
	}
	err = ext2_bread(inode->sb, br->parent, "indirect block", &b);
	if (err)
		return err;
	set_pointers((u32 *)b->data + index, block, nr);
	bdirty(b);
	brelse(b);
	return 0;
}

/* Lock held; br->run is a hole and becomes what could be had of it. */
static int fill_hole(struct inode *inode, u64 lblock, struct ext2_branch *br, enum fill_with with)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	struct ext2_inode_info *info = ext2_info(inode);
	struct taken t = { .nr_meta = 0 };
	int err;

	err = take_blocks(inode, lblock, br, &t);
	if (!err && with == FILL_ZEROES)
		err = ext2_zero_new_blocks(inode->sb, t.data, t.nr_data);
	if (!err)
		err = make_indirect(inode, br, &t);
	if (!err)
		err = hang_in(inode, br, &t);
	if (err) {
		give_back(inode->sb, &t);
		return err;
	}
	inode->blocks += (u64)(t.nr_data + t.nr_meta) << (sbi->block_bits - SECTOR_SHIFT);
	ext2_filled_locked(inode, lblock, t.nr_data, br);
	info->last_lblock = lblock + t.nr_data - 1;
	info->last_block = t.data + t.nr_data - 1;
	br->run = (struct block_run){ .block = t.data, .nr = t.nr_data };
	return 0;
}

static int map_fill(struct inode *inode, u64 lblock, u32 max, struct block_run *run,
		    enum fill_with with)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	struct ext2_branch br;
	bool grew = false;
	int err;

	mutex_lock(&sbi->lock);
	err = ext2_find_branch_locked(inode, lblock, max, &br);
	if (!err && !br.run.block) {
		err = fill_hole(inode, lblock, &br, with);
		grew = !err;
	}
	mutex_unlock(&sbi->lock);
	if (grew)
		inode_mark_meta(inode);
	if (!err)
		*run = br.run;
	return err;
}

int ext2_map_alloc(struct inode *inode, u64 lblock, u32 max, struct block_run *run)
{
	return map_fill(inode, lblock, max, run, FILL_ANYTHING);
}

int ext2_map_zeroed(struct inode *inode, u64 lblock, u32 max, struct block_run *run)
{
	return map_fill(inode, lblock, max, run, FILL_ZEROES);
}

int ext2_map_delayed(struct inode *inode, u64 lblock, u32 max, struct block_run *run)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	bool delayed = false;
	struct ext2_branch br;
	int err;

	delay_point("blocks_not_found_yet", inode);
	mutex_lock(&sbi->lock);
	err = ext2_find_branch_locked(inode, lblock, max, &br);
	if (!err && !br.run.block)
		br.run.nr = ext2_delayed_run_locked(inode, lblock, br.run.nr, &delayed);
	if (delayed)
		err = fill_hole(inode, lblock, &br, FILL_ANYTHING);
	mutex_unlock(&sbi->lock);
	if (delayed && !err)
		inode_mark_meta(inode);
	if (!err)
		*run = br.run;
	return err;
}

int ext2_map_page(struct inode *inode, u64 lblock, u32 nr, bool *grew)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	u64 end = lblock + nr;
	struct ext2_branch br;
	u32 missing;
	int holes, err;

	*grew = false;
	mutex_lock(&sbi->lock);
	holes = ext2_count_holes_locked(inode, lblock, nr, &missing);
	err = min(holes, 0);
	/* Refused before anything is taken: a block that no store follows keeps its old bytes. */
	if (!err && missing > ext2_available_locked(sbi))
		err = -ENOSPC;
	for (; !err && holes && lblock < end; lblock += br.run.nr) {
		err = ext2_find_branch_locked(inode, lblock, (u32)(end - lblock), &br);
		if (!err && !br.run.block) {
			err = fill_hole(inode, lblock, &br, FILL_ANYTHING);
			*grew |= !err;
		}
	}
	mutex_unlock(&sbi->lock);
	if (*grew)
		inode_mark_meta(inode);
	return err;
}
