/* SPDX-License-Identifier: MIT */
/*
 * test_io_error.c - what a program sees when the disk refuses one block of a file.
 *
 * Each needs a disk on which QEMU's blkdebug fails the sectors of block 100 of /pattern.bin, so
 * none is part of test=all: tests.cfg boots them by name. The file holds 1 MiB of 32-bit words,
 * word i is i; the host made it.
 */
#include <errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/args.h"
#include "kernel/fs/fs.h"
#include "kernel/mm/kmalloc.h"
#include "tests/ktest.h"

#define FILE_NAME "/pattern.bin"
#define PAGES	  256
#define BAD	  100 /* page whose block cannot be read or written */

struct mapped {
	struct file *file;
	vaddr_t va;
};

static bool map_file(struct mapped *m)
{
	if (vfs_open(FILE_NAME, 2, 0, &m->file))
		return false;
	return !vfs_mmap(current_thread()->mm, 0, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED, m->file, 0, &m->va);
}

static void unmap_file(struct mapped *m)
{
	EXPECT_EQ(mm_munmap(current_thread()->mm, m->va, PAGES * PAGE_SIZE), 0);
	file_put(m->file);
}

static u64 *word_of(const struct mapped *m, u64 page)
{
	return (u64 *)(m->va + page * PAGE_SIZE);
}

/* The first word of a page. */
static u64 expected(u64 page)
{
	return page * PAGE_SIZE / sizeof(u64);
}

/* One page cannot be loaded, by read() and by a load; all others can; nothing panics. */
KTEST_FLAGS(fault_injection, file_read_error, KTEST_MANUAL)
{
	struct mapped m;
	u64 v, bad = 0;

	ASSERT(map_file(&m));
	for (u64 p = 0; p < PAGES; p++) {
		int err = probe_load8(word_of(&m, p), &v);

		if (p == BAD) {
			EXPECT_EQ(err, -EIO);
			bad += err != 0;
		} else {
			EXPECT_EQ(err, 0);
			EXPECT_EQ(v, expected(p));
		}
	}
	EXPECT_EQ(bad, 1);
	EXPECT_EQ(vfs_pread(m.file, &v, sizeof(v), BAD * PAGE_SIZE), -EIO);
	EXPECT_EQ(vfs_pread(m.file, &v, sizeof(v), (BAD + 1) * PAGE_SIZE), 8);
	unmap_file(&m);
}

static u64 on_disk(const struct mapped *m, u64 page)
{
	u64 v = ~0ul, *buf = kmalloc(PAGE_SIZE);
	sector_t sector;

	if (buf && !vfs_bmap(m->file, page * PAGE_SIZE, &sector) &&
	    !blkdev_rw(m->file->inode->sb->dev, BIO_READ, sector, buf, PAGE_SIZE))
		v = *buf;
	kfree(buf);
	return v;
}

/* msync says so at each attempt, and once it may drop the page no more; what else was stored is on
 * the disk; the old bytes of the bad block are too. */
KTEST_FLAGS(fault_injection, file_write_error, KTEST_MANUAL)
{
	struct mm *mm = current_thread()->mm;
	struct mapped m;

	ASSERT(map_file(&m));
	for (u64 p = BAD - 1; p <= BAD + 1; p++)
		EXPECT_EQ(probe_store8(word_of(&m, p), 0xd1d1000000000000ul + p), 0);
	EXPECT_EQ(mm_msync(mm, m.va, PAGES * PAGE_SIZE, MS_SYNC), -EIO);
	EXPECT_EQ(on_disk(&m, BAD - 1), 0xd1d1000000000000ul + BAD - 1);
	EXPECT_EQ(on_disk(&m, BAD), expected(BAD));
	EXPECT_EQ(on_disk(&m, BAD + 1), 0xd1d1000000000000ul + BAD + 1);
	EXPECT_EQ(mm_msync(mm, m.va, PAGES * PAGE_SIZE, MS_SYNC), -EIO);
	EXPECT_EQ(args_set("wberr", "drop"), 0);
	EXPECT_EQ(mm_msync(mm, m.va, PAGES * PAGE_SIZE, MS_SYNC), -EIO);
	EXPECT_EQ(mm_msync(mm, m.va, PAGES * PAGE_SIZE, MS_SYNC), 0);
	EXPECT_EQ(args_set("wberr", "keep"), 0);
	/* The file system goes on. */
	EXPECT_EQ(probe_store8(word_of(&m, 0), 1), 0);
	EXPECT_EQ(mm_msync(mm, m.va, PAGE_SIZE, MS_SYNC), 0);
	EXPECT_EQ(on_disk(&m, 0), 1);
	unmap_file(&m);
}
