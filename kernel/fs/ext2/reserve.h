/* SPDX-License-Identifier: MIT */
/*
 * reserve.h - the record of delayed blocks, as reserve.c and delayed.c share it (and tests that
 * count again). Everything with sbi->lock held.
 */
#ifndef KERNEL_FS_EXT2_RESERVE_H
#define KERNEL_FS_EXT2_RESERVE_H

#include "kernel/fs/ext2/ext2.h"

/* A table of block pointers of a file; the inode's own pointers to data are one that always is on
 * the disk. */
struct ext2_table {
	RB_ENTRY(ext2_table) link;
	struct ext2_table *parent; /* NULL: the inode */
	u64 first;		   /* block of the file that its first pointer leads to */
	u32 level;		   /* 0: its pointers are of data */
	u32 nr;			   /* level 0: pointers */
	u32 refs;		   /* delayed blocks, or tables, below it; 0: it is forgotten */
	u32 needs;		   /* those of them that were promised, or have such below them */
	bool on_disk, promised;	   /* promised: a block is put aside for it; then not on_disk */
	u64 bits[];		   /* level 0: which blocks are delayed; then, which promised */
};

static inline u32 nr_words(const struct ext2_table *t)
{
	return DIV_ROUND_UP(t->nr, 64u);
}

static inline u64 *promised_bits(struct ext2_table *t)
{
	return t->bits + nr_words(t);
}

/* Bits [@from, @to) of word @word. */
static inline u64 word_mask(u32 word, u32 from, u32 to)
{
	u32 low = max(from, word * 64) - word * 64, high = min(to, word * 64 + 64) - word * 64;

	return (~0ul << low) & (~0ul >> (64 - high));
}

RB_PROTOTYPE(ext2_tables, ext2_table, link, )

/* The table with the pointer of @lblock, if any block of it is delayed, else NULL. */
struct ext2_table *ext2_leaf_slow(struct inode *inode, u64 lblock);
static inline struct ext2_table *ext2_leaf(struct inode *inode, u64 lblock)
{
	struct ext2_table *t = ext2_info(inode)->last;

	return likely(t && lblock - t->first < t->nr) ? t : ext2_leaf_slow(inode, lblock);
}
/* The table of @level on the way to @lblock that @br is about, likewise. */
struct ext2_table *ext2_table(struct inode *inode, u64 lblock, const struct ext2_branch *br,
			      u32 level);
/* @t may have lost its last reference: it goes, and those above it that were there for it. */
void ext2_forget_unused(struct inode *inode, struct ext2_table *t);

/* @nr more blocks are put aside for @inode (or less than 0: fewer). */
void ext2_put_aside(struct inode *inode, s64 nr);
/* @n of the blocks of @t are not promised any more; returns the tables that are not, with them. */
u32 ext2_need_not(struct ext2_table *t, u32 n);

#endif
