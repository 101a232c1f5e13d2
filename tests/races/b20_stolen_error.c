/* SPDX-License-Identifier: MIT */
/*
 * b20_stolen_error.c - B20: one failed write, several who must hear of it, and each does, once
 * (rules 74, 77, 80, 81). Before errseq, a flag of the file was tested and cleared:
 *	A (fsync of one open file)		B (fsync of another; or the kernel for itself)
 *						takes the flag: EIO
 *	finds none: 0
 *
 * Also when the opener comes: before the error, after it and before anybody was told, after that.
 */
#include "tests/fs/wb_scene.h"

static int fsync_of(struct file *file)
{
	return vfs_fsync(file, true);
}

/* What is told does not depend on what becomes of the page: each runs with both. */
#define TOLD(name)                                                                                 \
	static void told_##name(const char *wberr);                                                \
	KTEST_ON_CPU0(races, name)                                                                 \
	{                                                                                          \
		told_##name("keep");                                                               \
		told_##name("drop");                                                               \
	}                                                                                          \
	static void told_##name(const char *wberr)

/* @file hears of @error once, and then of nothing. */
static void expect_told_once(struct file *file, int error)
{
	EXPECT_EQ(fsync_of(file), error);
	EXPECT_EQ(fsync_of(file), 0);
	EXPECT_EQ(vfs_fsync(file, false), 0);
}

/* Rules 74, 80; xfstests generic/441 and 487. */
TOLD(b20_each_open_file_hears_once)
{
	static const int errors[] = { -EIO, -EIO, -ENOSPC };
	struct file *reader, *late, *later;
	struct wbs s;

	if (!wbs_begin(&s, wberr))
		return;
	reader = wbs_open(&s, O_RD);
	for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++) {
		wbs_failed_write(&s, errors[i]);
		late = wbs_open(&s, O_RW);
		expect_told_once(late, errors[i]); /* nobody was told before */
		later = wbs_open(&s, O_RW);
		expect_told_once(reader, errors[i]);
		EXPECT_EQ(fsync_of(later), 0);
		expect_told_once(s.file, errors[i]);
		file_put(late);
		file_put(later);
	}
	file_put(reader);
	wbs_end(&s, FST_SOUND);
}

/* Of two errors between two syncs the second is told: whatever failed, it is one answer. */
TOLD(b20_two_errors_are_one_answer)
{
	struct file *other;
	struct wbs s;

	if (!wbs_begin(&s, wberr))
		return;
	other = wbs_open(&s, O_RW);
	wbs_failed_write(&s, -EIO);
	expect_told_once(other, -EIO);
	wbs_failed_write(&s, -ENOSPC);
	expect_told_once(s.file, -ENOSPC);
	expect_told_once(other, -ENOSPC);
	file_put(other);
	wbs_end(&s, FST_SOUND);
}

/* A descriptor made by dup() is the same open file: one of them is told. */
TOLD(b20_duplicates_share_what_they_were_told)
{
	struct file *same;
	struct wbs s;

	if (!wbs_begin(&s, wberr))
		return;
	file_get(s.file);
	same = s.file;
	wbs_failed_write(&s, -EIO);
	EXPECT_EQ(fsync_of(same), -EIO);
	EXPECT_EQ(fsync_of(s.file), 0);
	file_put(same);
	wbs_end(&s, FST_SOUND);
}

/* msync speaks for the open file that was mapped, not for the caller's last one, and also when its
 * descriptor is closed. */
TOLD(b20_msync_tells_the_file_that_was_mapped)
{
	struct file *other;
	struct wbs s;
	u8 *p, *q;

	if (!wbs_begin(&s, wberr))
		return;
	other = wbs_open(&s, O_RW);
	p = fst_map(s.file, 0, PAGE_SIZE, PROT_READ | PROT_WRITE);
	q = fst_map(other, 0, PAGE_SIZE, PROT_READ | PROT_WRITE);
	file_put(other);
	wbs_failed_write(&s, -EIO);
	EXPECT_EQ(fst_msync(p, PAGE_SIZE), -EIO);
	EXPECT_EQ(fst_msync(p, PAGE_SIZE), 0);
	EXPECT_EQ(fsync_of(s.file), 0);
	EXPECT_EQ(fst_msync(q, PAGE_SIZE), -EIO);
	EXPECT_EQ(fst_msync(q, PAGE_SIZE), 0);
	fst_unmap(p, PAGE_SIZE);
	fst_unmap(q, PAGE_SIZE);
	wbs_end(&s, FST_SOUND);
}

