/* SPDX-License-Identifier: MIT */
/*
 * directio.h - read() and write() of a file that was opened with FS_O_DIRECT.
 *
 * The bytes go between the caller's buffer and the disk, past the page cache. Argument dio=,
 * changeable at any time (dirty-tracking C.3):
 *
 * coherent (D1, D3)	a read sees every store that was over before it began, and costs nobody a
 *			fault; a write is seen by every load that begins after it
 * buffered (D4)	the same, by another way: a file that is mapped is read and written through
 *			the cache
 * none (D6)		the cache is not looked at: what it holds may be older than the disk, or be
 *			written over it later
 *
 * Coherent reading asks nothing of PTEs: a page that may be newer than the disk is in the cache,
 * with a tag that says so, and its bytes are copied from there (seeds P18, P22; rule 105). So no
 * page is cleaned, protected or unmapped for a reader, and no I/O of others is waited for.
 *
 * Coherent writing has the pages of the range written, waits, unmaps and drops them, before and
 * after (P19; rules 106, 107). If a page cannot be dropped before, that piece is written through
 * the cache and then to the disk. If it cannot after, the call ends with -ERACE (errors.h).
 *
 * Through the cache goes, too, what has no block yet: holes and all behind the end of the file.
 * ext2 cannot say "allocated, not written": a block that was given to a hole before its data was on
 * the disk would show its last owner's bytes after a crash. And the cache knows how to zero what is
 * around new bytes, and how to give back what could not be used. Nothing is ever written directly
 * to a block that is only reserved (rule 110).
 *
 * Stores and direct I/O that are not ordered by the program may be seen in any order, sector by
 * sector, and a page that is written back over a direct write may undo it (rule 109); -ERACE tells
 * of the cases that are seen.
 */
#ifndef KERNEL_FS_DIRECTIO_H
#define KERNEL_FS_DIRECTIO_H

#include "kernel/fs/fs.h"

enum dio_mode { DIO_COHERENT, DIO_BUFFERED, DIO_NONE };
extern unsigned int dio_mode;

/* May files of @inode's kind be opened with FS_O_DIRECT? */
static inline bool direct_possible(const struct inode *inode)
{
	return inode_is_file(inode) && inode->ops->map_run && inode->sb->dev;
}

/*
 * i_rwsem held to read; access and @pos were checked, @len is not 0. Bytes read; fewer at the end
 * of the file, 0 at or behind it (whatever @buf and @pos are), fewer before a part that failed;
 * then the buffer behind that may hold anything. In the sector that the end of the file lies in,
 * the buffer is filled up to the sector's end. -EINVAL: buffer, position or length is no multiple
 * of the device's sector. -EFAULT, -EIO, -ENOMEM: nothing was read.
 */
s64 direct_read(struct file *file, void *buf, size_t len, u64 pos);

/*
 * No lock held; access was checked, @len is not 0. @pos: as of do_write() in file.c. Takes i_rwsem:
 * shared while blocks that exist are written over, exclusively for all else. Moves times and
 * cookie. Bytes written; fewer before a part that failed. -EINVAL (as above), -EFBIG, -EROFS,
 * -EFAULT: nothing has changed. -EIO, -ENOSPC: the same, but for sectors that the disk took.
 * -ERACE: all was written, see errors.h; the file's position does not move.
 */
s64 direct_write(struct file *file, const void *buf, size_t len, u64 *pos, bool append);

#endif
