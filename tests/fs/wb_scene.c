/* SPDX-License-Identifier: MIT */
/*
 * wb_scene.c - see wb_scene.h.
 */
#include "tests/fs/wb_scene.h"

#include "kernel/core/args.h"
#include "kernel/mm/writeback.h"

static char wberr_before[16];

/* Its blocks lie side by side, as those of a new file on an empty disk do. */
static bool find_blocks(struct wbs *s)
{
	sector_t at;

	EXPECT_EQ(vfs_bmap(s->file, 0, &s->first), 0);
	EXPECT_EQ(vfs_bmap(s->file, WBS_PAGES * PAGE_SIZE - 1, &at), 0);
	s->last = at;
	EXPECT(s->first && s->last - s->first < 2 * WBS_PAGES * PAGE_SIZE / SECTOR_SIZE);
	return !ktest_failed();
}

bool wbs_begin(struct wbs *s, const char *wberr)
{
	*s = (struct wbs){ .version = 1 };
	EXPECT_EQ(args_get("wberr", wberr_before, sizeof(wberr_before)), 0);
	if (!fst_disk_make(&s->disk, "t_wb", 512 << 10, 4096, 256))
		return false;
	EXPECT_EQ(args_set("wberr", wberr), 0);
	writeback_park(&s->disk.dev->wb);
	s->file = wbs_open(s, O_RW | FS_O_CREAT);
	if (s->file && fst_write(s->file, 0, WBS_PAGES * PAGE_SIZE, s->version)) {
		EXPECT_EQ(vfs_fsync(s->file, false), 0);
		EXPECT_EQ(vfs_sync(), 0);
		if (find_blocks(s))
			return true;
	}
	wbs_end(s, FST_DAMAGED);
	return false;
}

void wbs_end(struct wbs *s, enum fst_end end)
{
	wbs_fail(s, 0);
	if (s->file)
		file_put(s->file);
	writeback_unpark(&s->disk.dev->wb);
	fst_disk_end(&s->disk, end);
	EXPECT_EQ(args_set("wberr", wberr_before), 0);
}

struct file *wbs_open(const struct wbs *s, u32 flags)
{
	return fst_open(fst_path(&s->disk, "f"), flags);
}

void wbs_fail(const struct wbs *s, int error)
{
	ramblk_fail(s->disk.dev, BIO_WRITE, s->first, s->last, 1, error ? ~0u : 0, error);
}

void wbs_store(struct wbs *s, pgoff_t page)
{
	EXPECT(fst_write(s->file, page << PAGE_SHIFT, PAGE_SIZE, ++s->version));
}

void wbs_background(const struct wbs *s)
{
	struct writeback_control wbc = {
		.mode = SYNC_NONE, .why = HARVEST_PERIODIC, .last = ~0ul, .nr_to_write = ~0ul
	};
	struct inode *inode = wbs_inode(s);

	if (!inode)
		return;
	EXPECT_EQ(filemap_fdatawrite_range(&inode->data, &wbc), 0);
	filemap_fdatawait_range(&inode->data, 0, ~0ul);
	iput(inode);
}

void wbs_failed_write(struct wbs *s, int error)
{
	struct inode *inode = wbs_inode(s);
	u32 failed = inode ? inode->data.nr_failed : 0;

	wbs_store(s, 0);
	wbs_fail(s, error);
	wbs_background(s);
	wbs_fail(s, 0);
	if (!inode)
		return;
	EXPECT(inode->data.nr_failed != failed);
	iput(inode);
}

bool wbs_on_disk(const struct wbs *s, pgoff_t page)
{
	u8 buf[64];

	EXPECT(fst_on_disk(s->file, page << PAGE_SHIFT, buf, sizeof(buf)));
	return fst_differs(buf, sizeof(buf), page << PAGE_SHIFT, s->version) == sizeof(buf);
}

struct inode *wbs_inode(const struct wbs *s)
{
	struct super_block *sb = vfs_find_super(s->disk.path);
	struct inode *inode = NULL;
	struct kstat st = fst_stat(fst_path(&s->disk, "f"));

	EXPECT(sb && !iget(sb, st.ino, &inode));
	return inode;
}
