/* SPDX-License-Identifier: MIT */
/*
 * test_sync_error.c - fsync and its kin as a program calls them: bad input, and what metadata and a
 * cache that cannot be flushed make of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/fs/wb_scene.h"

/* errno of each call, 0 if it succeeded, as Linux's manual has it. */
static int result_of(int returned)
{
	return returned ? errno : 0;
}

static void expect_of_fd(int fd, int error)
{
	EXPECT_EQ(result_of(fsync(fd)), error);
	EXPECT_EQ(result_of(fdatasync(fd)), error);
	EXPECT_EQ(result_of(syncfs(fd)), error);
}

KTEST(sync_error, what_can_be_synced)
{
	int fd, closed;

	if (!fst_root_is_ext2())
		return;
	closed = open("/t_sync", O_RDWR | O_CREAT | O_TRUNC, 0644);
	EXPECT_EQ(close(closed), 0);
	expect_of_fd(closed, EBADF);
	expect_of_fd(-1, EBADF);
	expect_of_fd(1000000, EBADF);
	EXPECT_EQ(result_of(close(closed)), EBADF);
	fd = open("/", O_RDONLY);
	expect_of_fd(fd, 0);
	EXPECT_EQ(close(fd), 0);
	fd = open("/t_sync", O_RDONLY);
	expect_of_fd(fd, 0);
	EXPECT_EQ(close(fd), 0);
	fst_remove("/t_sync");
}

KTEST(sync_error, console_cannot_be_synced)
{
	if (isatty(1))
		expect_of_fd(1, EINVAL);
}

/* dup() makes another name of the same open file: one of the two is told. close() says nothing. */
KTEST_ON_CPU0(sync_error, descriptors)
{
	int fd, same, other;
	struct wbs s;

	if (!wbs_begin(&s, "keep"))
		return;
	fd = open(fst_path(&s.disk, "f"), O_RDWR);
	same = dup(fd);
	other = open(fst_path(&s.disk, "f"), O_RDONLY);
	wbs_failed_write(&s, -EIO);
	EXPECT_EQ(result_of(fsync(same)), EIO);
	EXPECT_EQ(result_of(fsync(fd)), 0);
	EXPECT_EQ(result_of(fdatasync(other)), EIO);
	EXPECT_EQ(result_of(syncfs(other)), EIO);
	EXPECT_EQ(result_of(syncfs(other)), 0);
	wbs_failed_write(&s, -ENOSPC);
	EXPECT_EQ(close(same), 0);
	EXPECT_EQ(result_of(fsync(fd)), ENOSPC);
	EXPECT_EQ(close(fd), 0);
	EXPECT_EQ(close(other), 0);
	wbs_end(&s, FST_SOUND);
}

/* --- metadata --------------------------------------------------------------------------------- */

/* All but the file's data fails. */
static void fail_metadata(const struct wbs *s, bool on)
{
	ramblk_fail(s->disk.dev, BIO_WRITE, 0, s->first - 1, 1, on ? ~0u : 0, -EIO);
}

/* An inode that cannot be written stays dirty, and fsync says so until it is on the disk, to each
 * who asks. fdatasync does not need it where only times changed (rule 78). */
KTEST_ON_CPU0(sync_error, inode_that_cannot_be_written)
{
	struct file *other;
	struct wbs s;

	if (!wbs_begin(&s, "drop"))
		return;
	other = wbs_open(&s, O_RD);
	wbs_store(&s, 0);
	fail_metadata(&s, true);
	EXPECT_EQ(vfs_fsync(s.file, false), -EIO);
	EXPECT_EQ(vfs_fsync(s.file, false), -EIO);
	EXPECT_EQ(vfs_fsync(other, false), -EIO);
	EXPECT_EQ(vfs_fsync(s.file, true), 0);
	EXPECT(wbs_on_disk(&s, 0));
	EXPECT_EQ(vfs_sync(), -EIO);
	fail_metadata(&s, false);
	EXPECT_EQ(vfs_fsync(s.file, false), 0);
	EXPECT_EQ(vfs_fsync(other, false), 0);
	/* The file system's users are told of it, once each (rule 77). */
	EXPECT_EQ(vfs_syncfs(other), -EIO);
	EXPECT_EQ(vfs_syncfs(other), 0);
	EXPECT_EQ(vfs_syncfs(s.file), -EIO);
	EXPECT_EQ(vfs_syncfs(s.file), 0);
	file_put(other);
	wbs_end(&s, FST_SOUND);
}

/* What the flusher could not write of metadata is told by syncfs, and written when it can be. */
KTEST_ON_CPU0(sync_error, metadata_that_the_flusher_cannot_write)
{
	struct wbs s;

	if (!wbs_begin(&s, "keep"))
		return;
	EXPECT_EQ(vfs_mkdir(fst_path(&s.disk, "d"), 0755), 0);
	fail_metadata(&s, true);
	EXPECT(s.disk.dev->wb.sync_metadata(&s.disk.dev->wb, SYNC_NONE) < 0);
	fail_metadata(&s, false);
	EXPECT_EQ(vfs_syncfs(s.file), -EIO);
	EXPECT_EQ(vfs_syncfs(s.file), 0);
	wbs_end(&s, FST_SOUND);
}

/* The disk took the data into its cache, and cannot promise more: whoever has the file open hears
 * of that, and the next flush is asked for again. */
KTEST_ON_CPU0(sync_error, cache_that_cannot_be_flushed)
{
	struct file *other;
	struct wbs s;

	if (!wbs_begin(&s, "keep"))
		return;
	other = wbs_open(&s, O_RD);
	for (unsigned int data_only = 0; data_only < 2; data_only++) {
		wbs_store(&s, 0);
		ramblk_fail(s.disk.dev, BIO_FLUSH, 0, 0, 1, 1, -EIO);
		EXPECT_EQ(vfs_fsync(s.file, data_only), -EIO);
		EXPECT_EQ(vfs_fsync(s.file, data_only), 0);
		EXPECT_EQ(vfs_fsync(other, data_only), -EIO);
		EXPECT_EQ(vfs_fsync(other, data_only), 0);
	}
	file_put(other);
	wbs_end(&s, FST_SOUND);
}
