/* SPDX-License-Identifier: MIT */
/*
 * test_durable.c - what a machine finds on the disk that lost its power after a sync.
 */
#include "kernel/lib/falloc.h"
#include "kernel/lib/fmt.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/writeback.h"
#include "tests/fs/fs_test.h"

#define MIB (1ul << 20)

/* What a machine finds that starts with the bytes which are on @d's platter now: @path there has
 * @len bytes of file number @seed, but for zeros from @hole to @hole_end. */
static void expect_hole_after_cut(const struct fst_disk *d, const char *name, size_t len, u64 seed,
				  u64 hole, u64 hole_end)
{
	u8 *copy = kmalloc(d->bytes);
	struct blkdev *dev = NULL;
	struct file *file;
	char path[64];

	ASSERT(copy);
	memcpy(copy, ramblk_data(d->dev, 0), d->bytes);
	EXPECT(fst_mkdir("/t_after"));
	EXPECT_EQ(ramblk_create("t_after", d->bytes, copy, SECTOR_SIZE, &dev), 0);
	if (dev && !vfs_mount("t_after", "ext2", "/t_after")) {
		ksnprintf(path, sizeof(path), "/t_after/%s", name);
		file = fst_open(path, O_RD);
		EXPECT(file && fst_size(file) == len && fst_check(file, 0, hole, seed));
		EXPECT(file && fst_check_zero(file, hole, hole_end - hole));
		EXPECT(file && fst_check(file, hole_end, len - hole_end, seed));
		if (file)
			file_put(file);
		EXPECT_EQ(vfs_umount("/t_after"), 0);
	} else {
		ktest_fail(__FILE__, __LINE__, "what is on the disk cannot be mounted");
	}
	if (dev)
		ramblk_destroy(dev);
	kfree(copy);
	EXPECT_EQ(vfs_rmdir("/t_after"), 0);
}

static void expect_after_cut(const struct fst_disk *d, const char *name, size_t len, u64 seed)
{
	expect_hole_after_cut(d, name, len, seed, len, len);
}

static void cut_after_fsync(struct fst_disk *d)
{
	struct file *file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);
	struct file *dir = fst_open(d->path, O_RD);

	if (file && dir) {
		EXPECT(fst_write(file, 0, 50000, 1));
		EXPECT_EQ(vfs_fsync(file, true), 0);
		EXPECT_EQ(vfs_fsync(dir, false), 0);
		expect_after_cut(d, "f", 50000, 1);
		/* Through an indirect block, and only the size moves at last. */
		EXPECT(fst_write(file, 50000, 250001, 1));
		EXPECT_EQ(vfs_fsync(file, true), 0);
		expect_after_cut(d, "f", 300001, 1);
		/* A last block that has room: nothing but the size moves. */
		EXPECT(fst_write(file, 300001, 100, 1));
		EXPECT_EQ(vfs_fsync(file, true), 0);
		expect_after_cut(d, "f", 300101, 1);
		EXPECT_EQ(vfs_ftruncate(file, 123), 0);
		EXPECT_EQ(vfs_fsync(file, true), 0);
		expect_after_cut(d, "f", 123, 1);
	}
	if (dir)
		file_put(dir);
	if (file)
		file_put(file);
}

KTEST(durable, what_was_fsynced_survives_a_power_cut)
{
	fst_on_each_shape(2 * MIB, cut_after_fsync);
}

static void cut_after_flusher_and_fsync(struct fst_disk *d)
{
	struct file *file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);

	EXPECT_EQ(vfs_sync(), 0);
	if (file) {
		EXPECT(fst_write(file, 0, 50000, 1));
		/* The inode goes to its buffer, as in a flusher's pass, and its flags are clear:
		 * fsync has to write that buffer all the same. */
		EXPECT_EQ(filemap_write_and_wait_range(&file->inode->data, 0, ~0ul, HARVEST_FSYNC),
			  0);
		EXPECT_EQ(file->inode->data.a_ops->write_inode(&file->inode->data, SYNC_NONE), 0);
		EXPECT_EQ(vfs_fsync(file, true), 0);
		expect_after_cut(d, "f", 50000, 1);
		file_put(file);
	}
}

KTEST(durable, fsync_after_a_flusher_pass_writes_the_rest)
{
	fst_on_each_shape(2 * MIB, cut_after_flusher_and_fsync);
}

static void block_changes_hands(struct fst_disk *d)
{
	struct file *file;
	u64 was, is;

	EXPECT_EQ(vfs_mkdir(fst_path(d, "d"), 0755), 0);
	EXPECT(fst_make(fst_path(d, "d/x"), 0, 1));
	file = fst_open(fst_path(d, "d"), O_RD);
	ASSERT(file);
	EXPECT_EQ(file->inode->ops->bmap(file->inode, 0, &was), 0);
	file_put(file);
	EXPECT_EQ(vfs_unlink(fst_path(d, "d/x")), 0);
	EXPECT_EQ(vfs_rmdir(fst_path(d, "d")), 0); /* its entries are still to be written */
	file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);
	ASSERT(file);
	EXPECT(fst_write(file, 0, d->block_size, 1));
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT_EQ(file->inode->ops->bmap(file->inode, 0, &is), 0);
	EXPECT_EQ(is, was);
	EXPECT_EQ(vfs_sync(), 0);
	file_put(file);
	expect_after_cut(d, "f", d->block_size, 1);
}

/* bforget: old metadata must not be written over the block's new owner. */
KTEST(durable, block_of_a_removed_directory_is_its_new_owners)
{
	fst_on_each_shape(2 * MIB, block_changes_hands);
}

/* The disk was full of something else before. */
static void cut_after_fallocate_and_fsync(struct fst_disk *d)
{
	struct file *dir = fst_open(d->path, O_RD), *file;

	EXPECT(fst_make(fst_path(d, "soil"), 1500000, 7));
	EXPECT_EQ(vfs_sync(), 0);
	EXPECT_EQ(vfs_unlink(fst_path(d, "soil")), 0);
	file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);
	if (file && dir) {
		EXPECT(fst_write(file, 0, 300000, 1));
		EXPECT_EQ(vfs_fsync(dir, false), 0);
		EXPECT_EQ(vfs_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 50001,
					199998),
			  0);
		EXPECT_EQ(vfs_fsync(file, true), 0);
		expect_hole_after_cut(d, "f", 300000, 1, 50001, 249999);
		EXPECT_EQ(vfs_fallocate(file, 0, 40000, 100000), 0);
		EXPECT_EQ(vfs_fsync(file, true), 0);
		expect_hole_after_cut(d, "f", 300000, 1, 50001, 249999);
		EXPECT_EQ(vfs_fallocate(file, FALLOC_FL_ZERO_RANGE, 30000, 250000), 0);
		EXPECT_EQ(vfs_fsync(file, true), 0);
		expect_hole_after_cut(d, "f", 300000, 1, 30000, 280000);
		EXPECT_EQ(vfs_fallocate(file, 0, 250000, 250000), 0);
		EXPECT_EQ(vfs_fallocate(file, FALLOC_FL_ZERO_RANGE, 270000, 230000), 0);
		EXPECT_EQ(vfs_fsync(file, true), 0);
		expect_hole_after_cut(d, "f", 500000, 1, 30000, 500000);
	}
	if (dir)
		file_put(dir);
	if (file)
		file_put(file);
}

KTEST(durable, what_was_given_up_stays_so_after_a_power_cut)
{
	fst_on_each_shape(2 * MIB, cut_after_fallocate_and_fsync);
}
