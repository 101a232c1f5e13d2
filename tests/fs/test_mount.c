/* SPDX-License-Identifier: MIT */
/*
 * test_mount.c - images that are not what they say, disks that fail, and what is left of them.
 */
#include "kernel/block/buf.h"
#include "kernel/mm/kmalloc.h"
#include "tests/fs/fs_test.h"

#define MIB (1ul << 20)

/* A disk with one file, unmounted. */
static bool make(struct fst_disk *d)
{
	if (!fst_disk_make(d, "t_mount", 4 * MIB, 1024, 256))
		return false;
	EXPECT(fst_make(fst_path(d, "f"), 300000, 1));
	EXPECT_EQ(vfs_mkdir(fst_path(d, "d"), 0755), 0);
	EXPECT_EQ(fst_disk_umount(d), 0);
	return true;
}

static int try_write(const struct fst_disk *d)
{
	struct file *file;
	int err = vfs_open(fst_path(d, "new"), O_RW | FS_O_CREAT, 0644, &file);

	if (!err)
		file_put(file);
	return err;
}

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

	ASSERT(make(&d));
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

	ASSERT(make(&d));
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

	ASSERT(make(&d));
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
	EXPECT_EQ(try_write(d), -EROFS);
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

	ASSERT(make(&d));
	fst_super(&d)->feature_ro_compat |= 0x400;
	read_only(&d);
	fst_super(&d)->feature_ro_compat &= ~0x400u;
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, marked_with_errors_mounts_read_only)
{
	struct fst_disk d;

	ASSERT(make(&d));
	fst_super(&d)->state |= EXT2_STATE_ERROR;
	read_only(&d);
	fst_disk_end(&d, FST_DAMAGED);
}

