/* SPDX-License-Identifier: MIT */
/*
 * balloc.c - which blocks are free, and which of them a file gets.
 *
 * Owns:  the block bitmaps and the counts of free blocks.
 * Not:   what a block is for (map.c, dir.c).
 * Locks: sbi->lock held by the caller; one bitmap's buffer at a time.
 * Key fact: data grows upwards from the block before it, pointers and names downwards from the end
 *        of the group. So the indirect blocks of a file that is written in order do not cut its
 *        data into pieces, and long runs go to the disk in one request.
 */
#include <errno.h>
#include <string.h>

#include "kernel/core/stat.h"
#include "kernel/fs/ext2/ext2.h"
#include "kernel/lib/bitmap.h"

void ext2_mark_group_locked(struct ext2_sb *sbi, u32 group)
{
	sbi->desc_dirty[group * sizeof(struct ext2_group_desc) / sbi->block_size] = true;
	WRITE_ONCE(sbi->super_dirty, true);
}

static u32 group_of(const struct ext2_sb *sbi, u32 block)
{
	return (block - sbi->es.first_data_block) / sbi->es.blocks_per_group;
}

/* First free byte, that is 8 free blocks, from bit @from on; backed up to where its run begins. Or
 * @bits. */
static u32 find_free_byte(const u8 *map, u32 bits, u32 from)
{
	u32 first = DIV_ROUND_UP(from, 8u), n = bits / 8;
	const u8 *byte = first < n ? memchr(map + first, 0, n - first) : NULL;
	u32 bit;

	if (!byte)
		return bits;
	bit = (u32)(byte - map) * 8;
	while (bit > from && !bitmap_test(map, bit - 1))
		bit--;
	return bit;
}

/* Where a file's next data goes: at the goal if it is free, else where there is room to go on, else
 * anywhere behind it. */
static u32 find_data(const u8 *map, u32 bits, u32 goal)
{
	u32 bit;

	if (!bitmap_test(map, goal))
		return goal;
	bit = find_free_byte(map, bits, goal);
	return bit < bits ? bit : (u32)bitmap_find_zero(map, bits, goal);
}

/* The last free block of the group, or @bits. */
static u32 find_meta(const u8 *map, u32 bits, u32 goal)
{
	u32 bit = bits;

	while (bit > goal && bit % 8 && bitmap_test(map, bit - 1))
		bit--;
	while (bit > goal && bit % 8 == 0 && bit >= 8 && map[bit / 8 - 1] == 0xff)
		bit -= 8;
	while (bit > goal && bitmap_test(map, bit - 1))
		bit--;
	return bit > goal ? bit - 1 : bits;
}

typedef u32 (*find_fn)(const u8 *map, u32 bits, u32 goal);

/*
 * Take up to @want blocks of @group, from bit @goal on. 0 and *@got > 0; -ENOSPC if there is none
 * behind the goal.
 */
static int alloc_in_group(struct super_block *sb, u32 group, u32 goal, u32 want, find_fn find,
			  u32 *block, u32 *got)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	struct ext2_group *g = &sbi->group[group];
	u32 bits = ext2_group_blocks(sbi, group), bit, n = 1;
	struct buf *b;
	int err;

	err = ext2_bread(sb, g->block_bitmap, "block bitmap", &b);
	if (err)
		return err;
	bit = find(b->data, bits, goal);
	if (bit >= bits) {
		brelse(b);
		if (!goal)
			return ext2_error(sb,
					  "group %u: its descriptor says %u free blocks, its "
					  "bitmap none",
					  group, g->free_blocks);
		return -ENOSPC;
	}
	while (n < min(want, g->free_blocks) && bit + n < bits && !bitmap_test(b->data, bit + n))
		n++;
	*block = ext2_group_first(sbi, group) + bit;
	if (!ext2_data_blocks_ok(sbi, *block, n)) {
		brelse(b);
		return ext2_error(sb,
				  "group %u: its bitmap says block %u is free, but it is a "
				  "table's",
				  group, *block);
	}
	for (u32 i = 0; i < n; i++)
		bitmap_set(b->data, bit + i);
	bdirty(b);
	brelse(b);
	g->free_blocks -= n;
	sbi->free_blocks -= n;
	ext2_mark_group_locked(sbi, group);
	stat_add(STAT_BLOCKS_ALLOCATED, n);
	*got = n;
	return 0;
}

/* Group after group, the goal's first; its part before the goal comes last. */
static int alloc_near(struct super_block *sb, u32 goal, u32 want, find_fn find, u32 *block,
		      u32 *got)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	u32 group, bit;
	int err;

	if (sb->read_only)
		return -EROFS;
	if (goal <= sbi->es.first_data_block || goal >= sbi->es.blocks_count)
		goal = sbi->es.first_data_block + 1;
	group = group_of(sbi, goal);
	bit = goal - ext2_group_first(sbi, group);
	for (u32 i = 0; i <= sbi->groups; i++) {
		if (sbi->group[group].free_blocks) {
			err = alloc_in_group(sb, group, bit, want, find, block, got);
			if (err != -ENOSPC)
				return err;
		}
		group = group + 1 < sbi->groups ? group + 1 : 0;
		bit = 0;
	}
	return -ENOSPC;
}

int ext2_alloc_data_locked(struct super_block *sb, u32 goal, u32 want, u32 *block, u32 *got)
{
	return alloc_near(sb, goal, want, find_data, block, got);
}

int ext2_alloc_meta_locked(struct super_block *sb, u32 goal, u32 *block)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	u32 got;

	if (goal <= sbi->es.first_data_block || goal >= sbi->es.blocks_count)
		goal = sbi->es.first_data_block + 1;
	goal = ext2_group_first(sbi, group_of(sbi, goal));
	return alloc_near(sb, max(goal, sbi->es.first_data_block + 1), 1, find_meta, block, &got);
}

static int free_in_group(struct super_block *sb, u32 group, u32 bit, u32 nr)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	struct ext2_group *g = &sbi->group[group];
	u32 freed = 0;
	struct buf *b;
	int err;

	err = ext2_bread(sb, g->block_bitmap, "block bitmap", &b);
	if (err)
		return err;
	for (u32 i = 0; i < nr; i++) {
		freed += bitmap_test(b->data, bit + i);
		bitmap_clear(b->data, bit + i);
	}
	bdirty(b);
	brelse(b);
	g->free_blocks += freed;
	sbi->free_blocks += freed;
	ext2_mark_group_locked(sbi, group);
	stat_add(STAT_BLOCKS_FREED, freed);
	if (freed == nr)
		return 0;
	return ext2_error(sb, "group %u: of %u blocks from %u that were freed, %u were free", group,
			  nr, ext2_group_first(sbi, group) + bit, nr - freed);
}

int ext2_free_blocks_locked(struct super_block *sb, u32 block, u32 nr)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	int err = 0;

	if (!ext2_data_blocks_ok(sbi, block, nr))
		return ext2_error(sb, "%u blocks from %u were to be freed, which hold no data", nr,
				  block);
	while (nr && !err) {
		u32 group = group_of(sbi, block);
		u32 bit = block - ext2_group_first(sbi, group);
		u32 n = min(nr, ext2_group_blocks(sbi, group) - bit);

		err = free_in_group(sb, group, bit, n);
		block += n;
		nr -= n;
	}
	return err;
}
