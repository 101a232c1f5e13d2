/* SPDX-License-Identifier: MIT */
/*
 * pageio.h - cached pages to and from the blocks that a file system names.
 */
#ifndef KERNEL_FS_PAGEIO_H
#define KERNEL_FS_PAGEIO_H

#include "kernel/fs/fs.h"

/* Blocks of a file that lie side by side on the disk; block 0: a hole of that length. */
struct block_run {
	u64 block;
	u32 nr;
};

/* Where the file's blocks [@lblock, ...) are: at least one, at most @max. 0 or an error (-EIO). May
 * sleep; page locks may be held. */
typedef int (*map_run_fn)(struct inode *inode, u64 lblock, u32 max, struct block_run *run);

/*
 * The body of a_ops->readpages and a_ops->writepages; the contracts are theirs.
 *
 * PG_blocks says that all blocks of the page lie side by side from page->private on, and that the
 * page lies wholly inside EOF (or is one block): so a page cut by EOF, some of whose blocks a
 * truncate may free at any time, never has it. Set by pageio_read() and by prepare_write, with the
 * page lock held; such a page is written without asking @map.
 */
void pageio_read(struct address_space *mapping, struct page_list *pages, map_run_fn map);
/* Requests of whole pages are added to @sync (data_sync.h; NULL: nobody's). */
struct data_sync;
void pageio_write(struct address_space *mapping, struct page_list *pages, map_run_fn map,
		  struct data_sync *sync);

/* May the locked @page have PG_blocks, as far as EOF is concerned? */
static inline bool page_may_have_blocks(const struct inode *inode, const struct page *page)
{
	return inode->sb->block_size == PAGE_SIZE ||
	       (page->index + 1) << PAGE_SHIFT <= READ_ONCE(inode->data.size);
}

static inline void page_set_blocks(struct page *page, u64 block)
{
	page->private = block;
	/* After the number (a locked operation): writepages looks without the page lock. */
	set_bit(&page->flags, PG_blocks);
}

#endif
