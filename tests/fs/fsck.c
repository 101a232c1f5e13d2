/* SPDX-License-Identifier: MIT */
/*
 * fsck.c - an oracle for disks that tests make themselves; e2fsck judges the others on the host.
 *
 * Owns:  nothing. Reads the bytes of the disk; shares no code with kernel/fs.
 * Key fact: everything that is in use is reached from the inode tables and the fixed places, once.
 *        What the bitmaps, counts and link counts say is compared with that.
 */
#include "tests/fs/fsck.h"

#include <string.h>

#include "kernel/fs/ext2/ondisk.h"
#include "kernel/lib/bitmap.h"
#include "kernel/lib/fmt.h"

struct check {
	const u8 *disk;
	const struct ext2_super_block *es;
	const struct ext2_group_desc *desc;
	u32 block_size, inode_size, groups, desc_blocks;
	u8 *owned;  /* per block */
	u32 *links; /* per inode: names that lead to it */
	u32 bad;
	char *why;
	size_t why_size;
};

#define BAD(c, ...)                                                                                \
	do {                                                                                       \
		if (!(c)->bad++)                                                                   \
			ksnprintf((c)->why, (c)->why_size, __VA_ARGS__);                           \
	} while (0)

static const void *block_at(const struct check *c, u32 block)
{
	return c->disk + (u64)block * c->block_size;
}

static u32 group_first(const struct check *c, u32 g)
{
	return c->es->first_data_block + g * c->es->blocks_per_group;
}

static u32 group_blocks(const struct check *c, u32 g)
{
	return min(c->es->blocks_per_group, c->es->blocks_count - group_first(c, g));
}

static bool own(struct check *c, u32 block, u32 ino)
{
	if (block < c->es->first_data_block || block >= c->es->blocks_count) {
		BAD(c, "inode %u has block %u of %u", ino, block, c->es->blocks_count);
		return false;
	}
	if (c->owned[block])
		BAD(c, "block %u is owned twice, now by inode %u", block, ino);
	c->owned[block] = 1;
	return true;
}

static const struct ext2_inode *inode_at(const struct check *c, u32 ino)
{
	u32 g = (ino - 1) / c->es->inodes_per_group, i = (ino - 1) % c->es->inodes_per_group;

	return (const void *)((const u8 *)block_at(c, c->desc[g].inode_table) +
			      (u64)i * c->inode_size);
}

/* ---- one inode ----------------------------------------------------------------------------- */

static void count_names(struct check *c, u32 ino, u32 block)
{
	const struct ext2_dirent *e;

	for (u32 offset = 0; offset < c->block_size; offset += e->rec_len) {
		e = (const void *)((const u8 *)block_at(c, block) + offset);
		if (e->rec_len < 12 || e->rec_len % 4 || offset + e->rec_len > c->block_size ||
		    e->rec_len < EXT2_DIRENT_LEN(e->name_len)) {
			BAD(c, "directory %u, block %u: bad entry at %u", ino, block, offset);
			return;
		}
		if (e->inode > c->es->inodes_count)
			BAD(c, "directory %u names inode %u", ino, e->inode);
		else if (e->inode)
			c->links[e->inode]++;
	}
}

/* Own the tree under @block; returns its blocks. *@last: highest block of the file that is
 * there. */
static u32 own_tree(struct check *c, u32 ino, u32 block, u32 levels, u64 lblock, u64 *last)
{
	u32 ptrs = c->block_size / 4, n = 1;
	u64 span = 1;

	if (!block || !own(c, block, ino))
		return 0;
	if (!levels) {
		*last = lblock;
		if ((inode_at(c, ino)->mode & 0170000) == 0040000)
			count_names(c, ino, block);
		return 1;
	}
	for (u32 i = 1; i < levels; i++)
		span *= ptrs;
	for (u32 i = 0; i < ptrs; i++)
		n += own_tree(c, ino, ((const u32 *)block_at(c, block))[i], levels - 1,
			      lblock + i * span, last);
	return n;
}

static void check_inode(struct check *c, u32 ino)
{
	const struct ext2_inode *inode = inode_at(c, ino);
	u64 size = inode->size, last = 0, base = 12, ptrs = c->block_size / 4, span = ptrs;
	u32 n = 0;

	if ((inode->mode & 0170000) == 0100000)
		size |= (u64)inode->size_high << 32;
	for (u32 i = 0; i < 12; i++)
		n += own_tree(c, ino, inode->block[i], 0, i, &last);
	for (u32 levels = 1; levels <= 3; levels++) {
		n += own_tree(c, ino, inode->block[11 + levels], levels, base, &last);
		base += span;
		span *= ptrs;
	}
	if (n * (c->block_size / 512) != inode->blocks)
		BAD(c, "inode %u: i_blocks is %u, it has %u blocks", ino, inode->blocks, n);
	if (n && last * c->block_size >= size)
		BAD(c, "inode %u: block %lu lies behind its size %lu", ino, (unsigned long)last,
		    (unsigned long)size);
	if (inode->dtime)
		BAD(c, "inode %u is in use and deleted", ino);
}

