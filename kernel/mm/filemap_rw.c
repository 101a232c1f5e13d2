/* SPDX-License-Identifier: MIT */
/*
 * filemap_rw.c - read() and write() through the cached pages.
 *
 * Owns:  moving bytes between a caller's buffer and the cache; growing mapping->size by write().
 * Not:   finding pages (filemap.c), blocks (a_ops->prepare_write), i_rwsem and times (the file
 *        system).
 * Locks: one page lock at a time in write(), none while copying in read().
 * Key fact: the buffer may be a mapping of the very page that is written. So the source is faulted
 *        in first, copied with faults disabled, and tried again if the page left meanwhile: no lock
 *        is held across a fault (rule 13; B24).
 *
 * No lock inside i_rwsem, that is. What is held when the buffer faults, and why it ends (P16):
 *
 *	read()	i_rwsem of its file, to read. The fault takes mmap_lock, and invalidate_lock and
 *		page locks of the buffer's file; it takes no file's i_rwsem, in no file system. So
 *		who waits for i_rwsem (write(), truncate) holds nothing that the fault wants: all of
 *		that lies inside, and is taken after. munmap() waits for the fault, which waits for
 *		I/O at most, and not for munmap().
 *	write()	i_rwsem of its file, to write, while the source is faulted in: the same holds, also
 *		for two files whose writers read each other's. Then the page lock, with faults
 *		disabled: the copy waits for nobody.
 *
 * Both may be throttled with i_rwsem held, since the flusher, which is waited for then, takes none
 * (rule 128): it locks pages, i_mmap_rwsem and what the file system has inside.
 */
#include <string.h>
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/delay.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/page_fork.h"
#include "kernel/mm/throttle.h"
#include "kernel/mm/truncate.h"
#include "kernel/mm/writeback.h"

s64 filemap_read(struct address_space *mapping, u64 pos, void *buf, size_t len,
		 struct readahead *ra)
{
	size_t done = 0;
	int err = 0;

	while (done < len) {
		u64 size = READ_ONCE(mapping->size), at = pos + done;
		unsigned int offset = at & ~PAGE_MASK;
		struct page *page;
		size_t n, left;

		if (at >= size)
			break;
		/* Its faults in a mapping do not wait for the disk any more. */
		if (thread_killed()) {
			err = -EINTR;
			break;
		}
		n = min(min(len - done, PAGE_SIZE - offset), (size_t)(size - at));
		err = read_mapping_page(mapping, at >> PAGE_SHIFT, ra, &page);
		if (err)
			break;
		left = copy_fault((char *)buf + done, (char *)page_address(page) + offset, n);
		page_put(page);
		done += n - left;
		if (left) {
			err = -EFAULT;
			break;
		}
	}
	return done ? (s64)done : err;
}

/* Make the locked page fit to be written to in part: up to date, or all zeros if it lies behind
 * EOF. Returns 0 with it locked, or an error with it unlocked; -EAGAIN: look it up again. */
static int make_uptodate(struct address_space *mapping, struct page *page)
{
	struct page *again;
	int err;

	if (page_uptodate(page))
		return 0;
	if ((page->index << PAGE_SHIFT) >= READ_ONCE(mapping->size)) {
		memset(page_address(page), 0, PAGE_SIZE);
		set_bit(&page->flags, PG_uptodate);
		return 0;
	}
	unlock_page(page);
	err = read_mapping_page(mapping, page->index, NULL, &again);
	if (err)
		return err;
	page_put(again);
	return -EAGAIN;
}

/*
 * Copy @n bytes to @offset of the page; page locked throughout, faults disabled. Returns the bytes
 * copied; fewer than @n if the source is not mapped now, and then the page is as it was or holds
 * a valid prefix. A page that is not up to date is overwritten whole or not at all.
 */
static size_t copy_into(struct page *page, unsigned int offset, const void *from, size_t n)
{
	size_t left;

	pagefault_disable();
	left = copy_fault((char *)page_address(page) + offset, from, n);
	pagefault_enable();
	return n - left;
}

/* A page that is not up to date is overwritten whole. Nobody sees it yet, so it is filled before
 * blocks are found for it: none may be found for bytes that then do not come (it would keep what
 * its last owner left there). */
static s64 fill_page(struct address_space *mapping, struct page *page, unsigned int offset,
		     const void *from, size_t n)
{
	bool fresh = !page_uptodate(page);
	int err = 0;

	if (!fresh)
		page_mark_used(page);
	delay_point("write_page_locked", page);
	wait_for_stable_page(page);
	if (fresh && copy_into(page, offset, from, n) < n)
		return 0;
	if (mapping->a_ops->prepare_write)
		err = mapping->a_ops->prepare_write(mapping, page, offset,
						    offset + (unsigned int)n);
	if (err)
		return err;
	if (!fresh)
		return (s64)copy_into(page, offset, from, n);
	set_bit(&page->flags, PG_uptodate);
	return (s64)n;
}

/* Publish the new size before the page is unlocked: its dirty bytes must lie inside EOF when it is
 * written. */
static void extend(struct address_space *mapping, u64 end)
{
	if (end > READ_ONCE(mapping->size))
		WRITE_ONCE(mapping->size, end);
}

/* One page's worth. Bytes copied, or a negative error; 0 or -EAGAIN: try again. */
static s64 write_page(struct address_space *mapping, u64 pos, const void *from, size_t n)
{
	unsigned int offset = pos & ~PAGE_MASK;
	struct page *page = find_or_create_page(mapping, pos >> PAGE_SHIFT);
	s64 copied;
	int err = 0;

	if (!page)
		return -ENOMEM;
	if (n < PAGE_SIZE)
		err = make_uptodate(mapping, page);
	if (err) {
		page_put(page);
		return err;
	}
	copied = fill_page(mapping, page, offset, from, n);
	if (copied > 0) {
		extend(mapping, pos + (u64)copied);
		set_page_dirty(page);
	}
	unlock_page(page);
	page_put(page);
	return copied;
}

/* How many of the @n bytes at @from, less than two pages, can be read now: all, those up to the
 * border of a page, or none. A write is short by the rest. */
static size_t readable(const char *from, size_t n)
{
	size_t to_border = PAGE_SIZE - ((vaddr_t)from & ~PAGE_MASK);

	if (!fault_in(from, n, false))
		return n;
	if (to_border < n && !fault_in(from, to_border, false))
		return to_border;
	return 0;
}

s64 filemap_write(struct address_space *mapping, u64 pos, const void *buf, size_t len)
{
	u64 old_size = READ_ONCE(mapping->size);
	unsigned int tries = 0;
	size_t done = 0;
	s64 n = 0;

	if (pos + len > old_size)
		zero_old_tail(mapping, old_size);
	while (done < len) {
		const char *from = (const char *)buf + done;
		u64 at = pos + done;
		size_t want = min(len - done, PAGE_SIZE - (size_t)(at & ~PAGE_MASK));

		want = readable(from, want);
		n = -EFAULT;
		if (!want)
			break;
		n = balance_dirty_pages(mapping);
		if (n)
			break;
		n = write_page(mapping, at, from, want);
		if (n == -EAGAIN)
			continue;
		if (n == -ENOSPC && ++tries < ENOSPC_TRIES && mapping->a_ops->make_room &&
		    mapping->a_ops->make_room(mapping))
			continue;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	if (pos + done > old_size)
		pagecache_isize_extended(mapping, old_size);
	return done ? (s64)done : n;
}
