/* SPDX-License-Identifier: MIT */
/*
 * extent.c - from blocks to sectors, and the extent that was asked for last.
 *
 * Owns:  inode->hint.
 * Not:   the map itself (inode_operations->map_run).
 * Locks: i_rwsem, held by who asks: blocks are freed with that held to write, and then meta_gen
 *        moves before it is let go. So an extent that was found at the same meta_gen is still the
 *        file's. hint.seq is odd while one of several readers writes the hint.
 * Key fact: a hole may be filled at any time, by a fault: it is never remembered.
 */
#include "kernel/fs/extent.h"

#include "kernel/fs/pageio.h"

static void remember(struct inode *inode, const struct extent *e, u64 gen)
{
	struct extent_hint *h = &inode->hint;
	u32 seq = READ_ONCE(h->seq);

	if (seq & 1 || !atomic_cas(&h->seq, seq, seq + 1))
		return;
	WRITE_ONCE(h->pos, e->pos);
	WRITE_ONCE(h->len, e->len);
	WRITE_ONCE(h->sector, e->sector);
	WRITE_ONCE(h->gen, gen);
	atomic_store(&h->seq, seq + 2);
}

int extent_map(struct inode *inode, u64 pos, u64 end, struct extent *e)
{
	u32 bits = (u32)__builtin_ctz(inode->sb->block_size);
	u64 lblock = pos >> bits, last = (end - 1) >> bits;
	u64 gen = atomic_load(&inode->meta_gen);
	struct block_run run;
	int err;

	err = inode->ops->map_run(inode, lblock, (u32)(last - lblock + 1), &run);
	if (err)
		return err;
	e->pos = lblock << bits;
	e->len = (u64)run.nr << bits;
	e->sector = run.block << (bits - SECTOR_SHIFT);
	if (run.block)
		remember(inode, e, gen);
	return 0;
}
