/* SPDX-License-Identifier: MIT */
/*
 * pageio.c - runs of pages to bios, and what happens when a bio ends.
 *
 * Owns:  which pages and blocks share a request; the end of reading and of writeback.
 * Not:   where blocks are (map_run_fn), what is dirty (mm).
 * Locks: none of its own. Completion runs in interrupt context.
 * Key fact: nearly every page is one extent, and it goes to the disk with its neighbours in one bio
 *        whose page list is all the bookkeeping there is. Only a page whose blocks are scattered,
 *        or that EOF cuts, needs a counter of its own.
 *
 * A page under I/O stays in its mapping, and the mapping lives: truncate and eviction wait for it.
 */
#include "kernel/fs/pageio.h"

#include <errno.h>
#include <string.h>

#include "kernel/core/printk.h"
#include "kernel/fs/data_sync.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/page_dirty.h"

/* One call of pageio_read() or pageio_write(). */
struct pass {
	struct inode *inode;
	map_run_fn map;
	u64 size;		/* of the file, when the pass began */
	u32 block_shift;	/* log2 of the block size */
	u32 per_page;		/* blocks */
	u64 run_lblock;		/* first block of @run in the file */
	struct block_run run;	/* the last answer of map(); nr 0: none yet */
	struct data_sync *sync; /* writing: who waits for it, or NULL */
	struct bio *bio;	/* reading: being filled, or NULL */
	u64 want;		/* reading: disk block that would continue it */
};

/* A page in several requests, or one whose end must be zeroed. */
struct page_io {
	struct page *page;
	int pending;   /* a: requests under way, and one while they are made */
	int error;     /* a: of any of them */
	u16 op;	       /* BIO_READ or BIO_WRITE */
	u32 zero_from; /* bytes from here on lie behind EOF */
};

static __always_inline void start_pass(struct pass *p, struct address_space *mapping,
				       map_run_fn map)
{
	struct inode *inode = mapping->host;

	/* One by one: run.block and run_lblock mean nothing while run.nr is 0. */
	p->inode = inode;
	p->map = map;
	p->size = READ_ONCE(mapping->size);
	p->block_shift = (u32)__builtin_ctz(inode->sb->block_size);
	p->per_page = (u32)(PAGE_SIZE >> p->block_shift);
	p->run.nr = 0;
	p->bio = NULL;
}

static void submit_pending(struct pass *p)
{
	if (p->bio)
		submit_bio(p->bio);
	p->bio = NULL;
}

static struct bio *start_bio(struct pass *p, enum bio_op op, u64 block, void (*end)(struct bio *))
{
	struct bio *bio =
		bio_alloc(p->inode->sb->dev, op, block << (p->block_shift - SECTOR_SHIFT));

	BUG_ON(!bio); /* we may sleep, so we get one */
	bio->end_io = end;
	return bio;
}

/* How many blocks of @page lie inside EOF, the last one perhaps in part. */
static u32 blocks_inside(const struct pass *p, const struct page *page)
{
	u64 start = page->index << PAGE_SHIFT;

	if (start >= p->size)
		return 0;
	return (u32)((min(p->size - start, PAGE_SIZE) + (1u << p->block_shift) - 1) >>
		     p->block_shift);
}

/* Pages that are to be written together, for which a block map is asked at once at most. */
#define MAP_AHEAD 256

/* Make p->run cover @lblock; asks for @nr blocks from there on, and not for more: where the map
 * finds blocks for holes, it does so only for what will be written. */
static int map_block(struct pass *p, u64 lblock, u32 nr)
{
	int err;

	if (p->run.nr && lblock >= p->run_lblock && lblock < p->run_lblock + p->run.nr)
		return 0;
	p->run.nr = 0;
	submit_pending(p); /* a map may have to be read, and who asks for a bio holds none */
	err = p->map(p->inode, lblock, nr, &p->run);
	p->run_lblock = lblock;
	return err;
}

