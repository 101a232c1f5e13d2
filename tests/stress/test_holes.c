/* SPDX-License-Identifier: MIT */
/*
 * test_holes.c - a block that was found for a store which then did not come, or not whole.
 *
 * Such a block lies inside the file and holds what its last owner left there. Whoever reads the
 * file from the disk next would see it (I5); so it must have been overwritten by the next sync, or
 * given back. The disk here is one on which every free block holds JUNK.
 */
#include "arch/x86_64/uaccess.h"
#include "kernel/core/args.h"
#include "kernel/core/sched.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/mmap.h"
#include "tests/fs/fs_test.h"
#include "tests/util.h"

#define DISK_BYTES (1UL << 20)
#define JUNK	   0x4a554e4b4a554e4bUL

/* A file that fills the disk with JUNK, but for @spare bytes. NULL: the test has failed. */
static struct file *fill_with_junk(const struct fst_disk *d, u64 spare)
{
	struct file *file = fst_open(fst_path(d, "junk"), O_RW | FS_O_CREAT);
	u64 *buf = kmalloc(PAGE_SIZE), pos = 0, size;
	s64 n;

	EXPECT(file && buf);
	if (!file || !buf)
		goto out;
	for (u64 i = 0; i < PAGE_SIZE / 8; i++)
		buf[i] = JUNK;
	while ((n = vfs_pwrite(file, buf, PAGE_SIZE, pos)) > 0)
		pos += (u64)n;
	EXPECT_EQ(n, -ENOSPC);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	size = pos > spare ? pos - spare : 0;
	EXPECT_EQ(vfs_ftruncate(file, size), 0);
	EXPECT_EQ(vfs_sync(), 0);
out:
	kfree(buf);
	return file;
}

/* A page-sized hole in a file of its own; free blocks hold junk. */
static struct file *make_hole(const struct fst_disk *d, u64 spare)
{
	struct file *junk = fill_with_junk(d, spare), *file;

	if (!junk)
		return NULL;
	file_put(junk);
	file = fst_open(fst_path(d, "hole"), O_RW | FS_O_CREAT);
	if (file)
		EXPECT_EQ(vfs_ftruncate(file, PAGE_SIZE), 0);
	return file;
}

/* Of the page on the disk, words that are not zero; holes are. */
static unsigned int words_on_disk(struct file *file)
{
	struct super_block *sb = file->inode->sb;
	u64 *buf = kzalloc(PAGE_SIZE);
	unsigned int words = 0;

	EXPECT(buf);
	for (u32 at = 0; buf && at < PAGE_SIZE; at += sb->block_size) {
		sector_t sector;

		EXPECT_EQ(vfs_bmap(file, at, &sector), 0);
		if (sector)
			EXPECT_EQ(blkdev_rw(sb->dev, BIO_READ, sector, (u8 *)buf + at,
					    sb->block_size),
				  0);
	}
	for (u64 i = 0; buf && i < PAGE_SIZE / 8; i++)
		words += buf[i] != 0;
	kfree(buf);
	return words;
}

/* --- a page that may be stored to, and is not --- */

static enum policy_map always_writable(const struct policy_page *page)
{
	return POLICY_MAP_WRITABLE;
}

static enum policy_grant nobody_stored(const struct policy_page *page)
{
	return POLICY_GRANT_CLEAN;
}

static const struct dirty_policy eager = {
	.name = "eager",
	.summary = "of tests: pages are writable before anybody stores",
	.on_read_fault = always_writable,
	.on_write_fault = nobody_stored,
};

struct reader {
	struct mm *mm;
	vaddr_t va;
};

static int load_it(void *arg)
{
	u64 word = 1;

	return probe_load8((void *)((struct reader *)arg)->va, &word) ? -1 : (int)word;
}

