/* SPDX-License-Identifier: MIT */
/*
 * test_punch_disk.c - holes in files on a disk: their blocks and tables, what is mapped there, when
 * times move, and that a file in memory has holes too (rules 98, 100, 103; B16, B17).
 */
#include "kernel/core/sched.h"
#include "kernel/lib/falloc.h"
#include "tests/fs/fs_test.h"
#include "tests/util.h"

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO  FALLOC_FL_ZERO_RANGE
#define MIB   (1ul << 20)

/* --- tables --- */

/* Blocks at each border of the map, up to the third level. */
static u32 borders(u32 block_size, u64 *at)
{
	u64 ptrs = block_size / 4, level2 = 12 + ptrs, level3 = level2 + ptrs * ptrs;
	const u64 all[] = { 0,
			    11,
			    12,
			    level2 - 1,
			    level2,
			    level2 + ptrs - 1,
			    level2 + 3 * ptrs + 5,
			    level3 - 1,
			    level3,
			    level3 + 2 * ptrs * ptrs + 7 * ptrs };

	memcpy(at, all, sizeof(all));
	return ARRAY_SIZE(all);
}

static int punch_blocks(struct file *file, u64 first, u64 nr)
{
	u32 bs = file->inode->sb->block_size;

	return vfs_fallocate(file, PUNCH, (s64)(first * bs), (s64)(nr * bs));
}

/* One by one in any order, each block takes with it what led to it alone. */
static void tables_go(struct fst_disk *d)
{
	u64 at[10], free = fst_free_blocks(d->path), seed = 5;
	u32 n = borders(d->block_size, at), left = n;
	struct file *file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);

	for (u32 i = 0; file && i < n; i++)
		EXPECT(fst_write(file, at[i] * d->block_size, d->block_size, i));
	while (file && left) {
		u32 pick = (u32)((ktest_rand(&seed) >> 11) % left);
		u64 block = at[pick];

		EXPECT_EQ(punch_blocks(file, block, 1), 0);
		EXPECT(fst_check_zero(file, block * d->block_size, d->block_size));
		at[pick] = at[--left];
		if (left == 5) {
			file_put(file);
			fst_disk_check(d);
			file = fst_open(fst_path(d, "f"), O_RW);
		}
	}
	EXPECT(file && fst_stat(fst_path(d, "f")).blocks == 0);
	n = borders(d->block_size, at);
	for (u32 i = 0; file && i < n; i++)
		EXPECT(fst_write(file, at[i] * d->block_size, d->block_size, i));
	/* All but the first and the last, at once. */
	EXPECT(file && punch_blocks(file, 1, at[n - 1] - 1) == 0);
	EXPECT(file && fst_check(file, 0, d->block_size, 0));
	EXPECT(file && fst_check(file, at[n - 1] * d->block_size, d->block_size, n - 1));
	EXPECT_EQ(fst_stat(fst_path(d, "f")).blocks, 5 * d->block_size / 512);
	EXPECT(file && punch_blocks(file, 0, at[n - 1] + 1) == 0);
	EXPECT_EQ(fst_stat(fst_path(d, "f")).blocks, 0);
	/* The last block goes with the bytes up to EOF. */
	EXPECT(file && vfs_ftruncate(file, 5001) == 0 && fst_write(file, 0, 5001, 1));
	EXPECT_EQ(vfs_fallocate(file, PUNCH, 0, 5001), 0);
	EXPECT_EQ(fst_stat(fst_path(d, "f")).blocks, 0);
	if (file)
		file_put(file);
	fst_disk_check(d);
	EXPECT_EQ(vfs_unlink(fst_path(d, "f")), 0);
	EXPECT_EQ(fst_free_blocks(d->path), free);
}

KTEST(punch, tables_that_are_empty_go)
{
	fst_on_each_shape(4 * MIB, tables_go);
}

/* --- mappings --- */

