/* SPDX-License-Identifier: MIT */
/*
 * dio_piece.c - a piece of direct I/O: the requests to the device, and the bytes that are not to
 * come from there.
 *
 * Owns:  a piece's requests; that its range is clean and not cached when it is written.
 * Not:   which pieces there are, what goes through the cache (directio.c).
 * Locks: i_rwsem by the caller. Requests end in interrupt context.
 * Key fact: the bios of a piece are all under way at once, and each knows where in the piece it
 *        begins; so what came before the first that failed is done, whatever the others did.
 */
#include "kernel/fs/dio_piece.h"

#include <errno.h>
#include <string.h>

#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/fs/directio.h"
#include "kernel/mm/gup.h"
#include "kernel/mm/invalidate.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/writeback.h"

#define PIECE_PAGES (PAGE_SIZE / sizeof(struct page *))

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

/* Make p->extent have the byte @at of the piece. */
static int map_byte(struct piece *p, u64 at)
{
	u64 pos = p->pos + at;

	if (pos - p->extent.pos < p->extent.len || extent_find(p->inode, pos, &p->extent))
		return 0;
	p->extent.len = 0;
	submit_pending(p); /* a map may have to be read, and who asks for a bio holds none */
	return extent_map(p->inode, pos, p->pos + p->len, &p->extent);
}

/* Bytes from @at to the end of p->extent, as many as @most. */
static u32 extent_left(const struct piece *p, u64 at, u64 most)
{
	return (u32)min(most, p->extent.pos + p->extent.len - (p->pos + at));
}

static sector_t sector_of(const struct piece *p, u64 at)
{
	return p->extent.sector + ((p->pos + at - p->extent.pos) >> SECTOR_SHIFT);
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
		err = map_byte(p, at);
		if (unlikely(err)) {
			note_failure(p, at, err);
			break;
		}
		n = extent_left(p, at, n);
		if (p->extent.sector)
			add_memory(p, sector_of(p, at), virt_to_phys(memory), n, at);
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
		int err = map_byte(p, at);

		if (unlikely(err)) {
			note_failure(p, at, err);
			break;
		}
		if (!p->extent.sector) {
			p->len = at ? at : extent_left(p, 0, p->len);
			return at ? finish(p) : THROUGH_CACHE;
		}
		n = extent_left(p, at, n);
		add_memory(p, sector_of(p, at), virt_to_phys(memory), n, at);
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

/* ---- pieces -------------------------------------------------------------------------------- */

void piece_start(struct piece *p, struct inode *inode, enum bio_op op, u64 pos, u64 len)
{
	p->inode = inode;
	p->dev = inode->sb->dev;
	p->op = op;
	p->look = false;
	p->pos = pos;
	p->len = p->eof = p->failed = len;
	p->extent.len = 0;
	p->bio = NULL;
	p->error = 0;
	p->raced = false;
	completion_init(&p->done, 0);
}

s64 piece_run(struct piece *p, vaddr_t buf, struct page **pages, unsigned int room)
{
	enum pin_for what = p->op == BIO_READ ? PIN_TO_WRITE : PIN_TO_READ;
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
	n = p->op == BIO_READ ? read_piece(p) : write_piece(p);
	inode_dio_end(p->inode);
	err = unpin_user_pages(mm, buf, got, what, pages, got);
	return err ? err : n;
}

struct page **piece_room(struct page **few, u64 len, unsigned int *room)
{
	struct page **many = NULL;

	*room = FEW_PAGES;
	if (len > (FEW_PAGES - 1) * PAGE_SIZE)
		many = kmalloc(PAGE_SIZE);
	if (many)
		*room = PIECE_PAGES;
	return many ? many : few;
}

void piece_free_room(struct page **pages, struct page **few)
{
	if (unlikely(pages != few))
		kfree(pages);
}
