/* SPDX-License-Identifier: MIT */
/*
 * mkfs.c - an empty ext2 in memory, for disks that a test makes itself.
 *
 * Owns:  nothing. Pure C: the same function makes an image that e2fsck judges.
 * Key fact: without sparse_super every group begins with a copy of the super block and of all
 *        descriptors, so that one loop makes all groups alike.
 */
#include "tests/fs/mkfs.h"

#include <string.h>

#include "kernel/lib/bitmap.h"

#define INODES_PER_GROUP 512u
#define ROOT_BLOCKS	 1u

struct shape {
	u8 *disk;
	u32 block_size, inode_size, blocks, first, per_group, groups, desc_blocks, itable_blocks;
};

static void *block_at(const struct shape *s, u32 block)
{
	return s->disk + (u64)block * s->block_size;
}

static u32 group_first(const struct shape *s, u32 group)
{
	return s->first + group * s->per_group;
}

static u32 group_blocks(const struct shape *s, u32 group)
{
	return min(s->per_group, s->blocks - group_first(s, group));
}

/* Blocks at the start of each group that are in use: super block, descriptors, bitmaps, inodes. */
static u32 overhead(const struct shape *s)
{
	return 1 + s->desc_blocks + 2 + s->itable_blocks;
}

static struct shape make_shape(void *disk, u64 bytes, u32 block_size, u32 inode_size)
{
	struct shape s = { .disk = disk, .block_size = block_size, .inode_size = inode_size };

	s.first = block_size == 1024;
	s.per_group = 8 * block_size;
	s.blocks = (u32)(bytes / block_size);
	s.groups = DIV_ROUND_UP(s.blocks - s.first, s.per_group);
	s.desc_blocks = DIV_ROUND_UP(s.groups * (u32)sizeof(struct ext2_group_desc), block_size);
	s.itable_blocks = INODES_PER_GROUP * inode_size / block_size;
	/* A last group without room for its own tables is left out. */
	if (group_blocks(&s, s.groups - 1) < overhead(&s) + 8) {
		s.groups--;
		s.blocks = group_first(&s, s.groups);
	}
	return s;
}

static void fill_super(const struct shape *s, struct ext2_super_block *es)
{
	u32 used = s->groups * overhead(s) + ROOT_BLOCKS;

	es->inodes_count = s->groups * INODES_PER_GROUP;
	es->blocks_count = s->blocks;
	es->free_blocks_count = s->blocks - s->first - used;
	es->free_inodes_count = es->inodes_count - EXT2_OLD_FIRST_INO + 1;
	es->first_data_block = s->first;
	es->log_block_size = es->log_frag_size = (u32)__builtin_ctz(s->block_size) - 10;
	es->blocks_per_group = es->frags_per_group = s->per_group;
	es->inodes_per_group = INODES_PER_GROUP;
	es->max_mnt_count = 0xffff;
	es->magic = EXT2_MAGIC;
	es->state = EXT2_STATE_VALID;
	es->errors = 1;
	es->lastcheck = es->mkfs_time = es->wtime = 1700000000;
	es->rev_level = 1;
	es->first_ino = EXT2_OLD_FIRST_INO;
	es->inode_size = (u16)s->inode_size;
	es->feature_incompat = EXT2_INCOMPAT_FILETYPE;
	es->uuid[0] = 1;
	if (s->inode_size > EXT2_OLD_INODE_SIZE)
		es->min_extra_isize = es->want_extra_isize = EXT2_EXTRA_ISIZE;
}

static void fill_desc(const struct shape *s, struct ext2_group_desc *desc)
{
	for (u32 g = 0; g < s->groups; g++, desc++) {
		u32 tables = group_first(s, g) + 1 + s->desc_blocks;

		desc->block_bitmap = tables;
		desc->inode_bitmap = tables + 1;
		desc->inode_table = tables + 2;
		desc->free_blocks = (u16)(group_blocks(s, g) - overhead(s) - (g ? 0 : ROOT_BLOCKS));
		desc->free_inodes = (u16)(INODES_PER_GROUP - (g ? 0 : EXT2_OLD_FIRST_INO - 1));
		desc->used_dirs = !g;
	}
}

static void fill_bitmaps(const struct shape *s, u32 g)
{
	u32 tables = group_first(s, g) + 1 + s->desc_blocks, bits = 8 * s->block_size, i;
	u8 *blocks = block_at(s, tables), *inodes = block_at(s, tables + 1);

	for (i = 0; i < overhead(s) + (g ? 0 : ROOT_BLOCKS); i++)
		bitmap_set(blocks, i);
	for (i = group_blocks(s, g); i < bits; i++)
		bitmap_set(blocks, i);
	for (i = 0; !g && i < EXT2_OLD_FIRST_INO - 1; i++)
		bitmap_set(inodes, i);
	for (i = INODES_PER_GROUP; i < bits; i++)
		bitmap_set(inodes, i);
}

static void make_root(const struct shape *s)
{
	u32 block = s->first + overhead(s);
	struct ext2_dirent *e = block_at(s, block);
	struct ext2_inode *root;

	root = (struct ext2_inode *)((u8 *)block_at(s, s->first + 1 + s->desc_blocks + 2) +
				     s->inode_size); /* number 2 is the second */
	root->mode = 0040755;
	root->size = s->block_size;
	root->links_count = 2;
	root->blocks = s->block_size / 512;
	root->block[0] = block;
	root->atime = root->ctime = root->mtime = 1700000000;
	if (s->inode_size > EXT2_OLD_INODE_SIZE)
		root->extra_isize = EXT2_EXTRA_ISIZE;
	*e = (struct ext2_dirent){ 2, 12, 1, EXT2_FT_DIR };
	memcpy(e->name, ".", 1);
	e = (struct ext2_dirent *)((u8 *)e + 12);
	*e = (struct ext2_dirent){ 2, (u16)(s->block_size - 12), 2, EXT2_FT_DIR };
	memcpy(e->name, "..", 2);
}

void mkfs_ext2(void *disk, u64 bytes, u32 block_size, u32 inode_size)
{
	struct shape s = make_shape(disk, bytes, block_size, inode_size);

	memset(disk, 0, bytes);
	for (u32 g = 0; g < s.groups; g++) {
		u32 offset = block_size > 1024 && !g ? 1024 : 0;
		struct ext2_super_block *es =
			(void *)((u8 *)block_at(&s, group_first(&s, g)) + offset);

		fill_super(&s, es);
		es->block_group_nr = (u16)g;
		fill_desc(&s, block_at(&s, group_first(&s, g) + 1));
		fill_bitmaps(&s, g);
	}
	make_root(&s);
}
