/* SPDX-License-Identifier: MIT */
/*
 * filemap.c - the cached pages of a file: finding one, making one, reading one.
 *
 * Owns:  which pages are in mapping->pages, PG_uptodate, read-ahead.
 * Not:   dirtiness (page_dirty.c), moving bytes (filemap_rw.c), leaving the cache (truncate.c).
 * Locks: tree_lock (irqsave) inside; page locks are taken for new pages and handed to the read.
 * Key fact: the tree holds a reference on each page; a page found under tree_lock is referenced
 *        before the lock is dropped, so it cannot become another file's while it is looked at. Who
 *        needs it to stay in this file locks it and looks at page->mapping again.
 */
#include "kernel/mm/filemap.h"

#include <sys/errno.h>

#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/mm/reclaim.h"

#define READAHEAD_MIN 4
#define READAHEAD_MAX 64

struct page *find_get_page(struct address_space *mapping, pgoff_t index)
{
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);
	struct page *page = radix_lookup(&mapping->pages, index);

	if (page)
		page_get(page);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	return page;
}

/* Put the locked @page into the tree. Almost always its leaf is there and no memory is needed; if
 * not, nodes are had without the lock and it is tried again. -EEXIST, -ENOMEM. */
static int insert_page(struct address_space *mapping, struct page *page, enum alloc_flags how)
{
	struct radix_preload pre = { .nr = 0 };
	struct patience p = { 0 };
	u64 flags;
	int err;

	for (;;) {
		flags = spin_lock_irqsave(&mapping->tree_lock);
		err = radix_insert(&mapping->pages, page->index, page, &pre);
		if (!err)
			page->mapping = mapping;
		spin_unlock_irqrestore(&mapping->tree_lock, flags);
		radix_preload_end(&pre);
		if (err != -ENOMEM)
			return err;
		err = radix_preload(&pre, &mapping->pages, page->index);
		if (unlikely(err) && !(how & ALLOC_WAIT && wait_for_memory(&p, 0)))
			return err;
	}
}

/* A new page, locked, one reference for the tree and one for the caller. @how: ALLOC_WAIT for who
 * needs it, ALLOC_NORMAL for what might be of use. -EEXIST, -ENOMEM. */
static int add_new_page(struct address_space *mapping, pgoff_t index, enum alloc_flags how,
			struct page **out)
{
	struct page *page = alloc_page(how);
	int err;

	if (!page)
		return -ENOMEM;
	page->index = index;
	page->dirty = PAGE_CLEAN;
	BUG_ON(!trylock_page(page));
	page_get_tree(page);
	err = insert_page(mapping, page, how);
	if (err) {
		unlock_page(page);
		page_put_tree(page);
		page_put(page);
		return err;
	}
	stat_inc(STAT_CACHE_MISSES);
	*out = page;
	return 0;
}

/* A page that left the file while we waited for its lock may have another one in its place. */
struct page *find_lock_page(struct address_space *mapping, pgoff_t index)
{
	struct page *page;

	while ((page = find_get_page(mapping, index))) {
		lock_page(page);
		if (likely(page->mapping == mapping))
			break;
		unlock_page(page);
		page_put(page);
	}
	return page;
}

struct page *find_or_create_page(struct address_space *mapping, pgoff_t index)
{
	struct page *page;
	int err;

	for (;;) {
		page = find_lock_page(mapping, index);
		if (page)
			return page;
		err = add_new_page(mapping, index, ALLOC_WAIT, &page);
		if (!err)
			return page;
		if (err != -EEXIST)
			return NULL;
	}
}

void remove_from_page_cache(struct page *page)
{
	struct address_space *mapping = page->mapping;
	u64 flags;

	assert_page_locked(page);
	BUG_ON(page->dirty != PAGE_CLEAN || page_writeback(page) || page->mapcount);
	flags = spin_lock_irqsave(&mapping->tree_lock);
	radix_delete(&mapping->pages, page->index);
	page->mapping = NULL;
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
	page_put_tree(page); /* the caller still has one */
}

