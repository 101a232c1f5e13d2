/* SPDX-License-Identifier: MIT */
/*
 * test_file.c - what read, write, truncate, fsync and mmap do to a file, on whatever is the root.
 */
#include "kernel/core/sched.h"
#include "kernel/mm/kmalloc.h"
#include "tests/fs/fs_test.h"

#define DIR "/t_file"

static struct file *new_file(const char *path, u32 flags)
{
	return fst_mkdir(DIR) ? fst_open(path, O_RW | FS_O_CREAT | flags) : NULL;
}

static void end(struct file *file)
{
	if (file)
		file_put(file);
	fst_remove(DIR);
}

KTEST(file, written_bytes_are_read_back)
{
	struct file *file = new_file(DIR "/a", 0);

	ASSERT(file);
	EXPECT(fst_write(file, 0, 100000, 1));
	EXPECT(fst_check(file, 0, 100000, 1));
	EXPECT(fst_write(file, 12345, 4000, 2));
	EXPECT(fst_check(file, 12345, 4000, 2));
	EXPECT(fst_check(file, 0, 12345, 1));
	EXPECT(fst_check(file, 16345, 100000 - 16345, 1));
	EXPECT_EQ(fst_size(file), 100000);
	end(file);
}

KTEST(file, read_is_short_at_eof_and_nothing_behind_it)
{
	struct file *file = new_file(DIR "/a", 0);
	char buf[64];

	ASSERT(file);
	EXPECT_EQ(vfs_write(file, "hello", 5), 5);
	EXPECT_EQ(vfs_pread(file, buf, sizeof(buf), 2), 3);
	EXPECT(!memcmp(buf, "llo", 3));
	EXPECT_EQ(vfs_pread(file, buf, sizeof(buf), 5), 0);
	EXPECT_EQ(vfs_pread(file, buf, sizeof(buf), 1ul << 40), 0);
	EXPECT_EQ(vfs_read(file, buf, sizeof(buf)), 0);
	EXPECT_EQ(vfs_pread(file, buf, 0, 0), 0);
	end(file);
}

KTEST(file, position_moves_with_read_and_write_only)
{
	struct file *file = new_file(DIR "/a", 0);
	char buf[8] = "";

	ASSERT(file);
	EXPECT_EQ(vfs_write(file, "abcdef", 6), 6);
	EXPECT_EQ(vfs_pwrite(file, "X", 1, 2), 1);
	EXPECT_EQ(vfs_lseek(file, 0, 1), 6);
	EXPECT_EQ(vfs_lseek(file, 1, 0), 1);
	EXPECT_EQ(vfs_read(file, buf, 3), 3);
	EXPECT(!memcmp(buf, "bXd", 3));
	EXPECT_EQ(vfs_lseek(file, -2, 2), 4);
	EXPECT_EQ(vfs_read(file, buf, 8), 2);
	EXPECT_EQ(vfs_lseek(file, -7, 1), -EINVAL);
	EXPECT_EQ(vfs_lseek(file, 0, 3), -EINVAL);
	EXPECT_EQ(vfs_lseek(file, INT64_MAX, 1), -EOVERFLOW);
	end(file);
}

KTEST(file, impossible_offsets_are_refused)
{
	struct file *file = new_file(DIR "/a", 0);
	struct kstat before, after;
	char c = 'x';
	u64 max;

	ASSERT(file);
	max = file->inode->sb->max_bytes;
	vfs_fstat(file, &before);
	EXPECT_EQ(vfs_pread(file, &c, 1, 1ul << 63), -EINVAL);
	EXPECT_EQ(vfs_pwrite(file, &c, 1, 1ul << 63), -EINVAL);
	EXPECT_EQ(vfs_pwrite(file, &c, 1, ~0ul), -EINVAL);
	EXPECT_EQ(vfs_ftruncate(file, 1ul << 63), -EINVAL);
	EXPECT_EQ(vfs_pwrite(file, &c, 1, max), -EFBIG);
	if (max < INT64_MAX)
		EXPECT_EQ(vfs_ftruncate(file, max + 1), -EFBIG);
	vfs_fstat(file, &after);
	EXPECT_EQ(after.size, before.size);
	EXPECT_EQ(after.version, before.version);
	end(file);
}