/* B16 with another file: the block that went is its own now. */
static void next_owner(struct fst_disk *d)
{
	struct file *a = fst_open(fst_path(d, "a"), O_RW | FS_O_CREAT);
	struct file *b = fst_open(fst_path(d, "b"), O_RW | FS_O_CREAT);
	u8 *map, c;

	EXPECT(a && b && fst_write(a, 0, 100000, 1));
	map = fst_map(a, 0, 100000, PROT_READ | PROT_WRITE);
	for (u32 round = 0; a && b && map && round < 4; round++) {
		for (u32 p = 0; p < 24; p++)
			EXPECT(fst_load(map + p * 4096 + 1, &c));
		EXPECT_EQ(vfs_fallocate(a, PUNCH, 3000, 90000), 0);
		EXPECT(fst_write(b, 0, 90000, 2 + round));
		EXPECT_EQ(vfs_fsync(b, true), 0);
		for (u32 i = 3000; i < 93000; i += 997) {
			EXPECT(fst_load(map + i, &c) && c == 0);
			EXPECT(fst_store(map + i, 'a'));
		}
		EXPECT_EQ(vfs_fsync(a, true), 0);
		vfs_drop_caches();
		EXPECT(fst_check(b, 0, 90000, 2 + round));
		for (u32 i = 3000; i < 93000; i += 997)
			EXPECT(fst_load(map + i, &c) && c == 'a');
		EXPECT(fst_check(a, 0, 3000, 1));
		EXPECT(fst_check(a, 93000, 7000, 1));
		EXPECT_EQ(vfs_ftruncate(b, 0), 0);
	}
	if (map)
		fst_unmap(map, 100000);
	if (b)
		file_put(b);
	if (a)
		file_put(a);
}

KTEST(punch, blocks_of_a_mapped_file_become_anothers)
{
	fst_on_each_shape(2 * MIB, next_owner);
}

/* xfstests 438: the file grows byte by byte, each is stored to through the mapping, and all the
 * time somebody syncs. Zeroing the tail for the disk must not wipe out what is inside by now. */
struct grower {
	struct file *file;
	bool done; /* a */
};

static int keep_syncing(void *arg)
{
	struct grower *g = arg;

	while (!READ_ONCE(g->done))
		EXPECT_EQ(vfs_fsync(g->file, false), 0);
	return 0;
}

static void byte_by_byte(struct fst_disk *d)
{
	struct grower g = { .file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT) };
	u8 *map = fst_map(g.file, 0, 8192, PROT_READ | PROT_WRITE), c;
	struct job sync;

	job_start(&sync, nr_cpus - 1, NULL, keep_syncing, &g);
	for (u32 i = 0; map && i < 6000; i++) {
		if (i % 2)
			EXPECT_EQ(vfs_fallocate(g.file, 0, i, 1), 0);
		else
			EXPECT_EQ(vfs_ftruncate(g.file, i + 1), 0);
		EXPECT(fst_store(map + i, 'x'));
		if (i % 512 == 511)
			yield();
	}
	WRITE_ONCE(g.done, true);
	job_end(&sync);
	EXPECT_EQ(vfs_fsync(g.file, false), 0);
	for (u32 i = 0; map && i < 6000; i++) {
		u8 on_disk = 0;

		EXPECT(fst_load(map + i, &c) && c == 'x');
		EXPECT(fst_on_disk(g.file, i, &on_disk, 1) && on_disk == 'x');
		if (ktest_failed())
			break;
	}
	fst_unmap(map, 8192);
	file_put(g.file);
}

KTEST(punch, growing_under_a_sync_wipes_nothing_out)
{
	fst_on_each_shape(1 * MIB, byte_by_byte);
}

static u8 byte_of(struct file *file, u64 pos)
{
	u8 c = 0xff;

	EXPECT_EQ(vfs_pread(file, &c, 1, pos), 1);
	return c;
}

/* madvise(MADV_REMOVE): a locked page anywhere in the range, and nothing is changed, as for any
 * other bad input. fallocate() does not ask who has locked what. */
