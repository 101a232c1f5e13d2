/* SPDX-License-Identifier: MIT */
/*
 * directio.c - between a program's buffer and the disk, past the cache.
 *
 * Owns:  which parts of a request go to the device and which through the cache; dio=.
 * Not:   the buffer's frames (gup.c), cached pages (invalidate.c), where blocks are
 *        (inode_operations->map_run), write() through the cache (file.c).
 * Locks: i_rwsem, to read or to write, until the I/O has ended: so no block is freed under it, and
 *        truncation waits. No page lock while a request is under way.
 * Key fact: the buffer may be a mapping of the same pages. It is faulted in and pinned before the
 *        cache is looked at; a page that is wanted on both sides is pinned, cannot be dropped, and
 *        so is copied, or written through the cache: nobody waits for himself (rules 13, 111; B24).
 *
 * A request is cut into pieces of at most two MiB (dio_piece.c).
 */
#include "kernel/fs/directio.h"

#include <errno.h>

#include "kernel/core/args.h"
#include "kernel/core/stat.h"
#include "kernel/fs/dio_piece.h"
#include "kernel/fs/vfs.h"
#include "kernel/lib/errors.h"
#include "kernel/mm/gup.h"
#include "kernel/mm/invalidate.h"
#include "kernel/mm/writeback.h"

unsigned int dio_mode;
static const char *const dio_names[] = { "coherent", "buffered", "none", NULL };
ARG_CHOICE(dio, dio_mode, dio_names, "direct I/O and mappings of the same file");

/* ---- a read that is one request ------------------------------------------------------------- */

/*
 * @len bytes that lie in one frame of the program's heap or stack and in the extent that was used
 * last, of a file of which no page is newer than the disk: all that a small random read usually is.
 * Where the frame's bytes are in memory; 0: it is not that, or it is not known without asking.
 */
static __always_inline paddr_t plan_one(const struct inode *inode, vaddr_t buf, u64 len, u64 pos,
					sector_t *sector)
{
	struct extent e;

	if (!is_kernel_half(buf) || (buf & ~PAGE_MASK) + len > PAGE_SIZE ||
	    mapping_needs_sync(&inode->data) || !extent_find(inode, pos, &e) ||
	    pos - e.pos + len > e.len)
		return 0;
	*sector = e.sector + ((pos - e.pos) >> SECTOR_SHIFT);
	return kernel_phys(buf, PIN_TO_WRITE);
}

static __always_inline s64 read_one(struct inode *inode, paddr_t pa, u64 len, sector_t sector)
{
	struct bio *bio;
	int err;

	inode_dio_begin(inode);
	bio = bio_alloc(inode->sb->dev, BIO_READ, sector);
	BUG_ON(!bio); /* we may sleep, so we get one */
	bio_add(bio, pa, (u32)len);
	err = submit_bio_wait(bio);
	bio_free(bio);
	inode_dio_end(inode);
	return unlikely(err) ? -EIO : (s64)len;
}

/* ---- entry points -------------------------------------------------------------------------- */

static bool unaligned(const struct inode *inode, const void *buf, u64 len, u64 pos)
{
	return ((u64)buf | len | pos) & (inode->sb->dev->sector_size - 1);
}

/* Is all I/O to this file to go through the cache, as of now? */
static bool use_cache(const struct inode *inode)
{
	return unlikely(READ_ONCE(dio_mode) == DIO_BUFFERED) && !i_mmap_empty(&inode->data.i_mmap);
}

static __noinline s64 read_pieces(struct inode *inode, void *buf, u64 eof, u64 len, u64 pos)
{
	struct page *few[FEW_PAGES], **pages;
	unsigned int room;
	u64 done = 0;
	s64 n = 0;

	pages = piece_room(few, len, &room);
	while (done < len) {
		struct piece p;

		piece_start(&p, inode, BIO_READ, pos + done, len - done);
		p.eof = eof - done;
		n = piece_run(&p, (vaddr_t)buf + done, pages, room);
		if (n > 0)
			done += (u64)n;
		if (n != (s64)p.len)
			break;
	}
	piece_free_room(pages, few);
	return done ? (s64)done : n;
}

