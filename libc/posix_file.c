/* SPDX-License-Identifier: MIT */
/*
 * posix_file.c - descriptors, and what POSIX does with one.
 *
 * Owns:  process->fds.
 * Not:   names (posix_dir.c); files themselves (kernel/fs). Each call is the kernel's vfs_ call
 * with
 *	  the descriptor looked up before and the error put into errno after.
 * Locks: process->lock for the table; a call holds a reference to its file, not the lock.
 */
#include "libc/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/x86_64/serial.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/printk.h"
#include "kernel/fs/fs.h"

long posix_result(long result)
{
	if (likely(result >= 0))
		return result;
	errno = (int)-result;
	return -1;
}

static __always_inline struct file *get(int fd)
{
	struct process *p = process_current();
	struct file *file = NULL;

	program_point();
	if (fd >= 0 && fd < FD_MAX) {
		mutex_lock(&p->lock);
		file = p->fds[fd];
		if (file && file != FD_CONSOLE)
			file_get(file);
		mutex_unlock(&p->lock);
	}
	if (!file)
		errno = EBADF;
	return file;
}

struct file *fd_get(int fd)
{
	return get(fd);
}

/* fd_get for calls that make no sense on the console: they fail with @console_error there. */
static __always_inline struct file *fd_get_file(int fd, int console_error)
{
	struct file *file = get(fd);

	if (likely(file != FD_CONSOLE))
		return file;
	errno = console_error;
	return NULL;
}

void fd_put(struct file *file)
{
	if (file != FD_CONSOLE)
		file_put(file);
}

int fd_install(struct file *file, int from)
{
	struct process *p = process_current();
	int fd;

	mutex_lock(&p->lock);
	for (fd = from; fd < FD_MAX && p->fds[fd]; fd++)
		;
	if (fd < FD_MAX)
		p->fds[fd] = file;
	mutex_unlock(&p->lock);
	if (fd < FD_MAX)
		return fd;
	errno = EMFILE;
	return -1;
}

int open(const char *path, int flags, ...)
{
	struct file *file;
	u32 mode = 0;
	va_list ap;
	int err;
	int fd;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, unsigned int);
		va_end(ap);
	}
	err = vfs_open(path,
		       flags & (O_ACCMODE | O_APPEND | O_CREAT | O_TRUNC | O_EXCL | O_SYNC |
				O_DIRECT),
		       mode & 07777, &file);
	if (err)
		return posix_result(err);
	fd = fd_install(file, 0);
	if (fd < 0)
		file_put(file);
	return fd;
}

