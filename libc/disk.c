/* SPDX-License-Identifier: MIT */
/*
 * disk.c - disks, mounts, and what is on a disk now, whatever the caches say.
 */
#include "libc/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/fs/fs.h"
#include "kernel/mm/kmalloc.h"
#include "libc/include/dirtybit.h"

/* Up to one block of @file at @pos, from the device into @buf; bytes moved or a kernel error. */
static s64 disk_read_block(struct file *file, u64 pos, void *bounce, void *buf, size_t len)
{
	struct super_block *sb = file->inode->sb;
	u32 unit = sb->dev->sector_size;
	sector_t sector;
	u64 within;
	int err;

	len = min(len, (size_t)(sb->block_size - pos % sb->block_size));
	err = vfs_bmap(file, pos - pos % SECTOR_SIZE, &sector);
	if (err)
		return err;
	if (!sector) {
		memset(bounce, 0, len);
		return copy_fault(buf, bounce, len) ? -EFAULT : (s64)len;
	}
	/* The device counts in units that may be larger than the file system's blocks. */
	within = (sector * SECTOR_SIZE) % unit + pos % SECTOR_SIZE;
	sector -= (sector * SECTOR_SIZE) % unit / SECTOR_SIZE;
	len = min(len, (size_t)(PAGE_SIZE - within));
	err = blkdev_rw(sb->dev, BIO_READ, sector, bounce, ALIGN_UP(within + len, unit));
	if (err)
		return err;
	return copy_fault(buf, (char *)bounce + within, len) ? -EFAULT : (s64)len;
}

ssize_t db_disk_read(int fd, uint64_t offset, void *buf, size_t len)
{
	struct file *file = fd_get(fd);
	size_t done = 0;
	s64 n = 0;
	void *bounce;

	if (!file)
		return -1;
	if (file == FD_CONSOLE || !file->inode->sb->dev) {
		fd_put(file);
		return posix_result(-ENODEV);
	}
	bounce = kmalloc(PAGE_SIZE);
	if (!bounce)
		n = -ENOMEM;
	while (n >= 0 && done < len) {
		n = disk_read_block(file, offset + done, bounce, (char *)buf + done, len - done);
		if (n > 0)
			done += n;
	}
	kfree(bounce);
	file_put(file);
	return n < 0 ? posix_result(n) : (ssize_t)done;
}

struct db_raw {
	struct blkdev *dev;
	sector_t sector;
	void *page;
};

static int raw_fill(struct db_raw *raw, struct file *file, u64 offset)
{
	int err;

	if (file == FD_CONSOLE || !file->inode->sb->dev)
		return -ENODEV;
	raw->dev = file->inode->sb->dev;
	err = vfs_bmap(file, ALIGN_DOWN(offset, PAGE_SIZE), &raw->sector);
	if (!err && !raw->sector)
		err = -ENXIO;
	raw->page = kmalloc(PAGE_SIZE);
	return err ? err : raw->page ? 0 : -ENOMEM;
}

struct db_raw *db_raw_open(int fd, uint64_t offset)
{
	struct db_raw *raw = kzalloc(sizeof(*raw));
	struct file *file = fd_get(fd);
	int err = -ENOMEM;

	if (raw && file)
		err = raw_fill(raw, file, offset);
	if (file)
		fd_put(file);
	if (!err)
		return raw;
	db_raw_close(raw);
	if (file)
		errno = -err;
	return NULL;
}

int db_raw_read(struct db_raw *raw)
{
	struct bio *bio = bio_alloc(raw->dev, BIO_READ, raw->sector);
	int err;

	if (!bio)
		return (int)posix_result(-ENOMEM);
	bio_add(bio, virt_to_phys(raw->page), PAGE_SIZE);
	err = submit_bio_wait(bio);
	bio_free(bio);
	return err ? (int)posix_result(err) : (int)PAGE_SIZE;
}

void db_raw_close(struct db_raw *raw)
{
	if (raw)
		kfree(raw->page);
	kfree(raw);
}

const char *db_fs_type(const char *path)
{
	struct super_block *sb = vfs_find_super(path);

	return sb ? sb->type : NULL;
}

const char *db_fs_device(const char *path)
{
	struct super_block *sb = vfs_find_super(path);

	return sb && sb->dev ? sb->dev->name : NULL;
}

int db_fs_space(int fd, uint64_t *blocks, uint64_t *left)
{
	struct file *file = fd_get(fd);
	struct super_block *sb;
	u64 all, rest;
	int err = -ENODEV;

	if (!file)
		return -1;
	if (file == FD_CONSOLE) {
		fd_put(file);
		return posix_result(-ENODEV);
	}
	sb = file->inode->sb;
	if (sb->ops->statfs)
		err = sb->ops->statfs(sb, &all, &rest);
	if (!err) {
		*blocks = all;
		*left = rest;
	}
	file_put(file);
	return posix_result(err);
}

int db_disk_info(int n, struct db_disk *d)
{
	struct blkdev *dev = blkdev_next(NULL);

	while (dev && n-- > 0)
		dev = blkdev_next(dev);
	if (!dev)
		return posix_result(-ENODEV);
	*d = (struct db_disk){
		.bytes = dev->nr_sectors * SECTOR_SIZE,
		.reads = READ_ONCE(dev->requests[BIO_READ]),
		.writes = READ_ONCE(dev->requests[BIO_WRITE]),
		.flushes = READ_ONCE(dev->requests[BIO_FLUSH]),
		.sector_size = dev->sector_size,
		.read_only = dev->read_only,
		.in_use = dev->in_use,
	};
	strlcpy(d->name, dev->name, sizeof(d->name));
	return 0;
}

int db_mount(const char *device, const char *type, const char *path)
{
	return posix_result(vfs_mount(device, type, path));
}

int db_umount(const char *path)
{
	return posix_result(vfs_umount(path));
}
