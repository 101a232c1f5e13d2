/* SPDX-License-Identifier: MIT */
/*
 * test_alloc.c - alloc=: room that is put aside for stores into holes is put aside exactly, and
 * comes back (rules 94 to 97; seeds P10, P15).
 */
#include "kernel/core/stat.h"
#include "kernel/lib/falloc.h"
#include "tests/fs/alloc_test.h"

#define MIB (1ul << 20)

/* Pointers of an indirect block; and the first block of the file behind the first tree, and behind
 * the second. */
static u64 ptrs(const struct fst_disk *d)
{
	return d->block_size / 4;
}

static u64 second(const struct fst_disk *d)
{
	return 12 + ptrs(d);
}

static u64 third(const struct fst_disk *d)
{
	return second(d) + ptrs(d) * ptrs(d);
}

/* --- what a store puts aside --- */

static void write_block(const struct fst_disk *d, struct file *file, u64 lblock, u64 takes)
{
	u64 before = alloc_free(d);

	EXPECT_EQ(vfs_pwrite(file, "x", 1, lblock * d->block_size), 1);
	EXPECT_EQ(before - alloc_free(d), takes);
	alloc_audit(d);
}

/* rule 95: the block, and those tables on the way to it that are missing and not put aside. */
static void tables_are_counted_once(struct fst_disk *d)
{
	u64 start = alloc_free(d), st_blocks;
	struct file *file = alloc_sparse(d, "f", third(d) + 4 * ptrs(d) * ptrs(d));

	if (!file)
		return;
	write_block(d, file, 0, 1);
	write_block(d, file, 0, 0);
	write_block(d, file, 12, 2);
	write_block(d, file, second(d) - 1, 1);
	write_block(d, file, second(d), 3);
	write_block(d, file, second(d) + 1, 1);
	write_block(d, file, second(d) + 5 * ptrs(d), 2);
	write_block(d, file, third(d), 4);
	write_block(d, file, third(d) + ptrs(d), 2);
	write_block(d, file, third(d) + 2 * ptrs(d) * ptrs(d), 3);
	EXPECT_EQ(alloc_reserved(d), start - alloc_free(d));
	/* What stat() says does not depend on when the blocks are found. */
	st_blocks = fst_stat(fst_path(d, "f")).blocks;
	EXPECT_EQ(st_blocks, (start - alloc_free(d)) * d->block_size / 512);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT_EQ(fst_stat(fst_path(d, "f")).blocks, st_blocks);
	EXPECT_EQ(alloc_reserved(d), 0);
	EXPECT_EQ(st_blocks, (start - alloc_free(d)) * d->block_size / 512);
	/* Now the tables are there. */
	write_block(d, file, second(d) + 2, 1);
	write_block(d, file, third(d) + 2 * ptrs(d) * ptrs(d) + 1, 1);
	EXPECT_EQ(vfs_ftruncate(file, 0), 0);
	EXPECT_EQ(alloc_free(d), start);
	file_put(file);
}

KTEST(alloc, r95_tables_are_put_aside_once)
{
	alloc_on_each_shape("reserve", 1 * MIB, tables_are_counted_once);
}

/* rule 95: given back when nobody stores to it any more, tables with the last block below them. */
static void truncate_gives_back(struct fst_disk *d)
{
	u64 start = alloc_free(d), far = second(d) + 3 * ptrs(d);
	struct file *file = alloc_sparse(d, "f", far + 64);

	if (!file)
		return;
	write_block(d, file, 3, 1);
	write_block(d, file, far, 3);
	write_block(d, file, far + 1, 1);
	EXPECT_EQ(vfs_ftruncate(file, (far + 1) * d->block_size), 0);
	EXPECT_EQ(start - alloc_free(d), 4);
	alloc_audit(d);
	EXPECT_EQ(vfs_ftruncate(file, far * d->block_size), 0);
	EXPECT_EQ(start - alloc_free(d), 1);
	alloc_audit(d);
	EXPECT_EQ(vfs_ftruncate(file, (far + 1) * d->block_size), 0);
	write_block(d, file, far, 3);
	file_put(file);
	/* Nor when the file is removed before it was written. */
	EXPECT_EQ(vfs_unlink(fst_path(d, "f")), 0);
	EXPECT_EQ(alloc_free(d), start);
}

KTEST(alloc, r95_truncate_gives_back)
{
	alloc_on_each_shape("reserve", 1 * MIB, truncate_gives_back);
}

static int punch(const struct fst_disk *d, struct file *file, u64 lblock)
{
	return vfs_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     (s64)(lblock * d->block_size), d->block_size);
}

