/* SPDX-License-Identifier: MIT */
/*
 * test_directio.c - files opened with FS_O_DIRECT: bytes, ends, holes, buffers, errors, and what
 * truncation and times have to do with it. What mappings see: test_dio_coherent.c.
 *
 * On disks in memory with an ext2 of their own, of each block and inode size where that matters.
 */
#include "kernel/core/args.h"
#include "kernel/core/stat.h"
#include "kernel/fs/directio.h"
#include "kernel/lib/errors.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/vmap.h"
#include "tests/fs/dio_test.h"

#define KIB 1024ul

/* Everything on the disk, nothing in the cache. */
static void forget_cache(struct dio_scene *s)
{
	EXPECT_EQ(vfs_fsync(s->cached, false), 0);
	drop_all(s);
}

/* ---- bytes --------------------------------------------------------------------------------- */

static void check_ranges(struct dio_scene *s, u64 size, u64 seed)
{
	static const struct {
		u32 pos, len;
	} ranges[] = {
		{ 0, 512 },	 { 512, 512 },	  { 0, 4096 },	   { 3584, 1024 }, { 4096, 65536 },
		{ 512, 130560 }, { 1024, 40960 }, { 65536, 4096 }, { 0, 262144 },  { 100352, 8192 },
	};

	for (u32 i = 0; i < ARRAY_SIZE(ranges); i++) {
		u64 want = min((u64)ranges[i].len, size - ranges[i].pos);

		memset(s->buf, 0, DIO_BUF);
		EXPECT_EQ(vfs_pread(s->direct, s->buf, ranges[i].len, ranges[i].pos), want);
		EXPECT_EQ(fst_differs(s->buf, want, ranges[i].pos, seed), want);
	}
}

static void reads_what_was_written(struct fst_disk *d)
{
	struct dio_scene s;

	if (!dio_begin(&s, d, 200000))
		return;
	forget_cache(&s);
	check_ranges(&s, 200000, 1);
	EXPECT_EQ(s.direct->inode->data.pages.nr, 0); /* it does not fill the cache */
	/* The same with all of it cached and clean, and dirty. */
	EXPECT(fst_check(s.cached, 0, 200000, 1));
	check_ranges(&s, 200000, 1);
	EXPECT(fst_write(s.cached, 0, 200000, 2));
	check_ranges(&s, 200000, 2);
	dio_end(&s);
}

KTEST(dio, reads_what_was_written)
{
	fst_on_each_shape(2 << 20, reads_what_was_written);
}

/* In place, then a hole, then across the end: on the disk when it returns, and what is around it is
 * as it was, or zero. */
static void writes_what_is_read(struct fst_disk *d)
{
	struct dio_scene s;
	u8 *seen;

	if (!dio_begin(&s, d, 100000))
		return;
	seen = vmalloc(1);
	EXPECT(dio_write(&s, 8192, 16384, 2));
	EXPECT(fst_check(s.cached, 8192, 16384, 2));
	EXPECT(fst_check(s.cached, 0, 8192, 1));
	EXPECT(fst_check(s.cached, 24576, 100000 - 24576, 1));
	EXPECT(fst_on_disk(s.cached, 8192, seen, 4096));
	EXPECT_EQ(fst_differs(seen, 4096, 8192, 2), 4096);
	/* One sector behind the end, and beyond a hole. */
	EXPECT(dio_write(&s, 204800 + 512, 512, 3));
	EXPECT_EQ(fst_size(s.cached), 204800 + 1024);
	EXPECT(fst_on_disk(s.cached, 204800 + 512, seen, 512));
	EXPECT_EQ(fst_differs(seen, 512, 204800 + 512, 3), 512);
	/* Into the hole, half a page. */
	EXPECT(dio_write(&s, 131072, 2048, 4));
	/* Over the old end, which no sector's border is. */
	EXPECT(dio_write(&s, 98304, 4096, 5));
	forget_cache(&s);
	EXPECT(fst_check(s.cached, 0, 8192, 1));
	EXPECT(fst_check(s.cached, 98304, 4096, 5));
	EXPECT(fst_check_zero(s.cached, 102400, 131072 - 102400));
	EXPECT(fst_check(s.cached, 131072, 2048, 4));
	EXPECT(fst_check_zero(s.cached, 131072 + 2048, 204800 + 512 - 131072 - 2048));
	EXPECT(fst_check(s.cached, 204800 + 512, 512, 3));
	vfree(seen);
	dio_end(&s);
}

