/* SPDX-License-Identifier: MIT */
/*
 * test_ext2.c - what lies on the disk, on small disks of every shape that the test makes itself.
 *
 * After each test fsck.c, which shares no code with kernel/fs, judges the unmounted disk.
 */
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "kernel/core/stat.h"
#include "kernel/lib/fmt.h"
#include "kernel/mm/kmalloc.h"
#include "tests/fs/fs_test.h"
#include "tests/util.h"

#define MIB (1ul << 20)

/* First blocks of each level of the map, and their neighbours. */
static u32 borders(u32 block_size, u64 *pos)
{
	u64 ptrs = block_size / 4, n = 0;
	u64 at[] = { 0,
		     12,
		     12 + ptrs,
		     12 + 2 * ptrs,
		     12 + ptrs + ptrs * ptrs,
		     12 + ptrs + ptrs * ptrs + ptrs * ptrs * 3 + 7 };

	for (u32 i = 0; i < ARRAY_SIZE(at); i++) {
		if (at[i])
			pos[n++] = (at[i] - 1) * block_size;
		pos[n++] = at[i] * block_size;
	}
	return (u32)n;
}

static void sparse_to_triple(struct fst_disk *d)
{
	u64 free = fst_free_blocks(d->path), pos[12];
	u32 n = borders(d->block_size, pos);
	struct file *file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);

	for (u32 i = 0; file && i < n; i++)
		EXPECT(fst_write(file, pos[i], d->block_size, i));
	if (file)
		file_put(file);
	fst_disk_remount(d);
	file = fst_open(fst_path(d, "f"), O_RW);
	for (u32 i = 0; file && i < n; i++)
		EXPECT(fst_check(file, pos[i], d->block_size, i));
	EXPECT(file && fst_check_zero(file, 13ul * d->block_size, d->block_size));
	/* Down, border by border; what is left stays whole, and nothing stays behind it. */
	while (file && n-- > 1) {
		EXPECT_EQ(vfs_ftruncate(file, pos[n]), 0);
		EXPECT(fst_check(file, pos[n - 1], min((u64)d->block_size, pos[n] - pos[n - 1]),
				 n - 1));
		file_put(file);
		fst_disk_check(d);
		file = fst_open(fst_path(d, "f"), O_RW);
	}
	if (file)
		file_put(file);
	EXPECT_EQ(vfs_unlink(fst_path(d, "f")), 0);
	EXPECT_EQ(fst_free_blocks(d->path), free);
}

KTEST(ext2, sparse_file_through_all_levels)
{
	fst_on_each_shape(4 * MIB, sparse_to_triple);
}

static void truncate_in_the_middle(struct fst_disk *d)
{
	u32 bs = d->block_size;
	const u64 sizes[] = { 700ul * bs, 500ul * bs + 1, 500ul * bs, 300ul * bs - 1,
			      268ul * bs, 20ul * bs + 5,  12ul * bs,  5ul * bs + bs / 2 };
	struct file *file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);

	EXPECT(file && fst_write(file, 0, 800ul * bs, 1));
	for (u32 i = 0; file && i < ARRAY_SIZE(sizes); i++) {
		EXPECT_EQ(vfs_ftruncate(file, sizes[i]), 0);
		EXPECT_EQ(vfs_ftruncate(file, sizes[i] + 3ul * bs), 0);
		EXPECT(fst_check(file, 0, sizes[i], 1));
		EXPECT(fst_check_zero(file, sizes[i], 3ul * bs));
		EXPECT(fst_write(file, sizes[i] + bs, 100, 9)); /* a block again, behind a hole */
	}
	if (file)
		file_put(file);
}

static void truncate_down(struct fst_disk *d)
{
	u32 bs = d->block_size, ptrs = bs / 4;
	const u64 blocks[] = { 12 + ptrs + 70, 12 + ptrs + 1, 12 + ptrs, 11 + ptrs, 13, 12, 1 };

	for (u32 i = 0; i < ARRAY_SIZE(blocks); i++) {
		u64 size = (blocks[i] - 1) * bs + 5;
		struct file *file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);

		/* All blocks around the cut are there. */
		EXPECT(file && fst_write(file, (blocks[i] - 1) * bs, 3ul * bs, 1));
		EXPECT(file && vfs_ftruncate(file, size) == 0);
		if (file)
			file_put(file);
		fst_disk_check(d);
	}
}

KTEST(ext2, truncate_cuts_through_every_level)
{
	fst_on_each_shape(8 * MIB, truncate_down);
}