s64 direct_read(struct file *file, void *buf, size_t len, u64 pos)
{
	struct inode *inode = file->inode;
	u64 size = READ_ONCE(inode->data.size), eof;
	sector_t sector;
	paddr_t pa;
	s64 n;

	if (pos >= size)
		return 0;
	if (unlikely(unaligned(inode, buf, len, pos)))
		return -EINVAL;
	stat_inc(STAT_DIO_READS);
	if (use_cache(inode)) {
		stat_inc(STAT_DIO_CACHED);
		return file_read_locked(file, buf, len, pos);
	}
	eof = len;
	if (unlikely(size - pos < len)) {
		eof = size - pos;
		len = ALIGN_UP(eof, (u64)inode->sb->dev->sector_size);
	}
	pa = plan_one(inode, (vaddr_t)buf, len, pos, &sector);
	if (likely(pa))
		n = read_one(inode, pa, len, sector);
	else
		n = read_pieces(inode, buf, eof, len, pos);
	return min(n, (s64)eof);
}

/* i_rwsem w held. What cannot go to the disk directly is on it all the same when this returns. */
static s64 write_through_cache(struct inode *inode, const void *buf, u64 len, u64 pos)
{
	s64 n = inode_write_locked(inode, buf, len, pos);
	int err;

	stat_inc(STAT_DIO_CACHED);
	if (n <= 0 || use_cache(inode))
		return n;
	err = flush_and_invalidate_range(&inode->data, pos >> PAGE_SHIFT,
					 (pos + (u64)n - 1) >> PAGE_SHIFT);
	/* That a page stays is no harm: it says what the disk says. */
	return err == -EIO || err == -ENOSPC ? err : n;
}

/* Up to *@len bytes at @pos. *@len: what one piece took on; THROUGH_CACHE: that much has to go
 * through the cache. */
static s64 write_some(struct inode *inode, const void *buf, u64 *len, u64 pos, struct page **pages,
		      unsigned int room, bool *raced)
{
	u64 end = ALIGN_DOWN(READ_ONCE(inode->data.size), (u64)inode->sb->dev->sector_size);
	struct piece p;
	s64 n;

	if (pos >= end || use_cache(inode))
		return THROUGH_CACHE;
	piece_start(&p, inode, BIO_WRITE, pos, min(*len, end - pos));
	n = piece_run(&p, (vaddr_t)buf, pages, room);
	*len = p.len;
	*raced |= p.raced;
	return n;
}

static void lock_inode(struct inode *inode, bool exclusive)
{
	if (exclusive)
		down_write(&inode->i_rwsem);
	else
		down_read(&inode->i_rwsem);
}

static void unlock_inode(struct inode *inode, bool exclusive)
{
	if (exclusive)
		up_write(&inode->i_rwsem);
	else
		up_read(&inode->i_rwsem);
}

static int may_write_at(const struct inode *inode, const void *buf, u64 len, u64 pos)
{
	if (unaligned(inode, buf, len, pos))
		return -EINVAL;
	if (pos >= inode->sb->max_bytes)
		return -EFBIG;
	return inode->sb->read_only ? -EROFS : 0;
}

s64 direct_write(struct file *file, const void *buf, size_t len, u64 *pos, bool append)
{
	struct inode *inode = file->inode;
	bool exclusive = append || *pos + len > READ_ONCE(inode->data.size), raced = false;
	struct page *few[FEW_PAGES], **pages;
	unsigned int room;
	u64 done = 0;
	s64 n;

	lock_inode(inode, exclusive);
	if (append)
		*pos = inode->data.size;
	n = may_write_at(inode, buf, len, *pos);
	pages = piece_room(few, len, &room);
	while (!n) {
		u64 part = len - done;
		const char *from = (const char *)buf + done;

		n = write_some(inode, from, &part, *pos + done, pages, room, &raced);
		if (n == THROUGH_CACHE) {
			if (!exclusive) {
				unlock_inode(inode, exclusive);
				exclusive = true;
				lock_inode(inode, exclusive);
			}
			n = write_through_cache(inode, from, part, *pos + done);
		}
		if (n > 0)
			done += (u64)n;
		/* On to the next piece. */
		if (n == (s64)part && done < len)
			n = 0;
	}
	stat_inc(STAT_DIO_WRITES);
	/* With an error, too: the disk may have taken some. */
	if (done || n == -EIO)
		inode_touch(inode, TOUCH_M | TOUCH_C);
	unlock_inode(inode, exclusive);
	piece_free_room(pages, few);
	if (raced) {
		stat_inc(STAT_DIO_RACES);
		return -ERACE;
	}
	return done ? (s64)done : n;
}
