/* SPDX-License-Identifier: MIT */
/*
 * delayed.c - delayed blocks become blocks, or nobody waits for them any more.
 *
 * Owns:  the ends of what reserve.c begins: a block was found, a page left, a file was cut.
 * Not:   the record itself (reserve.c), finding blocks (map.c).
 * Locks: sbi->lock for everything.
 * Key fact: map.c asks here how much it may take before it takes anything, and says afterwards what
 *        it has found; both under one hold of the lock. So nobody takes what was promised to
 *        others, and what was found for a store is not counted twice.
 */
#include "kernel/core/stat.h"
#include "kernel/fs/ext2/reserve.h"
#include "kernel/lib/bitmap.h"

/* Bits [@from, @to) of @t are not delayed any more; it may be forgotten with that. Returns the
 * blocks of data that were promised; what was promised to tables for their sake goes back. */
static u32 take_bits(struct inode *inode, struct ext2_table *t, u32 from, u32 to)
{
	u64 *delayed = t->bits, *promised = promised_bits(t);
	u32 were_delayed = 0, were_promised = 0, tables;

	for (u32 w = from / 64; w * 64 < to; w++) {
		u64 mask = word_mask(w, from, to);

		were_delayed += popcount64(delayed[w] & mask);
		were_promised += popcount64(promised[w] & mask);
		delayed[w] &= ~mask;
		promised[w] &= ~mask;
	}
	tables = ext2_need_not(t, were_promised);
	ext2_put_aside(inode, -(s64)tables);
	stat_add(STAT_RESERVATIONS_RETURNED, tables);
	t->refs -= were_delayed;
	ext2_forget_unused(inode, t);
	return were_promised;
}

void ext2_undelay_locked(struct inode *inode, u64 first, u64 end)
{
	struct ext2_inode_info *info = ext2_info(inode);
	struct ext2_table *t, *next, key = { .level = 0, .first = first };

	if (RB_EMPTY(&info->tables) || first >= end)
		return;
	t = ext2_leaf(inode, first);
	if (!t)
		t = RB_NFIND(ext2_tables, &info->tables, &key);
	/* Those of data come first in the order; the ones above them may go with them. */
	for (; t && !t->level && t->first < end; t = next) {
		u64 last = min(end, t->first + t->nr);
		u32 data;

		next = RB_NEXT(ext2_tables, &info->tables, t);
		if (next && next->level)
			next = NULL;
		data = take_bits(inode, t, (u32)(max(first, t->first) - t->first),
				 (u32)(last - t->first));
		ext2_put_aside(inode, -(s64)data);
		stat_add(STAT_RESERVATIONS_RETURNED, data);
	}
}

void ext2_undelay(struct inode *inode, u64 first, u64 end)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);

	mutex_lock(&sbi->lock);
	ext2_undelay_locked(inode, first, end);
	mutex_unlock(&sbi->lock);
}

/* How many bits from @from on, at most @max, are as that one is. */
static u32 equal_bits(const u64 *bits, u32 from, u32 max)
{
	bool is = bitmap_test(bits, from);
	u32 n = 1;

	while (n < max && bitmap_test(bits, from + n) == is)
		n++;
	return n;
}

u32 ext2_delayed_run_locked(struct inode *inode, u64 lblock, u32 max, bool *delayed)
{
	struct ext2_table *t = ext2_leaf(inode, lblock);
	u32 bit;

	*delayed = false;
	if (!t)
		return max;
	bit = (u32)(lblock - t->first);
	*delayed = bitmap_test(t->bits, bit);
	return equal_bits(t->bits, bit, min(max, t->nr - bit));
}

/* Of the tables that @br lacks, the @nr lowest: how many were promised? */
static u32 promised_tables(struct inode *inode, u64 lblock, const struct ext2_branch *br, u32 nr)
{
	u32 n = 0;

	if (RB_EMPTY(&ext2_info(inode)->tables))
		return 0;
	for (u32 level = 0; level < nr; level++) {
		const struct ext2_table *t = ext2_table(inode, lblock, br, level);

		n += t && t->promised;
	}
	return n;
}

static u32 promised_data(struct inode *inode, u64 lblock, u32 nr)
{
	struct ext2_table *t = ext2_leaf(inode, lblock);
	u32 n = 0;

	if (!t)
		return 0;
	for (u32 i = 0, bit = (u32)(lblock - t->first); i < nr; i++)
		n += bitmap_test(promised_bits(t), bit + i);
	return n;
}