KTEST(mount, disk_that_cannot_be_written_mounts_read_only)
{
	struct fst_disk d;

	ASSERT(make(&d));
	d.dev->read_only = true;
	read_only(&d);
	d.dev->read_only = false;
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, clean_mark_is_off_while_mounted)
{
	struct fst_disk d;
	u16 count;

	ASSERT(make(&d));
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

	ASSERT(make(&d));
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

	ASSERT(make(&d));
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

/* ---- damage found at run time -------------------------------------------------------------- */

/* The inode with this number: 512 to a group, the table behind the bitmaps. */
static struct ext2_inode *inode_on_disk(const struct fst_disk *d, u64 ino)
{
	struct ext2_group_desc *desc = ramblk_data(d->dev, 4);
	u8 *table = ramblk_data(d->dev, (sector_t)desc->inode_table * 2);

	return (struct ext2_inode *)(table + (ino - 1) * 256);
}

KTEST(mount, damaged_directory_makes_it_read_only)
{
	static const u16 lengths[] = { 0, 4, 13, 2000 };
	struct ext2_dirent *e;
	struct kstat st;
	struct fst_disk d;

	ASSERT(make(&d));
	e = ramblk_data(d.dev, (sector_t)inode_on_disk(&d, 2)->block[0] * 2);
	for (u32 i = 0; i < ARRAY_SIZE(lengths); i++) {
		u16 good = e->rec_len;

		e->rec_len = lengths[i];
		EXPECT_EQ(fst_disk_mount(&d), 0);
		EXPECT_EQ(vfs_stat(fst_path(&d, "f"), &st), -EIO);
		EXPECT_EQ(try_write(&d), -EIO);
		EXPECT_EQ(fst_disk_umount(&d), 0);
		e->rec_len = good;
		EXPECT_EQ(fst_super(&d)->state, EXT2_STATE_ERROR);
		fst_super(&d)->state = EXT2_STATE_VALID;
	}
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, damaged_inode_is_refused)
{
	struct ext2_inode *inode, good;
	struct fst_disk d;
	struct kstat st;
	u64 ino;

	ASSERT(make(&d));
	EXPECT_EQ(fst_disk_mount(&d), 0);
	ino = fst_stat(fst_path(&d, "f")).ino;
	EXPECT_EQ(fst_disk_umount(&d), 0);
	inode = inode_on_disk(&d, ino);
	good = *inode;
	for (u32 i = 0; i < 4; i++) {
		if (i == 0)
			inode->links_count = 0;
		else if (i == 1)
			inode->mode = 0;
		else if (i == 2)
			inode->size_high = 0x7fffffff;
		else
			inode->flags |= EXT2_EXTENTS_FL;
		EXPECT_EQ(fst_disk_mount(&d), 0);
		EXPECT_EQ(vfs_stat(fst_path(&d, "f"), &st), -EIO);
		EXPECT_EQ(fst_disk_umount(&d), 0);
		*inode = good;
		fst_super(&d)->state = EXT2_STATE_VALID;
	}
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, wild_block_pointers_are_never_followed)
{
	static const u32 wild[] = { 1, 2, 3, 4096, 0xffffffff };
	struct ext2_inode *inode;
	struct file *file;
	struct fst_disk d;
	u8 *buf = kmalloc(4096);
	u64 ino;

	ASSERT(buf && make(&d));
	EXPECT_EQ(fst_disk_mount(&d), 0);
	ino = fst_stat(fst_path(&d, "f")).ino;
	EXPECT_EQ(fst_disk_umount(&d), 0);
	inode = inode_on_disk(&d, ino);
	for (u32 i = 0; i < ARRAY_SIZE(wild) * 2; i++) {
		u32 slot = i % 2 ? EXT2_IND : 3, good = inode->block[slot];

		inode->block[slot] = wild[i / 2];
		EXPECT_EQ(fst_disk_mount(&d), 0);
		file = fst_open(fst_path(&d, "f"), O_RW);
		EXPECT_EQ(vfs_pread(file, buf, 1024, slot == 3 ? 3 * 1024 : 50000), -EIO);
		EXPECT_EQ(vfs_pwrite(file, "x", 1, 0), -EROFS);
		if (file)
			file_put(file);
		EXPECT_EQ(fst_disk_umount(&d), 0);
		inode->block[slot] = good;
		fst_super(&d)->state = EXT2_STATE_VALID;
	}
	kfree(buf);
	fst_disk_end(&d, FST_SOUND);
}

KTEST(mount, allocator_does_not_hand_out_tables)
{
	struct ext2_group_desc *desc;
	struct fst_disk d;
	u8 *map;

	ASSERT(make(&d));
	desc = ramblk_data(d.dev, 4);
	map = ramblk_data(d.dev, (sector_t)desc->block_bitmap * 2);
	map[0] &= (u8)~4u; /* block 3, the block bitmap itself, is said to be free */
	EXPECT_EQ(fst_disk_mount(&d), 0);
	EXPECT(fst_make(fst_path(&d, "big"), 2 * MIB, 1) || true);
	map[0] |= 4;
	fst_disk_end(&d, FST_DAMAGED);
}

KTEST(mount, garbage_behind_eof_on_the_disk_reads_as_zeros)
{
	struct ext2_inode *inode;
	struct file *file;
	struct fst_disk d;
	u8 *p;
	u64 ino;

	ASSERT(make(&d));
	EXPECT_EQ(fst_disk_mount(&d), 0);
	EXPECT(fst_make(fst_path(&d, "s"), 1500, 1));
	ino = fst_stat(fst_path(&d, "s")).ino;
	EXPECT_EQ(fst_disk_umount(&d), 0);
	inode = inode_on_disk(&d, ino);
	memset((u8 *)ramblk_data(d.dev, (sector_t)inode->block[1] * 2) + 476, 0xaa, 1024 - 476);
	EXPECT_EQ(fst_disk_mount(&d), 0);
	file = fst_open(fst_path(&d, "s"), O_RW);
	p = file ? fst_map(file, 0, 4096, PROT_READ) : NULL;
	if (p) {
		EXPECT_EQ(fst_differs(p, 1500, 0, 1), 1500);
		EXPECT(fst_is_zero(p + 1500, 4096 - 1500));
		fst_unmap(p, 4096);
	}
	EXPECT(file && vfs_ftruncate(file, 4000) == 0);
	EXPECT(file && fst_check_zero(file, 1500, 2500));
	if (file)
		file_put(file);
	fst_disk_end(&d, FST_SOUND);
}

/* ---- disks that fail ----------------------------------------------------------------------- */

KTEST(mount, read_error_is_told_and_gone_when_it_is_gone)
{
	struct file *file;
	struct fst_disk d;
	sector_t sector;
	char c;

	ASSERT(make(&d));
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

	ASSERT(make(&d));
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

	ASSERT(make(&d));
	ramblk_fail(d.dev, BIO_READ, 0, 100, 1, 1, -EIO);
	EXPECT_EQ(fst_disk_mount(&d), -EIO);
	ramblk_fail(d.dev, BIO_READ, 0, 100, 2, 1, -EIO); /* the descriptors */
	EXPECT_EQ(fst_disk_mount(&d), -EIO);
	ramblk_fail(d.dev, BIO_READ, 0, 0, 0, 0, 0);
	EXPECT_EQ(fst_disk_mount(&d), 0);
	fst_disk_end(&d, FST_SOUND);
}