/* Is all of @page one extent (or one hole, *@block 0)? */
static bool is_one_extent(struct pass *p, const struct page *page, u32 pages, u64 *block)
{
	u64 lblock = page->index * p->per_page, skip;

	if (map_block(p, lblock, pages * p->per_page))
		return false;
	skip = lblock - p->run_lblock;
	if (p->run.nr - skip < p->per_page)
		return false;
	*block = p->run.block ? p->run.block + skip : 0;
	return true;
}

/* ---- ends ---------------------------------------------------------------------------------- */

/* Of @page, which is still under I/O. A disk that is gone fails everything: one line for what one
 * fsync will tell is enough. */
static void note_write_error(struct page *page, int error)
{
	struct address_space *mapping = page_io_mapping(page);
	struct inode *inode = mapping->host;

	if (page_write_failed(page, error))
		printk("%s: %s: inode %lu, page %lu: write failed (error %d).\n", inode->sb->type,
		       inode->sb->dev->name, (unsigned long)mapping->ino,
		       (unsigned long)page->index, error);
	sb_set_error(inode->sb, error);
}

static void note_read_error(struct address_space *mapping, pgoff_t index, int error)
{
	struct inode *inode = mapping->host;

	printk("%s: %s: inode %lu, page %lu: read failed (error %d).\n", inode->sb->type,
	       inode->sb->dev->name, (unsigned long)mapping->ino, (unsigned long)index, error);
}

static void end_write(struct bio *bio);

/*
 * A request of several pages failed: one bad block must not take its neighbours' stores with it, so
 * each page goes again alone. In an interrupt there may be no memory for that; then all have
 * failed.
 */
static void write_singly(struct bio *bio)
{
	struct page *page, *next;
	sector_t sector = bio->sector;

	data_sync_again(bio);
	for (page = bio->pages.first; page; page = next, sector += PAGE_SIZE >> SECTOR_SHIFT) {
		struct bio *one = bio_alloc(bio->dev, BIO_WRITE, sector);

		next = page->next;
		if (!one) {
			note_write_error(page, bio->status);
			end_page_writeback(page);
			continue;
		}
		BUG_ON(!bio_add(one, page_to_phys(page), PAGE_SIZE));
		page_list_add(&one->pages, page);
		data_sync_add(NULL, one);
		one->end_io = end_write;
		submit_bio(one);
	}
}

static void end_write(struct bio *bio)
{
	data_sync_ending(bio);
	if (unlikely(bio->status && bio->pages.nr > 1)) {
		write_singly(bio);
	} else {
		if (unlikely(bio->status))
			note_write_error(bio->pages.first, bio->status);
		end_pages_writeback(&bio->pages);
	}
	data_sync_end(bio);
}

/* When a request of several pages failed, none is known to be bad: each is read again, alone, by
 * who needs it. */
static void end_read(struct bio *bio)
{
	int error = bio->status && bio->pages.nr > 1 ? -EAGAIN : bio->status;
	struct page *page, *next;

	if (unlikely(error && error != -EAGAIN))
		note_read_error(bio->pages.first->mapping, bio->pages.first->index, error);
	for (page = bio->pages.first; page; page = next) {
		next = page->next;
		filemap_end_read(page, error);
	}
	bio_free(bio);
}

static void put_page_io(struct page_io *io)
{
	struct page *page = io->page;

	if (!atomic_dec_and_test(&io->pending))
		return;
	if (io->op == BIO_WRITE) {
		if (io->error)
			note_write_error(page, io->error);
		end_page_writeback(page);
	} else {
		if (io->error)
			note_read_error(page->mapping, page->index, io->error);
		else
			memset((char *)page_address(page) + io->zero_from, 0,
			       PAGE_SIZE - io->zero_from);
		filemap_end_read(page, io->error);
	}
	kfree(io);
}

static void end_part(struct bio *bio)
{
	struct page_io *io = bio->private;

	if (bio->status)
		WRITE_ONCE(io->error, bio->status);
	bio_free(bio);
	put_page_io(io);
}

/* ---- pages in parts ------------------------------------------------------------------------ */

