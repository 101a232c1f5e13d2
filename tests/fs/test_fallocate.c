/* SPDX-License-Identifier: MIT */
/*
 * test_fallocate.c - room, holes and zeros in the middle of a file: what is seen, what is on the
 * disk, what is refused (rules 98, 103, 104).
 */
#include <fcntl.h>

#include "kernel/core/stat.h"
#include "kernel/lib/falloc.h"
#include "kernel/mm/vmap.h"
#include "tests/fs/fs_test.h"
#include "tests/util.h"

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO  FALLOC_FL_ZERO_RANGE
#define KEEP  FALLOC_FL_KEEP_SIZE
#define MIB   (1ul << 20)

/* --- any of them after any other, beside a model that is an array of bytes --- */

#define PAGES 100
#define BYTES (PAGES * PAGE_SIZE)

struct model {
	struct fst_disk *d;
	struct file *file;
	u8 *map;   /* all BYTES of it */
	u8 *bytes; /* what it holds; zeros behind its end */
	u8 *seen;
	u64 size, seed;
};

static u64 draw(struct model *m, u64 below)
{
	return (ktest_rand(&m->seed) >> 11) % below;
}

static void model_open(struct model *m)
{
	m->file = fst_open(fst_path(m->d, "f"), O_RW | FS_O_CREAT);
	m->map = m->file ? fst_map(m->file, 0, BYTES, PROT_READ | PROT_WRITE) : NULL;
}

static void model_close(struct model *m)
{
	if (m->map)
		fst_unmap(m->map, BYTES);
	if (m->file)
		file_put(m->file);
	m->file = NULL;
	m->map = NULL;
}

static void model_compare(struct model *m, const char *after)
{
	EXPECT_EQ(fst_size(m->file), m->size);
	EXPECT_EQ(vfs_pread(m->file, m->seen, BYTES, 0), m->size);
	for (u64 i = 0; i < m->size; i++) {
		if (m->seen[i] == m->bytes[i])
			continue;
		ktest_fail(__FILE__, __LINE__, "after %s: byte %lu is %u, not %u", after,
			   (unsigned long)i, m->seen[i], m->bytes[i]);
		return;
	}
}

static void model_fallocate(struct model *m, int mode, u64 at, u64 len)
{
	u64 end = at + len;
	int err = vfs_fallocate(m->file, mode, (s64)at, (s64)len);

	if (mode & KEEP && !(mode & FALLOC_FL_PUNCH_HOLE) &&
	    end > ALIGN_UP(m->size, m->d->block_size)) {
		EXPECT_EQ(err, -EOPNOTSUPP);
		return;
	}
	EXPECT_EQ(err, 0);
	if (mode & (FALLOC_FL_PUNCH_HOLE | ZERO) && at < m->size)
		memset(m->bytes + at, 0, min(end, m->size) - at);
	if (!(mode & KEEP))
		m->size = max(m->size, end);
}

static const char *any_step(struct model *m)
{
	u64 at = draw(m, BYTES - 1), len = 1 + draw(m, min(BYTES - at, 1ul << draw(m, 18)));
	static const int modes[] = { 0, KEEP, PUNCH, PUNCH, ZERO, ZERO | KEEP };

	/* Half of them lie on borders. */
	if (draw(m, 2)) {
		at &= ~((u64)m->d->block_size - 1);
		len = min(ALIGN_UP(len, (u64)m->d->block_size), BYTES - at);
	}
	switch (draw(m, 8)) {
	case 0:
		at = min(at, m->size);
		fst_fill(m->bytes + at, len, at, m->seed);
		EXPECT_EQ(vfs_pwrite(m->file, m->bytes + at, len, at), len);
		m->size = max(m->size, at + len);
		return "write";
	case 1:
		EXPECT_EQ(vfs_ftruncate(m->file, at), 0);
		if (at < m->size)
			memset(m->bytes + at, 0, m->size - at);
		m->size = at;
		return "truncate";
	case 2:
	case 3:
		for (u64 i = at; i < at + len; i += 1 + draw(m, 700)) {
			bool there = i < PAGE_ALIGN(m->size);

			EXPECT_EQ(fst_store(m->map + i, (u8)(m->seed >> 20)), there);
			if (i < m->size)
				m->bytes[i] = (u8)(m->seed >> 20);
		}
		return "stores";
	case 4: EXPECT_EQ(vfs_fsync(m->file, draw(m, 2)), 0); return "fsync";
	}
	model_fallocate(m, modes[draw(m, ARRAY_SIZE(modes))], at, len);
	return "fallocate";
}

