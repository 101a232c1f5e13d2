/* SPDX-License-Identifier: MIT */
/*
 * testfs.c - a file over a RAM disk, with as little file system as there can be.
 *
 * Owns:  where blocks are (page i at page i), which of them exist, the requests.
 * Not:   anything that mm does; it is called as mapping.h says, like ext2.
 * Key fact: whole pages go in runs, one bio for neighbours, and end in the completion; a page of
 *        which only some blocks exist is written block by block and waited for.
 */
#include <string.h>
#include <sys/errno.h>

#include "kernel/lib/fmt.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/preclean.h"
#include "kernel/mm/punch.h"
#include "kernel/mm/truncate.h"
#include "kernel/mm/vmap.h"
#include "tests/util.h"

#define ALL_BLOCKS   ((1u << TESTFS_PAGE_BLOCK) - 1)
#define PAGE_SECTORS (PAGE_SIZE >> SECTOR_SHIFT)

static struct testfs *to_fs(struct address_space *mapping)
{
	return mapping->host;
}

/* --- reading --- */

static void end_read(struct bio *bio)
{
	struct page *page, *next;

	for (page = bio->pages.first; page; page = next) {
		u64 size = READ_ONCE(page->mapping->size), start = page->index << PAGE_SHIFT;

		next = page->next;
		if (start + PAGE_SIZE > size) {
			u64 keep = start < size ? size - start : 0;

			memset((char *)page_address(page) + keep, 0, PAGE_SIZE - keep);
		}
		filemap_end_read(page, bio->status);
	}
	bio_free(bio);
}

static void testfs_readpages(struct address_space *mapping, struct page_list *pages)
{
	struct testfs *fs = to_fs(mapping);
	struct page *page, *next;

	for (page = pages->first; page; page = next) {
		struct bio *bio = bio_alloc(fs->dev, BIO_READ, page->index * PAGE_SECTORS);

		bio->end_io = end_read;
		do {
			if (!bio_add(bio, page_to_phys(page), PAGE_SIZE))
				break;
			next = page->next;
			page_list_add(&bio->pages, page);
			page = next;
		} while (page);
		next = page;
		atomic_add_return(&fs->pages_read, bio->pages.nr);
		submit_bio(bio);
	}
}

/* --- writing --- */

static int testfs_prepare_write(struct address_space *mapping, struct page *page, unsigned int from,
				unsigned int to)
{
	struct testfs *fs = to_fs(mapping);

	atomic_add_return(&fs->prepares, 1);
	if (fs->prepare_error)
		return fs->prepare_error;
	if (page->index >= fs->nr_pages)
		return -ENOSPC;
	for (unsigned int b = from / TESTFS_BLOCK; b * TESTFS_BLOCK < to; b++)
		fs->prepared[page->index] |= (u8)(1u << b);
	return 0;
}

static void end_write(struct bio *bio)
{
	struct page *bounce = bio->private, *next;

	for (; bounce; bounce = next) {
		next = bounce->next;
		page_put(bounce);
	}
	if (bio->status)
		for (struct page *page = bio->pages.first; page; page = page->next)
			page_write_failed(page, bio->status);
	end_pages_writeback(&bio->pages);
	bio_free(bio);
}

/* What the device shall read: the page itself, or a copy of it that @bio keeps. */
static paddr_t device_memory(struct testfs *fs, struct bio *bio, struct page *page)
{
	struct page *copy;

	if (!fs->bounce)
		return page_to_phys(page);
	copy = alloc_page(ALLOC_NORMAL);
	if (!copy)
		panic("testfs: no memory for a copy");
	memcpy(page_address(copy), page_address(page), PAGE_SIZE);
	copy->next = bio->private;
	bio->private = copy;
	return page_to_phys(copy);
}

