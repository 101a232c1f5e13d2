/* SPDX-License-Identifier: MIT */
/*
 * alloc_test.c - see alloc_test.h.
 *
 * Owns:  the sums of one audit: tests run one at a time.
 */
#include "tests/fs/alloc_test.h"

#include "kernel/fs/ext2/reserve.h"
#include "kernel/lib/bitmap.h"
#include "kernel/mm/kmalloc.h"

#define FAIL(...) ktest_fail(__FILE__, __LINE__, __VA_ARGS__)

static u64 audited; /* blocks of all inodes so far */

/* Is the table itself on the disk? Asked of the block map. */
static bool is_on_disk(struct inode *inode, const struct ext2_table *t)
{
	struct ext2_branch br;

	if (ext2_find_branch_locked(inode, t->first, 1, &br)) {
		FAIL("block %lu cannot be looked for", (unsigned long)t->first);
		return false;
	}
	return br.depth == 1 || br.level >= br.depth - 1 - t->level;
}

/* What hangs directly from @t, and how much of it was promised something. */
static void count_below(struct inode *inode, struct ext2_table *t, u32 *refs, u32 *needs)
{
	struct ext2_table *c;

	*refs = *needs = 0;
	for (u32 w = 0; !t->level && w < nr_words(t); w++) {
		*refs += popcount64(t->bits[w]);
		*needs += popcount64(promised_bits(t)[w]);
		if (promised_bits(t)[w] & ~t->bits[w])
			FAIL("a block is promised and not delayed");
	}
	RB_FOREACH(c, ext2_tables, &ext2_info(inode)->tables) {
		*refs += c->parent == t;
		*needs += c->parent == t && c->needs;
	}
}

static void audit_table(struct inode *inode, struct ext2_table *t, u64 *reserved)
{
	bool on_disk = is_on_disk(inode, t);
	u32 refs, needs;

	count_below(inode, t, &refs, &needs);
	if (!refs || t->refs != refs || t->needs != needs)
		FAIL("table of %lu, level %u: %u and %u below it, it counts %u and %u",
		     (unsigned long)t->first, t->level, refs, needs, t->refs, t->needs);
	if (t->on_disk != on_disk || t->promised != (needs && !on_disk))
		FAIL("table of %lu, level %u: it is%s on the disk, was%s promised",
		     (unsigned long)t->first, t->level, on_disk ? "" : " not",
		     t->promised ? "" : " not");
	*reserved += t->promised + (t->level ? 0 : t->needs);
}

static int audit_inode(struct inode *inode)
{
	struct ext2_inode_info *info = ext2_info(inode);
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	struct ext2_table *t;
	u64 reserved = 0;

	mutex_lock(&sbi->lock);
	RB_FOREACH(t, ext2_tables, &info->tables)
		audit_table(inode, t, &reserved);
	if (info->reserved != reserved ||
	    inode->reserved != reserved << (sbi->block_bits - SECTOR_SHIFT))
		FAIL("inode %lu: %lu blocks are promised, it counts %lu", (unsigned long)inode->ino,
		     (unsigned long)reserved, (unsigned long)info->reserved);
	mutex_unlock(&sbi->lock);
	audited += reserved;
	return 0;
}

void alloc_audit(const struct fst_disk *d)
{
	struct super_block *sb = vfs_find_super(d->path);

	audited = 0;
	inode_for_all(sb, audit_inode);
	if (audited != alloc_reserved(d) || audited > ext2_sb(sb)->free_blocks)
		FAIL("%lu blocks are promised, %lu are put aside of %lu", (unsigned long)audited,
		     (unsigned long)alloc_reserved(d), (unsigned long)ext2_sb(sb)->free_blocks);
}

u64 alloc_free(const struct fst_disk *d)
{
	struct super_block *sb = vfs_find_super(d->path);
	u64 blocks, free = 0;

	EXPECT_EQ(sb->ops->statfs(sb, &blocks, &free), 0);
	return free;
}

u64 alloc_reserved(const struct fst_disk *d)
{
	return READ_ONCE(ext2_sb(vfs_find_super(d->path))->reserved_blocks);
}

struct file *alloc_sparse(const struct fst_disk *d, const char *name, u64 blocks)
{
	struct file *file = fst_open(fst_path(d, name), O_RW | FS_O_CREAT);

	if (file)
		EXPECT_EQ(vfs_ftruncate(file, blocks * d->block_size), 0);
	return file;
}

void alloc_fill(const struct fst_disk *d, const char *name, u64 spare)
{
	struct file *file = fst_open(fst_path(d, name), O_RW | FS_O_CREAT);
	void *block = kzalloc(d->block_size);
	char before[16];
	u64 pos = 0;

	EXPECT_EQ(args_get("alloc", before, sizeof(before)), 0);
	EXPECT_EQ(args_set("alloc", "reserve"), 0);
	while (file && block && alloc_free(d) > spare &&
	       vfs_pwrite(file, block, d->block_size, pos) > 0)
		pos += d->block_size;
	/* The last one may have brought a table with it. */
	while (file && pos && alloc_free(d) < spare) {
		pos -= d->block_size;
		EXPECT_EQ(vfs_ftruncate(file, pos), 0);
	}
	EXPECT_EQ(alloc_free(d), spare);
	EXPECT_EQ(args_set("alloc", before), 0);
	kfree(block);
	if (file) {
		EXPECT_EQ(vfs_fsync(file, false), 0);
		file_put(file);
	}
}

void alloc_on_each_shape(const char *alloc, u64 bytes, void (*body)(struct fst_disk *d))
{
	EXPECT_EQ(args_set("alloc", alloc), 0);
	for (u32 size = 1024; size <= PAGE_SIZE && !ktest_failed(); size *= 2) {
		struct fst_disk d;

		if (!fst_disk_make(&d, "t_alloc", bytes, size, 256))
			break;
		body(&d);
		alloc_audit(&d);
		fst_disk_end(&d, FST_SOUND);
		if (ktest_failed())
			ktest_note("with blocks of %u, alloc=%s", size, alloc);
	}
	EXPECT_EQ(args_set("alloc", "reserve"), 0);
}
