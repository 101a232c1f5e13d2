/* SPDX-License-Identifier: MIT */
/*
 * check.c - can this image be trusted, and with what?
 *
 * Owns:  every judgement of a super block and of group descriptors, and its sentence.
 * Not:   what is done about it (super.c).
 * Key fact: an image is input. All later code divides by, shifts by and indexes with what is in
 *        here, so nothing is used before it was compared with what it can be.
 */
#include <errno.h>

#include "kernel/core/printk.h"
#include "kernel/fs/ext2/ext2.h"
#include "kernel/lib/fmt.h"

struct feature {
	u32 bit;
	const char *name;
};

static const struct feature incompat[] = {
	{ 0x1, "compression" },
	{ 0x4, "needs_recovery" },
	{ 0x8, "journal_dev" },
	{ 0x10, "meta_bg" },
	{ 0x40, "extents" },
	{ 0x80, "64bit" },
	{ 0x100, "mmp" },
	{ 0x200, "flex_bg" },
	{ 0x400, "ea_inode" },
	{ 0x1000, "dirdata" },
	{ 0x2000, "metadata_csum_seed" },
	{ 0x4000, "large_dir" },
	{ 0x8000, "inline_data" },
	{ 0x10000, "encrypt" },
	{ 0x20000, "casefold" },
};

static const struct feature ro_compat[] = {
	{ 0x8, "huge_file" },	 { 0x10, "uninit_bg" },		{ 0x20, "dir_nlink" },
	{ 0x40, "extra_isize" }, { 0x80, "snapshot" },		{ 0x100, "quota" },
	{ 0x200, "bigalloc" },	 { 0x400, "metadata_csum" },	{ 0x800, "replica" },
	{ 0x1000, "read-only" }, { 0x2000, "project" },		{ 0x4000, "shared_blocks" },
	{ 0x8000, "verity" },	 { 0x10000, "orphan_present" },
};

/* Its name, or its bit in @number if it has none here. */
static const char *feature_name(const struct feature *table, u32 n, u32 bit, char number[16])
{
	for (u32 i = 0; i < n; i++)
		if (table[i].bit == bit)
			return table[i].name;
	ksnprintf(number, 16, "0x%x", bit);
	return number;
}

