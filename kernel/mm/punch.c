/* SPDX-License-Identifier: MIT */
/*
 * punch.c - the cached pages of a part of a file go, and do not come back while its blocks do.
 *
 * Owns:  the order in which PTEs and pages of the part go, and who is kept away meanwhile.
 * Not:   single pages (truncate.c), freeing or zeroing blocks (the file system, between begin and
 *        end).
 * Locks: i_rwsem (write) by the caller; invalidate_lock (write) from begin to end; of the pages
 *        that are covered in part, the locks from when they are zeroed to end.
 * Key fact: the size does not change, so nothing tells a fault to keep away. A fault that brings a
 *        page in between its dropping and the freeing of its block would read what was given up, or
 *        by then the next owner's bytes, and store over them (rule 100, B16). Therefore:
 *
 * | who could use a block of the part		| what keeps it away				|
 * | a fault, or a grant, that brings a page in	| invalidate_lock, held to read until the read	|
 * |						| is submitted; a page that is read is locked,	|
 * |						| and dropping waits for the lock		|
 * | read(), write(), truncate, direct I/O	| i_rwsem, and inode_dio_wait()			|
 * | a write fault to a page that is in the	| its page lock: blocks are free after the page |
 * | file: it may get a block (prepare_write)	| was dropped, and the new one among them; the	|
 * |						| fault's PTE is gone, its exchange fails	|
 * | a store to a page covered in part, of	| no PTE with W is left, the page lock is held	|
 * | which a whole block is given up		| until it is free: the store's fault then asks |
 * |						| for a block (as B17)				|
 * | page_fork(): another frame in the place	| dropping looks the place up again		|
 * | writeback					| dropping waits for I/O with the page locked	|
 * | a private copy				| nothing: it is no longer the file's (rule 11)	|
 *
 * The first unmapping is there to make one shootdown for 256 pages; that none is left mapped is
 * seen to page by page, with the page lock.
 */
#include "kernel/mm/punch.h"

#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/truncate.h"

/* What of page @index lies in [@start, @end): *@from, *@to. True: a part of it, but not all. */
static bool is_edge(pgoff_t index, u64 start, u64 end, unsigned int *from, unsigned int *to)
{
	u64 first = index << PAGE_SHIFT;

	*from = (unsigned int)(max(start, first) - first);
	*to = (unsigned int)(min(end, first + PAGE_SIZE) - first);
	return *from || *to < PAGE_SIZE;
}

/* In the cache, so that no error is to be expected when it is too late for one. */
static int read_edge(struct address_space *mapping, pgoff_t index, u64 start, u64 end)
{
	unsigned int from, to;
	struct page *page;
	int err;

	if (!is_edge(index, start, end, &from, &to))
		return 0;
	err = read_mapping_page(mapping, index, NULL, &page);
	if (!err)
		page_put(page);
	return err;
}

static void lock_edge(struct pagecache_hole *hole, unsigned int n, pgoff_t index, u64 start,
		      u64 end)
{
	unsigned int from, to;
	int err;

	if (!is_edge(index, start, end, &from, &to))
		return;
	err = lock_page_at(hole->mapping, index << PAGE_SHIFT, &hole->edge[n]);
	if (err) {
		hole->error = err;
		return;
	}
	page_forget_blocks(hole->edge[n]);
	zero_page_part(hole->edge[n], from, to);
}

int pagecache_hole_begin(struct pagecache_hole *hole, struct address_space *mapping, u64 start,
			 u64 end)
{
	pgoff_t left = start >> PAGE_SHIFT, right = (end - 1) >> PAGE_SHIFT;
	pgoff_t first = DIV_ROUND_UP(start, PAGE_SIZE), last = end >> PAGE_SHIFT;
	int err;

	BUG_ON(start >= end);
	*hole = (struct pagecache_hole){ .mapping = mapping };
	trace(TRACE_PUNCH, mapping->ino, start);
	stat_inc(STAT_HOLES);
	down_write(&mapping->invalidate_lock);
	err = read_edge(mapping, left, start, end);
	if (!err)
		err = read_edge(mapping, right, start, end);
	if (err) {
		up_write(&mapping->invalidate_lock);
		return err;
	}
	if (first < last) {
		unmap_mapping_range(mapping, first, last - 1, ZAP_FILE_ONLY);
		delay_point("punch_unmapped", mapping);
		drop_mapping_pages(mapping, first, last - 1, DROP_DIRTY);
	}
	lock_edge(hole, 0, left, start, end);
	if (left != right)
		lock_edge(hole, 1, right, start, end);
	delay_point("punch_before_free", mapping);
	return 0;
}

int pagecache_hole_end(struct pagecache_hole *hole)
{
	for (unsigned int n = 0; n < ARRAY_SIZE(hole->edge); n++) {
		if (!hole->edge[n])
			continue;
		unlock_page(hole->edge[n]);
		page_put(hole->edge[n]);
	}
	up_write(&hole->mapping->invalidate_lock);
	return hole->error;
}
