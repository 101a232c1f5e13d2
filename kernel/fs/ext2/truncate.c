/* SPDX-License-Identifier: MIT */
/*
 * truncate.c - blocks behind the new end of a file, or of a part in its middle, become free.
 *
 * Owns:  taking pointers out of an inode and its indirect blocks.
 * Not:   the size and the cached pages: they went before (truncate_setsize, pagecache_hole_begin),
 *        so that no I/O to these blocks is under way (rule 103), and none begins.
 * Locks: sbi->lock for all of it; one buffer at a time inside.
 * Key fact: a pointer is taken out before its block is freed, and an indirect block is copied to
 *        a buffer had at mount, so that truncating needs no memory and holds no buffer while it
 *        frees others.
 */
#include <errno.h>
#include <string.h>

#include "kernel/fs/ext2/ext2.h"

/* Blocks to be freed, gathered while they are neighbours. */
struct pass {
	struct inode *inode;
	struct ext2_sb *sbi;
	u64 from, to;  /* blocks of the file */
	u32 block, nr; /* gathered */
	u64 freed;
	bool names; /* the data are directory entries: buffers know them */
	int err;    /* the first one */
};

static void note(struct pass *p, int err)
{
	if (!p->err)
		p->err = err;
}

static void free_gathered(struct pass *p)
{
	if (!p->nr)
		return;
	if (p->names)
		for (u32 i = 0; i < p->nr; i++)
			bforget(p->inode->sb->dev, p->block + i);
	note(p, ext2_free_blocks_locked(p->inode->sb, p->block, p->nr));
	p->freed += p->nr;
	p->nr = 0;
}

static void free_data(struct pass *p, u32 block)
{
	if (!block)
		return;
	if (p->nr && block != p->block + p->nr)
		free_gathered(p);
	if (!p->nr)
		p->block = block;
	p->nr++;
}

static void free_indirect_block(struct pass *p, u32 block)
{
	bforget(p->inode->sb->dev, block);
	note(p, ext2_free_blocks_locked(p->inode->sb, block, 1));
	p->freed++;
}

/* Zero the pointers [@from, @to) of @block. False: they are still there. */
static bool clear_pointers(struct pass *p, u32 block, u32 from, u32 to)
{
	struct buf *b;
	int err = ext2_bread(p->inode->sb, block, "indirect block", &b);

	note(p, err);
	if (err)
		return false;
	memset((u32 *)b->data + from, 0, (to - from) * sizeof(u32));
	bdirty(b);
	brelse(b);
	return true;
}

static bool all_zero(const u32 *ptr, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		if (ptr[i])
			return false;
	return true;
}

static u32 *copy_of(struct pass *p, u32 block, u32 levels)
{
	u32 *copy = p->sbi->scratch[levels - 1];
	struct buf *b;
	int err;

	if (!ext2_data_blocks_ok(p->sbi, block, 1))
		err = ext2_error(p->inode->sb, "inode %lu: indirect block %u holds no pointers",
				 (unsigned long)p->inode->ino, block);
	else
		err = ext2_bread(p->inode->sb, block, "indirect block", &b);
	note(p, err);
	if (err)
		return NULL;
	memcpy(copy, b->data, p->sbi->block_size);
	brelse(b);
	return copy;
}

/* Nothing points to indirect block @block any more: free it and all below. @levels: of pointers, 1
 * to 3. What cannot be read stays taken. */
static void free_tree(struct pass *p, u32 block, u32 levels)
{
	u32 *copy = copy_of(p, block, levels), ptrs = 1u << p->sbi->addr_bits;

	if (!copy)
		return;
	for (u32 i = 0; i < ptrs; i++) {
		if (levels == 1)
			free_data(p, copy[i]);
		else if (copy[i])
			free_tree(p, copy[i], levels - 1);
	}
	free_indirect_block(p, block);
}

static bool free_part(struct pass *p, u32 block, u32 levels, u64 base);