u32 ext2_promised_locked(struct inode *inode, u64 lblock, const struct ext2_branch *br, u32 tables)
{
	return promised_data(inode, lblock, br->run.nr) +
	       promised_tables(inode, lblock, br, tables);
}

u32 ext2_may_fill_locked(struct inode *inode, u64 lblock, const struct ext2_branch *br)
{
	u64 room = ext2_available_locked(ext2_sb(inode->sb));
	u32 missing = br->depth - 1 - br->level;
	u32 tables = missing - promised_tables(inode, lblock, br, missing);
	struct ext2_table *t = ext2_leaf(inode, lblock);
	u32 nr = br->run.nr;

	if (tables > room)
		return 0;
	if (t) {
		u32 bit = (u32)(lblock - t->first);

		nr = equal_bits(promised_bits(t), bit, min(nr, t->nr - bit));
		if (bitmap_test(promised_bits(t), bit))
			return nr;
	}
	return (u32)min((u64)nr, room - tables);
}

void ext2_filled_locked(struct inode *inode, u64 lblock, u32 nr, const struct ext2_branch *br)
{
	struct ext2_inode_info *info = ext2_info(inode);
	struct ext2_table *t;
	u32 kept = 0, bit;

	if (lblock + nr > info->hole && lblock < info->hole_end) {
		if (lblock > info->hole)
			info->hole_end = lblock;
		else
			info->hole = lblock + nr;
	}
	if (RB_EMPTY(&info->tables))
		return;
	for (u32 level = 0; level < br->depth - 1 - br->level; level++) {
		t = ext2_table(inode, lblock, br, level);
		if (!t)
			continue;
		kept += t->promised;
		t->on_disk = true;
		t->promised = false;
	}
	t = ext2_leaf(inode, lblock);
	if (t) {
		bit = (u32)(lblock - t->first);
		kept += take_bits(inode, t, bit, bit + nr);
	}
	ext2_put_aside(inode, -(s64)kept);
	stat_add(STAT_RESERVATIONS_CONVERTED, kept);
}

int ext2_count_holes_locked(struct inode *inode, u64 lblock, u32 nr, u32 *missing)
{
	u32 tables = 0, promised, holes = 0;
	u64 end = lblock + nr, at;
	struct ext2_branch br;

	*missing = 0;
	for (at = lblock; at < end; at += br.run.nr) {
		int err = ext2_find_branch_locked(inode, at, (u32)(end - at), &br);

		if (err)
			return err;
		if (br.run.block)
			continue;
		holes += br.run.nr;
		*missing += br.run.nr - promised_data(inode, at, br.run.nr);
		/* One chain of tables leads to all blocks of a page. */
		tables = br.depth - 1 - br.level;
		promised = promised_tables(inode, at, &br, tables);
		tables -= promised;
	}
	*missing += tables;
	return (int)holes;
}

void ext2_tables_freed_locked(struct inode *inode, u64 lblock)
{
	struct ext2_branch br;

	if (RB_EMPTY(&ext2_info(inode)->tables) || ext2_find_branch_locked(inode, lblock, 1, &br))
		return;
	for (u32 level = 0; level + 1 < br.depth - br.level; level++) {
		struct ext2_table *t = ext2_table(inode, lblock, &br, level);

		if (!t || !t->on_disk)
			continue;
		t->on_disk = false;
		t->promised = t->needs;
		ext2_put_aside(inode, t->promised);
	}
}

bool ext2_next_delayed_locked(struct inode *inode, u64 *lblock)
{
	struct ext2_table *t = ext2_leaf(inode, *lblock), key = { .level = 0, .first = *lblock };

	if (!t)
		t = RB_NFIND(ext2_tables, &ext2_info(inode)->tables, &key);
	for (; t && !t->level; t = RB_NEXT(ext2_tables, &ext2_info(inode)->tables, t)) {
		u32 bit = (u32)(max(*lblock, t->first) - t->first);

		while (bit < t->nr && !bitmap_test(t->bits, bit))
			bit++;
		if (bit < t->nr) {
			*lblock = t->first + bit;
			return true;
		}
	}
	return false;
}