static void by_madvise(struct fst_disk *d)
{
	struct file *file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);
	vaddr_t at, private;
	struct mm *mm;
	u8 *map;

	EXPECT(file && fst_write(file, 0, 65536, 1));
	for (u32 p = 0; p < 16; p++)
		EXPECT_EQ(vfs_pwrite(file, "s", 1, p * 4096), 1);
	map = fst_map(file, 0, 65536, PROT_READ | PROT_WRITE);
	at = (vaddr_t)map;
	mm = current_thread()->mm; /* fst_map() has entered it */
	EXPECT_EQ(vfs_mmap(mm, 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0, &private), 0);
	EXPECT_EQ(mm_mlock(mm, at + 5 * 4096, 4096), 0);
	EXPECT_EQ(mm_madvise(mm, at, 65536, MADV_REMOVE), -EINVAL);
	EXPECT_EQ(mm_madvise(mm, at + 5 * 4096, 1, MADV_REMOVE), -EINVAL);
	EXPECT_EQ(mm_madvise(mm, at + 1, 4096, MADV_REMOVE), -EINVAL);
	EXPECT_EQ(mm_madvise(mm, private, 4096, MADV_REMOVE), -EACCES);
	for (u32 p = 0; p < 16; p++)
		EXPECT_EQ(byte_of(file, p * 4096), 's');
	EXPECT_EQ(mm_madvise(mm, at + 4096, 3 * 4096, MADV_REMOVE), 0);
	for (u32 p = 0; p < 16; p++)
		EXPECT_EQ(byte_of(file, p * 4096), p >= 1 && p < 4 ? 0 : 's');
	EXPECT_EQ(vfs_fallocate(file, PUNCH, 5 * 4096, 4096), 0);
	EXPECT_EQ(byte_of(file, 5 * 4096), 0);
	EXPECT_EQ(mm_munlock(mm, at, 65536), 0);
	EXPECT_EQ(mm_madvise(mm, at, 65536, MADV_REMOVE), 0);
	EXPECT_EQ(fst_stat(fst_path(d, "f")).blocks, 0);
	EXPECT_EQ(mm_munmap(mm, private, 8192), 0);
	fst_unmap(map, 65536);
	file_put(file);
}

KTEST(punch, by_madvise_but_not_over_locked_pages)
{
	fst_on_each_shape(1 * MIB, by_madvise);
}

/* --- times, and files in memory --- */

KTEST(punch, times_move)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, PUNCH, ZERO };
	struct kstat before, after;
	struct file *file;

	if (!fst_mkdir("/t_punch"))
		return;
	file = fst_open("/t_punch/f", O_RW | FS_O_CREAT);
	EXPECT(file && fst_write(file, 0, 10000, 1));
	for (u32 i = 0; file && i < ARRAY_SIZE(modes); i++) {
		before = fst_stat("/t_punch/f");
		sleep_ns(NSEC_PER_MSEC);
		EXPECT_EQ(vfs_fallocate(file, modes[i], 100, 5000), 0);
		after = fst_stat("/t_punch/f");
		EXPECT(after.version > before.version);
		if (file->inode->sb->time_gran >= NSEC_PER_SEC)
			continue;
		EXPECT(after.mtime.sec > before.mtime.sec || after.mtime.nsec > before.mtime.nsec);
		EXPECT(after.ctime.sec > before.ctime.sec || after.ctime.nsec > before.ctime.nsec);
	}
	if (file)
		file_put(file);
	fst_remove("/t_punch");
}

KTEST(punch, files_in_memory)
{
	struct file *file;
	u8 *map, c;

	ASSERT(fst_mkdir("/t_punch"));
	EXPECT_EQ(vfs_mount(NULL, "ramfs", "/t_punch"), 0);
	file = fst_open("/t_punch/f", O_RW | FS_O_CREAT);
	EXPECT(file && fst_write(file, 0, 40000, 1));
	map = fst_map(file, 0, 40960, PROT_READ | PROT_WRITE);
	for (u32 i = 0; map && i < 10; i++)
		EXPECT(fst_store(map + i * 4096 + 8, 'm'));
	EXPECT_EQ(vfs_fallocate(file, PUNCH, 5000, 20000), 0);
	EXPECT_EQ(fst_stat("/t_punch/f").blocks, (10 - 4) * 8);
	EXPECT(fst_check_zero(file, 5000, 20000));
	EXPECT(fst_load(map + 4096 + 8, &c) && c == 'm');
	EXPECT(fst_load(map + 4 * 4096 + 8, &c) && c == 0);
	EXPECT(fst_store(map + 4 * 4096 + 8, 'n'));
	EXPECT_EQ(vfs_fallocate(file, ZERO | FALLOC_FL_KEEP_SIZE, 12288, 8192), 0);
	EXPECT(fst_load(map + 4 * 4096 + 8, &c) && c == 0);
	EXPECT(fst_load(map + 7 * 4096 + 8, &c) && c == 'm');
	EXPECT_EQ(vfs_fallocate(file, 0, 40000, 40000), 0);
	EXPECT_EQ(fst_size(file), 80000);
	EXPECT_EQ(fst_stat("/t_punch/f").blocks, DIV_ROUND_UP(80000, 4096) * 8);
	EXPECT(fst_check_zero(file, 40000, 40000));
	if (map)
		fst_unmap(map, 40960);
	if (file)
		file_put(file);
	EXPECT_EQ(vfs_umount("/t_punch"), 0);
	fst_remove("/t_punch");
}
