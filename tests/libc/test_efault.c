/* SPDX-License-Identifier: MIT */
/*
 * test_efault.c - an address that a call cannot use is EFAULT: no signal, no lock left behind,
 * nothing changed, whatever the reason: nothing mapped there, behind the end of a file, a full
 * device.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libc/include/dirtybit.h"
#include "tests/util.h"

#define FILE_NAME "/tmp/efault"
#define MODE	  0644

static int fd;

/* Calls that load from @p or store to it; each ends as it was on success. */
static long do_read(void *p)
{
	return pread(fd, p, 8, 0);
}

static long do_read_on(void *p)
{
	return lseek(fd, 0, SEEK_SET) ? -1 : read(fd, p, 8);
}

static long do_write(void *p)
{
	return pwrite(fd, p, 8, 0);
}

static long do_write_on(void *p)
{
	return lseek(fd, 0, SEEK_SET) ? -1 : write(fd, p, 8);
}

static long do_console(void *p)
{
	return write(1, p, 8);
}

static long do_disk(void *p)
{
	return db_disk_read(fd, 0, p, 8);
}

static long do_stat(void *p)
{
	return stat(FILE_NAME, p);
}

static long do_fstat(void *p)
{
	return fstat(fd, p);
}

static long do_db_stat(void *p)
{
	return db_stat_path(FILE_NAME, p);
}

static long do_db_fstat(void *p)
{
	return db_stat_fd(fd, p);
}

static long name_open(void *p)
{
	return open(p, O_RDONLY);
}

static long name_creat(void *p)
{
	return open(p, O_RDWR | O_CREAT, MODE);
}

static long name_stat(void *p)
{
	struct stat st;

	return stat(p, &st);
}

static long name_access(void *p)
{
	return access(p, F_OK);
}

static long name_unlink(void *p)
{
	return unlink(p);
}

static long name_mkdir(void *p)
{
	return mkdir(p, MODE);
}

static long name_rmdir(void *p)
{
	return rmdir(p);
}

static long name_rename_from(void *p)
{
	return rename(p, "/tmp/other");
}

static long name_rename_to(void *p)
{
	return rename(FILE_NAME, p);
}

static long name_truncate(void *p)
{
	return truncate(p, 0);
}

static long name_opendir(void *p)
{
	return opendir(p) ? 0 : -1;
}

enum how { LOADS = 1, STORES = 2, NAMES = 4 };

static const struct {
	const char *what;
	long (*fn)(void *p);
	enum how how;
} calls[] = {
	{ "pread", do_read, STORES },
	{ "read", do_read_on, STORES },
	{ "pwrite", do_write, LOADS },
	{ "write", do_write_on, LOADS },
	{ "write to the console", do_console, LOADS },
	{ "db_disk_read", do_disk, STORES },
	{ "stat, buffer", do_stat, STORES },
	{ "fstat", do_fstat, STORES },
	{ "db_stat_path", do_db_stat, STORES },
	{ "db_stat_fd", do_db_fstat, STORES },
	{ "open", name_open, NAMES },
	{ "open, O_CREAT", name_creat, NAMES },
	{ "stat, name", name_stat, NAMES },
	{ "access", name_access, NAMES },
	{ "unlink", name_unlink, NAMES },
	{ "mkdir", name_mkdir, NAMES },
	{ "rmdir", name_rmdir, NAMES },
	{ "rename from", name_rename_from, NAMES },
	{ "rename to", name_rename_to, NAMES },
	{ "truncate", name_truncate, NAMES },
	{ "opendir", name_opendir, NAMES },
};

static void try_all(void *p, const char *where, unsigned int hows)
{
	struct stat st;

	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		long result;

		if (!(calls[i].how & hows))
			continue;
		errno = 0;
		result = calls[i].fn(p);
		/* The file system in memory is on no disk. */
		if (calls[i].fn == do_disk && errno == ENODEV)
			continue;
		if (result != -1 || errno != EFAULT)
			ktest_fail(__FILE__, __LINE__, "%s, %s: %ld, errno %d", calls[i].what,
				   where, result, errno);
	}
	EXPECT_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_size, 16);
}

KTEST_ON_CPU0(efault, addresses_are_refused_and_nothing_changes)
{
	struct stage s;
	char *ro, *page;

	fd = open(FILE_NAME, O_RDWR | O_CREAT | O_TRUNC, MODE);
	ASSERT(fd >= 0);
	EXPECT_EQ(write(fd, "0123456789abcdef", 16), 16);
	if (!stage_begin(&s, 4))
		return;
	try_all(NULL, "NULL", LOADS | STORES | NAMES);
	try_all((void *)8, "below the program", LOADS | STORES | NAMES);
	try_all((void *)0x7ff0UL, "not mapped", LOADS | STORES | NAMES);
	ro = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ, MAP_SHARED);
	try_all(ro + 8, "read-only", STORES);
	s.fs->prepare_error = -ENOSPC;
	try_all(s.map, "no space", STORES);
	s.fs->prepare_error = -EIO;
	try_all(s.map, "I/O error", STORES);
	s.fs->prepare_error = 0;
	EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE), 0);
	try_all((char *)s.map + PAGE_SIZE + 1, "behind the end", LOADS | STORES | NAMES);

	/* A name whose end is missing, and one that just fits before the end. */
	page = (char *)s.map;
	memset(page + PAGE_SIZE - 8, 'x', 8);
	try_all(page + PAGE_SIZE - 8, "the end is missing", NAMES);
	strcpy(page + PAGE_SIZE - sizeof(FILE_NAME), FILE_NAME);
	EXPECT_EQ(name_access(page + PAGE_SIZE - sizeof(FILE_NAME)), 0);
	stage_end(&s);
	EXPECT_EQ(close(fd), 0);
	EXPECT_EQ(unlink(FILE_NAME), 0);
}
