/* SPDX-License-Identifier: MIT */
/*
 * posix_mman.c - mmap and its kin on the calling thread's address space.
 *
 * A thin skin: what msync costs is measured through it, so the good case is a call and a test.
 */
#include "libc/process.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "kernel/fs/fs.h"
#include "kernel/mm/mmap.h"

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	static const struct mmap_file anonymous = { .readable = true, .writable = true };
	struct mm *mm = current_thread()->mm;
	struct file *file = NULL;
	vaddr_t out = 0;
	int err;

	if (!mm) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	if (flags & MAP_ANONYMOUS) {
		err = mm_mmap(mm, (vaddr_t)addr, len, prot, flags, &anonymous, 0, &out);
	} else {
		file = fd_get(fd);
		if (!file)
			return MAP_FAILED;
		err = file == FD_CONSOLE ?
			      -ENODEV :
			      vfs_mmap(mm, (vaddr_t)addr, len, prot, flags, file, offset, &out);
		fd_put(file);
	}
	if (err) {
		errno = -err;
		return MAP_FAILED;
	}
	return (void *)out;
}

int munmap(void *addr, size_t len)
{
	struct mm *mm = current_thread()->mm;

	return posix_result(mm ? mm_munmap(mm, (vaddr_t)addr, len) : -EINVAL);
}

int mprotect(void *addr, size_t len, int prot)
{
	struct mm *mm = current_thread()->mm;

	return posix_result(mm ? mm_mprotect(mm, (vaddr_t)addr, len, prot) : -ENOMEM);
}

void *mremap(void *old, size_t old_len, size_t new_len, int flags, ...)
{
	struct mm *mm = current_thread()->mm;
	vaddr_t to = 0, out = 0;
	va_list ap;
	int err;

	va_start(ap, flags);
	if (flags & MREMAP_FIXED)
		to = (vaddr_t)va_arg(ap, void *);
	va_end(ap);
	err = mm ? mm_mremap(mm, (vaddr_t)old, old_len, new_len, flags, to, &out) : -EFAULT;
	return posix_result(err) ? MAP_FAILED : (void *)out;
}

int msync(void *addr, size_t len, int flags)
{
	struct mm *mm = current_thread()->mm;

	return posix_result(mm ? mm_msync(mm, (vaddr_t)addr, len, flags) : -ENOMEM);
}

int madvise(void *addr, size_t len, int advice)
{
	struct mm *mm = current_thread()->mm;

	return posix_result(mm ? mm_madvise(mm, (vaddr_t)addr, len, advice) : -ENOMEM);
}

int mlock(const void *addr, size_t len)
{
	struct mm *mm = current_thread()->mm;

	return posix_result(mm ? mm_mlock(mm, (vaddr_t)addr, len) : -ENOMEM);
}

int munlock(const void *addr, size_t len)
{
	struct mm *mm = current_thread()->mm;

	return posix_result(mm ? mm_munlock(mm, (vaddr_t)addr, len) : -ENOMEM);
}

int mlockall(int flags)
{
	struct mm *mm = current_thread()->mm;

	return posix_result(mm ? mm_mlockall(mm, flags) : -ENOMEM);
}

int munlockall(void)
{
	struct mm *mm = current_thread()->mm;

	return posix_result(mm ? mm_munlockall(mm) : 0);
}

int mincore(void *addr, size_t len, unsigned char *vec)
{
	struct mm *mm = current_thread()->mm;

	return posix_result(mm ? mm_mincore(mm, (vaddr_t)addr, len, vec) : -ENOMEM);
}