static void write_some_blocks(struct testfs *fs, struct page *page)
{
	int err = 0;

	for (unsigned int b = 0; b < TESTFS_PAGE_BLOCK; b++) {
		sector_t sector = page->index * PAGE_SECTORS + b * (TESTFS_BLOCK >> SECTOR_SHIFT);
		void *from = (char *)page_address(page) + b * TESTFS_BLOCK;

		if (fs->prepared[page->index] & 1u << b && !err)
			err = blkdev_rw(fs->dev, BIO_WRITE, sector, from, TESTFS_BLOCK);
	}
	if (err)
		page_write_failed(page, err);
	end_page_writeback(page);
}

/* @page and its neighbours behind it, as far as all their blocks exist. Returns the page beyond. */
static struct page *write_run(struct testfs *fs, struct page *page)
{
	struct bio *bio = bio_alloc(fs->dev, BIO_WRITE, page->index * PAGE_SECTORS);
	pgoff_t index = page->index;

	bio->end_io = end_write;
	bio->private = NULL;
	for (; page && page->index == index && fs->prepared[index] == ALL_BLOCKS; index++) {
		struct page *next = page->next;

		if (bio->nr_segs == bio->max_segs || bio->len + PAGE_SIZE > bio->max_len)
			break;
		BUG_ON(!bio_add(bio, device_memory(fs, bio, page), PAGE_SIZE));
		page_list_add(&bio->pages, page);
		page = next;
	}
	submit_bio(bio);
	return page;
}

static void testfs_writepages(struct address_space *mapping, struct page_list *pages,
			      struct writeback_control *wbc)
{
	struct testfs *fs = to_fs(mapping);
	struct page *page = pages->first;

	atomic_add_return(&fs->pages_written, pages->nr);
	if (fs->before_write)
		fs->before_write(fs, pages);
	while (page) {
		struct page *next = page->next;

		if (fs->prepared[page->index] == ALL_BLOCKS) {
			page = write_run(fs, page);
			continue;
		}
		write_some_blocks(fs, page);
		page = next;
	}
}

static int testfs_release_page(struct address_space *mapping, struct page *page)
{
	struct testfs *fs = to_fs(mapping);

	return fs->release_error && page->index == fs->release_index ? fs->release_error : 0;
}

static int testfs_sync(struct address_space *mapping, pgoff_t first, pgoff_t last,
		       enum sync_mode mode, enum policy_harvest_why why)
{
	int err = filemap_write_and_wait_range(mapping, first, last, why);

	if (test_bit(&mapping->flags, AS_CMTIME))
		mapping->a_ops->flush_cmtime(mapping);
	return err ? err : blkdev_flush(to_fs(mapping)->dev);
}

/* As an open file's fsync: one of the errors of before, too. */
static int sync_and_tell(struct testfs *fs, pgoff_t first, pgoff_t last, enum sync_mode mode,
			 enum policy_harvest_why why)
{
	u32 began = READ_ONCE(fs->told);
	int err = testfs_sync(&fs->mapping, first, last, mode, why);
	int earlier = errseq_tell(&fs->mapping.wb_err, &fs->told, began);

	return err ? err : earlier;
}

static void testfs_flush_cmtime(struct address_space *mapping)
{
	if (test_and_clear_bit(&mapping->flags, AS_CMTIME))
		atomic_add_return(&to_fs(mapping)->cmtimes, 1);
}

static const struct address_space_operations testfs_a_ops = {
	.readpages = testfs_readpages,
	.prepare_write = testfs_prepare_write,
	.writepages = testfs_writepages,
	.release_page = testfs_release_page,
	.fsync = testfs_sync,
	.flush_cmtime = testfs_flush_cmtime,
};

/* --- mapping it --- */

static vm_fault_t testfs_page_mkwrite(struct vm_fault *vmf)
{
	struct testfs *fs = to_fs(vmf->vma->mapping);

	atomic_add_return(&fs->mkwrites, 1);
	return fs->mkwrite ? fs->mkwrite(vmf) : filemap_page_mkwrite(vmf);
}

