/* SPDX-License-Identifier: MIT */
/*
 * test_ramfs.c - a file system that is nothing but its cache.
 */
#include "kernel/core/stat.h"
#include "tests/fs/fs_test.h"

#define DIR "/t_ramfs"

static bool begin(void)
{
	if (!fst_mkdir(DIR))
		return false;
	EXPECT_EQ(vfs_mount(NULL, "ramfs", DIR), 0);
	return vfs_find_super(DIR);
}

static void end(void)
{
	EXPECT_EQ(vfs_umount(DIR), 0);
	fst_remove(DIR);
}

KTEST(ramfs, contents_stay_without_a_disk)
{
	struct file *file;

	ASSERT(begin());
	EXPECT_EQ(vfs_mkdir(DIR "/d", 0755), 0);
	EXPECT(fst_make(DIR "/d/f", 100000, 1));
	vfs_drop_caches();
	file = fst_open(DIR "/d/f", O_RW);
	EXPECT(file && fst_check(file, 0, 100000, 1));
	EXPECT(file && vfs_fsync(file, false) == 0);
	EXPECT(file && vfs_ftruncate(file, 50000) == 0 && vfs_ftruncate(file, 60000) == 0);
	EXPECT(file && fst_check(file, 0, 50000, 1));
	EXPECT(file && fst_check_zero(file, 50000, 10000));
	if (file)
		file_put(file);
	end();
}

KTEST(ramfs, stores_are_not_noticed)
{
	struct file *file;
	struct stats a, b;
	u8 *p = NULL;

	ASSERT(begin());
	file = fst_open(DIR "/f", O_RW | FS_O_CREAT);
	if (file) {
		EXPECT(fst_write(file, 0, 65536, 1));
		p = fst_map(file, 0, 65536, PROT_READ | PROT_WRITE);
		file_put(file);
	}
	if (p) {
		u8 c;

		stats_snapshot(&a);
		for (u32 i = 0; i < 16; i++) {
			EXPECT(fst_load(p + i * 4096, &c));
			EXPECT(fst_store(p + i * 4096, (u8)i));
		}
		EXPECT_EQ(fst_msync(p, 65536), 0);
		for (u32 i = 0; i < 16; i++)
			EXPECT(fst_store(p + i * 4096, (u8)i));
		stats_snapshot(&b);
		EXPECT_EQ(b.v[STAT_MKWRITE] - a.v[STAT_MKWRITE], 0);
		/* One per page, none after msync: nothing was write-protected. */
		EXPECT(b.v[STAT_FAULTS] - a.v[STAT_FAULTS] <= 16);
		EXPECT_EQ(b.v[STAT_PAGES_CLEANED] - a.v[STAT_PAGES_CLEANED], 0);
		fst_unmap(p, 65536);
	}
	end();
}

KTEST(ramfs, unmount_waits_for_the_last_user)
{
	struct file *file;

	ASSERT(begin());
	file = fst_open(DIR "/f", O_RW | FS_O_CREAT);
	EXPECT_EQ(vfs_umount(DIR), -EBUSY);
	EXPECT_EQ(vfs_unlink(DIR "/f"), 0);
	EXPECT_EQ(vfs_umount(DIR), -EBUSY);
	if (file)
		file_put(file);
	EXPECT(fst_make(DIR "/g", 5000, 1)); /* goes with the whole */
	EXPECT_EQ(vfs_mkdir(DIR "/d", 0755), 0);
	EXPECT(fst_make(DIR "/d/h", 5000, 1));
	end();
}