KTEST(dio, writes_what_is_read)
{
	fst_on_each_shape(2 << 20, writes_what_is_read);
}

KTEST(dio, read_ends_at_the_end_and_holes_are_zeros)
{
	struct dio_scene s;

	if (!dio_begin_alone(&s, 1000))
		return;
	forget_cache(&s);
	EXPECT_EQ(vfs_pread(s.direct, s.buf, 4096, 0), 1000);
	EXPECT_EQ(fst_differs(s.buf, 1000, 0, 1), 1000);
	EXPECT_EQ(vfs_pread(s.direct, s.buf, 4096, 512), 488);
	EXPECT_EQ(vfs_pread(s.direct, s.buf, 4096, 1024), 0);
	EXPECT_EQ(vfs_pread(s.direct, s.buf, 4096, 1ul << 40), 0);
	/* As a loop that reads to the end comes to ask: the position is no sector's border. */
	EXPECT_EQ(vfs_read(s.direct, s.buf, 4096), 1000);
	EXPECT_EQ(vfs_read(s.direct, s.buf, 4096), 0);
	EXPECT_EQ(vfs_ftruncate(s.cached, 50000), 0);
	forget_cache(&s);
	memset(s.buf, 7, 8192);
	EXPECT_EQ(vfs_pread(s.direct, s.buf, 8192, 40960), 8192);
	EXPECT(fst_is_zero(s.buf, 8192));
	EXPECT_EQ(s.direct->inode->data.pages.nr, 0);
	dio_end(&s);
}

KTEST(dio, append_goes_to_the_end)
{
	struct dio_scene s;

	if (!dio_begin_alone(&s, 4096))
		return;
	EXPECT_EQ(vfs_set_flags(s.direct, FS_O_DIRECT | FS_O_APPEND), 0);
	fst_fill(s.buf, 8192, 4096, 2);
	EXPECT_EQ(vfs_write(s.direct, s.buf, 8192), 8192);
	EXPECT_EQ(fst_size(s.cached), 12288);
	EXPECT(fst_check(s.cached, 0, 4096, 1));
	EXPECT(fst_check(s.cached, 4096, 8192, 2));
	/* The end is no sector's border: where would it go? */
	EXPECT_EQ(vfs_ftruncate(s.cached, 12289), 0);
	EXPECT_EQ(vfs_write(s.direct, s.buf, 512), -EINVAL);
	EXPECT_EQ(fst_size(s.cached), 12289);
	dio_end(&s);
}

/* The root's disk, whose DMA is real; the host looks at what was left there. */
KTEST(dio, kept_for_the_host_to_read)
{
	struct file *file;
	u8 *buf, *p;
	u64 unit;

	if (!fst_root_is_ext2())
		return;
	vfs_unlink("/kept_direct");
	ASSERT(fst_make("/kept_direct", 300000, 1));
	file = fst_open("/kept_direct", O_RW | FS_O_DIRECT);
	buf = vmalloc(64);
	ASSERT(file && buf);
	unit = file->inode->sb->dev->sector_size;
	p = buf + unit % PAGE_SIZE;
	EXPECT_EQ(vfs_fsync(file, false), 0);
	for (u64 len = unit, pos = 0; len <= 131072; pos += len, len *= 2) {
		EXPECT_EQ(vfs_pread(file, p, len, pos), min(len, 300000 - pos));
		EXPECT_EQ(fst_differs(p, min(len, 300000 - pos), pos, 1), min(len, 300000 - pos));
		fst_fill(p, len / 2 / unit * unit, pos, 2);
		EXPECT_EQ(vfs_pwrite(file, p, len / 2 / unit * unit, pos), len / 2 / unit * unit);
	}
	vfree(buf);
	file_put(file);
	fst_keep("/kept_direct");
}