KTEST(file, last_byte_that_a_file_can_have)
{
	struct file *file;
	char c = 'x';
	u64 max;

	if (!fst_root_is_ext2())
		return;
	file = new_file(DIR "/a", 0);
	ASSERT(file);
	max = file->inode->sb->max_bytes;
	/* Two bytes at the last one: the first fits. */
	EXPECT_EQ(vfs_pwrite(file, "xy", 2, max - 1), 1);
	EXPECT_EQ(fst_size(file), max);
	EXPECT_EQ(vfs_pread(file, &c, 1, max - 1), 1);
	EXPECT_EQ(c, 'x');
	EXPECT_EQ(vfs_ftruncate(file, 0), 0);
	end(file);
}

KTEST(file, append_writes_at_the_end_wherever_the_position_is)
{
	struct file *a = new_file(DIR "/a", FS_O_APPEND), *b;
	char buf[16] = "";

	ASSERT(a);
	b = fst_open(DIR "/a", O_RW | FS_O_APPEND);
	EXPECT(b);
	if (b) {
		EXPECT_EQ(vfs_write(a, "one", 3), 3);
		EXPECT_EQ(vfs_write(b, "two", 3), 3);
		EXPECT_EQ(vfs_lseek(a, 0, 0), 0);
		EXPECT_EQ(vfs_write(a, "three", 5), 5);
		EXPECT_EQ(vfs_lseek(a, 0, 1), 11);
		EXPECT_EQ(vfs_pread(a, buf, 16, 0), 11);
		EXPECT(!memcmp(buf, "onetwothree", 11));
		file_put(b);
	}
	end(a);
}

KTEST(file, access_mode_is_kept)
{
	struct file *file = new_file(DIR "/a", 0);
	vaddr_t va;
	char c;

	ASSERT(file);
	file_put(file);
	file = fst_open(DIR "/a", O_RD);
	EXPECT_EQ(vfs_write(file, "x", 1), -EBADF);
	EXPECT_EQ(vfs_ftruncate(file, 0), -EINVAL);
	EXPECT_EQ(vfs_mmap(current_thread()->mm, 0, 4096, PROT_WRITE, MAP_SHARED, file, 0, &va),
		  -EACCES);
	file_put(file);
	file = fst_open(DIR "/a", O_WR);
	EXPECT_EQ(vfs_read(file, &c, 1), -EBADF);
	EXPECT_EQ(vfs_mmap(current_thread()->mm, 0, 4096, PROT_READ, MAP_SHARED, file, 0, &va),
		  -EACCES);
	file_put(file);
	file = fst_open(DIR, O_RD);
	EXPECT_EQ(vfs_read(file, &c, 1), -EISDIR);
	EXPECT_EQ(vfs_mmap(current_thread()->mm, 0, 4096, PROT_READ, MAP_SHARED, file, 0, &va),
		  -ENODEV);
	end(file);
}

KTEST(file, hole_reads_as_zeros_and_has_no_blocks)
{
	struct file *file;
	u64 free;

	if (!fst_root_is_ext2())
		return;
	ASSERT(fst_mkdir(DIR));
	free = fst_free_blocks("/");
	file = fst_open(DIR "/a", O_RW | FS_O_CREAT);
	EXPECT(file && fst_write(file, 10 << 20, 5000, 1));
	EXPECT(file && fst_check_zero(file, 0, 1 << 20));
	EXPECT(file && fst_check_zero(file, (10 << 20) - 9000, 9000));
	EXPECT(fst_stat(DIR "/a").blocks <= 64);
	if (file)
		file_put(file);
	EXPECT(free - fst_free_blocks("/") <= 16);
	fst_remove(DIR "/a");
	EXPECT_EQ(fst_free_blocks("/"), free);
	fst_remove(DIR);
}