/* rule 95: a table whose last pointer goes is freed; what is delayed below it needs it again. */
static void freed_table_is_owed(struct fst_disk *d)
{
	u64 start = alloc_free(d), far = second(d) + ptrs(d);
	struct file *file = alloc_sparse(d, "f", far + 16);

	if (!file)
		return;
	write_block(d, file, far + 8, 3);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	write_block(d, file, far, 1);
	EXPECT_EQ(punch(d, file, far + 8), 0);
	EXPECT_EQ(start - alloc_free(d), 3);
	EXPECT_EQ(alloc_reserved(d), 3);
	alloc_audit(d);
	/* The same where the file's end cuts it off. */
	write_block(d, file, far + 8, 1);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT_EQ(punch(d, file, far), 0);
	write_block(d, file, far, 1);
	EXPECT_EQ(vfs_ftruncate(file, (far + 1) * d->block_size), 0);
	EXPECT_EQ(alloc_reserved(d), 3);
	alloc_audit(d);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT_EQ(punch(d, file, far), 0);
	EXPECT_EQ(alloc_free(d), start);
	file_put(file);
}

KTEST(alloc, r95_freed_table_is_put_aside_again)
{
	alloc_on_each_shape("reserve", 1 * MIB, freed_table_is_owed);
}

/* Room had ahead takes nothing from stores that were let pass, and counts theirs once. */
static void fallocate_beside_promises(struct fst_disk *d)
{
	u64 per_page = PAGE_SIZE / d->block_size;
	struct file *file = alloc_sparse(d, "f", 40 * per_page);

	if (!file)
		return;
	alloc_fill(d, "filler", 20 * per_page + 1);
	EXPECT(fst_write(file, 0, 10 * PAGE_SIZE, 1));
	EXPECT_EQ(vfs_fallocate(file, 0, 10 * PAGE_SIZE, 20 * PAGE_SIZE), -ENOSPC);
	EXPECT_EQ(vfs_fallocate(file, 0, 0, 20 * PAGE_SIZE), 0);
	EXPECT_EQ(alloc_reserved(d), 0);
	alloc_audit(d);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT(fst_check(file, 0, 10 * PAGE_SIZE, 1));
	EXPECT(fst_check_zero(file, 10 * PAGE_SIZE, 10 * PAGE_SIZE));
	file_put(file);
}

KTEST(alloc, r95_fallocate_beside_promises)
{
	alloc_on_each_shape("reserve", 1 * MIB, fallocate_beside_promises);
}

/* rule 97: nothing is put aside for blocks that exist. */
static void overwriting_a_full_disk(struct fst_disk *d)
{
	struct file *file = alloc_sparse(d, "f", 40);
	u8 *p = NULL, c;

	if (!file)
		return;
	EXPECT(fst_write(file, 0, 40 * d->block_size, 1));
	EXPECT_EQ(vfs_fsync(file, false), 0);
	alloc_fill(d, "filler", 0);
	p = fst_map(file, 0, 40 * d->block_size, PROT_READ | PROT_WRITE);
	for (u64 i = 0; p && i < 40; i++)
		EXPECT(fst_store(p + i * d->block_size, (u8)(i + 1)));
	EXPECT_EQ(vfs_pwrite(file, "xyz", 3, d->block_size - 1), 3);
	EXPECT_EQ(alloc_reserved(d), 0);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT(fst_on_disk(file, 39 * d->block_size, &c, 1) && c == 40);
	if (p)
		fst_unmap(p, 40 * d->block_size);
	file_put(file);
}

KTEST(alloc, r97_existing_blocks_are_overwritten_on_a_full_disk)
{
	alloc_on_each_shape("reserve", 1 * MIB, overwriting_a_full_disk);
	alloc_on_each_shape("fault", 1 * MIB, overwriting_a_full_disk);
	alloc_on_each_shape("writeback", 1 * MIB, overwriting_a_full_disk);
}

/* --- a store that is let pass has its room, whoever else wants it --- */

/* rule 94: one page after the other until it is refused; all that was let pass is on the disk, and
 * the disk is full to the last block. */