/* One extent of a page; without memory for @io it is waited for. */
static int do_part(struct pass *p, enum bio_op op, struct page *page, u32 first, u32 nr, u64 block,
		   struct page_io *io)
{
	struct bio *bio = start_bio(p, op, block, end_part);
	int err;

	BUG_ON(!bio_add(bio, page_to_phys(page) + (first << p->block_shift), nr << p->block_shift));
	if (io) {
		bio->private = io;
		atomic_inc(&io->pending);
		submit_bio(bio);
		return 0;
	}
	err = submit_bio_wait(bio);
	bio_free(bio);
	return err;
}

/* Every extent of @page up to its block @end. Holes are zeros: read as such, not written. */
static int do_parts(struct pass *p, enum bio_op op, struct page *page, u32 end, struct page_io *io)
{
	u64 lblock = page->index * p->per_page;
	u32 first = 0;
	int err = 0;

	while (first < end && !err) {
		u64 skip, block;
		u32 nr;

		err = map_block(p, lblock + first, end - first);
		if (err)
			break;
		skip = lblock + first - p->run_lblock;
		nr = (u32)min((u64)(end - first), p->run.nr - skip);
		block = p->run.block ? p->run.block + skip : 0;
		if (block)
			err = do_part(p, op, page, first, nr, block, io);
		else if (op == BIO_READ)
			memset((char *)page_address(page) + (first << p->block_shift), 0,
			       nr << p->block_shift);
		first += nr;
	}
	return err;
}

static struct page_io *new_page_io(const struct pass *p, enum bio_op op, struct page *page)
{
	struct page_io *io = kmalloc(sizeof(*io));
	u64 start = page->index << PAGE_SHIFT;

	if (io)
		*io = (struct page_io){
			.page = page,
			.pending = 1,
			.op = (u16)op,
			.zero_from = p->size <= start ? 0 : (u32)min(p->size - start, PAGE_SIZE),
		};
	return io;
}

static void write_in_parts(struct pass *p, struct page *page)
{
	struct page_io *io = new_page_io(p, BIO_WRITE, page);
	int err;

	err = do_parts(p, BIO_WRITE, page, blocks_inside(p, page), io);
	if (io) {
		if (err)
			WRITE_ONCE(io->error, err);
		put_page_io(io);
		return;
	}
	if (err)
		note_write_error(page, err);
	end_page_writeback(page);
}

static void read_in_parts(struct pass *p, struct page *page)
{
	struct page_io *io = new_page_io(p, BIO_READ, page);
	int err;

	if (!io) {
		filemap_end_read(page, -ENOMEM);
		return;
	}
	submit_pending(p); /* who asks for a bio holds none */
	err = do_parts(p, BIO_READ, page, blocks_inside(p, page), io);
	if (err)
		WRITE_ONCE(io->error, err);
	put_page_io(io);
}

/* ---- the two passes ------------------------------------------------------------------------ */

/* How many pages from @page on follow each other in the file and in the list. */
static u32 neighbours(const struct page *page)
{
	u32 n = 1;

	for (; n < MAP_AHEAD && page->next && page->next->index == page->index + 1; n++)
		page = page->next;
	return n;
}

/*
 * The map has told that @page, which is under writeback and not locked, begins at @block. Truncate
 * waits for the I/O before it takes that away again. Growth does not: but then the page was cut by
 * EOF when the pass began, and is not remembered.
 */
static void remember_blocks(const struct pass *p, struct page *page, u64 block)
{
	if (p->per_page == 1 || (page->index + 1) << PAGE_SHIFT <= p->size)
		page_set_blocks(page, block);
}

/* The disk block where @page begins, if all of it lies inside EOF and is one extent; else 0. */
static u64 find_whole_page(struct pass *p, struct page *page)
{
	u64 block;

	if (blocks_inside(p, page) != p->per_page ||
	    !is_one_extent(p, page, neighbours(page), &block))
		return 0;
	if (block)
		remember_blocks(p, page, block);
	return block;
}