static int testfs_vma_fsync(const struct vm_area *vma, pgoff_t first, pgoff_t last)
{
	return sync_and_tell(to_fs(vma->mapping), first, last, SYNC_DATA, HARVEST_MSYNC);
}

static const struct vm_operations testfs_vm_ops = {
	.fault = filemap_fault,
	.page_mkwrite = testfs_page_mkwrite,
	.fsync = testfs_vma_fsync,
};

void *testfs_mmap(struct testfs *fs, struct mm *mm, pgoff_t first, u64 pages, int prot, int flags)
{
	struct mmap_file file = {
		.mapping = &fs->mapping, .ops = &testfs_vm_ops, .readable = true, .writable = true
	};
	vaddr_t va;
	int err = mm_mmap(mm, 0, pages << PAGE_SHIFT, prot, flags, &file, first << PAGE_SHIFT, &va);

	if (!err)
		return (void *)va;
	ktest_fail(__FILE__, __LINE__, "mmap of a test file: error %d", err);
	return NULL;
}

/* --- life --- */

struct testfs *testfs_create(u64 pages)
{
	static unsigned int number;
	struct testfs *fs = kzalloc(sizeof(*fs));
	u64 map_pages = DIV_ROUND_UP(pages, PAGE_SIZE);
	char name[16];

	ksnprintf(name, sizeof(name), "test%u", number++);
	if (!fs)
		goto out;
	fs->prepared = vmalloc(map_pages);
	if (!fs->prepared)
		goto out_free;
	if (ramblk_create(name, pages << PAGE_SHIFT, NULL, SECTOR_SIZE, &fs->dev))
		goto out_vfree;
	rwsem_init(&fs->i_rwsem, "testfs.i_rwsem", RANK_I_RWSEM);
	fs->nr_pages = pages;
	mapping_init(&fs->mapping, &testfs_a_ops, fs, 1000000 + number, &fs->dev->wb);
	fs->mapping.size = pages << PAGE_SHIFT;
	testfs_park(fs);
	return fs;

out_vfree:
	vfree(fs->prepared);
out_free:
	kfree(fs);
out:
	ktest_fail(__FILE__, __LINE__, "no memory for a test file of %lu pages",
		   (unsigned long)pages);
	return NULL;
}

void testfs_park(struct testfs *fs)
{
	if (!fs->parked)
		writeback_park(&fs->dev->wb);
	fs->parked = true;
}

void testfs_unpark(struct testfs *fs)
{
	if (fs->parked)
		writeback_unpark(&fs->dev->wb);
	fs->parked = false;
}

void testfs_destroy(struct testfs *fs)
{
	ramblk_unhold(fs->dev);
	ramblk_fail(fs->dev, BIO_WRITE, 0, 0, 0, 0, 0);
	testfs_park(fs);
	drop_mapping_pages(&fs->mapping, 0, ~0ul, DROP_DIRTY);
	mapping_destroy(&fs->mapping);
	testfs_unpark(fs);
	ramblk_destroy(fs->dev);
	vfree(fs->prepared);
	kfree(fs);
}

/* --- using it --- */

int testfs_fsync(struct testfs *fs)
{
	return sync_and_tell(fs, 0, ~0ul, SYNC_FULL, HARVEST_FSYNC);
}

int testfs_fsync_job(void *fs)
{
	return testfs_fsync(fs);
}

void testfs_background(struct testfs *fs)
{
	struct writeback_control wbc = {
		.mode = SYNC_NONE, .why = HARVEST_PERIODIC, .last = ~0ul, .nr_to_write = ~0ul
	};

	wbc.precleaned = preclean(&fs->mapping);
	filemap_fdatawrite_range(&fs->mapping, &wbc);
}

int testfs_protect(struct testfs *fs)
{
	struct writeback_control wbc = { .mode = SYNC_DATA,
					 .why = HARVEST_FSYNC,
					 .protect = true,
					 .last = ~0ul,
					 .nr_to_write = ~0ul };
	u32 failed = READ_ONCE(fs->mapping.nr_failed);
	int err = filemap_fdatawrite_range(&fs->mapping, &wbc);

	filemap_fdatawait_range(&fs->mapping, 0, ~0ul);
	return err ? err : mapping_failed_since(&fs->mapping, failed);
}