static void every_block_can_be_had(struct fst_disk *d)
{
	u64 per_page = PAGE_SIZE / d->block_size, pages = 80, stored = 0;
	struct file *file = alloc_sparse(d, "f", pages * per_page), *other;
	u8 *p, c = 0;

	if (!file)
		return;
	/* 30 pages, and the table behind the first 12 blocks. */
	alloc_fill(d, "filler", 30 * per_page + 1);
	p = fst_map(file, 0, pages * PAGE_SIZE, PROT_READ | PROT_WRITE);
	while (p && stored < 30 && fst_store(p + stored * PAGE_SIZE + 7, (u8)(stored + 1)))
		stored++;
	EXPECT_EQ(stored, 30);
	EXPECT_EQ(alloc_free(d), 0);
	EXPECT_EQ(alloc_reserved(d), 30 * per_page + 1);
	/* Names and others' writes do not get it. */
	EXPECT_EQ(vfs_mkdir(fst_path(d, "dir"), 0755), -ENOSPC);
	other = alloc_sparse(d, "other", 1);
	EXPECT_EQ(args_set("alloc", "fault"), 0);
	EXPECT(other && vfs_pwrite(other, "x", 1, 0) == -ENOSPC);
	EXPECT_EQ(args_set("alloc", "reserve"), 0);
	EXPECT(other && vfs_pwrite(other, "x", 1, 0) == -ENOSPC);
	EXPECT(p && !fst_store(p + stored * PAGE_SIZE, 1));
	alloc_audit(d);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	for (u64 i = 0; i < stored; i++)
		EXPECT(fst_on_disk(file, i * PAGE_SIZE + 7, &c, 1) && c == (u8)(i + 1));
	EXPECT_EQ(alloc_reserved(d), 0);
	EXPECT_EQ(ext2_sb(file->inode->sb)->free_blocks, 0);
	if (p)
		fst_unmap(p, pages * PAGE_SIZE);
	if (other)
		file_put(other);
	file_put(file);
}

KTEST(alloc, r94_what_is_let_pass_has_its_room)
{
	alloc_on_each_shape("reserve", 1 * MIB, every_block_can_be_had);
}

/* Blocks in a page are put aside one by one. */
KTEST(alloc, parts_of_a_page)
{
	struct fst_disk d;
	struct file *file;
	u8 *p, c = 0;

	if (!fst_disk_make(&d, "t_alloc", 1 * MIB, 1024, 256))
		return;
	file = alloc_sparse(&d, "f", 4);
	ASSERT(file);
	EXPECT_EQ(vfs_ftruncate(file, 2500), 0);
	write_block(&d, file, 1, 1);
	p = fst_map(file, 0, PAGE_SIZE, PROT_READ | PROT_WRITE);
	EXPECT(p && fst_store(p + 2499, 'a')); /* all that EOF lets in: 3 blocks */
	EXPECT_EQ(alloc_reserved(&d), 3);
	/* rule 101: more of the page is inside EOF now, and the next store asks again. */
	EXPECT_EQ(vfs_ftruncate(file, 4096), 0);
	EXPECT_EQ(alloc_reserved(&d), 3);
	EXPECT(p && fst_store(p + 4095, 'b'));
	EXPECT_EQ(alloc_reserved(&d), 4);
	alloc_audit(&d);
	EXPECT_EQ(vfs_ftruncate(file, 1025), 0);
	EXPECT_EQ(alloc_reserved(&d), 2);
	alloc_audit(&d);
	EXPECT(p && fst_store(p + 1024, 'c'));
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT(fst_on_disk(file, 1024, &c, 1) && c == 'c');
	EXPECT_EQ(fst_stat(fst_path(&d, "f")).blocks, 4);
	if (p)
		fst_unmap(p, PAGE_SIZE);
	file_put(file);
	fst_disk_end(&d, FST_SOUND);
}

/* A file that is stored to in order through a mapping lies in one piece, whatever its blocks'
 * tables are. */
static void one_extent(struct fst_disk *d)
{
	struct file *file = alloc_sparse(d, "f", 2 * MIB / d->block_size);
	u64 block, last = 0, runs = 0;
	u8 *p = NULL;

	if (file)
		p = fst_map(file, 0, 2 * MIB, PROT_READ | PROT_WRITE);
	if (p) {
		for (u64 i = 0; i < 2 * MIB; i += PAGE_SIZE)
			EXPECT(fst_store(p + i, 1));
		EXPECT_EQ(fst_msync(p, 2 * MIB), 0);
		for (u64 i = 0; i < 2 * MIB / d->block_size; i++, last = block) {
			EXPECT_EQ(file->inode->ops->bmap(file->inode, i, &block), 0);
			runs += block != last + 1;
		}
		EXPECT_EQ(runs, 1);
		fst_unmap(p, 2 * MIB);
	}
	if (file)
		file_put(file);
}

KTEST(alloc, mapped_file_lies_in_one_piece)
{
	alloc_on_each_shape("reserve", 4 * MIB, one_extent);
	alloc_on_each_shape("writeback", 4 * MIB, one_extent);
}