KTEST(ext2, truncate_both_ways_at_odd_places)
{
	fst_on_each_shape(4 * MIB, truncate_in_the_middle);
}

static void times_and_modes(struct fst_disk *d)
{
	struct kstat a, b;

	EXPECT(fst_make(fst_path(d, "f"), 1000, 1));
	EXPECT_EQ(vfs_mkdir(fst_path(d, "d"), 01750), 0);
	a = fst_stat(fst_path(d, "f"));
	fst_disk_remount(d);
	b = fst_stat(fst_path(d, "f"));
	EXPECT_EQ(a.mtime.sec, b.mtime.sec);
	EXPECT_EQ(a.mtime.nsec, b.mtime.nsec);
	EXPECT_EQ(a.ctime.nsec, b.ctime.nsec);
	EXPECT_EQ(a.atime.nsec, b.atime.nsec);
	EXPECT_EQ(a.blocks, b.blocks);
	EXPECT_EQ(b.mode, FS_IFREG | 0644);
	EXPECT_EQ(fst_stat(fst_path(d, "d")).mode, FS_IFDIR | 01750);
}

KTEST(ext2, times_come_back_from_the_disk)
{
	fst_on_each_shape(2 * MIB, times_and_modes);
}

/* ---- room ---------------------------------------------------------------------------------- */

/* Write until the disk is full; bytes that fitted. */
static u64 fill_up(const char *path)
{
	struct file *file = fst_open(path, O_RW | FS_O_CREAT);
	u8 *buf = kmalloc(16384);
	u64 pos = 0;
	s64 n = 0;

	while (file && buf) {
		fst_fill(buf, 16384, pos, 1);
		n = vfs_pwrite(file, buf, 16384, pos);
		if (n <= 0)
			break;
		pos += (u64)n;
	}
	EXPECT_EQ(n, -ENOSPC);
	EXPECT(file && fst_size(file) == pos);
	kfree(buf);
	if (file)
		file_put(file);
	return pos;
}

static void full_then_room(struct fst_disk *d)
{
	u64 free = fst_free_blocks(d->path), size = fill_up(fst_path(d, "big"));
	struct file *file;
	int err;

	fst_disk_check(d); /* what the last write got before it failed was given back */
	EXPECT(fst_free_blocks(d->path) < 4);
	EXPECT(size > (free - 40) * d->block_size);
	/* What has its blocks can still be written (rule 97); names need blocks, and get none. */
	file = fst_open(fst_path(d, "big"), O_RW);
	EXPECT(file && fst_write(file, 5000, 30000, 2));
	EXPECT(file && fst_check(file, 5000, 30000, 2));
	if (file)
		file_put(file);
	err = fst_free_blocks(d->path) ? 0 : -ENOSPC;
	EXPECT_EQ(vfs_mkdir(fst_path(d, "d"), 0755), err);
	if (!err)
		EXPECT_EQ(vfs_rmdir(fst_path(d, "d")), 0);
	EXPECT_EQ(vfs_unlink(fst_path(d, "big")), 0);
	EXPECT_EQ(fst_free_blocks(d->path), free);
	EXPECT(fst_make(fst_path(d, "again"), 100000, 3));
}

KTEST(ext2, full_disk_refuses_and_recovers)
{
	fst_on_each_shape(1 * MIB, full_then_room);
}

static void full_under_mapping(struct fst_disk *d)
{
	struct file *file = fst_open(fst_path(d, "sparse"), O_RW | FS_O_CREAT);
	u8 *p = NULL, c = 1;

	if (file) {
		EXPECT_EQ(vfs_ftruncate(file, 65536), 0);
		p = fst_map(file, 0, 65536, PROT_READ | PROT_WRITE);
	}
	if (p) {
		EXPECT(fst_store(p, 'a'));
		fill_up(fst_path(d, "big"));
		EXPECT(fst_store(p + 1, 'b')); /* it has its block */
		EXPECT(!fst_store(p + 32768,
				  'c')); /* no block: SIGBUS before the store (rule 94) */
		EXPECT(fst_load(p + 32768, &c) && c == 0);
		EXPECT_EQ(fst_msync(p, 65536), 0);
		EXPECT_EQ(vfs_unlink(fst_path(d, "big")), 0);
		EXPECT(fst_store(p + 32768, 'd'));
		EXPECT_EQ(fst_msync(p, 65536), 0);
		EXPECT(fst_on_disk(file, 32768, &c, 1) && c == 'd');
		fst_unmap(p, 65536);
	}
	if (file)
		file_put(file);
}