#define SAY(sbi, fmt, ...) printk("ext2: %s: " fmt "\n", (sbi)->sb->dev->name, ##__VA_ARGS__)
#define REFUSE(sbi, fmt, ...)                                                                      \
	({                                                                                         \
		SAY(sbi, fmt ": not mounted", ##__VA_ARGS__);                                      \
		EXT2_REFUSED;                                                                      \
	})

static enum ext2_verdict check_features(struct ext2_sb *sbi)
{
	u32 bad = sbi->es.feature_incompat & ~(u32)EXT2_INCOMPAT_FILETYPE;
	enum ext2_verdict verdict = EXT2_OK;
	char number[16];

	if (bad)
		return REFUSE(sbi, "incompatible feature %s is not supported",
			      feature_name(incompat, ARRAY_SIZE(incompat), bad & -bad, number));
	bad = sbi->es.feature_ro_compat &
	      ~(u32)(EXT2_RO_COMPAT_SPARSE_SUPER | EXT2_RO_COMPAT_LARGE_FILE |
		     EXT2_RO_COMPAT_BTREE_DIR);
	for (; bad; bad &= bad - 1) {
		SAY(sbi, "feature %s is not supported for writing: mounted read-only",
		    feature_name(ro_compat, ARRAY_SIZE(ro_compat), bad & -bad, number));
		verdict = EXT2_READ_ONLY;
	}
	return verdict;
}

/* Sizes of blocks and inodes; fills what follows from them. */
static enum ext2_verdict check_sizes(struct ext2_sb *sbi)
{
	const struct ext2_super_block *es = &sbi->es;

	if (es->rev_level > 1)
		return REFUSE(sbi, "revision %u, known are 0 and 1", es->rev_level);
	if (es->log_block_size > 2)
		return REFUSE(sbi,
			      "superblock says blocks of 2^%lu bytes, known are 1024, 2048 "
			      "and 4096",
			      10 + (unsigned long)es->log_block_size);
	sbi->block_bits = 10 + es->log_block_size;
	sbi->block_size = 1u << sbi->block_bits;
	sbi->addr_bits = sbi->block_bits - 2;
	if (sbi->block_size < sbi->sb->dev->sector_size)
		return REFUSE(sbi, "blocks of %u bytes are smaller than the disk's sectors of %u",
			      sbi->block_size, sbi->sb->dev->sector_size);
	sbi->inode_size = es->rev_level ? es->inode_size : EXT2_OLD_INODE_SIZE;
	sbi->first_ino = es->rev_level ? es->first_ino : EXT2_OLD_FIRST_INO;
	if (sbi->inode_size < EXT2_OLD_INODE_SIZE || sbi->inode_size > sbi->block_size ||
	    sbi->inode_size & (sbi->inode_size - 1))
		return REFUSE(sbi, "superblock says inodes of %u bytes", sbi->inode_size);
	if (es->first_data_block != (sbi->block_size == 1024))
		return REFUSE(sbi, "superblock says the first data block is %u with blocks of %u",
			      es->first_data_block, sbi->block_size);
	sbi->inodes_per_block = sbi->block_size / sbi->inode_size;
	return EXT2_OK;
}

static enum ext2_verdict check_device(struct ext2_sb *sbi)
{
	u64 blocks = sbi->sb->dev->nr_sectors >> (sbi->block_bits - SECTOR_SHIFT);

	if (sbi->es.blocks_count > blocks)
		return REFUSE(sbi, "superblock says %u blocks of %u, the disk has %lu",
			      sbi->es.blocks_count, sbi->block_size, (unsigned long)blocks);
	if (sbi->sb->dev->read_only) {
		SAY(sbi, "the disk cannot be written: mounted read-only");
		return EXT2_READ_ONLY;
	}
	return EXT2_OK;
}

static enum ext2_verdict check_groups_fit(struct ext2_sb *sbi)
{
	const struct ext2_super_block *es = &sbi->es;
	u32 bits = 8 * sbi->block_size, overhead;

	if (!es->blocks_per_group || es->blocks_per_group > bits || es->blocks_per_group % 8)
		return REFUSE(sbi, "superblock says %u blocks per group", es->blocks_per_group);
	if (es->inodes_per_group < sbi->inodes_per_block || es->inodes_per_group > bits ||
	    es->inodes_per_group % sbi->inodes_per_block)
		return REFUSE(sbi, "superblock says %u inodes per group", es->inodes_per_group);
	sbi->itable_blocks = es->inodes_per_group / sbi->inodes_per_block;
	if (es->blocks_count <= es->first_data_block + 1)
		return REFUSE(sbi, "superblock says %u blocks", es->blocks_count);
	sbi->groups = DIV_ROUND_UP(es->blocks_count - es->first_data_block, es->blocks_per_group);
	if ((u64)sbi->groups * es->inodes_per_group != es->inodes_count)
		return REFUSE(sbi, "superblock says %u inodes, %u groups of %u have another number",
			      es->inodes_count, sbi->groups, es->inodes_per_group);
	if (sbi->first_ino < EXT2_OLD_FIRST_INO || sbi->first_ino > es->inodes_count)
		return REFUSE(sbi, "superblock says the first free inode is %u", sbi->first_ino);
	sbi->desc_blocks =
		DIV_ROUND_UP(sbi->groups * (u32)sizeof(struct ext2_group_desc), sbi->block_size);
	overhead = 1 + sbi->desc_blocks + 2 + sbi->itable_blocks;
	if (overhead > ext2_group_blocks(sbi, 0))
		return REFUSE(sbi, "the first group has %u blocks, its tables need %u",
			      ext2_group_blocks(sbi, 0), overhead);
	return EXT2_OK;
}

static enum ext2_verdict check_state(struct ext2_sb *sbi)
{
	if (sbi->es.state & EXT2_STATE_ERROR) {
		SAY(sbi, "marked as having errors, e2fsck is needed: mounted read-only");
		return EXT2_READ_ONLY;
	}
	if (!(sbi->es.state & EXT2_STATE_VALID))
		SAY(sbi, "was not unmounted cleanly, e2fsck is advised");
	return EXT2_OK;
}

enum ext2_verdict ext2_check_super(struct ext2_sb *sbi)
{
	static enum ext2_verdict (*const checks[])(struct ext2_sb *) = {
		check_features, check_sizes, check_device, check_groups_fit, check_state,
	};
	enum ext2_verdict worst = EXT2_OK;

	for (u32 i = 0; i < ARRAY_SIZE(checks) && worst != EXT2_REFUSED; i++)
		worst = max(worst, checks[i](sbi));
	return worst;
}

/* ---- groups -------------------------------------------------------------------------------- */

static bool is_power_of(u32 n, u32 base)
{
	while (n > 1 && n % base == 0)
		n /= base;
	return n == 1;
}

bool ext2_group_has_super(const struct ext2_sb *sbi, u32 group)
{
	if (sbi->es.feature_compat & EXT2_COMPAT_SPARSE_SUPER2 ||
	    !(sbi->es.feature_ro_compat & EXT2_RO_COMPAT_SPARSE_SUPER) || group <= 1)
		/* sparse_super2 keeps two copies anywhere; nobody here asks where they are. */
		return !(sbi->es.feature_compat & EXT2_COMPAT_SPARSE_SUPER2) || !group;
	return is_power_of(group, 3) || is_power_of(group, 5) || is_power_of(group, 7);
}

/* Is [@block, @block + @nr) inside the group? */
static bool in_group(const struct ext2_sb *sbi, u32 group, u32 block, u32 nr)
{
	u32 first = ext2_group_first(sbi, group), blocks = ext2_group_blocks(sbi, group);

	return block >= first && nr <= blocks && block - first <= blocks - nr;
}

int ext2_check_groups(struct ext2_sb *sbi)
{
	for (u32 i = 0; i < sbi->groups; i++) {
		const struct ext2_group *g = &sbi->group[i];
		const char *what = NULL;
		u32 value = 0;

		if (!in_group(sbi, i, g->block_bitmap, 1)) {
			what = "block bitmap is at block";
			value = g->block_bitmap;
		} else if (!in_group(sbi, i, g->inode_bitmap, 1)) {
			what = "inode bitmap is at block";
			value = g->inode_bitmap;
		} else if (!in_group(sbi, i, g->inode_table, sbi->itable_blocks)) {
			what = "inode table is at block";
			value = g->inode_table;
		} else if (g->free_blocks > ext2_group_blocks(sbi, i)) {
			what = "number of free blocks is";
			value = g->free_blocks;
		} else if (g->free_inodes > sbi->es.inodes_per_group) {
			what = "number of free inodes is";
			value = g->free_inodes;
		}
		if (what) {
			SAY(sbi, "group %u: its %s %u, which cannot be: not mounted", i, what,
			    value);
			return -EIO;
		}
	}
	return 0;
}

static bool overlap(u64 a, u32 na, u64 b, u32 nb)
{
	return a < b + nb && b < a + na;
}

bool ext2_data_blocks_ok(const struct ext2_sb *sbi, u64 block, u32 nr)
{
	u64 first = sbi->es.first_data_block;

	if (block <= first || !nr || block >= sbi->es.blocks_count ||
	    nr > sbi->es.blocks_count - block)
		return false;
	for (u64 i = (block - first) / sbi->es.blocks_per_group;
	     i <= (block + nr - 1 - first) / sbi->es.blocks_per_group; i++) {
		const struct ext2_group *g = &sbi->group[i];

		if (overlap(block, nr, g->block_bitmap, 1) ||
		    overlap(block, nr, g->inode_bitmap, 1) ||
		    overlap(block, nr, g->inode_table, sbi->itable_blocks) ||
		    (ext2_group_has_super(sbi, (u32)i) &&
		     overlap(block, nr, ext2_group_first(sbi, (u32)i), 1 + sbi->desc_blocks)))
			return false;
	}
	return true;
}