static void any_after_any(struct fst_disk *d)
{
	struct model m = { .d = d, .seed = 1000 + d->block_size };
	u64 free = fst_free_blocks(d->path);

	m.bytes = vmalloc(PAGES);
	m.seen = vmalloc(PAGES);
	memset(m.bytes, 0, BYTES);
	for (u32 round = 0; round < 6 && !ktest_failed(); round++) {
		model_open(&m);
		for (u32 i = 0; m.map && i < 60 && !ktest_failed(); i++) {
			const char *after = any_step(&m);

			model_compare(&m, after);
		}
		model_close(&m);
		fst_disk_check(d);
		model_open(&m);
		if (m.map)
			model_compare(&m, "mounting it again");
		model_close(&m);
	}
	EXPECT_EQ(vfs_unlink(fst_path(d, "f")), 0);
	EXPECT_EQ(fst_free_blocks(d->path), free);
	vfree(m.bytes);
	vfree(m.seen);
}

KTEST(fallocate, any_step_after_any_other)
{
	fst_on_each_shape(4 * MIB, any_after_any);
}

/* --- what is there afterwards --- */

/* All that is free held something else before. */
static void soil(struct fst_disk *d)
{
	struct file *file = fst_open(fst_path(d, "soil"), O_RW | FS_O_CREAT);
	u8 *junk = vmalloc(16);
	u64 pos = 0;

	memset(junk, 0xaa, 16 * PAGE_SIZE);
	while (file && vfs_pwrite(file, junk, 16 * PAGE_SIZE, pos) > 0)
		pos += 16 * PAGE_SIZE;
	vfree(junk);
	if (file) {
		EXPECT_EQ(vfs_fsync(file, false), 0);
		file_put(file);
	}
	EXPECT_EQ(vfs_unlink(fst_path(d, "soil")), 0);
}

/* The platter itself, without a sync: what a power cut now would leave. */
static bool zero_on_disk(struct file *file, u64 pos, u64 end)
{
	u8 sector[SECTOR_SIZE];

	for (; pos < end; pos += SECTOR_SIZE)
		if (!fst_on_disk(file, pos, sector, sizeof(sector)) ||
		    !fst_is_zero(sector, sizeof(sector)))
			return false;
	return true;
}

/* Rule 104: the blocks are zeros when the file has them, not when they are written back. */
static void room_is_zeros(struct fst_disk *d)
{
	struct file *file;
	struct stats a, b;

	soil(d);
	for (u32 by_hand = 0; by_hand < 2; by_hand++) {
		u64 free = fst_free_blocks(d->path);

		d->dev->can_write_zeroes = !by_hand;
		file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);
		stats_snapshot(&a);
		EXPECT_EQ(vfs_fallocate(file, 0, 0, 300000), 0);
		stats_snapshot(&b);
		EXPECT_EQ(fst_size(file), 300000);
		EXPECT_EQ(file->inode->data.pages.nr, 0);
		EXPECT_EQ(b.v[STAT_BLOCKS_ZEROED] - a.v[STAT_BLOCKS_ZEROED],
			  DIV_ROUND_UP(300000, d->block_size));
		EXPECT(zero_on_disk(file, 0, ALIGN_UP(300000ul, d->block_size)));
		EXPECT(fst_check_zero(file, 0, 300000));
		EXPECT((free - fst_free_blocks(d->path)) * d->block_size / 512 >=
		       fst_stat(fst_path(d, "f")).blocks);
		/* A second time there is nothing to do. */
		stats_snapshot(&a);
		EXPECT_EQ(vfs_fallocate(file, 0, 0, 300000), 0);
		stats_snapshot(&b);
		EXPECT_EQ(b.v[STAT_BLOCKS_ALLOCATED], a.v[STAT_BLOCKS_ALLOCATED]);
		file_put(file);
		fst_disk_check(d);
		EXPECT_EQ(vfs_unlink(fst_path(d, "f")), 0);
		EXPECT_EQ(fst_free_blocks(d->path), free);
	}
	d->dev->can_write_zeroes = true;
}