/* A store through a mapping, written by its own msync. */
TOLD(b20_msync_hears_of_its_own_page)
{
	struct file *other;
	struct wbs s;
	u8 *p;

	if (!wbs_begin(&s, wberr))
		return;
	other = wbs_open(&s, O_RD);
	p = fst_map(s.file, 0, PAGE_SIZE, PROT_READ | PROT_WRITE);
	EXPECT(fst_store(p, 7));
	wbs_fail(&s, -EIO);
	EXPECT_EQ(fst_msync(p, PAGE_SIZE), -EIO);
	wbs_fail(&s, 0);
	EXPECT_EQ(fst_msync(p, PAGE_SIZE), 0);
	expect_told_once(other, -EIO);
	fst_unmap(p, PAGE_SIZE);
	file_put(other);
	wbs_end(&s, FST_SOUND);
}

TOLD(b20_o_sync_write_hears)
{
	struct file *sync;
	struct wbs s;
	char c = 1;

	if (!wbs_begin(&s, wberr))
		return;
	sync = wbs_open(&s, O_RW | FS_O_SYNC);
	wbs_failed_write(&s, -EIO);
	EXPECT_EQ(vfs_pwrite(sync, &c, 1, PAGE_SIZE), -EIO);
	EXPECT_EQ(vfs_pwrite(sync, &c, 1, PAGE_SIZE), 1);
	wbs_fail(&s, -ENOSPC);
	EXPECT_EQ(vfs_pwrite(sync, &c, 1, PAGE_SIZE), -ENOSPC);
	wbs_fail(&s, 0);
	expect_told_once(s.file, -ENOSPC);
	file_put(sync);
	wbs_end(&s, FST_SOUND);
}

/* --- who waits for a file without having it open --- */

/* sync, cache shrinking and the kernel's own write-and-wait report what they met themselves, and
 * use up nothing. */
TOLD(b20_internal_waiters_take_nothing)
{
	struct file *other;
	struct wbs s;

	if (!wbs_begin(&s, wberr))
		return;
	other = wbs_open(&s, O_RW);
	wbs_store(&s, 0);
	wbs_fail(&s, -EIO);
	EXPECT_EQ(filemap_write_and_wait_range(&s.file->inode->data, 0, ~0ul, HARVEST_FSYNC), -EIO);
	wbs_store(&s, 1);
	EXPECT_EQ(vfs_sync(), -EIO);
	wbs_fail(&s, 0);
	EXPECT_EQ(vfs_sync(), 0);
	vfs_drop_caches();
	EXPECT_EQ(filemap_write_and_wait_range(&s.file->inode->data, 0, ~0ul, HARVEST_FSYNC), 0);
	expect_told_once(s.file, -EIO);
	expect_told_once(other, -EIO);
	file_put(other);
	wbs_end(&s, FST_SOUND);
}

/* Rule 77; xfstests generic/484: each open file of a file system hears of what failed on it. */
TOLD(b20_syncfs_hears_of_every_file)
{
	struct file *dir, *late;
	struct wbs s;

	if (!wbs_begin(&s, wberr))
		return;
	dir = fst_open(s.disk.path, O_RD);
	wbs_failed_write(&s, -EIO);
	late = fst_open(s.disk.path, O_RD);
	EXPECT_EQ(vfs_syncfs(late), -EIO);
	EXPECT_EQ(vfs_syncfs(late), 0);
	file_put(late);
	late = fst_open(s.disk.path, O_RD);
	EXPECT_EQ(vfs_syncfs(late), 0);
	EXPECT_EQ(vfs_syncfs(dir), -EIO);
	EXPECT_EQ(vfs_syncfs(dir), 0);
	EXPECT_EQ(fsync_of(dir), 0); /* another file's error is not the directory's */
	expect_told_once(s.file, -EIO);
	EXPECT_EQ(vfs_syncfs(s.file), -EIO);
	file_put(late);
	file_put(dir);
	wbs_end(&s, FST_SOUND);
}

/* --- rule 81: the error is there before the page is free --- */

struct look {
	struct page *page;
	u32 looked, early; /* a */
};

/* In the completion, with interrupts off. */
static void look_at_page(void *object, void *arg)
{
	struct look *l = arg;

	if (object != l->page)
		return;
	atomic_add_return(&l->looked, 1);
	if (!page_writeback(l->page))
		atomic_add_return(&l->early, 1);
}

/* One page and several, which go again one by one: who spins on PG_writeback, and looks at the
 * word when it is gone, finds the error. */
TOLD(r81_error_comes_before_the_end_of_io)
{
	struct look l = { 0 };
	struct wbs s;

	if (!wbs_begin(&s, wberr))
		return;
	for (pgoff_t pages = 1; pages <= 3; pages += 2) {
		for (pgoff_t i = 0; i < pages; i++)
			wbs_store(&s, i);
		l.page = find_get_page(&s.file->inode->data, 0);
		BUG_ON(delay_arm("write_failed", look_at_page, &l));
		wbs_fail(&s, -EIO);
		EXPECT_EQ(fsync_of(s.file), -EIO);
		wbs_fail(&s, 0);
		delay_disarm("write_failed");
		page_put(l.page);
	}
	EXPECT_EQ(l.looked, 2);
	EXPECT_EQ(l.early, 0);
	wbs_end(&s, FST_SOUND);
}