/* What the map said is not asked again, until blocks may have been freed. */
KTEST(dio, extent_is_forgotten_with_its_blocks)
{
	struct dio_scene s;

	if (!dio_begin_alone(&s, 8192))
		return;
	forget_cache(&s);
	for (u32 i = 0; i < 4; i++)
		EXPECT_EQ(vfs_pread(s.direct, s.buf, 4096, 0), 4096);
	EXPECT_EQ(vfs_ftruncate(s.cached, 0), 0);
	/* Who gets its blocks? */
	EXPECT(fst_make(fst_path(&s.disk, "g"), 8192, 2));
	vfs_sync();
	EXPECT(fst_write(s.cached, 0, 8192, 3));
	vfs_sync();
	drop_all(&s);
	EXPECT_EQ(vfs_pread(s.direct, s.buf, 4096, 0), 4096);
	EXPECT_EQ(fst_differs(s.buf, 4096, 0, 3), 4096);
	EXPECT_EQ(vfs_unlink(fst_path(&s.disk, "g")), 0);
	dio_end(&s);
}

/* ---- bad input ----------------------------------------------------------------------------- */

struct bad_call {
	u64 buf, len, pos; /* @buf: added to the buffer's address */
	s64 read, write;
};

static const struct bad_call bad_calls[] = {
	{ 1, 512, 0, -EINVAL, -EINVAL },
	{ 256, 512, 0, -EINVAL, -EINVAL },
	{ 0, 511, 0, -EINVAL, -EINVAL },
	{ 0, 513, 0, -EINVAL, -EINVAL },
	{ 0, 512, 1, -EINVAL, -EINVAL },
	{ 0, 512, 511, -EINVAL, -EINVAL },
	{ 0, 0, 0, 0, 0 },
	{ 1, 0, 1, 0, 0 },
	{ 0, 512, -512ul, -EINVAL, -EINVAL },
	{ 0, 512, 1ul << 63, -EINVAL, -EINVAL },
	{ 0, 512, (1ul << 63) - 512, 0, -EFBIG },
	{ 0, 512, 1ul << 62, 0, -EFBIG },
};

KTEST(dio, bad_calls_change_nothing)
{
	struct kstat before, after;
	struct dio_scene s;

	if (!dio_begin_alone(&s, 8192))
		return;
	vfs_fstat(s.cached, &before);
	for (u32 i = 0; i < ARRAY_SIZE(bad_calls); i++) {
		const struct bad_call *c = &bad_calls[i];

		EXPECT_EQ(vfs_pread(s.direct, s.buf + c->buf, c->len, c->pos), c->read);
		EXPECT_EQ(vfs_pwrite(s.direct, s.buf + c->buf, c->len, c->pos), c->write);
		if (ktest_failed())
			ktest_note("bad call %u", i);
	}
	vfs_fstat(s.cached, &after);
	EXPECT_EQ(after.size, before.size);
	EXPECT_EQ(after.version, before.version);
	EXPECT(fst_check(s.cached, 0, 8192, 1));
	dio_end(&s);
}

/* Sectors of 4096 bytes: smaller multiples will not do. */
KTEST(dio, alignment_is_the_sectors)
{
	struct dio_scene s;

	if (!dio_begin_sector(&s, 20000, 4096))
		return;
	EXPECT_EQ(vfs_pread(s.direct, s.buf, 512, 0), -EINVAL);
	EXPECT_EQ(vfs_pread(s.direct, s.buf + 512, 4096, 0), -EINVAL);
	EXPECT_EQ(vfs_pread(s.direct, s.buf, 4096, 512), -EINVAL);
	EXPECT_EQ(vfs_pwrite(s.direct, s.buf, 4096, 512), -EINVAL);
	EXPECT_EQ(vfs_pread(s.direct, s.buf, 8192, 16384), 20000 - 16384);
	EXPECT_EQ(fst_differs(s.buf, 20000 - 16384, 16384, 1), 20000 - 16384);
	EXPECT(dio_write(&s, 4096, 8192, 2));
	EXPECT(fst_check(s.cached, 4096, 8192, 2));
	dio_end(&s);
}