KTEST(ext2, store_into_a_hole_of_a_full_disk_is_refused)
{
	fst_on_each_shape(1 * MIB, full_under_mapping);
}

static void all_inodes(struct fst_disk *d)
{
	u32 n = 0, total = fst_super(d)->inodes_count;
	char name[16];
	int err = 0;

	while (!err && n < total) {
		struct file *file;

		ksnprintf(name, sizeof(name), "f%u", n);
		err = vfs_open(fst_path(d, name), O_RW | FS_O_CREAT, 0644, &file);
		if (!err) {
			file_put(file);
			n++;
		}
	}
	EXPECT_EQ(err, -ENOSPC);
	EXPECT_EQ(n, total - 10);
	EXPECT_EQ(vfs_unlink(fst_path(d, "f7")), 0);
	EXPECT(fst_make(fst_path(d, "again"), 10, 1));
}

KTEST(ext2, every_inode_can_be_used)
{
	fst_on_each_shape(1 * MIB, all_inodes);
}

static void directory_grows(struct fst_disk *d)
{
	u64 free;
	char name[260];
	struct kstat st;

	EXPECT_EQ(vfs_mkdir(fst_path(d, "d"), 0755), 0);
	free = fst_free_blocks(d->path);
	memset(name, 'n', sizeof(name));
	for (u32 i = 0; i < 100; i++) {
		ksnprintf(name, 12, "d/%03u", i);
		name[5] = '-';
		name[200] = '\0';
		EXPECT(fst_make(fst_path(d, name), 0, 1));
	}
	st = fst_stat(fst_path(d, "d"));
	EXPECT(st.size >= 100 * 200 && st.size % d->block_size == 0);
	EXPECT(free > fst_free_blocks(d->path));
	fst_disk_remount(d);
	EXPECT_EQ(vfs_rmdir(fst_path(d, "d")), -ENOTEMPTY);
	fst_remove(fst_path(d, "d"));
	EXPECT_EQ(fst_free_blocks(d->path), free + 1);
}

KTEST(ext2, directory_of_many_blocks)
{
	fst_on_each_shape(2 * MIB, directory_grows);
}

static void blocks_in_a_row(struct fst_disk *d)
{
	struct file *file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);
	u64 last = 0, block;
	u32 runs = 0;

	EXPECT(file && fst_write(file, 0, 2 * MIB, 1));
	EXPECT(file && !vfs_fsync(file, false));
	for (u64 i = 0; file && i < 2 * MIB / d->block_size; i++) {
		EXPECT_EQ(file->inode->ops->bmap(file->inode, i, &block), 0);
		runs += block != last + 1;
		last = block;
	}
	/* Indirect blocks lie elsewhere and do not cut the data. */
	EXPECT_EQ(runs, 1);
	if (file)
		file_put(file);
}

KTEST(ext2, file_written_in_order_lies_in_one_piece)
{
	fst_on_each_shape(4 * MIB, blocks_in_a_row);
}

KTEST(ext2, many_groups_are_used)
{
	struct fst_disk d;
	u64 free;

	/* 1 KiB blocks: a group is 8 MiB. */
	ASSERT(fst_disk_make(&d, "t_ext2", 20 * MIB, 1024, 128));
	free = fst_free_blocks(d.path);
	for (u32 i = 0; i < 4; i++) {
		char name[16];

		ksnprintf(name, sizeof(name), "d%u", i);
		EXPECT_EQ(vfs_mkdir(fst_path(&d, name), 0755), 0);
		ksnprintf(name, sizeof(name), "d%u/f", i);
		EXPECT(fst_make(fst_path(&d, name), 4 * MIB, i));
	}
	fst_disk_remount(&d);
	for (u32 i = 0; i < 4; i++) {
		char name[16];
		struct file *file;

		ksnprintf(name, sizeof(name), "d%u/f", i);
		file = fst_open(fst_path(&d, name), O_RD);
		EXPECT(file && fst_check(file, 0, 4 * MIB, i));
		if (file)
			file_put(file);
		ksnprintf(name, sizeof(name), "d%u", i);
		fst_remove(fst_path(&d, name));
	}
	EXPECT_EQ(fst_free_blocks(d.path), free);
	fst_disk_end(&d, FST_SOUND);
}

/* ---- a store while the file is cut ---------------------------------------------------------- */

static int cut_job(void *arg)
{
	return vfs_ftruncate(arg, 1000);
}

/* The page keeps its first block and loses three; a store that comes in between must not make it
 * remember four, or its next writeback would go over the new owner of the others. */
