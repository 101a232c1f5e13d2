/* SPDX-License-Identifier: MIT */
/*
 * shm.c - memory that address spaces share and no file system has a name for:
 * mmap(MAP_SHARED | MAP_ANONYMOUS).
 *
 * Owns:  the pages of such an area, as if they were a file's.
 * Not:   PTEs, areas.
 * Locks: none of its own: the count is atomic.
 * Key fact: like ramfs, it has no disk to be behind: no page is ever dirty, no store wants notice,
 *        and no page leaves before the last area does.
 */
#include "kernel/mm/shm.h"

#include <sys/errno.h>

#include "kernel/mm/filemap.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/truncate.h"
#include "kernel/mm/vm_area.h"

struct shm {
	struct address_space mapping;
	int refs; /* a: areas, and who makes the first */
};

static void zero_pages(struct address_space *mapping, struct page_list *pages)
{
	struct page *page, *next;

	for (page = pages->first; page; page = next) {
		next = page->next;
		clear_frame(page_address(page));
		filemap_end_read(page, 0);
	}
}

/* They are nowhere else. */
static int keep_page(struct address_space *mapping, struct page *page)
{
	return -EBUSY;
}

static const struct address_space_operations shm_a_ops = {
	.readpages = zero_pages,
	.release_page = keep_page,
};

static struct shm *shm_of(struct address_space *mapping)
{
	return container_of(mapping, struct shm, mapping);
}

void shm_put(struct address_space *mapping)
{
	struct shm *shm = shm_of(mapping);

	if (!atomic_dec_and_test(&shm->refs))
		return;
	drop_mapping_pages(mapping, 0, ~0ul, DROP_DIRTY);
	mapping_destroy(mapping);
	kfree(shm);
}

static void shm_open(struct vm_area *vma)
{
	atomic_inc(&shm_of(vma->mapping)->refs);
}

static void shm_close(struct vm_area *vma)
{
	shm_put(vma->mapping);
}

const struct vm_operations shm_vm_ops = {
	.open = shm_open,
	.close = shm_close,
	.fault = filemap_fault,
};

struct address_space *shm_create(u64 size)
{
	struct shm *shm = kzalloc(sizeof(*shm));

	if (!shm)
		return NULL;
	mapping_init(&shm->mapping, &shm_a_ops, shm, 0, NULL);
	shm->mapping.flags |= 1ul << AS_NO_WRITEBACK;
	shm->mapping.size = size;
	shm->refs = 1;
	return &shm->mapping;
}
