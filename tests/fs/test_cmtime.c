/* SPDX-License-Identifier: MIT */
/*
 * test_cmtime.c - when the times of a file move, and when they do not.
 */
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "kernel/core/stat.h"
#include "tests/fs/fs_test.h"

#define DIR "/t_time"

static s64 nanoseconds(struct file_time t)
{
	return t.sec * (s64)NSEC_PER_SEC + t.nsec;
}

static s64 mtime(struct file *file)
{
	struct kstat st = { 0 };

	EXPECT_EQ(vfs_fstat(file, &st), 0);
	return nanoseconds(st.mtime);
}

static s64 granularity(struct file *file)
{
	return file->inode->sb->time_gran;
}

/* What the clock says, as a file of this file system would have it. */
static s64 now(struct file *file)
{
	s64 t = (s64)clock_realtime();

	return t - t % granularity(file);
}

/* Until the next stamp must differ from all before. */
static void tick(struct file *file)
{
	s64 t = now(file);

	while (now(file) == t)
		sleep_ns(granularity(file) > 1 ? 50 * NSEC_PER_MSEC : 1000);
}

static struct file *begin(size_t len)
{
	struct file *file = fst_mkdir(DIR) ? fst_open(DIR "/f", O_RW | FS_O_CREAT) : NULL;

	if (file)
		EXPECT(fst_write(file, 0, len, 1));
	return file;
}

static void end(struct file *file)
{
	file_put(file);
	fst_remove(DIR);
}

KTEST(cmtime, write_and_truncate_move_it_read_does_not)
{
	struct file *file = begin(10000);
	s64 before, t;

	ASSERT(file);
	t = mtime(file);
	tick(file);
	EXPECT(fst_check(file, 0, 10000, 1));
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT_EQ(mtime(file), t);
	before = now(file);
	EXPECT(fst_write(file, 0, 10, 2));
	t = mtime(file);
	EXPECT(t >= before && t <= now(file));
	tick(file);
	EXPECT_EQ(vfs_ftruncate(file, 10000), 0);
	EXPECT(mtime(file) > t);
	end(file);
}

KTEST(cmtime, mapped_store_is_stamped_between_store_and_msync)
{
	struct file *file;
	s64 t1, t2, t;
	u8 *p;

	if (!fst_root_is_ext2())
		return;
	file = begin(8192);
	ASSERT(file);
	p = fst_map(file, 0, 8192, PROT_READ | PROT_WRITE);
	for (u32 round = 0; p && round < 3; round++) {
		tick(file);
		EXPECT(fst_store(p, 1));
		/* A second store, which does not fault: it is the one that counts (rule 82). */
		tick(file);
		t1 = now(file);
		EXPECT(fst_store(p + 1, 2));
		EXPECT_EQ(fst_msync(p, 8192), 0);
		t2 = now(file);
		t = nanoseconds(file->inode->mtime); /* fstat would settle what msync has not */
		EXPECT(t >= t1 && t <= t2);
	}
	if (p)
		fst_unmap(p, 8192);
	end(file);
}

/* MS_ASYNC wants it marked, and D is the mark; who looks finds it moved, once (P31). */
KTEST(cmtime, ms_async_marks_and_stat_moves_it)
{
	struct file *file;
	struct stats a, b;
	s64 t1, t2;
	u8 *p;

	if (!fst_root_is_ext2())
		return;
	file = begin(4096);
	ASSERT(file);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	p = fst_map(file, 0, 4096, PROT_READ | PROT_WRITE);
	if (p) {
		tick(file);
		t1 = now(file);
		stats_snapshot(&a);
		EXPECT(fst_store(p, 1));
		EXPECT_EQ(mm_msync(current_thread()->mm, (vaddr_t)p, 4096, MS_ASYNC), 0);
		t2 = mtime(file);
		EXPECT(t2 >= t1);
		tick(file);
		EXPECT_EQ(mtime(file), t2);
		fst_unmap(p, 4096);
		EXPECT_EQ(mtime(file), t2);
		stats_snapshot(&b);
		EXPECT_EQ(b.v[STAT_CMTIME_FLUSHES] - a.v[STAT_CMTIME_FLUSHES], 1);
	}
	end(file);
}