/* Is @page, which has not PG_blocks, known to begin at disk block @block without asking the map? */
static bool continues_slow(struct pass *p, struct page *page, u64 block)
{
	u64 lblock = page->index * p->per_page;

	if (blocks_inside(p, page) != p->per_page || !p->run.nr || !p->run.block ||
	    lblock < p->run_lblock || lblock + p->per_page > p->run_lblock + p->run.nr ||
	    p->run.block + (lblock - p->run_lblock) != block)
		return false;
	remember_blocks(p, page, block);
	return true;
}

static inline bool continues(struct pass *p, struct page *page, u64 block)
{
	if (likely(test_bit(&page->flags, PG_blocks)))
		return page->private == block;
	return continues_slow(p, page, block);
}

/*
 * @page and those that follow it in the list and on the disk, as one request: a piece of the list
 * becomes the bio's. Returns the page after them. The loop is what each dirty page costs here.
 */
static struct page *write_run(struct pass *p, struct page *page, u64 block)
{
	struct bio *bio = start_bio(p, BIO_WRITE, block, end_write);
	struct page *last, *next = page;

	bio->pages = (struct page_list){ .first = page };
	do {
		u32 room = (min(bio->max_len - bio->len, bio->max_seg_len)) >> PAGE_SHIFT, nr;
		u64 at = block;

		/* Neighbours in memory, too: one segment. */
		for (last = next, nr = 1;; last++, nr++) {
			at += p->per_page;
			if (last->next != last + 1 || nr >= room ||
			    !(test_bit(&last[1].flags, PG_blocks) && last[1].private == at))
				break;
		}
		if (!bio_add(bio, page_to_phys(next), (u32)(nr << PAGE_SHIFT)))
			break;
		bio->pages.nr += nr;
		bio->pages.last = last;
		block = at;
		next = last->next;
	} while (next && continues(p, next, block));
	last = bio->pages.last;
	BUG_ON(!last);
	next = last->next;
	last->next = NULL;
	data_sync_add(p->sync, bio);
	submit_bio(bio);
	return next;
}

void pageio_write(struct address_space *mapping, struct page_list *pages, map_run_fn map,
		  struct data_sync *sync)
{
	struct page *page, *next;
	struct pass p;
	u64 block;

	start_pass(&p, mapping, map);
	p.sync = sync;
	for (page = pages->first; page; page = next) {
		block = test_bit(&page->flags, PG_blocks) ? page->private :
							    find_whole_page(&p, page);
		if (likely(block)) {
			next = write_run(&p, page, block);
		} else {
			next = page->next;
			write_in_parts(&p, page);
		}
	}
}

/* Read all of @page, which begins at disk block @block, with the request at hand or a new one. */
static void add_read(struct pass *p, struct page *page, u64 block)
{
	if (!p->bio || block != p->want || !bio_add(p->bio, page_to_phys(page), PAGE_SIZE)) {
		submit_pending(p);
		p->bio = start_bio(p, BIO_READ, block, end_read);
		BUG_ON(!bio_add(p->bio, page_to_phys(page), PAGE_SIZE));
	}
	page_list_add(&p->bio->pages, page);
	p->want = block + p->per_page;
}

static void read_page(struct pass *p, struct page *page, u32 left)
{
	u32 inside = blocks_inside(p, page);
	bool one = false;
	u64 block = 0;

	if (inside == p->per_page)
		one = is_one_extent(p, page, left, &block);
	if (one && block && page_may_have_blocks(p->inode, page))
		page_set_blocks(page, block);
	if (!inside || (one && !block)) {
		memset(page_address(page), 0, PAGE_SIZE);
		filemap_end_read(page, 0);
	} else if (one && (page->index + 1) << PAGE_SHIFT <= p->size) {
		add_read(p, page, block);
	} else {
		read_in_parts(p, page);
	}
}

void pageio_read(struct address_space *mapping, struct page_list *pages, map_run_fn map)
{
	struct page *page, *next;
	u32 left = pages->nr;
	struct pass p;

	start_pass(&p, mapping, map);
	for (page = pages->first; page; page = next, left--) {
		next = page->next;
		read_page(&p, page, left);
	}
	submit_pending(&p);
}