KTEST(fallocate, room_is_zeros_on_the_disk)
{
	fst_on_each_shape(2 * MIB, room_is_zeros);
}

/* The zeros, or the flush behind them, fail: the file has no block that it had not. */
static void zeros_fail(struct fst_disk *d)
{
	struct file *file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);
	static const enum bio_op ops[] = { BIO_WRITE_ZEROES, BIO_FLUSH };
	u64 free;

	EXPECT(file && fst_write(file, 0, 5000, 1));
	free = fst_free_blocks(d->path);
	for (u32 i = 0; file && i < ARRAY_SIZE(ops); i++) {
		ramblk_fail(d->dev, ops[i], 0, ~0ul, 1, 1, -EIO);
		EXPECT_EQ(vfs_fallocate(file, 0, 0, 200000), -EIO);
		ramblk_fail(d->dev, ops[i], 0, 0, 0, 0, 0);
		EXPECT_EQ(fst_size(file), 5000);
		EXPECT(fst_check(file, 0, 5000, 1));
		EXPECT_EQ(fst_free_blocks(d->path), free);
	}
	if (file)
		file_put(file);
}

KTEST(fallocate, failed_zeros_are_not_in_the_file)
{
	fst_on_each_shape(2 * MIB, zeros_fail);
}

/* -ENOSPC for one block too much, indirect blocks counted, and nothing changed; then for exactly
 * what there is. */
static void to_the_last_block(struct fst_disk *d)
{
	struct file *file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);
	u64 free, lo = 0, hi, bs = d->block_size;

	EXPECT(file && fst_write(file, 3 * bs, 10, 1));
	free = fst_free_blocks(d->path);
	hi = free + 8;
	while (file && lo + 1 < hi) { /* the most data blocks that fit, by halves */
		u64 mid = (lo + hi) / 2;
		int err = vfs_fallocate(file, 0, 0, (s64)(mid * bs));

		if (err) {
			EXPECT_EQ(err, -ENOSPC);
			EXPECT_EQ(fst_free_blocks(d->path), free);
			EXPECT_EQ(fst_size(file), 3 * bs + 10);
			hi = mid;
		} else {
			lo = mid;
			EXPECT_EQ(vfs_ftruncate(file, 3 * bs + 10), 0);
			EXPECT_EQ(vfs_fallocate(file, PUNCH, 0, (s64)(3 * bs)), 0);
			EXPECT_EQ(fst_free_blocks(d->path), free);
		}
	}
	EXPECT_EQ(vfs_fallocate(file, 0, 0, (s64)(lo * bs)), 0);
	/* One that is left may be too few for a block and the table that leads to it. */
	EXPECT(fst_free_blocks(d->path) <= 2);
	EXPECT(fst_check(file, 3 * bs, 10, 1));
	if (file)
		file_put(file);
}

KTEST(fallocate, takes_the_last_block_and_not_one_more)
{
	fst_on_each_shape(2 * MIB, to_the_last_block);
}

/* --- what is refused, and changes nothing --- */

