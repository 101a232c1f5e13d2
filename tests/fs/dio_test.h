/* SPDX-License-Identifier: MIT */
/*
 * dio_test.h - what the tests of direct I/O share: a disk in memory with a file that is opened both
 * ways, and a buffer.
 */
#ifndef TESTS_FS_DIO_TEST_H
#define TESTS_FS_DIO_TEST_H

#include "kernel/lib/errors.h"
#include "tests/fs/fs_test.h"
#include "tests/util.h"

#define DIO_BUF (256u << 10)

struct dio_scene {
	struct fst_disk disk;
	bool own_disk;
	struct file *cached, *direct; /* "f", without and with FS_O_DIRECT */
	u8 *buf;		      /* DIO_BUF bytes, page aligned, not in one piece of memory */
	char mode[16];		      /* dio= as it was */
};

/* A file of @len bytes of number 1 (fst_fill) on @d, or on a disk of its own with blocks of 1 KiB
 * and sectors of 512 bytes, or with blocks of 4 KiB and sectors of @sector bytes; dio=coherent. The
 * disk's flusher is parked. False: the test has failed and nothing is left. */
bool dio_begin(struct dio_scene *s, struct fst_disk *d, u64 len);
bool dio_begin_alone(struct dio_scene *s, u64 len);
bool dio_begin_sector(struct dio_scene *s, u64 len, u32 sector);
void dio_end(struct dio_scene *s);

/* Write bytes of number @seed directly; false: the test has failed. */
bool dio_write(struct dio_scene *s, u64 pos, size_t len, u64 seed);
/* Drop all cached pages of the file, which are clean and not mapped. */
void drop_all(struct dio_scene *s);
/* dio=@name until dio_end(). */
void dio_set(struct dio_scene *s, const char *name);
/* The 8 bytes at @pos: through a new direct read; on the disk, whatever the cache says. */
u64 dio_word(struct dio_scene *s, u64 pos);
u64 disk_word(struct dio_scene *s, u64 pos);
/* The cached page, or NULL; not referenced. */
struct page *dio_page(struct dio_scene *s, pgoff_t index);

#endif
