/* SPDX-License-Identifier: MIT */
/*
 * filemap.h - the page cache: finding, reading, writing the cached pages of a file.
 */
#ifndef KERNEL_MM_FILEMAP_H
#define KERNEL_MM_FILEMAP_H

#include "kernel/mm/mapping.h"
#include "kernel/mm/vm_area.h"

/* One per open file: how far ahead to read. */
struct readahead {
	pgoff_t next;	   /* where a sequential reader would go on */
	unsigned int size; /* pages of the last window */
};

/* How often a store that finds the disk full is tried, if there may be room after all. */
#define ENOSPC_TRIES 4

/* Referenced page or NULL. May be not up to date. */
struct page *find_get_page(struct address_space *mapping, pgoff_t index);
/* Locked and referenced if it is in the cache, else NULL. May sleep. */
struct page *find_lock_page(struct address_space *mapping, pgoff_t index);
/* Locked and referenced, made if absent (then not up to date). NULL: out of memory. May sleep. */
struct page *find_or_create_page(struct address_space *mapping, pgoff_t index);
/* Referenced, up to date, unlocked; reads it if need be, and the window that @ra (may be NULL)
 * says.
 * -EIO, -ENOMEM; *@out untouched then. May sleep. */
int read_mapping_page(struct address_space *mapping, pgoff_t index, struct readahead *ra,
		      struct page **out);
/* Start reading @index and the pages behind it that are absent, up to the first present one, or up
 * to @last. invalidate_lock held (read). May sleep. */
void filemap_read_absent(struct address_space *mapping, pgoff_t index, pgoff_t last);
/* For a_ops->readpages: the page is read, or @error; -EAGAIN: not read, and not its fault. Sets
 * PG_uptodate or PG_error and unlocks. Any context. */
void filemap_end_read(struct page *page, int error);
/* Take a locked page out of the tree and drop the tree's reference. Clean, not under I/O,
 * unmapped. */
void remove_from_page_cache(struct page *page);

/*
 * read() and write() through the cache. @buf: kernel or program memory, may itself be a mapping of
 * the same page (rule 13). Return bytes moved, or a negative error if none were. Short at EOF.
 * filemap_write extends mapping->size as it goes; the caller (fs) holds i_rwsem for write, updates
 * times and marks the inode. May sleep.
 */
s64 filemap_read(struct address_space *mapping, u64 pos, void *buf, size_t len,
		 struct readahead *ra);
s64 filemap_write(struct address_space *mapping, u64 pos, const void *buf, size_t len);

/* vm_operations->fault of every file mapping. */
vm_fault_t filemap_fault(struct vm_fault *vmf);
/*
 * The generic half of page_mkwrite: locks vmf->page, re-checks that it is still in the file and
 * inside EOF (rule 6), waits for nothing else. VM_FAULT_LOCKED, NOPAGE (retry) or SIGBUS. Then
 * calls a_ops->prepare_write for the part inside EOF; an error unlocks and becomes SIGBUS.
 */
vm_fault_t filemap_page_mkwrite(struct vm_fault *vmf);

#endif
