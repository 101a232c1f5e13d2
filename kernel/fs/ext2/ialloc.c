/* SPDX-License-Identifier: MIT */
/*
 * ialloc.c - which inode numbers are free, and where a new file's inode goes.
 *
 * Owns:  the inode bitmaps and the counts of free inodes and directories.
 * Not:   what is in an inode (inode.c).
 * Locks: sbi->lock, taken here; one bitmap's buffer inside.
 * Key fact: a file lives in the group of its directory; directories spread over the groups with
 *        room, so that their files have some.
 */
#include <errno.h>

#include "kernel/fs/ext2/ext2.h"
#include "kernel/lib/bitmap.h"

/* Of the groups with at least the average of free inodes, the one with the most free blocks. */
static u32 group_for_dir(const struct ext2_sb *sbi)
{
	u32 average = (u32)(sbi->free_inodes / sbi->groups), best = 0, blocks = 0;

	for (u32 i = 0; i < sbi->groups; i++) {
		const struct ext2_group *g = &sbi->group[i];

		if (g->free_inodes && g->free_inodes >= average && g->free_blocks > blocks) {
			best = i;
			blocks = g->free_blocks;
		}
	}
	return best;
}

/* The parent's group, then ones further and further away, then any; free blocks are wanted too. */
static u32 group_for_file(const struct ext2_sb *sbi, u32 parent)
{
	u32 group = parent;

	for (u32 step = 1; step < sbi->groups; step <<= 1) {
		if (sbi->group[group].free_inodes && sbi->group[group].free_blocks)
			return group;
		group = (group + step) % sbi->groups;
	}
	return parent;
}

/* A free number of @group, or 0 with *@err: -ENOSPC if there is none. */
static u32 alloc_in_group(struct super_block *sb, u32 group, bool dir, int *err)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	struct ext2_group *g = &sbi->group[group];
	u32 bits = sbi->es.inodes_per_group, bit;
	struct buf *b;

	*err = -ENOSPC;
	if (!g->free_inodes)
		return 0;
	*err = ext2_bread(sb, g->inode_bitmap, "inode bitmap", &b);
	if (*err)
		return 0;
	/* The first ones of all are reserved, whatever their bits say. */
	bit = (u32)bitmap_find_zero(b->data, bits, group ? 0 : min(sbi->first_ino - 1, bits));
	if (bit >= bits) {
		brelse(b);
		*err = ext2_error(sb,
				  "group %u: its descriptor says %u free inodes, its bitmap "
				  "none",
				  group, g->free_inodes);
		return 0;
	}
	bitmap_set(b->data, bit);
	bdirty(b);
	brelse(b);
	g->free_inodes--;
	sbi->free_inodes--;
	g->used_dirs += dir;
	ext2_mark_group_locked(sbi, group);
	return group * bits + bit + 1;
}

int ext2_alloc_ino(struct super_block *sb, u32 parent_group, bool dir, u32 *ino)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	int err = -ENOSPC;
	u32 group;

	if (sb->read_only)
		return -EROFS;
	mutex_lock(&sbi->lock);
	group = dir ? group_for_dir(sbi) : group_for_file(sbi, parent_group);
	for (u32 i = 0; i < sbi->groups && err == -ENOSPC; i++) {
		*ino = alloc_in_group(sb, group, dir, &err);
		group = group + 1 < sbi->groups ? group + 1 : 0;
	}
	mutex_unlock(&sbi->lock);
	return err;
}

void ext2_free_ino(struct super_block *sb, u32 ino, bool dir)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	u32 group = (ino - 1) / sbi->es.inodes_per_group;
	u32 bit = (ino - 1) % sbi->es.inodes_per_group;
	struct ext2_group *g = &sbi->group[group];
	struct buf *b;

	mutex_lock(&sbi->lock);
	if (ext2_bread(sb, g->inode_bitmap, "inode bitmap", &b)) {
		mutex_unlock(&sbi->lock);
		return; /* said so; the inode is lost until e2fsck finds it */
	}
	if (bitmap_test(b->data, bit)) {
		bitmap_clear(b->data, bit);
		bdirty(b);
		brelse(b);
		g->free_inodes++;
		sbi->free_inodes++;
		g->used_dirs -= dir && g->used_dirs;
		ext2_mark_group_locked(sbi, group);
	} else {
		brelse(b);
		ext2_error(sb, "inode %u was freed, but it is free", ino);
	}
	mutex_unlock(&sbi->lock);
}