/* Where there is no disk below, and for directories. */
KTEST(dio, open_refuses_what_cannot_be)
{
	struct dio_scene s;
	struct file *file;

	if (!dio_begin_alone(&s, 512))
		return;
	EXPECT_EQ(vfs_open(s.disk.path, O_RD | FS_O_DIRECT, 0, &file), -EINVAL);
	file = fst_open(s.disk.path, O_RD);
	EXPECT(file && vfs_set_flags(file, FS_O_DIRECT) == -EINVAL);
	if (file)
		file_put(file);
	EXPECT(fst_mkdir("/t_dio_ram"));
	EXPECT_EQ(vfs_mount("none", "ramfs", "/t_dio_ram"), 0);
	file = fst_open("/t_dio_ram/f", O_RW | FS_O_CREAT);
	if (file)
		file_put(file);
	EXPECT_EQ(vfs_open("/t_dio_ram/f", O_RW | FS_O_DIRECT, 0, &file), -EINVAL);
	EXPECT_EQ(vfs_umount("/t_dio_ram"), 0);
	EXPECT_EQ(vfs_rmdir("/t_dio_ram"), 0);
	EXPECT_EQ(vfs_set_flags(s.direct, 0), 0);
	EXPECT_EQ(vfs_pread(s.direct, s.buf + 1, 11, 3), 11);
	dio_end(&s);
}

KTEST(dio, access_mode_is_kept)
{
	struct dio_scene s;
	struct file *file;

	if (!dio_begin_alone(&s, 4096))
		return;
	file = fst_open(fst_path(&s.disk, "f"), O_RD | FS_O_DIRECT);
	EXPECT(file && vfs_pwrite(file, s.buf, 512, 0) == -EBADF);
	if (file)
		file_put(file);
	file = fst_open(fst_path(&s.disk, "f"), O_WR | FS_O_DIRECT);
	EXPECT(file && vfs_pread(file, s.buf, 512, 0) == -EBADF);
	if (file)
		file_put(file);
	dio_end(&s);
}

/* ---- errors -------------------------------------------------------------------------------- */

/* Up to the part that failed; then it alone is an error. */
KTEST(dio, failing_sectors_cut_the_call_short)
{
	struct dio_scene s;
	sector_t sector;

	if (!dio_begin_alone(&s, 65536))
		return;
	forget_cache(&s);
	ASSERT_EQ(vfs_bmap(s.cached, 32768, &sector), 0);
	for (enum bio_op op = BIO_READ; op <= BIO_WRITE; op++) {
		s64 (*call)(struct file *, void *, size_t, u64) =
			op == BIO_READ ? vfs_pread : (void *)vfs_pwrite;

		fst_fill(s.buf, 65536, 0, 1);
		ramblk_fail(s.disk.dev, op, sector, sector, 1, 1000, -EIO);
		/* The request that failed is not known by the sector. */
		EXPECT(call(s.direct, s.buf, 65536, 0) <= 32768);
		EXPECT_EQ(call(s.direct, s.buf, 32768, 0), 32768);
		EXPECT_EQ(call(s.direct, s.buf + 32768, 4096, 32768), -EIO);
		EXPECT_EQ(call(s.direct, s.buf + 36864, 4096, 36864), 4096);
	}
	ramblk_fail(s.disk.dev, BIO_WRITE, 0, 0, 0, 0, 0);
	EXPECT(fst_check(s.cached, 0, 65536, 1));
	dio_end(&s);
}

/* No memory of the program's is there: nothing is written, nothing changes. */
KTEST(dio, buffers_that_are_not_there)
{
	struct kstat before, after;
	struct dio_scene s;
	u8 *map;

	if (!dio_begin_alone(&s, 65536))
		return;
	vfs_fstat(s.cached, &before);
	map = fst_map(s.cached, 0, 65536, PROT_READ);
	EXPECT_EQ(vfs_pwrite(s.direct, (void *)USER_START, 512, 0), -EFAULT);
	EXPECT_EQ(vfs_pwrite(s.direct, (void *)0, 512, 0), -EFAULT);
	EXPECT_EQ(vfs_pwrite(s.direct, (void *)(USER_END - 512), 512, 0), -EFAULT);
	EXPECT_EQ(vfs_pwrite(s.direct, (void *)(VMAP_END - PAGE_SIZE), 512, 0), -EFAULT);
	EXPECT_EQ(vfs_pread(s.direct, (void *)USER_START, 512, 0), -EFAULT);
	EXPECT_EQ(vfs_pread(s.direct, map, 4096, 0), -EFAULT); /* read-only */
	EXPECT_EQ(vfs_pread(s.direct, (void *)ALIGN_DOWN((u64)bad_calls, 512), 512, 0), -EFAULT);
	/* The first page is there. */
	EXPECT_EQ(mm_munmap(current_thread()->mm, (vaddr_t)map + 4096, 4096), 0);
	vfs_fstat(s.cached, &after);
	EXPECT_EQ(after.version, before.version);
	EXPECT_EQ(vfs_pwrite(s.direct, map, 8192, 32768), 4096);
	fst_unmap(map, 65536);
	EXPECT(fst_check(s.cached, 0, 32768, 1));
	EXPECT(fst_check(s.cached, 36864, 65536 - 36864, 1));
	dio_end(&s);
}

