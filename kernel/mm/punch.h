/* SPDX-License-Identifier: MIT */
/*
 * punch.h - a part of a file becomes a hole, or zeros.
 */
#ifndef KERNEL_MM_PUNCH_H
#define KERNEL_MM_PUNCH_H

#include "kernel/mm/mapping.h"

/* Between begin and end; see punch.c. */
struct pagecache_hole {
	struct address_space *mapping;
	struct page *edge[2]; /* locked: covered in part, or NULL */
	int error;
};

/*
 * Bytes [@start, @end) of the file are given up; what was stored to them never comes back. Unmaps
 * and drops the pages that lie wholly inside, in all address spaces (private copies stay: rule 11),
 * and zeroes the rest in the one or two pages that are covered in part. From here to
 * pagecache_hole_end() no page of the part comes into the cache, none is stored to through a
 * mapping, none is under I/O, and nobody is given a block in it: the caller frees or zeroes those
 * blocks that lie wholly inside (rules 100, 103).
 *
 * Caller holds i_rwsem for write, and no direct I/O is under way; invalidate_lock is taken for
 * write and kept. @start < @end; @start inside EOF, and @end too or at the end of a page.
 * 0, or -EIO, -ENOMEM when a page covered in part could not be read: then nothing is changed, no
 * lock is held, and pagecache_hole_end() is not called. May sleep.
 */
int pagecache_hole_begin(struct pagecache_hole *hole, struct address_space *mapping, u64 start,
			 u64 end);
/* 0; or the error of a page covered in part that had left the cache after it was read, and could
 * not be read again: its bytes are what they were. */
int pagecache_hole_end(struct pagecache_hole *hole);

#endif
