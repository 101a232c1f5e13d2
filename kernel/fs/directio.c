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
 * A request is cut into pieces of at most PIECE_PAGES pages of the buffer. The bios of a piece are
 * all under way at once.
 */
#include "kernel/fs/directio.h"

#include <errno.h>
#include <string.h>

#include "kernel/core/args.h"
#include "kernel/core/completion.h"
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/fs/pageio.h"
#include "kernel/fs/vfs.h"
#include "kernel/lib/errors.h"
#include "kernel/mm/gup.h"
#include "kernel/mm/invalidate.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/writeback.h"

#define FEW_PAGES   8
#define PIECE_PAGES (PAGE_SIZE / sizeof(struct page *))

/* Not an error of the caller's: this part has to go through the cache. */
#define THROUGH_CACHE (-ENOTSUP)

unsigned int dio_mode;
static const char *const dio_names[] = { "coherent", "buffered", "none", NULL };
ARG_CHOICE(dio, dio_mode, dio_names, "direct I/O and mappings of the same file");

/* One piece: a range of the file, and the frames of the buffer. */
struct piece {
	struct inode *inode;
	struct blkdev *dev;
	enum bio_op op;
	bool look; /* reading: pages that are newer than the disk are copied */
	u32 block_bits;
	u64 pos, len;	     /* bytes of the file; whole sectors */
	u64 eof;	     /* reading: as @len, but not rounded up to a sector */
	unsigned int offset; /* of the buffer in its first frame */
	struct page **pages;
	struct block_run run; /* the last answer of map_run(); nr 0: none yet */
	u64 run_lblock;
	struct bio *bio; /* being filled, or NULL */
	sector_t next;	 /* that would continue it */
	struct completion done;
	u64 failed; /* a: bytes before the first that failed; @len or more: none */
	int error;  /* a: of any that failed */
	bool raced; /* writing: a page stayed in the cache, or came back dirty */
};

/* ---- where blocks are ---------------------------------------------------------------------- */

/* True: *@run, which begins at *@first, has block @lblock of the file, and the map need not be
 * asked. Many read, and one of them may write meanwhile: then the answer is no. */
static bool find_hint(const struct inode *inode, u64 lblock, struct block_run *run, u64 *first)
{
	const struct extent_hint *h = &inode->hint;
	u32 seq = READ_ONCE(h->seq);

	*first = READ_ONCE(h->lblock);
	run->block = READ_ONCE(h->block);
	run->nr = READ_ONCE(h->nr);
	return likely(lblock - *first < run->nr &&
		      READ_ONCE(h->gen) == READ_ONCE(inode->meta_gen) && !(seq & 1) &&
		      READ_ONCE(h->seq) == seq);
}

/* The map said so, when meta_gen was @gen. */
static void set_hint(struct inode *inode, u64 lblock, const struct block_run *run, u64 gen)
{
	struct extent_hint *h = &inode->hint;
	u32 seq = READ_ONCE(h->seq);

	if (seq & 1 || !atomic_cas(&h->seq, seq, seq + 1))
		return;
	WRITE_ONCE(h->lblock, lblock);
	WRITE_ONCE(h->block, run->block);
	WRITE_ONCE(h->nr, run->nr);
	WRITE_ONCE(h->gen, gen);
	atomic_store(&h->seq, seq + 2);
}

static int ask_map(struct inode *inode, u64 lblock, u32 max, struct block_run *run)
{
	u64 gen = READ_ONCE(inode->meta_gen);
	int err = inode->ops->map_run(inode, lblock, max, run);

	/* A hole may be filled at any time. */
	if (!err && run->block)
		set_hint(inode, lblock, run, gen);
	return err;
}

/* ---- requests ------------------------------------------------------------------------------ */

/* Any context. */
static void note_failure(struct piece *p, u64 at, int error)
{
	u64 old = atomic_load(&p->failed);

	WRITE_ONCE(p->error, error);
	while (at < old && !atomic_cas(&p->failed, old, at))
		old = atomic_load(&p->failed);
}

static void end_request(struct bio *bio)
{
	struct piece *p = bio->private;

	/* The file knows two errors, whatever the device said. */
	if (unlikely(bio->status))
		note_failure(p, bio->pages.nr, bio->status == -ENOSPC ? -ENOSPC : -EIO);
	bio_free(bio);
	complete(&p->done);
}