static void check_group_inodes(struct check *c, u32 g)
{
	const u8 *map = block_at(c, c->desc[g].inode_bitmap);
	u32 per = c->es->inodes_per_group, free = 0, dirs = 0;

	for (u32 i = 0; i < per; i++) {
		u32 ino = g * per + i + 1;
		const struct ext2_inode *inode = inode_at(c, ino);

		if (!bitmap_test(map, i)) {
			free++;
			if (inode->links_count)
				BAD(c, "inode %u is free, but has links", ino);
			continue;
		}
		if (ino != 2 && ino < c->es->first_ino)
			continue;
		if (!inode->links_count)
			BAD(c, "inode %u is in use without links", ino);
		dirs += (inode->mode & 0170000) == 0040000;
		check_inode(c, ino);
	}
	if (free != c->desc[g].free_inodes || dirs != c->desc[g].used_dirs)
		BAD(c, "group %u: %u free inodes and %u directories, it says %u and %u", g, free,
		    dirs, c->desc[g].free_inodes, c->desc[g].used_dirs);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void own_tables(struct check *c, u32 g)
{
	u32 first = group_first(c, g);

	for (u32 i = 0; i < 1 + c->desc_blocks; i++)
		own(c, first + i, 0);
	own(c, c->desc[g].block_bitmap, 0);
	own(c, c->desc[g].inode_bitmap, 0);
	for (u32 i = 0; i < c->es->inodes_per_group * c->inode_size / c->block_size; i++)
		own(c, c->desc[g].inode_table + i, 0);
}

static u32 check_group_blocks(struct check *c, u32 g)
{
	const u8 *map = block_at(c, c->desc[g].block_bitmap);
	u32 free = 0;

	for (u32 i = 0; i < group_blocks(c, g); i++) {
		u32 block = group_first(c, g) + i;

		free += !bitmap_test(map, i);
		if (bitmap_test(map, i) != c->owned[block])
			BAD(c, "block %u is %s, but marked otherwise", block,
			    c->owned[block] ? "in use" : "free");
	}
	if (free != c->desc[g].free_blocks)
		BAD(c, "group %u: %u free blocks, it says %u", g, free, c->desc[g].free_blocks);
	return free;
}

static void check_links(struct check *c, u32 *free_inodes)
{
	*free_inodes = 0;
	for (u32 ino = 1; ino <= c->es->inodes_count; ino++) {
		u32 g = (ino - 1) / c->es->inodes_per_group;
		const u8 *map = block_at(c, c->desc[g].inode_bitmap);
		bool used = bitmap_test(map, (ino - 1) % c->es->inodes_per_group);

		*free_inodes += !used;
		if (c->links[ino] && !used)
			BAD(c, "inode %u is free, but has a name", ino);
		if (used && (ino == 2 || ino >= c->es->first_ino) &&
		    c->links[ino] != inode_at(c, ino)->links_count)
			BAD(c, "inode %u: %u names, link count %u", ino, c->links[ino],
			    inode_at(c, ino)->links_count);
	}
}

size_t fsck_memory(const void *disk)
{
	const struct ext2_super_block *es = (const void *)((const u8 *)disk + 1024);

	return ALIGN_UP((size_t)es->blocks_count, 8) + 4 * ((size_t)es->inodes_count + 1);
}

u32 fsck_ext2(const void *disk, u64 bytes, void *seen, char *why, size_t why_size)
{
	const struct ext2_super_block *es = (const void *)((const u8 *)disk + 1024);
	struct check c = { .disk = disk, .es = es, .why = why, .why_size = why_size };
	u32 free = 0, free_inodes;

	c.block_size = 1024u << es->log_block_size;
	c.inode_size = es->inode_size;
	c.groups = DIV_ROUND_UP(es->blocks_count - es->first_data_block, es->blocks_per_group);
	c.desc_blocks = DIV_ROUND_UP(c.groups * (u32)sizeof(struct ext2_group_desc), c.block_size);
	c.desc = block_at(&c, es->first_data_block + 1);
	c.owned = seen;
	c.links = (u32 *)((u8 *)seen + ALIGN_UP((size_t)es->blocks_count, 8));
	memset(seen, 0, fsck_memory(disk));
	if ((u64)es->blocks_count * c.block_size > bytes) {
		BAD(&c, "super block says %u blocks", es->blocks_count);
		return c.bad;
	}
	if (es->state != EXT2_STATE_VALID)
		BAD(&c, "state is %u", es->state);
	for (u32 g = 0; g < c.groups; g++)
		own_tables(&c, g);
	for (u32 g = 0; g < c.groups; g++)
		check_group_inodes(&c, g);
	for (u32 g = 0; g < c.groups; g++)
		free += check_group_blocks(&c, g);
	check_links(&c, &free_inodes);
	if (free != es->free_blocks_count || free_inodes != es->free_inodes_count)
		BAD(&c, "%u blocks and %u inodes are free, the super block says %u and %u", free,
		    free_inodes, es->free_blocks_count, es->free_inodes_count);
	return c.bad;
}