KTEST(fallocate, errors_of_the_manual)
{
	static const struct {
		int mode;
		s64 at, len;
		int err;
	} bad[] = {
		{ 0, -1, 4096, -EINVAL },
		{ 0, INT64_MIN, 1, -EINVAL },
		{ 0, 0, 0, -EINVAL },
		{ 0, 0, -1, -EINVAL },
		{ PUNCH, 0, INT64_MIN, -EINVAL },
		{ ZERO, -4096, 8192, -EINVAL },
		{ 0, INT64_MAX, 1, -EFBIG },
		{ PUNCH, 1, INT64_MAX, -EFBIG },
		{ ZERO, INT64_MAX, INT64_MAX, -EFBIG },
		{ 0, 0, INT64_MAX, -EFBIG },
		{ FALLOC_FL_PUNCH_HOLE, 0, 4096, -EOPNOTSUPP },
		{ PUNCH | ZERO, 0, 4096, -EOPNOTSUPP },
		{ FALLOC_FL_COLLAPSE_RANGE, 0, 4096, -EOPNOTSUPP },
		{ FALLOC_FL_INSERT_RANGE, 0, 4096, -EOPNOTSUPP },
		{ 0x40, 0, 4096, -EOPNOTSUPP },
		{ -1, 0, 4096, -EOPNOTSUPP },
		{ -1, 0, 0, -EINVAL },
		{ KEEP, 0, 1 << 20, -EOPNOTSUPP }, /* behind EOF */
		{ 0, 0, 1l << 33, -ENOSPC },
		{ ZERO, 0, 1l << 33, -ENOSPC },
	};
	struct kstat before, after;
	struct file *file, *reader;

	if (!fst_root_is_ext2() || !fst_mkdir("/t_falloc"))
		return;
	file = fst_open("/t_falloc/f", O_RW | FS_O_CREAT);
	ASSERT(file);
	EXPECT(fst_write(file, 0, 10000, 1));
	before = fst_stat("/t_falloc/f");
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(vfs_fallocate(file, bad[i].mode, bad[i].at, bad[i].len), bad[i].err);
		after = fst_stat("/t_falloc/f");
		EXPECT_EQ(memcmp(&before, &after, sizeof(after)), 0);
		if (ktest_failed())
			ktest_note("line %u of the table", i);
	}
	reader = fst_open("/t_falloc/f", O_RD);
	EXPECT_EQ(vfs_fallocate(reader, PUNCH, 0, 4096), -EBADF);
	EXPECT_EQ(vfs_fallocate(reader, 0x40, 0, 4096), -EOPNOTSUPP);
	file_put(reader);
	reader = fst_open("/t_falloc", O_RD);
	EXPECT_EQ(vfs_fallocate(reader, 0, 0, 4096), -EBADF);
	file_put(reader);
	EXPECT(fst_check(file, 0, 10000, 1));
	file_put(file);
	fst_remove("/t_falloc");
}

/* ftruncate(2): the same ones, and -EINVAL where nothing can be stored. */
KTEST(fallocate, errors_of_ftruncate)
{
	static const struct {
		u64 size;
		int err;
	} bad[] = {
		{ (u64)INT64_MAX + 1, -EINVAL },
		{ ~0ul, -EINVAL },
		{ INT64_MAX, -EFBIG },
		{ 1ul << 50, -EFBIG },
	};
	struct kstat before, after;
	struct file *file, *reader;

	if (!fst_root_is_ext2() || !fst_mkdir("/t_falloc"))
		return;
	file = fst_open("/t_falloc/f", O_RW | FS_O_CREAT);
	ASSERT(file);
	EXPECT(fst_write(file, 0, 10000, 1));
	before = fst_stat("/t_falloc/f");
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(vfs_ftruncate(file, bad[i].size), bad[i].err);
	reader = fst_open("/t_falloc/f", O_RD);
	EXPECT_EQ(vfs_ftruncate(reader, 5), -EINVAL);
	file_put(reader);
	reader = fst_open("/t_falloc", O_RD);
	EXPECT_EQ(vfs_ftruncate(reader, 5), -EINVAL);
	file_put(reader);
	after = fst_stat("/t_falloc/f");
	EXPECT_EQ(memcmp(&before, &after, sizeof(after)), 0);
	file_put(file);
	fst_remove("/t_falloc");
}

/* What a program calls: errno, or the error itself. */
KTEST(fallocate, errors_of_descriptors)
{
	static const struct {
		int fd, err;
	} bad[] = { { -1, EBADF }, { 1 << 30, EBADF }, { 1, ENODEV } };

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		errno = 0;
		EXPECT_EQ(posix_fallocate(bad[i].fd, 0, 1), bad[i].err);
		EXPECT_EQ(errno, 0);
		EXPECT_EQ(fallocate(bad[i].fd, 0, 0, 1), -1);
		EXPECT_EQ(errno, bad[i].err);
	}
}
