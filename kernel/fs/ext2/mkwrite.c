/* SPDX-License-Identifier: MIT */
/*
 * mkwrite.c - before bytes are stored to a page: does it have its blocks, or will it?
 *
 * Owns:  alloc=: when blocks are found for a hole (seeds P15), and with that the promise that a
 *        page which may become dirty can be written: no store is accepted that the disk has no room
 *        for (rule 94).
 * Not:   finding blocks (map.c), putting room aside (reserve.c), re-checks against truncate
 *        (filemap_page_mkwrite).
 * Locks: page lock held; sbi->lock inside, only as long as the page has not its blocks.
 * Key fact: PG_blocks remembers the answer. A store to a page that was cleaned asks nothing: one
 *        test of a bit.
 *
 * alloc=	what a store into a hole does		when the disk is full
 * reserve	room is put aside, the page's		refused: SIGBUS, -ENOSPC (E3)
 *		writeback finds blocks, in runs
 * fault	blocks are found			refused (E2)
 * writeback	nothing: writeback finds blocks		let pass and lost; a sync is told (E1)
 *
 * Changed at any time: what was promised stays promised, what was not is not.
 *
 * A block that is found holds its last owner's bytes until the page is written over them (rule
 * 104). Under `fault` the page is dirty from then on, whether or not the store comes. Else the page
 * is on its way to the disk already. Readers get the cached page in either case. What a machine
 * finds after its power failed between the two is not promised (no journal): the pointer may be on
 * the disk and the bytes not, for as long as the page's I/O takes; under `fault`, for as long as
 * the page is dirty.
 */
#include <errno.h>

#include "kernel/core/args.h"
#include "kernel/fs/ext2/ext2.h"
#include "kernel/mm/page_dirty.h"

unsigned int ext2_alloc_choice; /* a: enum ext2_alloc */
static const char *const alloc_names[] = { "reserve", "fault", "writeback", NULL };
ARG_CHOICE(alloc, ext2_alloc_choice, alloc_names, "when blocks are found for a store into a hole");

/* All blocks of the page are there now: remember where, if that is one number. */
static void remember(struct inode *inode, struct page *page)
{
	u32 per_page = PAGE_SIZE / inode->sb->block_size;
	struct block_run run;

	if (!page_may_have_blocks(inode, page))
		return;
	if (!ext2_map_run(inode, page->index * per_page, per_page, &run) && run.block &&
	    run.nr == per_page)
		page_set_blocks(page, run.block);
}

static int find_now(struct inode *inode, struct page *page, u64 lblock, u32 nr)
{
	bool grew;
	int err = ext2_map_page(inode, lblock, nr, &grew);

	if (grew)
		set_page_dirty(page);
	if (!err)
		remember(inode, page);
	return err;
}

static int find_later(struct inode *inode, struct page *page, u64 lblock, u32 nr,
		      enum ext2_delay how)
{
	u64 block;
	int err = ext2_delay(inode, lblock, nr, how, &block);

	if (err || !block)
		return err;
	if (nr * inode->sb->block_size < PAGE_SIZE)
		remember(inode, page);
	else if (page_may_have_blocks(inode, page))
		page_set_blocks(page, block);
	return 0;
}

static int __attribute__((noinline))
prepare_slow(struct address_space *mapping, struct page *page, unsigned int from, unsigned int to)
{
	struct inode *inode = mapping->host;
	u32 bits = (u32)__builtin_ctz(inode->sb->block_size), first = from >> bits, nr;
	u64 lblock = page->index * (PAGE_SIZE >> bits) + first;

	if (to <= from)
		return 0;
	nr = ((to - 1) >> bits) + 1 - first;
	switch (READ_ONCE(ext2_alloc_choice)) {
	case EXT2_ALLOC_FAULT: return find_now(inode, page, lblock, nr);
	case EXT2_ALLOC_RESERVE: return find_later(inode, page, lblock, nr, EXT2_PROMISE);
	default: return find_later(inode, page, lblock, nr, EXT2_NO_PROMISE);
	}
}

int ext2_prepare_write(struct address_space *mapping, struct page *page, unsigned int from,
		       unsigned int to)
{
	if (likely(test_bit(&page->flags, PG_blocks)))
		return 0;
	return prepare_slow(mapping, page, from, to);
}

/* ---- the page leaves ----------------------------------------------------------------------- */

/* PG_blocks, or nothing was ever delayed in this file: nothing to ask. Page locked, so its own
 * blocks do not become delayed meanwhile. */
static bool may_be_delayed(const struct inode *inode, const struct page *page)
{
	return !test_bit(&page->flags, PG_blocks) && READ_ONCE(ext2_info(inode)->tables.rbh_root);
}

void ext2_invalidate_page(struct address_space *mapping, struct page *page)
{
	struct inode *inode = mapping->host;
	u32 per_page = PAGE_SIZE / inode->sb->block_size;

	if (may_be_delayed(inode, page))
		ext2_undelay(inode, page->index * per_page, (page->index + 1) * per_page);
}

/* Who wants memory may hold the lock: then the page stays. */
int ext2_release_page(struct address_space *mapping, struct page *page)
{
	struct inode *inode = mapping->host;
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	u32 per_page = PAGE_SIZE / inode->sb->block_size;

	if (!may_be_delayed(inode, page))
		return 0;
	if (!mutex_trylock(&sbi->lock))
		return -EBUSY;
	ext2_undelay_locked(inode, page->index * per_page, (page->index + 1) * per_page);
	mutex_unlock(&sbi->lock);
	return 0;
}
