/* SPDX-License-Identifier: MIT */
/*
 * reserve.c - stores into holes that were let pass, and the room that was put aside for them.
 *
 * Owns:  which holes of a file are delayed, what was promised to them, sbi->reserved_blocks.
 * Not:   what becomes of them when pages are written or go (delayed.c), who asks (mkwrite.c),
 *        finding the blocks (map.c), what is done when there is no room (make_room.c).
 * Locks: sbi->lock for everything.
 * Key fact: what is put aside is what will be taken, not a worst case. A block of data is promised
 *        once, however often its page is stored to. An indirect block is promised once, however
 *        many blocks will be found through it: while it is missing on the disk and any promised
 *        block lies below it. So each table that delayed blocks hang from has a struct here, which
 *        counts; a file that has none of them owes nothing.
 *
 * The record is the inode's, not the page's: a page that a device reads may be replaced by its copy
 * (page_fork.c), and both are the same place in the file.
 *
 * Delayed and not promised is what alloc=writeback lets pass: blocks will be looked for, and may
 * not be had.
 */
#include "kernel/fs/ext2/reserve.h"

#include <errno.h>

#include "kernel/core/stat.h"
#include "kernel/lib/bitmap.h"
#include "kernel/mm/kmalloc.h"

static int compare(const struct ext2_table *a, const struct ext2_table *b)
{
	if (a->level != b->level)
		return a->level < b->level ? -1 : 1;
	return a->first < b->first ? -1 : a->first > b->first;
}

RB_GENERATE(ext2_tables, ext2_table, link, compare)

/* ---- counting ------------------------------------------------------------------------------ */

u64 ext2_available_locked(const struct ext2_sb *sbi)
{
	return sbi->free_blocks - min(sbi->reserved_blocks, sbi->free_blocks);
}

void ext2_put_aside(struct inode *inode, s64 nr)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);

	sbi->reserved_blocks += (u64)nr;
	ext2_info(inode)->reserved += (u64)nr;
	inode->reserved += (u64)nr << (sbi->block_bits - SECTOR_SHIFT);
}

/* Blocks beside itself that the next promise below @t takes. */
static u32 price_of_tables(const struct ext2_table *t)
{
	u32 n = 0;

	for (; t && !t->needs; t = t->parent)
		n += !t->on_disk;
	return n;
}

/* @n more blocks of @t are promised. */
static void need(struct ext2_table *t, u32 n)
{
	for (; t && n; t = t->parent) {
		u32 before = t->needs;

		t->needs += n;
		n = !before;
		t->promised |= !before && !t->on_disk;
	}
}

u32 ext2_need_not(struct ext2_table *t, u32 n)
{
	u32 back = 0;

	for (; t && n; t = t->parent) {
		t->needs -= n;
		n = !t->needs;
		back += n && t->promised;
		t->promised &= !n;
	}
	return back;
}

/* ---- tables -------------------------------------------------------------------------------- */

/* The first block of the file that is found through the table of @level on the way to @lblock. */
static u64 first_of(const struct ext2_sb *sbi, u64 lblock, u32 depth, u32 level)
{
	u64 base = 0;

	if (depth == 1)
		return 0;
	for (u32 d = 1; d < depth; d++)
		base += d == 1 ? EXT2_NDIR : 1ul << sbi->addr_bits * (d - 1);
	return base + ((lblock - base) & ~((1ul << sbi->addr_bits * (level + 1)) - 1));
}

static struct ext2_table *find_table(struct ext2_inode_info *info, u32 level, u64 first)
{
	struct ext2_table key = { .level = level, .first = first };

	return RB_FIND(ext2_tables, &info->tables, &key);
}

struct ext2_table *ext2_leaf_slow(struct inode *inode, u64 lblock)
{
	struct ext2_inode_info *info = ext2_info(inode);
	struct ext2_table *t;
	u32 path[4], depth;

	if (RB_EMPTY(&info->tables))
		return NULL;
	depth = ext2_block_path(ext2_sb(inode->sb), lblock, path);
	if (!depth)
		return NULL;
	t = find_table(info, 0, depth == 1 ? 0 : lblock - path[depth - 1]);
	if (t)
		info->last = t;
	return t;
}

struct ext2_table *ext2_table(struct inode *inode, u64 lblock, const struct ext2_branch *br,
			      u32 level)
{
	u64 first = first_of(ext2_sb(inode->sb), lblock, br->depth, level);

	return find_table(ext2_info(inode), level, first);
}

void ext2_forget_unused(struct inode *inode, struct ext2_table *t)
{
	struct ext2_inode_info *info = ext2_info(inode);

	while (t && !t->refs) {
		struct ext2_table *parent = t->parent;

		if (info->last == t)
			info->last = NULL;
		RB_REMOVE(ext2_tables, &info->tables, t);
		kfree(t);
		if (parent)
			parent->refs--;
		t = parent;
	}
}

