/* SPDX-License-Identifier: MIT */
/*
 * truncate.c - blocks behind the new end of a file become free.
 *
 * Owns:  taking pointers out of an inode and its indirect blocks.
 * Not:   the size and the cached pages: they went before (truncate_setsize), so that no I/O to
 *        these blocks is under way (rule 103).
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
	u32 block, nr;
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

/* Zero the pointers of @block from index @from on. False: they are still there. */
static bool clear_pointers(struct pass *p, u32 block, u32 from)
{
	struct buf *b;
	int err = ext2_bread(p->inode->sb, block, "indirect block", &b);

	note(p, err);
	if (err)
		return false;
	memset((u32 *)b->data + from, 0, p->sbi->block_size - from * sizeof(u32));
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

/*
 * Free what the tree under indirect block @block holds from its data block @from on; all of it and
 * @block itself if @from is 0. @levels: of pointers, 1 to 3. What cannot be read stays as it is.
 */
static void free_tree(struct pass *p, u32 block, u32 levels, u64 from)
{
	u32 shift = p->sbi->addr_bits * (levels - 1), ptrs = 1u << p->sbi->addr_bits;
	u32 first = (u32)(from >> shift);
	u64 rest = from & ((1ul << shift) - 1);
	u32 *copy = copy_of(p, block, levels);

	if (!copy)
		return;
	/* The child that the cut goes through keeps its pointer. */
	if (rest) {
		if (copy[first])
			free_tree(p, copy[first], levels - 1, rest);
		first++;
	}
	if (from && (all_zero(copy + first, ptrs - first) || !clear_pointers(p, block, first)))
		return;
	for (u32 i = first; i < ptrs; i++) {
		if (levels == 1)
			free_data(p, copy[i]);
		else if (copy[i])
			free_tree(p, copy[i], levels - 1, 0);
	}
	if (!from)
		free_indirect_block(p, block);
}

static void free_from(struct pass *p, u64 from)
{
	struct ext2_inode_info *info = ext2_info(p->inode);
	u64 base = EXT2_NDIR;

	for (u64 i = from; i < EXT2_NDIR; i++) {
		u32 block = info->block[i];

		info->block[i] = 0;
		free_data(p, block);
	}
	for (u32 levels = 1; levels <= 3; levels++) {
		u32 *slot = &info->block[EXT2_IND + levels - 1], block = *slot;
		u64 span = 1ul << p->sbi->addr_bits * levels;

		if (block && from < base + span) {
			if (from <= base)
				*slot = 0;
			free_tree(p, block, levels, from > base ? from - base : 0);
		}
		base += span;
	}
	free_gathered(p);
}

int ext2_truncate(struct inode *inode, u64 size)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	struct ext2_inode_info *info = ext2_info(inode);
	struct pass p = { .inode = inode, .sbi = sbi, .names = inode_is_dir(inode) };
	u64 blocks;

	mutex_lock(&sbi->lock);
	free_from(&p, (size + sbi->block_size - 1) >> sbi->block_bits);
	info->last_block = 0;
	blocks = p.freed << (sbi->block_bits - SECTOR_SHIFT);
	inode->blocks -= min(blocks, inode->blocks);
	mutex_unlock(&sbi->lock);
	return p.err;
}