/*
 * P34, the test that was asked for when lazy times were proposed, and never written. The rule of
 * mmap(): st_mtime and st_ctime of a file that is mapped MAP_SHARED and PROT_WRITE are marked for
 * update between a write reference and the next msync() of that part with MS_ASYNC or MS_SYNC.
 * (generic/215 of xfstests asks for less: that they move at all.)
 */
static void p34(struct file *file, u8 *p, int flags)
{
	struct kstat before = { 0 }, after = { 0 };
	s64 t1, t2;
	u8 c;

	/* A page that is written for the first time, then again, then by write() in between. */
	for (u32 i = 0; i < 3; i++) {
		EXPECT(fst_store(p, (u8)i));
		if (i == 2)
			EXPECT(fst_write(file, 1, 1, 3));
		vfs_fstat(file, &before);
		tick(file);
		t1 = now(file);
		EXPECT(fst_store(p, (u8)(i + 1)));
		EXPECT_EQ(mm_msync(current_thread()->mm, (vaddr_t)p, 4096, flags), 0);
		vfs_fstat(file, &after);
		t2 = now(file);
		EXPECT(nanoseconds(after.mtime) >= t1 && nanoseconds(after.mtime) <= t2);
		EXPECT(nanoseconds(after.ctime) >= t1 && nanoseconds(after.ctime) <= t2);
		EXPECT_EQ(nanoseconds(after.atime), nanoseconds(before.atime));
		EXPECT(after.version > before.version);
	}
	/* A reference that is no write reference marks nothing. */
	tick(file);
	EXPECT(fst_load(p, &c) && c == 3);
	EXPECT_EQ(mm_msync(current_thread()->mm, (vaddr_t)p, 4096, flags), 0);
	EXPECT_EQ(mtime(file), nanoseconds(after.mtime));
}

KTEST(cmtime, p34_posix_window)
{
	struct file *file;
	u8 *p;

	if (!fst_root_is_ext2())
		return;
	file = begin(4096);
	ASSERT(file);
	p = fst_map(file, 0, 4096, PROT_READ | PROT_WRITE);
	if (p) {
		p34(file, p, MS_ASYNC);
		p34(file, p, MS_SYNC);
		fst_unmap(p, 4096);
	}
	end(file);
}

/* Rule 88: who waits for the end of a program finds the times of its end, however late he looks. */
KTEST(cmtime, unmapping_settles)
{
	struct file *file;
	s64 t1, t2, t;
	u8 *p;

	if (!fst_root_is_ext2())
		return;
	file = begin(8192);
	ASSERT(file);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	p = fst_map(file, 0, 8192, PROT_READ | PROT_WRITE);
	if (p) {
		tick(file);
		t1 = now(file);
		EXPECT(fst_store(p, 1));
		fst_unmap(p, 8192);
		t2 = now(file);
		tick(file);
		t = mtime(file);
		EXPECT(t >= t1 && t <= t2);
		EXPECT_EQ(vfs_fsync(file, false), 0);
		EXPECT_EQ(mtime(file), t);
	}
	end(file);
}

KTEST(cmtime, private_store_moves_nothing)
{
	struct file *file;
	vaddr_t va;
	s64 t;

	file = begin(4096);
	ASSERT(file);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	t = mtime(file);
	tick(file);
	if (!current_thread()->mm) {
		struct mm *mm = mm_create();

		ASSERT(mm);
		mm_use(mm);
		EXPECT_EQ(vfs_mmap(mm, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0, &va),
			  0);
		EXPECT(fst_store((u8 *)va, 9));
		EXPECT_EQ(mtime(file), t);
		mm_use(NULL);
		mm_put(mm);
	}
	EXPECT_EQ(mtime(file), t);
	end(file);
}

