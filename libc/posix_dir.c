/* SPDX-License-Identifier: MIT */
/*
 * posix_dir.c - names: stat, create, remove, rename, list.
 *
 * Not: descriptors (posix_file.c). The only working directory is the root.
 */
#include "libc/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/fs/fs.h"
#include "libc/include/dirtybit.h"

/* To the program's *@to. 0 or -EFAULT. */
static int stat_from_kernel(struct stat *to, const struct kstat *k)
{
	struct stat st = { .st_ino = (ino_t)k->ino,
			   .st_mode = k->mode,
			   .st_nlink = k->nlink,
			   .st_size = k->size,
			   .st_blksize = k->blksize,
			   .st_blocks = k->blocks,
			   .st_atim = { k->atime.sec, k->atime.nsec },
			   .st_mtim = { k->mtime.sec, k->mtime.nsec },
			   .st_ctim = { k->ctime.sec, k->ctime.nsec } };

	return copy_fault(to, &st, sizeof(st)) ? -EFAULT : 0;
}

int stat(const char *path, struct stat *st)
{
	struct kstat k;
	int err = vfs_stat(path, &k);

	if (!err)
		err = stat_from_kernel(st, &k);
	return posix_result(err);
}

static int kstat_fd(int fd, struct kstat *k)
{
	struct file *file = fd_get(fd);
	int err = 0;

	if (!file)
		return -1;
	if (file == FD_CONSOLE)
		*k = (struct kstat){ .mode = S_IFCHR | 0666, .nlink = 1, .blksize = 1024 };
	else
		err = vfs_fstat(file, k);
	fd_put(file);
	return posix_result(err);
}

int fstat(int fd, struct stat *st)
{
	struct kstat k;

	if (kstat_fd(fd, &k))
		return -1;
	return posix_result(stat_from_kernel(st, &k));
}

static int db_stat_from_kernel(struct db_stat *to, const struct kstat *k)
{
	struct db_stat st = {
		.ino = k->ino,
		.size = k->size,
		.blocks = k->blocks,
		.version = k->version,
		.mode = k->mode,
		.nlink = k->nlink,
		.blksize = k->blksize,
		.atime = { k->atime.sec, k->atime.nsec },
		.mtime = { k->mtime.sec, k->mtime.nsec },
		.ctime = { k->ctime.sec, k->ctime.nsec },
	};

	return copy_fault(to, &st, sizeof(st)) ? -EFAULT : 0;
}

int db_stat_path(const char *path, struct db_stat *st)
{
	struct kstat k;
	int err = vfs_stat(path, &k);

	if (!err)
		err = db_stat_from_kernel(st, &k);
	return posix_result(err);
}

int db_stat_fd(int fd, struct db_stat *st)
{
	struct kstat k;

	if (kstat_fd(fd, &k))
		return -1;
	return posix_result(db_stat_from_kernel(st, &k));
}

int access(const char *path, int mode)
{
	struct kstat k;

	return posix_result(vfs_stat(path, &k));
}

int unlink(const char *path)
{
	return posix_result(vfs_unlink(path));
}

int mkdir(const char *path, mode_t mode)
{
	return posix_result(vfs_mkdir(path, mode & 07777));
}

int rmdir(const char *path)
{
	return posix_result(vfs_rmdir(path));
}

int rename(const char *from, const char *to)
{
	return posix_result(vfs_rename(from, to));
}

int link(const char *from, const char *to)
{
	return posix_result(-ENOSYS);
}

char *getcwd(char *buf, size_t size)
{
	if (!buf || size < 2) {
		errno = size ? ERANGE : EINVAL;
		return NULL;
	}
	return strcpy(buf, "/");
}

struct libc_dir {
	int fd;
	struct dirent entry;
	struct dirent_out out;
};

DIR *fdopendir(int fd)
{
	struct stat st;
	DIR *dir;

	if (fstat(fd, &st))
		return NULL;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return NULL;
	}
	dir = malloc(sizeof(*dir));
	if (dir)
		dir->fd = fd;
	return dir;
}

DIR *opendir(const char *path)
{
	int fd = open(path, O_RDONLY);
	DIR *dir;

	if (fd < 0)
		return NULL;
	dir = fdopendir(fd);
	if (!dir) {
		int err = errno;

		close(fd);
		errno = err;
	}
	return dir;
}

struct dirent *readdir(DIR *dir)
{
	struct file *file = fd_get(dir->fd);
	int found;

	if (!file)
		return NULL;
	found = vfs_readdir(file, &dir->out);
	fd_put(file);
	if (found <= 0) {
		posix_result(found);
		return NULL;
	}
	dir->entry.d_ino = dir->out.ino;
	dir->entry.d_type = DT_UNKNOWN;
	if ((dir->out.mode & FS_IFMT) == FS_IFDIR)
		dir->entry.d_type = DT_DIR;
	else if ((dir->out.mode & FS_IFMT) == FS_IFREG)
		dir->entry.d_type = DT_REG;
	strlcpy(dir->entry.d_name, dir->out.name, sizeof(dir->entry.d_name));
	return &dir->entry;
}

void rewinddir(DIR *dir)
{
	lseek(dir->fd, 0, SEEK_SET);
}

int dirfd(DIR *dir)
{
	return dir->fd;
}

int closedir(DIR *dir)
{
	int fd = dir->fd;

	free(dir);
	return close(fd);
}
