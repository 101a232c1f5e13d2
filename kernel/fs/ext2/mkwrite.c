/* SPDX-License-Identifier: MIT */
/*
 * mkwrite.c - before bytes are stored to a page: does it have its blocks?
 *
 * Owns:  the promise that a page which may become dirty can be written: no store is accepted that
 *        the disk has no room for (rule 94).
 * Not:   finding blocks (map.c), re-checks against truncate (filemap_page_mkwrite).
 * Locks: page lock held; sbi->lock inside, only when the page is seen for the first time.
 * Key fact: PG_blocks remembers the answer. A store to a page that was cleaned asks nothing: one
 *        test of a bit. A page that gets a new block is dirty from then on, whether or not the
 *        store comes: the block holds its last owner's bytes until the page is written over them.
 */
#include "kernel/fs/ext2/ext2.h"
#include "kernel/mm/page_dirty.h"

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

static int __attribute__((noinline))
prepare_slow(struct address_space *mapping, struct page *page, unsigned int from, unsigned int to)
{
	struct inode *inode = mapping->host;
	u32 bits = (u32)__builtin_ctz(inode->sb->block_size), first = from >> bits;
	bool grew;
	int err;

	if (to <= from)
		return 0;
	err = ext2_map_page(inode, page->index * (PAGE_SIZE >> bits) + first,
			    ((to - 1) >> bits) + 1 - first, &grew);
	if (grew)
		set_page_dirty(page);
	if (!err)
		remember(inode, page);
	return err;
}

int ext2_prepare_write(struct address_space *mapping, struct page *page, unsigned int from,
		       unsigned int to)
{
	if (likely(test_bit(&page->flags, PG_blocks)))
		return 0;
	return prepare_slow(mapping, page, from, to);
}