KTEST(file, truncate_down_and_up_leaves_zeros)
{
	struct file *file = new_file(DIR "/a", 0);

	ASSERT(file);
	EXPECT(fst_write(file, 0, 20000, 1));
	EXPECT_EQ(vfs_ftruncate(file, 5000), 0);
	EXPECT_EQ(fst_size(file), 5000);
	EXPECT_EQ(vfs_ftruncate(file, 20000), 0);
	EXPECT(fst_check(file, 0, 5000, 1));
	EXPECT(fst_check_zero(file, 5000, 15000));
	/* The same when nothing of it is cached. */
	EXPECT_EQ(vfs_fsync(file, false), 0);
	file_put(file);
	vfs_drop_caches();
	file = fst_open(DIR "/a", O_RW);
	EXPECT(file && fst_check(file, 0, 5000, 1));
	EXPECT(file && fst_check_zero(file, 5000, 15000));
	end(file);
}

KTEST(file, truncate_gives_blocks_back)
{
	static const u64 size[] = { 3000000, 1000000, 300000, 70000, 49153, 49152, 12289, 1025, 1 };
	struct file *file;
	u64 free;

	if (!fst_root_is_ext2())
		return;
	ASSERT(fst_mkdir(DIR));
	free = fst_free_blocks("/");
	file = fst_open(DIR "/a", O_RW | FS_O_CREAT);
	EXPECT(file && fst_write(file, 0, 3000000, 1));
	for (u32 i = 0; file && i < ARRAY_SIZE(size); i++) {
		EXPECT_EQ(vfs_ftruncate(file, size[i]), 0);
		EXPECT(fst_check(file, 0, size[i], 1));
	}
	EXPECT(file && vfs_ftruncate(file, 0) == 0);
	EXPECT_EQ(fst_stat(DIR "/a").blocks, 0);
	EXPECT_EQ(fst_free_blocks("/"), free);
	end(file);
}

KTEST(file, one_byte_behind_four_gigabytes)
{
	struct file *file;
	u64 pos = (1ul << 32) + 5;
	char c = 0;

	if (!fst_root_is_ext2())
		return;
	file = new_file(DIR "/a", 0);
	ASSERT(file);
	EXPECT_EQ(vfs_pwrite(file, "z", 1, pos), 1);
	EXPECT_EQ(fst_size(file), pos + 1);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	file_put(file);
	vfs_drop_caches();
	file = fst_open(DIR "/a", O_RW);
	EXPECT(file && vfs_pread(file, &c, 1, pos) == 1);
	EXPECT_EQ(c, 'z');
	EXPECT(file && fst_check_zero(file, pos - 100, 100));
	EXPECT_EQ(fst_stat(DIR "/a").size, pos + 1);
	end(file);
}

/* Random calls against a plain array that does what the manual says. */
#define MODEL_MAX 300000u

static void model_step(struct file *file, u8 *model, u64 *size, u8 *buf, u64 *rng)
{
	u64 what = ktest_rand(rng) % 8, pos = ktest_rand(rng) % MODEL_MAX;
	u64 len = ktest_rand(rng) % (ktest_rand(rng) % 2 ? 40000 : 100);

	len = min(len, MODEL_MAX - pos);
	if (what < 3 && len) {
		fst_fill(buf, len, pos, ktest_rand(rng));
		EXPECT_EQ(vfs_pwrite(file, buf, len, pos), len);
		memcpy(model + pos, buf, len);
		*size = max(*size, pos + len);
	} else if (what < 5) {
		u64 n = pos < *size ? min(len, *size - pos) : 0;

		EXPECT_EQ(vfs_pread(file, buf, len, pos), n);
		EXPECT(!memcmp(buf, model + pos, n));
	} else if (what == 5) {
		EXPECT_EQ(vfs_ftruncate(file, pos), 0);
		memset(model + pos, 0, MODEL_MAX - pos);
		*size = pos;
	} else if (what == 6) {
		EXPECT_EQ(vfs_fsync(file, ktest_rand(rng) % 2), 0);
	} else {
		EXPECT_EQ(fst_size(file), *size);
	}
}