/* ---- durability, times, truncation --------------------------------------------------------- */

KTEST(dio, fsync_flushes_the_device_behind_it)
{
	struct dio_scene s;
	u64 flushes;

	if (!dio_begin_alone(&s, 8192))
		return;
	forget_cache(&s);
	EXPECT(dio_write(&s, 0, 4096, 2));
	flushes = READ_ONCE(s.disk.dev->requests[BIO_FLUSH]);
	EXPECT_EQ(vfs_fsync(s.direct, true), 0);
	EXPECT(READ_ONCE(s.disk.dev->requests[BIO_FLUSH]) > flushes);
	dio_end(&s);
}

KTEST(dio, a_write_moves_times_and_cookie)
{
	struct kstat before, after;
	struct dio_scene s;

	if (!dio_begin_alone(&s, 8192))
		return;
	vfs_fstat(s.cached, &before);
	EXPECT_EQ(vfs_pread(s.direct, s.buf, 4096, 0), 4096);
	vfs_fstat(s.cached, &after);
	EXPECT_EQ(after.version, before.version);
	EXPECT(dio_write(&s, 0, 512, 2));
	vfs_fstat(s.cached, &after);
	EXPECT(after.version > before.version);
	EXPECT(after.mtime.sec > before.mtime.sec || after.mtime.nsec > before.mtime.nsec);
	dio_end(&s);
}

static int truncate_job(void *file)
{
	return vfs_ftruncate(file, 0);
}

static int read_job(void *arg)
{
	struct dio_scene *s = arg;

	return (int)vfs_pread(s->direct, s->buf, 8192, 0);
}

static int write_job(void *arg)
{
	struct dio_scene *s = arg;

	return (int)vfs_pwrite(s->direct, s->buf, 8192, 0);
}

/* Rule 103: no block is freed that a request is under way to. */
KTEST(dio, truncate_waits_for_requests)
{
	static int (*const calls[])(void *) = { read_job, write_job };

	for (u32 i = 0; i < ARRAY_SIZE(calls); i++) {
		struct dio_scene s;
		struct job io, cut;

		if (!dio_begin_alone(&s, 8192))
			return;
		forget_cache(&s);
		ramblk_hold(s.disk.dev, 1u << (i ? BIO_WRITE : BIO_READ), false);
		job_start(&io, 0, NULL, calls[i], &s);
		EXPECT(ramblk_wait_held(s.disk.dev, 1));
		job_start(&cut, 1, NULL, truncate_job, s.cached);
		EXPECT(job_settles(&cut));
		EXPECT(s.cached->inode->blocks);
		ramblk_unhold(s.disk.dev);
		EXPECT_EQ(job_end(&io), 8192);
		EXPECT_EQ(job_end(&cut), 0);
		EXPECT_EQ(fst_size(s.cached), 0);
		dio_end(&s);
	}
}

/* Two writers of blocks that exist are under way at once; one that makes the file longer waits. */
KTEST(dio, overwrites_share)
{
	struct job a, b;
	struct dio_scene s;

	if (!dio_begin_alone(&s, 16384))
		return;
	forget_cache(&s);
	ramblk_hold(s.disk.dev, 1u << BIO_WRITE, false);
	job_start(&a, 0, NULL, write_job, &s);
	EXPECT(ramblk_wait_held(s.disk.dev, 1));
	job_start(&b, 1, NULL, write_job, &s);
	EXPECT(ramblk_wait_held(s.disk.dev, 2));
	ramblk_unhold(s.disk.dev);
	EXPECT_EQ(job_end(&a), 8192);
	EXPECT_EQ(job_end(&b), 8192);
	dio_end(&s);
}