void filemap_end_read(struct page *page, int error)
{
	if (error && error != -EAGAIN)
		set_bit(&page->flags, PG_error);
	if (!error)
		set_bit(&page->flags, PG_uptodate);
	unlock_page_io(page);
	page_put(page);
}

/* Hand locked pages, each with a reference for the read, to the file system. */
static void start_read(struct address_space *mapping, struct page_list *pages)
{
	for (struct page *p = pages->first; p; p = p->next)
		page_lock_handed_to_io(p);
	mapping->a_ops->readpages(mapping, pages);
}

/* How many pages to read at @index: more and more while the reader goes straight on. */
static unsigned int read_window(struct address_space *mapping, pgoff_t index, struct readahead *ra)
{
	u64 end = DIV_ROUND_UP(READ_ONCE(mapping->size), PAGE_SIZE);
	unsigned int n = READAHEAD_MIN;

	if (ra) {
		bool sequential = index == ra->next && index;

		n = sequential ? min(max(ra->size * 2, (unsigned int)READAHEAD_MIN),
				     (unsigned int)READAHEAD_MAX) :
				 READAHEAD_MIN;
		ra->size = n;
	}
	return index < end ? (unsigned int)min((u64)n, end - index) : 1;
}

/* Make the pages of the window that are absent, up to the first present one, and start reading
 * them. *@out: the first, referenced. -EEXIST: somebody else made it meanwhile. */
static int read_new_pages(struct address_space *mapping, pgoff_t index, unsigned int window,
			  struct page **out)
{
	struct page_list list = { 0 };
	struct page *page;
	int err = add_new_page(mapping, index, ALLOC_WAIT, &page);

	if (err)
		return err;
	*out = page;
	page_get(page); /* the read's; the caller keeps its own */
	page_list_add(&list, page);
	for (unsigned int i = 1; i < window; i++) {
		if (add_new_page(mapping, index + i, ALLOC_NORMAL, &page))
			break;
		set_bit(&page->flags, PG_readahead);
		page_list_add(&list, page);
		stat_inc(STAT_READAHEAD_PAGES);
	}
	start_read(mapping, &list);
	return 0;
}

void filemap_read_absent(struct address_space *mapping, pgoff_t index, pgoff_t last)
{
	struct page *page;

	if (!read_new_pages(mapping, index, (unsigned int)(last - index + 1), &page))
		page_put(page);
}

/* @page is in the cache but not up to date and nobody reads it: locked by the caller. */
static void read_present_page(struct address_space *mapping, struct page *page)
{
	struct page_list one = { 0 };

	page_get(page);
	page_list_add(&one, page);
	start_read(mapping, &one);
}

/*
 * Wait for the read that is under way, or start one. @page referenced, not locked. 0: up to date;
 * -EAGAIN: look the page up again; -EIO. *@tried: this caller has had the page read; what a read
 * ahead for somebody else once met is not its error.
 */
static int wait_uptodate(struct address_space *mapping, struct page *page, bool *tried)
{
	int err = -EAGAIN;

	lock_page(page);
	if (page->mapping != mapping) {
		unlock_page(page);
	} else if (page_uptodate(page)) {
		unlock_page(page);
		err = 0;
	} else if (*tried && test_bit(&page->flags, PG_error)) {
		unlock_page(page);
		err = -EIO;
	} else {
		*tried = true;
		clear_bit(&page->flags, PG_error);
		read_present_page(mapping, page);
	}
	return err;
}

int read_mapping_page(struct address_space *mapping, pgoff_t index, struct readahead *ra,
		      struct page **out)
{
	bool tried = false;
	struct page *page;
	int err;

	for (;;) {
		page = find_get_page(mapping, index);
		if (page && page_uptodate(page)) {
			page_mark_used(page);
			stat_inc(STAT_CACHE_HITS);
			break;
		}
		if (!page) {
			err = read_new_pages(mapping, index, read_window(mapping, index, ra),
					     &page);
			if (err == -EEXIST)
				continue;
			if (err)
				return err;
			tried = true;
		}
		err = wait_uptodate(mapping, page, &tried);
		if (!err)
			break;
		page_put(page);
		if (err != -EAGAIN)
			return err;
	}
	if (ra)
		ra->next = index + 1;
	*out = page;
	return 0;
}