static void read_hole(struct file *file)
{
	struct reader r = { .mm = mm_create() };
	struct thread *t;

	ASSERT(r.mm);
	WRITE_ONCE(file->inode->data.policy, &eager);
	EXPECT_EQ(vfs_mmap(r.mm, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0, &r.va),
		  0);
	t = thread_create("reader", CPU_ANY, r.mm, &r.mm->pgt, load_it, &r);
	if (t)
		EXPECT_EQ(thread_join(t), 0);
	mm_put(r.mm);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT_EQ(words_on_disk(file), 0);
	WRITE_ONCE(file->inode->data.policy, NULL);
}

static void with_hole_as(const char *alloc, u32 block_size, u64 spare,
			 void (*body)(struct file *file))
{
	struct fst_disk d;
	struct file *file;

	if (!fst_disk_make(&d, "holes", DISK_BYTES, block_size, 128))
		return;
	EXPECT_EQ(args_set("alloc", alloc), 0);
	file = make_hole(&d, spare);
	if (file) {
		body(file);
		file_put(file);
	}
	EXPECT_EQ(args_set("alloc", "reserve"), 0);
	fst_disk_end(&d, FST_SOUND);
}

/* Under alloc=reserve no block is found in the first place, and none must be. */
static void with_hole(u32 block_size, u64 spare, void (*body)(struct file *file))
{
	with_hole_as("reserve", block_size, spare, body);
	with_hole_as("fault", block_size, spare, body);
}

KTEST(holes, block_found_for_a_page_that_nobody_stored_to_is_overwritten)
{
	with_hole(4096, 64 << 10, read_hole);
	with_hole(1024, 64 << 10, read_hole);
}

/* --- a write() whose source goes away in the middle --- */

struct writer {
	struct file *file;
	struct mm *mm;
	vaddr_t source;
};

static int write_it(void *arg)
{
	struct writer *w = arg;
	u64 word;

	/* There when the write begins. */
	EXPECT_EQ(probe_load8((void *)w->source, &word), 0);
	return (int)vfs_pwrite(w->file, (void *)w->source, PAGE_SIZE, 0);
}

static void write_from_nowhere(struct file *file)
{
	struct writer w = { .file = file, .mm = mm_create() };
	struct thread *t;
	struct gate g;

	ASSERT(w.mm);
	EXPECT_EQ(mm_mmap(w.mm, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  NULL, 0, &w.source),
		  0);
	gate_arm(&g, "write_page_locked", NULL);
	t = thread_create("writer", CPU_ANY, w.mm, &w.mm->pgt, write_it, &w);
	ASSERT(t);
	gate_wait(&g); /* it has found blocks, and is about to copy */
	EXPECT_EQ(mm_munmap(w.mm, w.source, PAGE_SIZE), 0);
	gate_open(&g);
	EXPECT_EQ(thread_join(t), -EFAULT);
	gate_disarm(&g);
	mm_put(w.mm);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT_EQ(words_on_disk(file), 0);
	EXPECT(fst_check_zero(file, 0, PAGE_SIZE));
}

KTEST(holes, block_found_for_a_write_that_failed_is_overwritten)
{
	with_hole(4096, 64 << 10, write_from_nowhere);
	with_hole(1024, 64 << 10, write_from_nowhere);
}

/* --- a store for which there were blocks, but not enough --- */

static int store_it(void *arg)
{
	return probe_store8((void *)((struct reader *)arg)->va, 1) ? 1 : 0;
}

static void store_without_room(struct file *file)
{
	struct reader r = { .mm = mm_create() };
	struct thread *t;

	ASSERT(r.mm);
	EXPECT_EQ(vfs_mmap(r.mm, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0, &r.va),
		  0);
	t = thread_create("storer", CPU_ANY, r.mm, &r.mm->pgt, store_it, &r);
	if (t)
		EXPECT_EQ(thread_join(t), 1); /* SIGBUS */
	mm_put(r.mm);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT_EQ(words_on_disk(file), 0);
	EXPECT(fst_check_zero(file, 0, PAGE_SIZE));
}

KTEST(holes, blocks_found_for_a_store_that_was_refused_are_overwritten)
{
	with_hole(1024, 2048, store_without_room);
}