static void submit_pending(struct piece *p)
{
	if (!p->bio)
		return;
	completion_add(&p->done);
	submit_bio(p->bio);
	p->bio = NULL;
}

/* @n bytes of memory at @pa, which are @at bytes into the piece, from or to @sector. */
static void add_memory(struct piece *p, sector_t sector, paddr_t pa, u32 n, u64 at)
{
	if (!p->bio || sector != p->next || !bio_add(p->bio, pa, n)) {
		submit_pending(p);
		p->bio = bio_alloc(p->dev, p->op, sector);
		BUG_ON(!p->bio); /* we may sleep, so we get one */
		p->bio->end_io = end_request;
		p->bio->private = p;
		p->bio->pages.nr = (unsigned int)at; /* it carries no cached pages */
		BUG_ON(!bio_add(p->bio, pa, n));
	}
	p->next = sector + (n >> SECTOR_SHIFT);
}

/* Make p->run cover the block of the byte @at of the piece. */
static int map_block(struct piece *p, u64 at)
{
	u64 lblock = (p->pos + at) >> p->block_bits;
	u64 last = (p->pos + p->len - 1) >> p->block_bits;
	int err;

	if (lblock - p->run_lblock < p->run.nr ||
	    find_hint(p->inode, lblock, &p->run, &p->run_lblock))
		return 0;
	p->run.nr = 0;
	submit_pending(p); /* a map may have to be read, and who asks for a bio holds none */
	err = ask_map(p->inode, lblock, (u32)(last - lblock + 1), &p->run);
	p->run_lblock = lblock;
	return err;
}

/* Bytes from @at to the end of p->run, as many as @most. */
static u32 run_left(const struct piece *p, u64 at, u32 most)
{
	u64 end = (p->run_lblock + p->run.nr) << p->block_bits;

	return (u32)min((u64)most, end - (p->pos + at));
}

static sector_t run_sector(const struct piece *p, u64 at)
{
	u64 block = p->run.block + (((p->pos + at) >> p->block_bits) - p->run_lblock);

	return (block << (p->block_bits - SECTOR_SHIFT)) +
	       (((p->pos + at) & ((1ul << p->block_bits) - 1)) >> SECTOR_SHIFT);
}

/* The buffer's memory for the byte @at of the piece, and how much of it lies in this frame. */
static void *memory_at(const struct piece *p, u64 at, u32 *left)
{
	u64 byte = p->offset + at;

	*left = (u32)min(p->len - at, PAGE_SIZE - (byte & ~PAGE_MASK));
	return (char *)page_address(p->pages[byte >> PAGE_SHIFT]) + (byte & ~PAGE_MASK);
}

