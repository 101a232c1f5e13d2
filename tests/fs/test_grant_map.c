/* SPDX-License-Identifier: MIT */
/*
 * test_grant_map.c - pages made writable ahead, on a file system that finds blocks for them.
 */
#include "kernel/core/args.h"
#include "kernel/core/stat.h"
#include "tests/fs/fs_test.h"

#define DIR   "/t_grant"
#define PAGES 512ul
#define LEN   (PAGES * PAGE_SIZE)

static void end(struct file *file)
{
	if (file)
		file_put(file);
	fst_remove(DIR);
}

/* The first write of 2 MiB, from page 0 to the last: how many faults. */
static u64 faults_of_first_write(u8 *p)
{
	u64 before = stat_read(STAT_FAULTS);

	for (pgoff_t i = 0; i < PAGES; i++)
		EXPECT(fst_store(p + i * PAGE_SIZE + 5, (u8)(i + 1)));
	return stat_read(STAT_FAULTS) - before;
}

static void check_first_write(struct file *file)
{
	u64 bad = 0;
	u8 c;

	for (pgoff_t i = 0; i < PAGES; i++)
		bad += !fst_on_disk(file, i * PAGE_SIZE + 5, &c, 1) || c != (u8)(i + 1);
	EXPECT_EQ(bad, 0);
}

static void first_write(bool hole)
{
	struct file *file;
	u8 *p;

	EXPECT_EQ(args_set("grant", "512"), 0);
	if (!fst_root_is_ext2() || !fst_mkdir(DIR))
		goto out;
	file = fst_open(DIR "/f", O_RW | FS_O_CREAT);
	if (!file)
		goto out;
	if (hole)
		EXPECT_EQ(vfs_ftruncate(file, LEN), 0);
	else
		EXPECT(fst_write(file, 0, LEN, 1));
	EXPECT_EQ(vfs_fsync(file, false), 0);
	p = fst_map(file, 0, LEN, PROT_READ | PROT_WRITE);
	if (p) {
		EXPECT(faults_of_first_write(p) <= 2);
		EXPECT_EQ(fst_msync(p, LEN), 0);
		check_first_write(file);
		fst_unmap(p, LEN);
	}
	end(file);
out:
	EXPECT_EQ(args_set("grant", "1"), 0);
}

KTEST(grant_map, first_write_of_a_file_with_blocks)
{
	first_write(false);
}

KTEST(grant_map, first_write_into_a_hole)
{
	first_write(true);
}

/* alloc=fault: a block that was found for a store that did not come holds its last owner's bytes:
 * the page is written over them. */
KTEST(grant_map, granted_holes_become_zeros_on_the_disk)
{
	struct file *file;
	u64 bad = 0;
	u8 *p, c;

	EXPECT_EQ(args_set("grant", "64"), 0);
	EXPECT_EQ(args_set("alloc", "fault"), 0);
	if (!fst_root_is_ext2() || !fst_mkdir(DIR))
		goto out;
	/* Bytes for the next owner to find. */
	EXPECT(fst_make(DIR "/old", 64 * PAGE_SIZE, 3));
	EXPECT_EQ(vfs_sync(), 0);
	EXPECT_EQ(vfs_unlink(DIR "/old"), 0);
	file = fst_open(DIR "/f", O_RW | FS_O_CREAT);
	if (!file)
		goto out;
	EXPECT_EQ(vfs_ftruncate(file, LEN), 0);
	/* Large enough to begin with a table, and so with a window. */
	p = fst_map(file, 0, LEN, PROT_READ | PROT_WRITE);
	if (p) {
		EXPECT(fst_store(p + 10 * PAGE_SIZE, 'x'));
		EXPECT_EQ(fst_msync(p, LEN), 0);
		for (pgoff_t i = 0; i < 64; i++)
			bad += !fst_on_disk(file, i * PAGE_SIZE, &c, 1) || c != (i == 10 ? 'x' : 0);
		EXPECT_EQ(bad, 0);
		fst_unmap(p, LEN);
	}
	end(file);
out:
	EXPECT_EQ(args_set("alloc", "reserve"), 0);
	EXPECT_EQ(args_set("grant", "1"), 0);
}