/* Child @i of a block with the pointers @copy, the first of which leads to block @base of the file:
 * does it keep anything? */
static bool child_stays(struct pass *p, const u32 *copy, u32 levels, u32 i, u64 base)
{
	u64 span = 1ul << p->sbi->addr_bits * (levels - 1), start = base + i * span;

	if (!copy[i] || (p->from <= start && p->to >= start + span))
		return false;
	return !free_part(p, copy[i], levels - 1, start);
}

/*
 * Free the data blocks [p->from, p->to) of those found through indirect block @block, of which
 * there are some; its first pointer leads to block @base of the file. True: it holds no pointer any
 * more, and the caller takes it out; what was below it went. Only children that an end cuts through
 * may stay. What cannot be read stays as it is.
 */
static bool free_part(struct pass *p, u32 block, u32 levels, u64 base)
{
	u32 shift = p->sbi->addr_bits * (levels - 1), ptrs = 1u << p->sbi->addr_bits;
	u64 lo = max(p->from, base) - base, hi = min(p->to - base, (u64)ptrs << shift);
	u32 first = (u32)(lo >> shift), end = (u32)((hi - 1) >> shift) + 1;
	u32 *copy = copy_of(p, block, levels);

	if (!copy)
		return false;
	if (child_stays(p, copy, levels, first, base))
		first++;
	if (first < end && child_stays(p, copy, levels, end - 1, base))
		end--;
	if (first < end && !all_zero(copy + first, end - first)) {
		if (!clear_pointers(p, block, first, end))
			return false;
		for (u32 i = first; i < end; i++) {
			if (levels == 1)
				free_data(p, copy[i]);
			else if (copy[i])
				free_tree(p, copy[i], levels - 1);
			copy[i] = 0;
		}
	}
	return all_zero(copy, ptrs);
}

static void free_blocks(struct pass *p)
{
	struct ext2_inode_info *info = ext2_info(p->inode);
	u64 base = EXT2_NDIR;

	for (u64 i = p->from; i < min(p->to, (u64)EXT2_NDIR); i++) {
		u32 block = info->block[i];

		info->block[i] = 0;
		free_data(p, block);
	}
	for (u32 levels = 1; levels <= 3; levels++) {
		u32 *slot = &info->block[EXT2_IND + levels - 1], block = *slot;
		u64 end = base + (1ul << p->sbi->addr_bits * levels);
		bool all = p->from <= base && p->to >= end;

		if (block && p->from < end && p->to > base &&
		    (all || free_part(p, block, levels, base))) {
			*slot = 0;
			free_tree(p, block, levels);
		}
		base = end;
	}
	free_gathered(p);
}

/* The blocks [@from, @to) of the file. */
static int free_range(struct inode *inode, u64 from, u64 to)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	struct ext2_inode_info *info = ext2_info(inode);
	struct pass p = {
		.inode = inode, .sbi = sbi, .from = from, .to = to, .names = inode_is_dir(inode)
	};
	u64 blocks;

	mutex_lock(&sbi->lock);
	ext2_undelay_locked(inode, from, to);
	free_blocks(&p);
	/* Those that an end cuts through, and that had nothing else. */
	ext2_tables_freed_locked(inode, from);
	ext2_tables_freed_locked(inode, to - 1);
	info->last_block = 0;
	blocks = p.freed << (sbi->block_bits - SECTOR_SHIFT);
	inode->blocks -= min(blocks, inode->blocks);
	mutex_unlock(&sbi->lock);
	return p.err;
}

int ext2_truncate(struct inode *inode, u64 size)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);

	return free_range(inode, (size + sbi->block_size - 1) >> sbi->block_bits, ~0ul);
}

int ext2_punch(struct inode *inode, u64 start, u64 end)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	u64 from = (start + sbi->block_size - 1) >> sbi->block_bits, to = end >> sbi->block_bits;

	return from < to ? free_range(inode, from, to) : 0;
}
