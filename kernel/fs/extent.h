/* SPDX-License-Identifier: MIT */
/*
 * extent.h - where bytes of a file lie on the disk, for who counts in sectors; direct I/O's.
 */
#ifndef KERNEL_FS_EXTENT_H
#define KERNEL_FS_EXTENT_H

#include "kernel/fs/fs.h"

/* Bytes [pos, pos + len) of a file, side by side on the disk; sector 0: a hole. */
struct extent {
	u64 pos, len;
	sector_t sector;
};

/* Is it known without asking the map? *@e has the byte @pos then. i_rwsem held. Many look, and one
 * of them may write meanwhile (seq is odd, or moves): then the answer is no. */
static __always_inline bool extent_find(const struct inode *inode, u64 pos, struct extent *e)
{
	const struct extent_hint *h = &inode->hint;
	u32 seq = READ_ONCE(h->seq);

	e->pos = READ_ONCE(h->pos);
	e->len = READ_ONCE(h->len);
	e->sector = READ_ONCE(h->sector);
	return likely(pos - e->pos < e->len && READ_ONCE(h->gen) == READ_ONCE(inode->meta_gen) &&
		      READ_ONCE(h->seq) == (seq & ~1u));
}

/* Ask the map for the extent that has the byte @pos, as far as @end at least or its own end. 0, or
 * the map's error. i_rwsem held; may sleep. */
int extent_map(struct inode *inode, u64 pos, u64 end, struct extent *e);

#endif