static struct ext2_table *add_table(struct inode *inode, struct ext2_table *parent, u32 level,
				    u64 first, u32 nr)
{
	struct ext2_table *t;

	t = kzalloc(sizeof(*t) + (level ? 0 : 2 * DIV_ROUND_UP(nr, 64u) * sizeof(u64)));
	if (!t)
		return NULL;
	t->parent = parent;
	t->first = first;
	t->level = level;
	t->nr = nr;
	RB_INSERT(ext2_tables, &ext2_info(inode)->tables, t);
	if (parent)
		parent->refs++;
	return t;
}

/* The same as ext2_leaf(), made if need be, with those above it; @br leads to @lblock. NULL: no
 * memory. */
static __noinline struct ext2_table *get_leaf(struct inode *inode, u64 lblock,
					      const struct ext2_branch *br)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	u32 tables = max(br->depth - 1, 1u);
	struct ext2_table *parent = NULL, *t = NULL;

	for (u32 i = 1; i <= tables; i++, parent = t) {
		u32 level = tables - i;
		u64 first = first_of(sbi, lblock, br->depth, level);

		t = find_table(ext2_info(inode), level, first);
		if (t)
			continue;
		t = add_table(inode, parent, level, first,
			      br->depth == 1 ? EXT2_NDIR : 1u << sbi->addr_bits);
		if (!t) {
			ext2_forget_unused(inode, parent);
			return NULL;
		}
		t->on_disk = br->depth == 1 || br->level >= i;
	}
	ext2_info(inode)->last = t;
	return t;
}

/* ---- a store is let pass ------------------------------------------------------------------- */

/* Looked at once for as many blocks: stores often go on where the last one was. */
#define LOOK_AHEAD 256

/* Bit i: block @lblock + i is a hole. */
static __noinline int find_holes(struct inode *inode, u64 lblock, u32 nr, struct ext2_branch *br,
				 u64 *holes, u64 *block)
{
	struct ext2_inode_info *info = ext2_info(inode);

	*holes = 0;
	for (u32 i = 0, n; i < nr; i += n) {
		int err = ext2_find_branch_locked(inode, lblock + i, LOOK_AHEAD, br);

		if (err)
			return err;
		n = min(br->run.nr, nr - i);
		if (!br->run.block) {
			*holes |= word_mask(0, i, i + n);
			info->hole = lblock + i;
			info->hole_end = lblock + i + br->run.nr;
		} else if (n == nr) {
			*block = br->run.block;
		}
	}
	return 0;
}

/* Nearly always it is one. */
static inline u32 count(u64 bits)
{
	return likely(!(bits & (bits - 1))) ? bits != 0 : popcount64(bits);
}

/* The holes @holes of word @word of @t become delayed. */
static int delay(struct inode *inode, struct ext2_table *t, u32 word, u64 holes,
		 enum ext2_delay how)
{
	u64 *delayed = &t->bits[word], *promised = &promised_bits(t)[word];
	u64 more = how == EXT2_PROMISE ? holes & ~*promised : 0;

	if (inode->sb->read_only)
		return -EROFS;
	if (more) {
		u32 data = count(more), all = data + price_of_tables(t);

		if (all > ext2_available_locked(ext2_sb(inode->sb)))
			return -ENOSPC;
		ext2_put_aside(inode, all);
		need(t, data);
		*promised |= more;
		stat_add(STAT_BLOCKS_RESERVED, all);
	}
	if (holes & ~*delayed) {
		t->refs += count(holes & ~*delayed);
		*delayed |= holes;
	}
	return 0;
}

/* The blocks of a page lie in one table, and in one word of its bits: 12 pointers of the inode come
 * first, and pages have 1, 2 or 4 blocks. */
static int delay_locked(struct inode *inode, u64 lblock, u32 nr, enum ext2_delay how, u64 *block)
{
	struct ext2_inode_info *info = ext2_info(inode);
	struct ext2_table *t = ext2_leaf(inode, lblock);
	u32 bit = t ? (u32)(lblock - t->first) : 0;
	u64 holes = word_mask(0, 0, nr);
	struct ext2_branch br;
	int err;

	if (t) {
		const u64 *had = how == EXT2_PROMISE ? promised_bits(t) : t->bits;

		if ((had[bit / 64] >> bit % 64 & holes) == holes)
			return 0;
	}
	if (!t || lblock < info->hole || lblock + nr > info->hole_end) {
		err = find_holes(inode, lblock, nr, &br, &holes, block);
		if (err || !holes)
			return err;
	}
	if (!t) {
		t = get_leaf(inode, lblock, &br);
		if (!t)
			return -ENOMEM;
		bit = (u32)(lblock - t->first);
	}
	err = delay(inode, t, bit / 64, holes << bit % 64, how);
	if (unlikely(err))
		ext2_forget_unused(inode, t);
	return err;
}

int ext2_delay(struct inode *inode, u64 lblock, u32 nr, enum ext2_delay how, u64 *block)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	int err;

	*block = 0;
	mutex_lock(&sbi->lock);
	err = delay_locked(inode, lblock, nr, how, block);
	mutex_unlock(&sbi->lock);
	return err;
}