KTEST(file, random_calls_agree_with_a_model)
{
	struct file *file = new_file(DIR "/a", 0);
	u8 *model = kzalloc(MODEL_MAX), *buf = kmalloc(40000);
	u64 rng = ktest_seed() | 1, size = 0;

	for (u32 i = 0; file && model && buf && i < 1500 && !ktest_failed(); i++) {
		model_step(file, model, &size, buf, &rng);
		if (i % 300 == 299) {
			file_put(file);
			vfs_drop_caches();
			file = fst_open(DIR "/a", O_RW);
		}
	}
	EXPECT(file && model && buf);
	if (file && model && buf) {
		EXPECT_EQ(vfs_pread(file, buf, 40000, 0), min(size, 40000ul));
		EXPECT(!memcmp(buf, model, min(size, 40000ul)));
	}
	kfree(buf);
	kfree(model);
	end(file);
}

KTEST(file, fsync_puts_the_bytes_on_the_disk)
{
	struct file *file;
	u8 *buf = kmalloc(8192);

	if (!fst_root_is_ext2() || !buf)
		goto out;
	file = new_file(DIR "/a", 0);
	if (file && fst_write(file, 0, 50000, 3)) {
		EXPECT_EQ(vfs_fsync(file, true), 0);
		EXPECT(fst_on_disk(file, 0, buf, 8192));
		EXPECT_EQ(fst_differs(buf, 8192, 0, 3), 8192);
		EXPECT(fst_on_disk(file, 50000 - 1000, buf, 1000));
		EXPECT_EQ(fst_differs(buf, 1000, 50000 - 1000, 3), 1000);
	}
	end(file);
out:
	kfree(buf);
}

KTEST(file, o_sync_write_is_on_the_disk_when_it_returns)
{
	struct file *file;
	u8 buf[100];

	if (!fst_root_is_ext2())
		return;
	file = new_file(DIR "/a", FS_O_SYNC);
	ASSERT(file);
	EXPECT(fst_write(file, 3000, 100, 4));
	EXPECT(fst_on_disk(file, 3000, buf, 100));
	EXPECT_EQ(fst_differs(buf, 100, 3000, 4), 100);
	end(file);
}

/* Through all levels of pointers that a small disk affords, with holes; the host checks it. */
KTEST(file, kept_for_the_host_to_read)
{
	struct file *file;
	u8 *p;

	if (!fst_root_is_ext2())
		return;
	vfs_unlink("/kept_written");
	vfs_unlink("/kept_mapped");
	file = fst_open("/kept_written", O_RW | FS_O_CREAT);
	ASSERT(file);
	EXPECT(fst_write(file, 0, 30000, 1));
	EXPECT(fst_write(file, 500000, 70001, 2));
	EXPECT_EQ(vfs_ftruncate(file, 540001), 0);
	EXPECT(fst_write(file, 3 << 20, 5000, 3));
	file_put(file);
	fst_keep("/kept_written");
	file = fst_open("/kept_mapped", O_RW | FS_O_CREAT);
	ASSERT(file);
	EXPECT_EQ(vfs_ftruncate(file, 700001), 0);
	p = fst_map(file, 0, 700001, PROT_READ | PROT_WRITE);
	for (u32 pos = 0; p && pos < 700001; pos += 7777)
		EXPECT(fst_store(p + pos, (u8)(pos / 7777 + 1)));
	if (p)
		fst_unmap(p, 700001);
	file_put(file);
	fst_keep("/kept_mapped");
}

/* The machine goes off with it: e2fsck must not find it. By name only, since it stays open. */
KTEST_FLAGS(file, unlinked_and_open_at_poweroff, KTEST_MANUAL | KTEST_NO_LEAK_CHECK)
{
	struct file *file = new_file(DIR "/a", 0);
	u8 *p;

	ASSERT(file);
	EXPECT(fst_write(file, 0, 100000, 1));
	p = fst_map(file, 0, 8192, PROT_READ | PROT_WRITE);
	EXPECT(p && fst_store(p, 1));
	EXPECT_EQ(vfs_unlink(DIR "/a"), 0);
	EXPECT(fst_make(DIR "/b", 100000, 1));
	fst_open(DIR "/b", O_RW); /* stays open, too */
}