s64 testfs_write(struct testfs *fs, u64 pos, const void *buf, size_t len)
{
	s64 n;

	down_write(&fs->i_rwsem);
	n = filemap_write(&fs->mapping, pos, buf, len);
	up_write(&fs->i_rwsem);
	return n;
}

s64 testfs_read(struct testfs *fs, u64 pos, void *buf, size_t len)
{
	s64 n;

	down_read(&fs->i_rwsem);
	n = filemap_read(&fs->mapping, pos, buf, len, NULL);
	up_read(&fs->i_rwsem);
	return n;
}

int testfs_truncate(struct testfs *fs, u64 size)
{
	u64 old;
	int err;

	down_write(&fs->i_rwsem);
	old = fs->mapping.size;
	err = truncate_setsize(&fs->mapping, size);
	/* Free the blocks behind the end: they read as zeros when the file grows again. */
	for (pgoff_t i = DIV_ROUND_UP(size, PAGE_SIZE); !err && i << PAGE_SHIFT < old; i++) {
		fs->prepared[i] = 0;
		memset(ramblk_data(fs->dev, i * PAGE_SECTORS), 0, PAGE_SIZE);
	}
	up_write(&fs->i_rwsem);
	return err;
}

/* Block by block, as a file system would. */
static void free_blocks(struct testfs *fs, u64 start, u64 end)
{
	u64 last = end / TESTFS_BLOCK;

	for (u64 b = DIV_ROUND_UP(start, TESTFS_BLOCK); b < last; b++) {
		fs->prepared[b / TESTFS_PAGE_BLOCK] &= (u8) ~(1u << b % TESTFS_PAGE_BLOCK);
		memset(ramblk_data(fs->dev, b * (TESTFS_BLOCK >> SECTOR_SHIFT)), 0, TESTFS_BLOCK);
	}
}

int testfs_punch(struct testfs *fs, u64 start, u64 end)
{
	struct pagecache_hole hole;
	int err;

	down_write(&fs->i_rwsem);
	err = pagecache_hole_begin(&hole, &fs->mapping, start, end);
	if (!err) {
		free_blocks(fs, start, end);
		err = pagecache_hole_end(&hole);
	}
	up_write(&fs->i_rwsem);
	return err;
}

u64 testfs_drop_clean(struct testfs *fs)
{
	return drop_mapping_pages(&fs->mapping, 0, ~0ul, DROP_CLEAN_ONLY);
}

u64 testfs_platter(struct testfs *fs, pgoff_t page, unsigned int slot)
{
	return READ_ONCE(((u64 *)ramblk_data(fs->dev, page * PAGE_SECTORS))[slot]);
}

void testfs_set_platter(struct testfs *fs, pgoff_t page, unsigned int slot, u64 v)
{
	((u64 *)ramblk_data(fs->dev, page * PAGE_SECTORS))[slot] = v;
}

struct page *testfs_page(struct testfs *fs, pgoff_t index)
{
	struct page *page = find_get_page(&fs->mapping, index);

	if (page)
		page_put(page);
	return page;
}

u64 testfs_count_tag(struct testfs *fs, unsigned int tag)
{
	struct address_space *mapping = &fs->mapping;
	struct page *pages[32];
	pgoff_t index = 0;
	unsigned int n;
	u64 nr = 0;

	do {
		u64 flags = spin_lock_irqsave(&mapping->tree_lock);

		n = radix_gang_tag(&mapping->pages, index, ~0ul, (void **)pages, 32, tag);
		if (n)
			index = pages[n - 1]->index + 1;
		spin_unlock_irqrestore(&mapping->tree_lock, flags);
		nr += n;
	} while (n == 32);
	return nr;
}