KTEST(ext2, page_cut_by_truncate_forgets_its_blocks)
{
	struct file *file, *other;
	struct gate gate;
	struct fst_disk d;
	struct job job;
	u8 *p, buf[3072];

	ASSERT(fst_disk_make(&d, "t_ext2", 2 * MIB, 1024, 256));
	file = fst_open(fst_path(&d, "f"), O_RW | FS_O_CREAT);
	other = fst_open(fst_path(&d, "g"), O_RW | FS_O_CREAT);
	p = file && fst_write(file, 0, 4096, 1) ? fst_map(file, 0, 4096, PROT_READ | PROT_WRITE) :
						  NULL;
	if (p && other) {
		EXPECT(fst_store(p, 1));
		EXPECT_EQ(fst_msync(p, 4096), 0);
		gate_arm(&gate, "truncate_size_published", &file->inode->data);
		job_start(&job, nr_cpus - 1, NULL, cut_job, file);
		gate_wait(&gate);
		EXPECT(fst_store(p + 10, 2));
		gate_open(&gate);
		EXPECT_EQ(job_end(&job), 0);
		gate_disarm(&gate);
		EXPECT(fst_write(other, 0, 3072, 7));
		EXPECT_EQ(vfs_fsync(other, false), 0);
		EXPECT(fst_store(p + 20, 3));
		EXPECT_EQ(fst_msync(p, 4096), 0);
		EXPECT(fst_on_disk(other, 0, buf, 3072));
		EXPECT_EQ(fst_differs(buf, 3072, 0, 7), 3072);
		fst_unmap(p, 4096);
	}
	if (other)
		file_put(other);
	if (file)
		file_put(file);
	fst_disk_end(&d, FST_SOUND);
}

/* ---- random names and contents ------------------------------------------------------------- */

#define NAMES 24

/* d0 .. d3 may be directories; a name may go through one. */
static void random_name(const struct fst_disk *d, u64 *rng, char name[64])
{
	unsigned long dir = ktest_rand(rng) % 4;

	if (ktest_rand(rng) % 3)
		ksnprintf(name, 64, "%s/d%lu/n%lu", d->path, dir,
			  (unsigned long)(ktest_rand(rng) % NAMES));
	else
		ksnprintf(name, 64, "%s/d%lu", d->path, dir);
}

static void random_step(const struct fst_disk *d, u64 *rng)
{
	u64 what = ktest_rand(rng) % 10;
	char path[64], to[64];
	struct file *file;

	random_name(d, rng, path);
	random_name(d, rng, to);
	if (what < 2) {
		vfs_mkdir(path, 0755);
	} else if (what == 2) {
		vfs_rmdir(path);
	} else if (what == 3) {
		vfs_unlink(path);
	} else if (what == 4) {
		vfs_rename(path, to);
	} else if (!vfs_open(path, O_RW | FS_O_CREAT, 0644, &file)) {
		u64 pos = ktest_rand(rng) % 200000;

		if (what == 5)
			vfs_ftruncate(file, pos);
		else if (what == 6)
			vfs_unlink(path); /* deleted when it is closed below */
		fst_write(file, pos, ktest_rand(rng) % 10000, 1);
		if (what == 7)
			vfs_fsync(file, false);
		file_put(file);
	}
}

static u64 random_seed;

static void many_random_steps(struct fst_disk *d)
{
	for (u32 n = 0; n < 600; n++)
		random_step(d, &random_seed);
}

KTEST(ext2, random_calls_leave_a_sound_disk)
{
	random_seed = ktest_seed() | 1;
	fst_on_each_shape(24 * MIB, many_random_steps);
}

struct racer {
	const struct fst_disk *d;
	u64 rng;
};

static int race(void *arg)
{
	struct racer *r = arg;

	for (u32 n = 0; n < 250; n++)
		random_step(r->d, &r->rng);
	return 0;
}

KTEST(ext2, random_calls_of_many_threads_leave_a_sound_disk)
{
	struct thread *threads[4];
	struct racer racers[4];
	u64 rng = ktest_seed() | 1;
	struct fst_disk d;

	ASSERT(fst_disk_make(&d, "t_ext2", 24 * MIB, 1024, 256));
	for (u32 i = 0; i < 4; i++) {
		racers[i] = (struct racer){ &d, ktest_rand(&rng) | 1 };
		threads[i] = thread_create("racer", CPU_ANY, NULL, NULL, race, &racers[i]);
	}
	for (u32 i = 0; i < 4; i++)
		if (threads[i])
			thread_join(threads[i]);
	fst_disk_end(&d, FST_SOUND);
}