/* No disk, no faults, no dirty pages: the PTEs are all that tells of a store. */
KTEST(cmtime, memory_file)
{
	struct file *file;
	s64 t1, t;
	u8 *p;

	if (!fst_mkdir(DIR) || vfs_mount(NULL, "ramfs", DIR))
		return;
	file = fst_open(DIR "/f", O_RW | FS_O_CREAT);
	EXPECT(file && fst_write(file, 0, 8192, 1));
	p = file ? fst_map(file, 0, 8192, PROT_READ | PROT_WRITE) : NULL;
	if (p) {
		EXPECT(fst_store(p, 1));
		mtime(file);
		tick(file);
		t1 = now(file);
		EXPECT(fst_store(p, 2)); /* no fault */
		t = mtime(file);
		EXPECT(t >= t1);
		tick(file);
		EXPECT_EQ(mtime(file), t);
		t1 = now(file);
		EXPECT(fst_store(p + 4096, 3));
		fst_unmap(p, 8192);
		t = mtime(file);
		EXPECT(t >= t1);
		tick(file);
		EXPECT_EQ(mtime(file), t);
	}
	if (file)
		file_put(file);
	EXPECT_EQ(vfs_umount(DIR), 0);
	fst_remove(DIR);
}

KTEST(cmtime, nothing_stored_nothing_moves)
{
	struct file *file;
	struct kstat a, b;
	u8 *p, c;

	if (!fst_root_is_ext2())
		return;
	file = begin(16384);
	ASSERT(file);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	vfs_fstat(file, &a);
	tick(file);
	p = fst_map(file, 0, 16384, PROT_READ | PROT_WRITE);
	for (u32 i = 0; p && i < 4; i++)
		EXPECT(fst_load(p + i * 4096, &c));
	if (p) {
		EXPECT_EQ(fst_msync(p, 16384), 0);
		fst_unmap(p, 16384);
	}
	EXPECT_EQ(vfs_fsync(file, false), 0);
	vfs_fstat(file, &b);
	EXPECT_EQ(nanoseconds(a.mtime), nanoseconds(b.mtime));
	EXPECT_EQ(nanoseconds(a.ctime), nanoseconds(b.ctime));
	EXPECT_EQ(a.version, b.version);
	end(file);
}

KTEST(cmtime, write_to_a_page_that_is_dirty_already_counts)
{
	struct file *file;
	s64 t;
	u8 *p;

	if (!fst_root_is_ext2())
		return;
	file = begin(4096); /* dirty by write() */
	ASSERT(file);
	p = fst_map(file, 0, 4096, PROT_READ | PROT_WRITE);
	if (p) {
		t = mtime(file);
		tick(file);
		EXPECT(fst_store(p, 1)); /* rule 93 */
		EXPECT(mtime(file) > t);
		fst_unmap(p, 4096);
	}
	end(file);
}

KTEST(cmtime, times_of_a_directory_follow_its_names)
{
	struct file *file = begin(1);
	struct kstat a, b, c;

	ASSERT(file);
	a = fst_stat(DIR);
	tick(file);
	EXPECT(fst_make(DIR "/g", 10, 1));
	b = fst_stat(DIR);
	EXPECT(nanoseconds(b.mtime) > nanoseconds(a.mtime));
	tick(file);
	EXPECT_EQ(vfs_unlink(DIR "/g"), 0);
	c = fst_stat(DIR);
	EXPECT(nanoseconds(c.mtime) > nanoseconds(b.mtime));
	end(file);
}

KTEST(cmtime, fsync_writes_the_time_fdatasync_need_not)
{
	struct file *file;
	struct stats a, b, c;

	if (!fst_root_is_ext2())
		return;
	file = begin(4096);
	ASSERT(file);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	tick(file);
	EXPECT(fst_write(file, 0, 100, 2)); /* size and blocks stay */
	stats_snapshot(&a);
	EXPECT_EQ(vfs_fsync(file, true), 0);
	stats_snapshot(&b);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	stats_snapshot(&c);
	EXPECT_EQ(b.v[STAT_INODE_WRITES] - a.v[STAT_INODE_WRITES], 0);
	EXPECT_EQ(c.v[STAT_INODE_WRITES] - b.v[STAT_INODE_WRITES], 1);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	end(file);
}
