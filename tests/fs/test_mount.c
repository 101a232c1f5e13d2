/* SPDX-License-Identifier: MIT */
/*
 * test_mount.c - images that are not what they say, disks that fail, and what is left of them.
 */
#include "kernel/block/buf.h"
#include "kernel/mm/kmalloc.h"
#include "tests/fs/fs_test.h"

#define MIB (1ul << 20)

/* The mount is refused, nothing is written, and the disk is fine when the damage is undone. */
static void refused(struct fst_disk *d, const char *what)
{
	struct ext2_super_block *es = fst_super(d), copy = *es;

	if (!fst_disk_mount(d)) {
		ktest_fail(__FILE__, __LINE__, "mounted although %s", what);
		EXPECT_EQ(fst_disk_umount(d), 0);
	}
	EXPECT(!memcmp(&copy, es, sizeof(copy)));
	EXPECT(!d->dev->in_use && !d->dev->bufs);
}

#define REFUSED(field, value)                                                                      \
	do {                                                                                       \
		struct ext2_super_block good = *es;                                                \
		es->field = (value);                                                               \
		refused(&d, #field " is " #value);                                                 \
		*es = good;                                                                        \
	} while (0)

KTEST(mount, bad_super_block_is_refused)
{
	struct ext2_super_block *es;
	struct fst_disk d;

	ASSERT(fst_disk_sample(&d, "t_mount"));
	es = fst_super(&d);
	REFUSED(magic, 0);
	REFUSED(rev_level, 2);
	REFUSED(log_block_size, 3);
	REFUSED(log_block_size, 0xffffffff);
	REFUSED(log_block_size, 2);
	REFUSED(blocks_count, es->blocks_count * 8);
	REFUSED(blocks_count, 0xffffffff);
	REFUSED(blocks_count, 0);
	REFUSED(blocks_count, 1);
	REFUSED(blocks_count, 20);
	REFUSED(first_data_block, 0);
	REFUSED(first_data_block, 7);
	REFUSED(blocks_per_group, 0);
	REFUSED(blocks_per_group, 8193);
	REFUSED(blocks_per_group, 12);
	REFUSED(inodes_per_group, 0);
	REFUSED(inodes_per_group, 8193);
	REFUSED(inodes_per_group, 5);
	REFUSED(inodes_count, 0);
	REFUSED(inodes_count, 0xffffffff);
	REFUSED(inode_size, 0);
	REFUSED(inode_size, 100);
	REFUSED(inode_size, 192);
	REFUSED(inode_size, 2048);
	REFUSED(first_ino, 0);
	REFUSED(first_ino, 100000);
	REFUSED(feature_incompat, 0x2 | 0x40);
	REFUSED(feature_incompat, 0x2 | 0x80000000);
	EXPECT_EQ(fst_disk_mount(&d), 0);
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, bad_group_descriptor_is_refused)
{
	struct ext2_group_desc *desc;
	struct fst_disk d;
	u32 *field;

	ASSERT(fst_disk_sample(&d, "t_mount"));
	desc = ramblk_data(d.dev, 4); /* block 2 */
	field = ramblk_data(d.dev, 4);
	for (u32 i = 0; i < 3; i++) {
		static const u32 bad[] = { 0, 0xffffffff, 4096, 4095, 1u << 30 };
		u32 good = field[i];

		for (u32 j = 0; j < ARRAY_SIZE(bad); j++) {
			if (bad[j] == 4095 && i < 2)
				continue; /* the last block could be a bitmap */
			field[i] = bad[j];
			refused(&d, "a table lies outside");
		}
		field[i] = good;
	}
	desc->free_blocks ^= 0x8000;
	refused(&d, "more blocks are free than there are");
	desc->free_blocks ^= 0x8000;
	EXPECT_EQ(fst_disk_mount(&d), 0);
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, garbage_is_no_file_system)
{
	struct fst_disk d;
	u64 rng = ktest_seed() | 1, *word;

	ASSERT(fst_disk_sample(&d, "t_mount"));
	word = ramblk_data(d.dev, 0);
	for (u32 i = 0; i < MIB / 8; i++)
		word[i] = ktest_rand(&rng);
	EXPECT_EQ(fst_disk_mount(&d), -EINVAL);
	fst_disk_end(&d, FST_DAMAGED);
}

/* Mounted, but nothing can be changed; and nothing was. */
static void read_only(struct fst_disk *d)
{
	void *copy = kmalloc(MIB);
	struct file *file;

	ASSERT(copy);
	memcpy(copy, ramblk_data(d->dev, 0), MIB);
	EXPECT_EQ(fst_disk_mount(d), 0);
	file = fst_open(fst_path(d, "f"), O_RD);
	EXPECT(file && fst_check(file, 0, 300000, 1));
	if (file)
		file_put(file);
	EXPECT_EQ(fst_try_write(d), -EROFS);
	EXPECT_EQ(vfs_open(fst_path(d, "f"), O_RW, 0, &file), -EROFS);
	EXPECT_EQ(vfs_unlink(fst_path(d, "f")), -EROFS);
	EXPECT_EQ(vfs_mkdir(fst_path(d, "x"), 0755), -EROFS);
	EXPECT_EQ(vfs_rmdir(fst_path(d, "d")), -EROFS);
	EXPECT_EQ(vfs_rename(fst_path(d, "f"), fst_path(d, "g")), -EROFS);
	EXPECT_EQ(fst_disk_umount(d), 0);
	EXPECT(!memcmp(copy, ramblk_data(d->dev, 0), MIB));
	kfree(copy);
}

KTEST(mount, unknown_ro_compat_feature_mounts_read_only)
{
	struct fst_disk d;

	ASSERT(fst_disk_sample(&d, "t_mount"));
	fst_super(&d)->feature_ro_compat |= 0x400;
	read_only(&d);
	fst_super(&d)->feature_ro_compat &= ~0x400u;
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, marked_with_errors_mounts_read_only)
{
	struct fst_disk d;

	ASSERT(fst_disk_sample(&d, "t_mount"));
	fst_super(&d)->state |= EXT2_STATE_ERROR;
	read_only(&d);
	fst_disk_end(&d, FST_DAMAGED);
}

KTEST(mount, disk_that_cannot_be_written_mounts_read_only)
{
	struct fst_disk d;

	ASSERT(fst_disk_sample(&d, "t_mount"));
	d.dev->read_only = true;
	read_only(&d);
	d.dev->read_only = false;
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, clean_mark_is_off_while_mounted)
{
	struct fst_disk d;
	u16 count;

	ASSERT(fst_disk_sample(&d, "t_mount"));
	count = fst_super(&d)->mnt_count;
	EXPECT_EQ(fst_super(&d)->state, EXT2_STATE_VALID);
	EXPECT_EQ(fst_disk_mount(&d), 0);
	EXPECT_EQ(fst_super(&d)->state, 0);
	EXPECT_EQ(fst_super(&d)->mnt_count, count + 1);
	EXPECT_EQ(fst_disk_umount(&d), 0);
	EXPECT_EQ(fst_super(&d)->state, EXT2_STATE_VALID);
	/* Only e2fsck makes clean what was not. */
	fst_super(&d)->state = 0;
	EXPECT_EQ(fst_disk_mount(&d), 0);
	EXPECT_EQ(fst_disk_umount(&d), 0);
	EXPECT_EQ(fst_super(&d)->state, 0);
	fst_super(&d)->state = EXT2_STATE_VALID;
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, counts_on_the_disk_are_right_after_sync)
{
	struct ext2_super_block *es;
	struct fst_disk d;
	u32 free;

	ASSERT(fst_disk_sample(&d, "t_mount"));
	es = fst_super(&d);
	EXPECT_EQ(fst_disk_mount(&d), 0);
	free = es->free_blocks_count;
	EXPECT(fst_make(fst_path(&d, "g"), 10240, 1));
	EXPECT_EQ(vfs_sync(), 0);
	EXPECT_EQ(es->free_blocks_count, free - 10);
	EXPECT_EQ(es->free_blocks_count, fst_free_blocks(d.path));
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, busy_until_the_last_user_is_gone)
{
	struct fst_disk d;
	struct file *file;
	u8 *p;

	ASSERT(fst_disk_sample(&d, "t_mount"));
	EXPECT_EQ(fst_disk_mount(&d), 0);
	EXPECT_EQ(fst_disk_mount(&d), -EBUSY);
	file = fst_open(fst_path(&d, "f"), O_RW);
	ASSERT(file);
	EXPECT_EQ(fst_disk_umount(&d), -EBUSY);
	p = fst_map(file, 0, 8192, PROT_READ | PROT_WRITE);
	file_put(file);
	EXPECT_EQ(fst_disk_umount(&d), -EBUSY);
	if (p) {
		EXPECT(fst_store(p, 7));
		fst_unmap(p, 8192);
	}
	fst_disk_remount(&d); /* the store is on the disk */
	file = fst_open(fst_path(&d, "f"), O_RD);
	if (file) {
		u8 c = 0;

		EXPECT_EQ(vfs_pread(file, &c, 1, 0), 1);
		EXPECT_EQ(c, 7);
		file_put(file);
	}
	fst_disk_end(&d, FST_SOUND);
}

/* ---- disks that fail ----------------------------------------------------------------------- */

KTEST(mount, read_error_is_told_and_gone_when_it_is_gone)
{
	struct file *file;
	struct fst_disk d;
	sector_t sector;
	char c;

	ASSERT(fst_disk_sample(&d, "t_mount"));
	EXPECT_EQ(fst_disk_mount(&d), 0);
	file = fst_open(fst_path(&d, "f"), O_RW);
	if (file) {
		EXPECT_EQ(vfs_bmap(file, 100000, &sector), 0);
		ramblk_fail(d.dev, BIO_READ, sector, sector, 1, 1000, -EIO);
		EXPECT_EQ(vfs_pread(file, &c, 1, 100000), -EIO);
		EXPECT(fst_check(file, 0, 60000, 1));
		ramblk_fail(d.dev, BIO_READ, 0, 0, 0, 0, 0);
		EXPECT(fst_check(file, 0, 300000, 1));
		file_put(file);
	}
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, write_error_is_told_once_by_fsync)
{
	struct file *file;
	struct fst_disk d;
	sector_t sector;

	ASSERT(fst_disk_sample(&d, "t_mount"));
	EXPECT_EQ(fst_disk_mount(&d), 0);
	file = fst_open(fst_path(&d, "f"), O_RW);
	if (file) {
		EXPECT_EQ(vfs_bmap(file, 100000, &sector), 0);
		ramblk_fail(d.dev, BIO_WRITE, sector, sector, 1, 1000, -EIO);
		EXPECT(fst_write(file, 99000, 5000, 2));
		EXPECT_EQ(vfs_fsync(file, false), -EIO);
		ramblk_fail(d.dev, BIO_WRITE, 0, 0, 0, 0, 0);
		EXPECT_EQ(vfs_fsync(file, false), 0);
		EXPECT(fst_write(file, 99000, 5000, 3));
		EXPECT_EQ(vfs_fsync(file, false), 0);
		file_put(file);
	}
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, unreadable_super_block_is_told)
{
	struct fst_disk d;

	ASSERT(fst_disk_sample(&d, "t_mount"));
	ramblk_fail(d.dev, BIO_READ, 0, 100, 1, 1, -EIO);
	EXPECT_EQ(fst_disk_mount(&d), -EIO);
	ramblk_fail(d.dev, BIO_READ, 0, 100, 2, 1, -EIO); /* the descriptors */
	EXPECT_EQ(fst_disk_mount(&d), -EIO);
	ramblk_fail(d.dev, BIO_READ, 0, 0, 0, 0, 0);
	EXPECT_EQ(fst_disk_mount(&d), 0);
	fst_disk_end(&d, FST_SOUND);
}
