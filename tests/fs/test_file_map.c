/* SPDX-License-Identifier: MIT */
/*
 * test_file_map.c - what a mapping of a file and the file itself see of each other.
 */
#include "tests/fs/fs_test.h"

#define DIR "/t_map"

static struct file *new_file(const char *path)
{
	return fst_mkdir(DIR) ? fst_open(path, O_RW | FS_O_CREAT) : NULL;
}

static void end(struct file *file)
{
	if (file)
		file_put(file);
	fst_remove(DIR);
}

KTEST(file, mapping_and_write_see_each_other)
{
	struct file *file = new_file(DIR "/a");
	u8 *p, c = 0;

	ASSERT(file);
	EXPECT(fst_write(file, 0, 10000, 1));
	p = fst_map(file, 0, 12288, PROT_READ | PROT_WRITE);
	if (p) {
		EXPECT_EQ(fst_differs(p, 10000, 0, 1), 10000);
		EXPECT(fst_is_zero(p + 10000, 12288 - 10000));
		EXPECT(fst_write(file, 4000, 200, 2));
		EXPECT_EQ(fst_differs(p + 4000, 200, 4000, 2), 200);
		EXPECT(fst_store(p + 5000, 'm'));
		EXPECT_EQ(vfs_pread(file, &c, 1, 5000), 1);
		EXPECT_EQ(c, 'm');
		fst_unmap(p, 12288);
	}
	end(file);
}

KTEST(file, msync_puts_mapped_stores_on_the_disk)
{
	struct file *file;
	u8 *p, c = 0;

	if (!fst_root_is_ext2())
		return;
	file = new_file(DIR "/a");
	ASSERT(file);
	EXPECT(fst_write(file, 0, 65536, 1));
	p = fst_map(file, 0, 65536, PROT_READ | PROT_WRITE);
	for (u32 round = 0; p && round < 3; round++) {
		for (u32 i = 0; i < 16; i += 3)
			EXPECT(fst_store(p + i * 4096 + 77, (u8)(round + i)));
		EXPECT_EQ(fst_msync(p, 65536), 0);
		for (u32 i = 0; i < 16; i += 3) {
			EXPECT(fst_on_disk(file, i * 4096 + 77, &c, 1));
			EXPECT_EQ(c, (u8)(round + i));
		}
	}
	if (p)
		fst_unmap(p, 65536);
	end(file);
}

KTEST(file, store_into_a_hole_finds_a_block)
{
	struct file *file;
	u8 *p, c = 0;
	u64 free;

	if (!fst_root_is_ext2())
		return;
	file = new_file(DIR "/a");
	ASSERT(file);
	EXPECT_EQ(vfs_ftruncate(file, 1 << 20), 0);
	EXPECT_EQ(fst_stat(DIR "/a").blocks, 0);
	free = fst_free_blocks("/");
	p = fst_map(file, 0, 1 << 20, PROT_READ | PROT_WRITE);
	if (p) {
		EXPECT(fst_load(p + 500000, &c) && c == 0);
		EXPECT_EQ(fst_stat(DIR "/a").blocks, 0);
		EXPECT(fst_store(p + 500000, 'h'));
		EXPECT_EQ(fst_msync(p, 1 << 20), 0);
		EXPECT(fst_on_disk(file, 500000, &c, 1));
		EXPECT_EQ(c, 'h');
		EXPECT(fst_on_disk(file, 500001, &c, 1));
		EXPECT_EQ(c, 0);
		fst_unmap(p, 1 << 20);
		EXPECT(fst_free_blocks("/") < free);
	}
	end(file);
}

KTEST(file, access_behind_eof_is_refused)
{
	struct file *file = new_file(DIR "/a");
	u8 *p, c;

	ASSERT(file);
	EXPECT(fst_write(file, 0, 5000, 1));
	p = fst_map(file, 0, 16384, PROT_READ | PROT_WRITE);
	if (p) {
		EXPECT(fst_store(p + 8191, 1)); /* the tail of the last page */
		EXPECT(!fst_store(p + 8192, 1));
		EXPECT(!fst_load(p + 12288, &c));
		EXPECT_EQ(vfs_ftruncate(file, 9000), 0);
		EXPECT(fst_load(p + 8191, &c) && c == 0);
		EXPECT(fst_store(p + 8192, 1));
		EXPECT_EQ(vfs_ftruncate(file, 100), 0);
		EXPECT(!fst_load(p + 4096, &c));
		EXPECT(fst_load(p + 99, &c));
		fst_unmap(p, 16384);
	}
	end(file);
}

KTEST(file, mapping_keeps_a_file_that_lost_its_name)
{
	struct file *file;
	u64 free;
	u8 *p;

	if (!fst_root_is_ext2())
		return;
	ASSERT(fst_mkdir(DIR));
	free = fst_free_blocks("/");
	file = fst_open(DIR "/a", O_RW | FS_O_CREAT);
	ASSERT(file);
	EXPECT(fst_write(file, 0, 40960, 1));
	p = fst_map(file, 0, 40960, PROT_READ | PROT_WRITE);
	file_put(file);
	EXPECT_EQ(vfs_unlink(DIR "/a"), 0);
	EXPECT(fst_free_blocks("/") < free);
	if (p) {
		EXPECT(fst_store(p + 20000, 'k'));
		EXPECT_EQ(fst_msync(p, 40960), 0);
		EXPECT_EQ(fst_differs(p, 20000, 0, 1), 20000);
		fst_unmap(p, 40960);
	}
	EXPECT_EQ(fst_free_blocks("/"), free);
	fst_remove(DIR);
}

KTEST(file, growing_and_storing_by_mapping_keeps_every_block)
{
	struct file *file;
	u8 *p, c = 0;

	if (!fst_root_is_ext2())
		return;
	file = new_file(DIR "/a");
	ASSERT(file);
	/* The page is writable when the file grows: what is newly inside needs blocks (B17). */
	EXPECT(fst_write(file, 0, 100, 1));
	p = fst_map(file, 0, 4096, PROT_READ | PROT_WRITE);
	if (p) {
		EXPECT(fst_store(p, 'a'));
		EXPECT(fst_store(p + 3000, 'x')); /* behind EOF: not the file's */
		EXPECT_EQ(vfs_ftruncate(file, 4096), 0);
		EXPECT(fst_load(p + 3000, &c) && c == 0);
		EXPECT(fst_store(p + 3500, 'b'));
		EXPECT_EQ(fst_msync(p, 4096), 0);
		EXPECT(fst_on_disk(file, 3500, &c, 1));
		EXPECT_EQ(c, 'b');
		fst_unmap(p, 4096);
	}
	end(file);
}