int creat(const char *path, mode_t mode)
{
	return open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

int close(int fd)
{
	struct libc_thread *lt = libc_thread();
	struct process *p = process_current();
	struct file *file = NULL;

	if (lt && lt->closing)
		return 0;
	if (fd >= 0 && fd < FD_MAX) {
		mutex_lock(&p->lock);
		file = p->fds[fd];
		p->fds[fd] = NULL;
		mutex_unlock(&p->lock);
	}
	if (!file)
		return posix_result(-EBADF);
	fd_put(file);
	return 0;
}

int dup(int fd)
{
	struct file *file = fd_get(fd);
	int new_fd;

	if (!file)
		return -1;
	new_fd = fd_install(file, 0);
	if (new_fd < 0)
		fd_put(file);
	return new_fd;
}

int dup2(int fd, int new_fd)
{
	struct process *p = process_current();
	struct file *file = fd_get(fd);
	struct file *old;

	if (!file)
		return -1;
	if (new_fd < 0 || new_fd >= FD_MAX || new_fd == fd) {
		fd_put(file);
		return new_fd == fd ? fd : posix_result(-EBADF);
	}
	mutex_lock(&p->lock);
	old = p->fds[new_fd];
	p->fds[new_fd] = file;
	mutex_unlock(&p->lock);
	if (old)
		fd_put(old);
	return new_fd;
}

/* The console is written with a spinlock held, and so from memory that cannot fault: a program's
 * own goes through a piece of the stack. Bytes written before the first that cannot be read, or
 * -EFAULT. */
static s64 console_put(const char *buf, size_t len)
{
	char piece[128];
	size_t done = 0;

	if ((vaddr_t)buf >= USER_END) {
		console_write(buf, len);
		return len;
	}
	while (done < len) {
		size_t n = min(len - done, sizeof(piece));

		n -= copy_fault(piece, buf + done, n);
		if (!n)
			return done ? (s64)done : -EFAULT;
		console_write(piece, n);
		done += n;
	}
	return done;
}

static s64 console_read(char *buf, size_t len)
{
	char piece[128];
	size_t n = serial_read(piece, min(len, sizeof(piece)));

	return copy_fault(buf, piece, n) ? -EFAULT : (s64)n;
}

_READ_WRITE_RETURN_TYPE read(int fd, void *buf, size_t len)
{
	struct file *file = fd_get(fd);
	s64 n;

	if (!file)
		return -1;
	if (file == FD_CONSOLE)
		return posix_result(len ? console_read(buf, len) : 0);
	n = vfs_read(file, buf, len);
	file_put(file);
	return posix_result(n);
}

_READ_WRITE_RETURN_TYPE write(int fd, const void *buf, size_t len)
{
	struct file *file = fd_get(fd);
	s64 n;

	if (!file)
		return -1;
	if (file == FD_CONSOLE)
		return posix_result(console_put(buf, len));
	n = vfs_write(file, buf, len);
	file_put(file);
	return posix_result(n);
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	struct file *file = offset < 0 ? NULL : fd_get_file(fd, ESPIPE);
	s64 n;

	if (!file)
		return offset < 0 ? posix_result(-EINVAL) : -1;
	n = vfs_pread(file, buf, len, offset);
	file_put(file);
	return posix_result(n);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	struct file *file = offset < 0 ? NULL : fd_get_file(fd, ESPIPE);
	s64 n;

	if (!file)
		return offset < 0 ? posix_result(-EINVAL) : -1;
	n = vfs_pwrite(file, buf, len, offset);
	file_put(file);
	return posix_result(n);
}

off_t lseek(int fd, off_t offset, int whence)
{
	struct file *file = fd_get_file(fd, ESPIPE);
	s64 pos;

	if (!file)
		return -1;
	pos = vfs_lseek(file, offset, whence);
	file_put(file);
	return posix_result(pos);
}

int ftruncate(int fd, off_t size)
{
	struct file *file = fd_get_file(fd, EINVAL);
	int err;

	if (!file)
		return -1;
	err = size < 0 ? -EINVAL : vfs_ftruncate(file, size);
	file_put(file);
	return posix_result(err);
}

int truncate(const char *path, off_t size)
{
	struct file *file;
	int err;

	if (size < 0)
		return posix_result(-EINVAL);
	err = vfs_open(path, O_WRONLY, 0, &file);
	if (err)
		return posix_result(err);
	err = vfs_ftruncate(file, size);
	file_put(file);
	return posix_result(err);
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
	int before = errno, err = fallocate(fd, 0, offset, len) ? errno : 0;

	errno = before;
	return err;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	struct file *file = fd_get_file(fd, ENODEV);
	int err;

	if (!file)
		return -1;
	err = vfs_fallocate(file, mode, offset, len);
	file_put(file);
	return posix_result(err);
}

static int sync_fd(int fd, bool data_only)
{
	struct file *file = fd_get_file(fd, EINVAL);
	int err;

	if (!file)
		return -1;
	err = vfs_fsync(file, data_only);
	file_put(file);
	return posix_result(err);
}

int fsync(int fd)
{
	return sync_fd(fd, false);
}

int fdatasync(int fd)
{
	return sync_fd(fd, true);
}

void sync(void)
{
	vfs_sync();
}

int syncfs(int fd)
{
	struct file *file = fd_get_file(fd, EINVAL);
	int err;

	if (!file)
		return -1;
	err = vfs_syncfs(file);
	file_put(file);
	return posix_result(err);
}

int isatty(int fd)
{
	struct file *file = fd_get(fd);

	if (!file)
		return 0;
	fd_put(file);
	if (file == FD_CONSOLE)
		return 1;
	errno = ENOTTY;
	return 0;
}

int fcntl(int fd, int cmd, ...)
{
	struct file *file = fd_get(fd);
	int result = -EINVAL;
	va_list ap;
	int arg;

	if (!file)
		return -1;
	va_start(ap, cmd);
	arg = va_arg(ap, int);
	va_end(ap);
	if (cmd == F_DUPFD) {
		result = fd_install(file, arg);
		if (result < 0)
			fd_put(file);
		return result;
	}
	if (cmd == F_GETFL)
		result = file == FD_CONSOLE ? O_RDWR :
					      (int)file->flags & ~(O_CREAT | O_EXCL | O_TRUNC);
	else if (cmd == F_SETFL && file != FD_CONSOLE)
		result = vfs_set_flags(file, (u32)arg);
	else if (cmd == F_GETFD || cmd == F_SETFD)
		result = 0;
	fd_put(file);
	return posix_result(result);
}