/* Wait for what was submitted. Bytes from the piece's beginning that are done; an error if none. */
static s64 finish(struct piece *p)
{
	submit_pending(p);
	completion_wait(&p->done);
	return likely(p->failed) ? (s64)min(p->failed, p->len) : p->error;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Bytes at @at of the piece, @n at most: from the cached page if that is newer than the disk. How
 * many there were; 0: ask the disk for *@n at most. */
static u32 copy_newer(struct piece *p, void *to, u64 at, u32 *n)
{
	u64 pos = p->pos + at;
	struct page *page;
	u32 inside;

	*n = (u32)min((u64)*n, PAGE_SIZE - (pos & ~PAGE_MASK));
	page = find_get_newer_page(&p->inode->data, pos >> PAGE_SHIFT);
	if (!page)
		return 0;
	/* It may be the same page; and what was stored to it behind the end is nobody's. */
	inside = at < p->eof ? (u32)min((u64)*n, p->eof - at) : 0;
	memmove(to, (char *)page_address(page) + (pos & ~PAGE_MASK), inside);
	memset((char *)to + inside, 0, *n - inside);
	page_put(page);
	stat_inc(STAT_DIO_COPIED);
	return *n;
}

static s64 read_piece(struct piece *p)
{
	const struct address_space *mapping = &p->inode->data;
	u64 at = 0;
	u32 n;

	/* One load: stores that were over before the call have left a tag. */
	p->look = READ_ONCE(dio_mode) != DIO_NONE && mapping_needs_sync(mapping);
	for (; at < p->len; at += n) {
		void *memory = memory_at(p, at, &n);
		int err;

		if (p->look && copy_newer(p, memory, at, &n))
			continue;
		err = map_block(p, at);
		if (unlikely(err)) {
			note_failure(p, at, err);
			break;
		}
		n = run_left(p, at, n);
		if (p->run.block)
			add_memory(p, run_sector(p, at), virt_to_phys(memory), n, at);
		else
			memset(memory, 0, n);
	}
	return finish(p);
}

/* ---- writing ------------------------------------------------------------------------------- */

/* All of the piece that has blocks, up to the first hole, which p->len is cut down to.
 * THROUGH_CACHE: it begins with one, whose length becomes p->len. */
static s64 write_blocks(struct piece *p)
{
	u64 at = 0;
	u32 n;

	for (; at < p->len; at += n) {
		void *memory = memory_at(p, at, &n);
		int err = map_block(p, at);

		if (unlikely(err)) {
			note_failure(p, at, err);
			break;
		}
		if (!p->run.block) {
			p->len = at ? at : run_left(p, 0, (u32)p->len);
			return at ? finish(p) : THROUGH_CACHE;
		}
		n = run_left(p, at, n);
		add_memory(p, run_sector(p, at), virt_to_phys(memory), n, at);
	}
	return finish(p);
}

/* Inside the end of the file. As write_blocks(); THROUGH_CACHE also where a page will not go. */
static s64 write_piece(struct piece *p)
{
	struct address_space *mapping = &p->inode->data;
	pgoff_t first = p->pos >> PAGE_SHIFT, last = (p->pos + p->len - 1) >> PAGE_SHIFT;
	bool coherent = READ_ONCE(dio_mode) != DIO_NONE;
	int err = 0;
	s64 n;

	if (coherent)
		err = flush_and_invalidate_range(mapping, first, last);
	if (unlikely(err))
		return err == -EIO || err == -ENOSPC ? err : THROUGH_CACHE;
	delay_point("dio_before_write", mapping);
	n = write_blocks(p);
	if (n == THROUGH_CACHE)
		return n;
	delay_point("dio_written", mapping);
	/* Whoever faulted one in meanwhile has the old bytes (B22). */
	if (coherent && READ_ONCE(mapping->pages.nr))
		p->raced = invalidate_mapping_range(mapping, first, last);
	return n;
}

/* ---- a read that is one request ------------------------------------------------------------- */

/*
 * @len bytes that lie in one frame of the buffer and in the extent that was used last, of a file
 * of which no page is newer than the disk: all that a small random read usually is. *@n: what came
 * of it. False: it is not that, nothing was done.
 */
static bool read_one(struct inode *inode, vaddr_t buf, u64 len, u64 pos, s64 *n)
{
	u32 bits = (u32)__builtin_ctz(inode->sb->block_size);
	struct mm *mm = current_thread()->mm;
	struct block_run run;
	struct page *page;
	struct bio *bio;
	u64 first, skip;

	if (mapping_needs_sync(&inode->data) || (buf & ~PAGE_MASK) + len > PAGE_SIZE ||
	    !find_hint(inode, pos >> bits, &run, &first))
		return false;
	skip = pos - (first << bits);
	if (skip + len > (u64)run.nr << bits)
		return false;
	*n = pin_user_pages(mm, buf, 1, PIN_TO_WRITE, &page);
	if (unlikely(*n <= 0))
		return true;
	inode_dio_begin(inode);
	bio = bio_alloc(inode->sb->dev, BIO_READ, ((run.block << bits) + skip) >> SECTOR_SHIFT);
	BUG_ON(!bio || !bio_add(bio, page_to_phys(page) + (buf & ~PAGE_MASK), (u32)len));
	*n = submit_bio_wait(bio) ? -EIO : (s64)len;
	bio_free(bio);
	inode_dio_end(inode);
	if (unpin_user_pages(mm, buf, 1, PIN_TO_WRITE, &page, 1))
		*n = -EIO;
	return true;
}

/* ---- pieces -------------------------------------------------------------------------------- */

static void start_piece(struct piece *p, struct inode *inode, enum bio_op op, u64 pos, u64 len)
{
	p->inode = inode;
	p->dev = inode->sb->dev;
	p->op = op;
	p->look = false;
	p->block_bits = (u32)__builtin_ctz(inode->sb->block_size);
	p->pos = pos;
	p->len = p->eof = p->failed = len;
	p->run.nr = 0;
	p->run_lblock = 0;
	p->bio = NULL;
	p->error = 0;
	p->raced = false;
	completion_init(&p->done, 0);
}

/* Run @fn on as much of @p as can be pinned of the buffer at @buf. */
static s64 with_buffer(struct piece *p, vaddr_t buf, struct page **pages, unsigned int room,
		       enum pin_for what, s64 (*fn)(struct piece *p))
{
	struct mm *mm = current_thread()->mm;
	unsigned int want, got;
	s64 n, err;

	p->offset = buf & ~PAGE_MASK;
	p->pages = pages;
	want = (unsigned int)min((u64)room, (p->offset + p->len + PAGE_SIZE - 1) >> PAGE_SHIFT);
	n = pin_user_pages(mm, buf, want, what, pages);
	if (unlikely(n <= 0))
		return n;
	got = (unsigned int)n;
	p->len = p->failed = min(p->len, got * PAGE_SIZE - p->offset);
	inode_dio_begin(p->inode);
	n = fn(p);
	inode_dio_end(p->inode);
	err = unpin_user_pages(mm, buf, got, what, pages, got);
	return err ? err : n;
}

/* Room for the frames of a piece of @len bytes: @few, or a page of them; fewer without memory. */
static struct page **get_room(struct page **few, u64 len, unsigned int *room)
{
	struct page **many = NULL;

	*room = FEW_PAGES;
	if (len > (FEW_PAGES - 1) * PAGE_SIZE)
		many = kmalloc(PAGE_SIZE);
	if (many)
		*room = PIECE_PAGES;
	return many ? many : few;
}

static bool unaligned(const struct inode *inode, const void *buf, u64 len, u64 pos)
{
	return ((u64)buf | len | pos) & (inode->sb->dev->sector_size - 1);
}

/* Is all I/O to this file to go through the cache, as of now? */
static bool use_cache(const struct inode *inode)
{
	return unlikely(READ_ONCE(dio_mode) == DIO_BUFFERED) && !i_mmap_empty(&inode->data.i_mmap);
}

/* ---- entry points -------------------------------------------------------------------------- */

s64 direct_read(struct file *file, void *buf, size_t len, u64 pos)
{
	struct inode *inode = file->inode;
	u64 size = READ_ONCE(inode->data.size), eof, done = 0;
	struct page *few[FEW_PAGES], **pages;
	unsigned int room;
	s64 n = 0;

	if (pos >= size)
		return 0;
	if (unaligned(inode, buf, len, pos))
		return -EINVAL;
	stat_inc(STAT_DIO_READS);
	if (use_cache(inode)) {
		stat_inc(STAT_DIO_CACHED);
		return file_read_locked(file, buf, len, pos);
	}
	eof = min((u64)len, size - pos);
	len = ALIGN_UP(eof, (u64)inode->sb->dev->sector_size);
	if (read_one(inode, (vaddr_t)buf, len, pos, &n))
		return n > 0 ? (s64)min((u64)n, eof) : n;
	pages = get_room(few, len, &room);
	while (done < len) {
		struct piece p;

		start_piece(&p, inode, BIO_READ, pos + done, len - done);
		p.eof = eof - done;
		n = with_buffer(&p, (vaddr_t)buf + done, pages, room, PIN_TO_WRITE, read_piece);
		if (n > 0)
			done += (u64)n;
		if (n != (s64)p.len)
			break;
	}
	if (unlikely(pages != few))
		kfree(pages);
	return done ? (s64)min(done, eof) : n;
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
	start_piece(&p, inode, BIO_WRITE, pos, min(*len, end - pos));
	n = with_buffer(&p, (vaddr_t)buf, pages, room, PIN_TO_READ, write_piece);
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
	pages = get_room(few, len, &room);
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
	if (unlikely(pages != few))
		kfree(pages);
	if (raced) {
		stat_inc(STAT_DIO_RACES);
		return -ERACE;
	}
	return done ? (s64)done : n;
}
