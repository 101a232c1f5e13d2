/* SPDX-License-Identifier: MIT */
/*
 * test_damage.c - disks whose bytes contradict each other, found while they are in use.
 */
#include "kernel/lib/fmt.h"
#include "kernel/mm/kmalloc.h"
#include "tests/fs/fs_test.h"

#define MIB (1ul << 20)

/* The inode with this number: 512 to a group, the table behind the bitmaps. */
static struct ext2_inode *inode_on_disk(const struct fst_disk *d, u64 ino)
{
	struct ext2_group_desc *desc = ramblk_data(d->dev, 4);
	u8 *table = ramblk_data(d->dev, (sector_t)desc->inode_table * 2);

	return (struct ext2_inode *)(table + (ino - 1) * 256);
}

KTEST(damage, damaged_directory_makes_it_read_only)
{
	static const u16 lengths[] = { 0, 4, 13, 2000 };
	struct ext2_dirent *e;
	struct kstat st;
	struct fst_disk d;

	ASSERT(fst_disk_sample(&d, "t_damage"));
	e = ramblk_data(d.dev, (sector_t)inode_on_disk(&d, 2)->block[0] * 2);
	for (u32 i = 0; i < ARRAY_SIZE(lengths); i++) {
		u16 good = e->rec_len;

		e->rec_len = lengths[i];
		EXPECT_EQ(fst_disk_mount(&d), 0);
		EXPECT_EQ(vfs_stat(fst_path(&d, "f"), &st), -EIO);
		EXPECT_EQ(fst_try_write(&d), -EIO);
		EXPECT_EQ(fst_disk_umount(&d), 0);
		e->rec_len = good;
		EXPECT_EQ(fst_super(&d)->state, EXT2_STATE_ERROR);
		fst_super(&d)->state = EXT2_STATE_VALID;
	}
	fst_disk_end(&d, FST_SOUND);
}

KTEST(damage, damaged_inode_is_refused)
{
	struct ext2_inode *inode, good;
	struct fst_disk d;
	struct kstat st;
	u64 ino;

	ASSERT(fst_disk_sample(&d, "t_damage"));
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

KTEST(damage, wild_block_pointers_are_never_followed)
{
	static const u32 wild[] = { 1, 2, 3, 4096, 0xffffffff };
	struct ext2_inode *inode;
	struct file *file;
	struct fst_disk d;
	u8 *buf = kmalloc(4096);
	u64 ino;

	ASSERT(buf && fst_disk_sample(&d, "t_damage"));
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

KTEST(damage, allocator_does_not_hand_out_tables)
{
	struct ext2_group_desc *desc;
	struct fst_disk d;
	u8 *map;

	ASSERT(fst_disk_sample(&d, "t_damage"));
	desc = ramblk_data(d.dev, 4);
	map = ramblk_data(d.dev, (sector_t)desc->block_bitmap * 2);
	map[0] &= (u8)~4u; /* block 3, the block bitmap itself, is said to be free */
	EXPECT_EQ(fst_disk_mount(&d), 0);
	EXPECT(fst_make(fst_path(&d, "big"), 2 * MIB, 1) || true);
	map[0] |= 4;
	fst_disk_end(&d, FST_DAMAGED);
}

KTEST(damage, garbage_behind_eof_on_the_disk_reads_as_zeros)
{
	struct ext2_inode *inode;
	struct file *file;
	struct fst_disk d;
	u8 *p;
	u64 ino;

	ASSERT(fst_disk_sample(&d, "t_damage"));
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

/* Use what can be reached of a disk that may be damaged anywhere; errors are fine. */
static void exercise(const struct fst_disk *d, struct dirent_out *e, u8 *buf)
{
	struct file *file, *dir;
	char path[300];

	for (u32 round = 0; round < 2; round++) {
		if (vfs_open(round ? fst_path(d, "d") : d->path, O_RD, 0, &dir))
			continue;
		for (u32 n = 0; n < 40 && vfs_readdir(dir, e) > 0; n++) {
			ksnprintf(path, sizeof(path), "%s%s/%s", d->path, round ? "/d" : "",
				  e->name);
			if (vfs_open(path, O_RW, 0, &file))
				continue;
			vfs_pread(file, buf, 4096, 0);
			vfs_pread(file, buf, 4096, 280000);
			vfs_pwrite(file, buf, 3000, 299000);
			vfs_ftruncate(file, 20000);
			file_put(file);
		}
		file_put(dir);
	}
	if (!vfs_open(fst_path(d, "new"), O_RW | FS_O_CREAT, 0644, &file)) {
		vfs_pwrite(file, buf, 4096, 0);
		file_put(file);
	}
	vfs_mkdir(fst_path(d, "newdir"), 0755);
	vfs_rename(fst_path(d, "f"), fst_path(d, "newdir/f"));
	vfs_unlink(fst_path(d, "g"));
	vfs_rmdir(fst_path(d, "d"));
}

#define DAMAGED_DISKS 60

KTEST(damage, random_damage_does_no_harm_to_the_machine)
{
	struct dirent_out *e = kmalloc(sizeof(*e));
	u8 *buf = kmalloc(4096), *good = kmalloc(4 * MIB), *disk;
	u64 rng = ktest_seed() | 1;
	struct fst_disk d;

	ASSERT(e && buf && good && fst_disk_sample(&d, "t_damage"));
	disk = ramblk_data(d.dev, 0);
	EXPECT_EQ(fst_disk_mount(&d), 0);
	EXPECT(fst_make(fst_path(&d, "g"), 5000, 1));
	EXPECT(fst_make(fst_path(&d, "d/h"), 5000, 1));
	EXPECT_EQ(fst_disk_umount(&d), 0);
	memcpy(good, disk, d.bytes);
	for (u32 i = 0; i < DAMAGED_DISKS; i++) {
		/* Super block, descriptors, bitmaps, the inodes in use, then directories and
		 * all. */
		for (u32 n = 0; n < 1 + i % 8; n++) {
			static const u32 until[] = { 2048, 4096, 6144, 10240, 180000, 400000 };
			u64 at = ktest_rand(&rng) % until[ktest_rand(&rng) % ARRAY_SIZE(until)];

			disk[at] = (u8)ktest_rand(&rng);
		}
		if (!fst_disk_mount(&d)) {
			exercise(&d, e, buf);
			vfs_umount(d.path);
		}
		memcpy(disk, good, d.bytes);
	}
	kfree(good);
	kfree(buf);
	kfree(e);
	fst_disk_end(&d, FST_SOUND);
}
