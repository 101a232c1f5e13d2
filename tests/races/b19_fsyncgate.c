/* SPDX-License-Identifier: MIT */
/*
 * b19_fsyncgate.c - B19: fsync says EIO; the program asks again, and is told that all is well
 * (rules 34, 75, 76; D.3 26, 27). That is Linux, and wberr=drop; with wberr=keep 0 means that the
 * data is on the disk. What nobody was told of stays known, through eviction, until unmount.
 */
#include "kernel/core/args.h"
#include "kernel/core/stat.h"
#include "kernel/mm/truncate.h"
#include "tests/fs/wb_scene.h"

static int fsync_of(const struct wbs *s)
{
	return vfs_fsync(s->file, true);
}

static struct address_space *mapping_of(const struct wbs *s)
{
	return &s->file->inode->data;
}

KTEST_ON_CPU0(races, b19_drop_says_all_is_well)
{
	struct wbs s;

	if (!wbs_begin(&s, "drop"))
		return;
	wbs_store(&s, 3);
	wbs_fail(&s, -EIO);
	EXPECT_EQ(fsync_of(&s), -EIO);
	EXPECT_EQ(fsync_of(&s), 0);
	wbs_fail(&s, 0);
	EXPECT_EQ(fsync_of(&s), 0);
	EXPECT(!wbs_on_disk(&s, 3));
	EXPECT_EQ(mapping_count_dirty(mapping_of(&s)).dirty, 0);
	/* In memory, until it is not. */
	EXPECT(fst_check(s.file, 3 * PAGE_SIZE, PAGE_SIZE, s.version));
	vfs_drop_caches();
	drop_mapping_pages(mapping_of(&s), 0, ~0ul, DROP_CLEAN_ONLY);
	EXPECT(fst_check(s.file, 3 * PAGE_SIZE, PAGE_SIZE, 1));
	wbs_end(&s, FST_SOUND);
}

/* Each attempt that fails is an error of its own; 0 when the data is there, and then again 0. */
KTEST_ON_CPU0(races, b19_keep_says_zero_when_it_is_on_the_disk)
{
	struct wbs s;

	if (!wbs_begin(&s, "keep"))
		return;
	wbs_store(&s, 3);
	wbs_store(&s, 5);
	wbs_fail(&s, -EIO);
	for (unsigned int i = 0; i < 3; i++)
		EXPECT_EQ(fsync_of(&s), -EIO);
	EXPECT_EQ(mapping_count_dirty(mapping_of(&s)).dirty, 2);
	EXPECT_EQ(drop_mapping_pages(mapping_of(&s), 0, ~0ul, DROP_CLEAN_ONLY), 2);
	wbs_fail(&s, 0);
	EXPECT_EQ(fsync_of(&s), 0);
	EXPECT(wbs_on_disk(&s, 5));
	EXPECT_EQ(mapping_count_dirty(mapping_of(&s)).dirty, 0);
	EXPECT_EQ(fsync_of(&s), 0);
	wbs_end(&s, FST_SOUND);
}

/* Two calls through one open file: the slower one may not say 0 because the faster was told. */
static int fsync_job(void *wbs)
{
	return fsync_of(wbs);
}

KTEST_ON_CPU0(races, b19_two_calls_at_once_are_both_told)
{
	struct job a, b;
	struct wbs s;

	if (!wbs_begin(&s, "keep"))
		return;
	wbs_store(&s, 0);
	ramblk_hold(s.disk.dev, 1u << BIO_WRITE, false);
	wbs_fail(&s, -EIO);
	job_start(&a, 0, NULL, fsync_job, &s);
	EXPECT(ramblk_wait_held(s.disk.dev, 1));
	job_start(&b, 0, NULL, fsync_job, &s);
	EXPECT(job_settles(&a));
	EXPECT(job_settles(&b));
	wbs_fail(&s, 0);
	ramblk_unhold(s.disk.dev);
	EXPECT_EQ(job_end(&a), -EIO);
	EXPECT_EQ(job_end(&b), -EIO);
	EXPECT_EQ(fsync_of(&s), 0);
	EXPECT(wbs_on_disk(&s, 0));
	wbs_end(&s, FST_SOUND);
}

/* --- the flusher --- */

/* One whole pass of the real one. */
static void flusher_pass(struct wbs *s)
{
	struct writeback *wb = &s->disk.dev->wb;

	writeback_unpark(wb);
	writeback_kick(wb);
	WAIT_FOR(!READ_ONCE(wb->kick) && !READ_ONCE(wb->busy)); /* a parked one stops half way */
	writeback_park(wb);
}

/* It tries again, once in each pass, does not turn in circles, and ends what it began when the disk
 * is well: nobody need sync. Who was not told is told. */
KTEST_ON_CPU0(races, b19_flusher_tries_again)
{
	struct stats before;
	struct wbs s;

	if (!wbs_begin(&s, "keep"))
		return;
	wbs_store(&s, 1);
	wbs_fail(&s, -EIO);
	for (unsigned int i = 0; i < 3; i++) {
		stats_snapshot(&before);
		flusher_pass(&s);
		EXPECT_EQ(stat_since(&before, STAT_PAGES_FAILED), 1);
		EXPECT(mapping_of(&s)->on_dirty_list);
	}
	/* A sync of all tries once, too. */
	stats_snapshot(&before);
	EXPECT_EQ(vfs_sync(), -EIO);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_FAILED), 1);
	wbs_fail(&s, 0);
	flusher_pass(&s);
	EXPECT(wbs_on_disk(&s, 1));
	EXPECT_EQ(mapping_count_dirty(mapping_of(&s)).truly, 0);
	EXPECT_EQ(fsync_of(&s), -EIO);
	EXPECT_EQ(fsync_of(&s), 0);
	wbs_end(&s, FST_SOUND);
}

static void note_pass(void *object, void *arg)
{
	atomic_store((bool *)arg, true);
}

/* The flusher takes the file off its list and looks at it, all while another's write is under way;
 * then that fails. (It goes on to metadata, which waits for the held disk.) */
KTEST_ON_CPU0(races, b19_flusher_finds_what_fails_behind_it)
{
	bool looked = false;
	struct writeback *wb;
	struct job sync;
	struct wbs s;

	if (!wbs_begin(&s, "keep"))
		return;
	wb = &s.disk.dev->wb;
	wbs_store(&s, 1);
	ramblk_hold(s.disk.dev, 1u << BIO_WRITE, false);
	wbs_fail(&s, -EIO);
	job_start(&sync, 0, NULL, fsync_job, &s);
	EXPECT(ramblk_wait_held(s.disk.dev, 1));
	BUG_ON(delay_arm("flusher_after_pages", note_pass, &looked));
	writeback_unpark(wb);
	writeback_kick(wb);
	WAIT_FOR(atomic_load(&looked) && !READ_ONCE(wb->current));
	delay_disarm("flusher_after_pages");
	wbs_fail(&s, 0);
	ramblk_unhold(s.disk.dev);
	EXPECT_EQ(job_end(&sync), -EIO);
	writeback_park(wb);
	EXPECT(!wbs_on_disk(&s, 1));
	flusher_pass(&s);
	EXPECT(wbs_on_disk(&s, 1));
	wbs_end(&s, FST_SOUND);
}

/* --- what ends it --- */

/* Truncate, and unlink, discard a page that cannot be written, and its count with it. */
KTEST_ON_CPU0(races, b19_truncate_ends_what_cannot_be_written)
{
	u64 dirty = nr_dirty_pages();
	struct wbs s;

	if (!wbs_begin(&s, "keep"))
		return;
	wbs_store(&s, 0);
	wbs_store(&s, 6);
	wbs_fail(&s, -EIO);
	EXPECT_EQ(fsync_of(&s), -EIO);
	EXPECT_EQ(nr_dirty_pages(), dirty + 2);
	EXPECT_EQ(vfs_ftruncate(s.file, 4 * PAGE_SIZE), 0);
	EXPECT_EQ(nr_dirty_pages(), dirty + 1);
	EXPECT_EQ(vfs_unlink(fst_path(&s.disk, "f")), 0);
	file_put(s.file);
	s.file = NULL;
	EXPECT_EQ(nr_dirty_pages(), dirty);
	EXPECT_EQ(vfs_sync(), 0);
	wbs_end(&s, FST_SOUND);
}

static int close_and_umount(struct wbs *s)
{
	file_put(s->file);
	s->file = NULL;
	return fst_disk_umount(&s->disk);
}

/* Unmount says so when it loses data; that a write had failed which was done later is nothing. */
KTEST_ON_CPU0(races, b19_unmount_says_what_it_loses)
{
	static const struct {
		const char *wberr;
		bool fails_now, told;
		int result;
	} cases[] = {
		{ "keep", true, true, -EIO }, { "keep", true, false, -EIO },
		{ "keep", false, false, 0 },  { "drop", false, false, -ENOSPC },
		{ "drop", false, true, 0 },
	};
	struct wbs s;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		if (!wbs_begin(&s, cases[i].wberr))
			return;
		wbs_failed_write(&s, -ENOSPC);
		if (cases[i].fails_now)
			wbs_fail(&s, -EIO);
		if (cases[i].told)
			EXPECT(fsync_of(&s) < 0);
		EXPECT_EQ(close_and_umount(&s), cases[i].result);
		if (ktest_failed())
			ktest_note("case %u", i);
		wbs_end(&s, FST_SOUND);
	}
}

/* The file is closed, memory is wanted: what nobody was told of keeps the inode (Linux forgets). */
static void survives(const char *wberr)
{
	struct file *file;
	struct wbs s;

	if (!wbs_begin(&s, wberr))
		return;
	wbs_failed_write(&s, -EIO);
	file_put(s.file);
	s.file = NULL;
	EXPECT_EQ(vfs_sync(), 0);
	vfs_drop_caches();
	file = wbs_open(&s, O_RD);
	EXPECT_EQ(vfs_fsync(file, false), -EIO);
	file_put(file);
	vfs_drop_caches(); /* told: it goes */
	file = wbs_open(&s, O_RD);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT_EQ(file->inode->data.wb_err, 0);
	file_put(file);
	wbs_end(&s, FST_SOUND);
}

KTEST_ON_CPU0(races, b19_untold_error_survives_eviction)
{
	survives("keep");
	survives("drop");
}

/* Rule 76: nothing works any more. Everything ends, with an error. */
static void gone(const char *wberr)
{
	struct stats before;
	struct wbs s;

	if (!wbs_begin(&s, wberr))
		return;
	for (pgoff_t i = 0; i < WBS_PAGES; i++)
		wbs_store(&s, i);
	ramblk_fail(s.disk.dev, BIO_WRITE, 0, ~0ul, 1, ~0u, -EIO);
	EXPECT_EQ(vfs_fsync(s.file, false), -EIO);
	EXPECT_EQ(vfs_fsync(s.file, false), -EIO); /* the inode, if nothing else */
	EXPECT_EQ(vfs_sync(), -EIO);
	EXPECT_EQ(vfs_syncfs(s.file), -EIO);
	stats_snapshot(&before);
	flusher_pass(&s);
	EXPECT(stat_since(&before, STAT_PAGES_FAILED) <= WBS_PAGES);
	EXPECT_EQ(close_and_umount(&s), -EIO);
	wbs_end(&s, FST_DAMAGED);
}

KTEST_ON_CPU0(races, b19_disk_that_is_gone_hangs_nobody)
{
	gone("keep");
	gone("drop");
}

/* --- the argument --- */

/* It may change while pages are kept; what happens is what it says when a write fails. */
KTEST_ON_CPU0(races, b19_wberr_changes_at_run_time)
{
	u64 dirty = nr_dirty_pages();
	struct wbs s;

	if (!wbs_begin(&s, "keep"))
		return;
	wbs_store(&s, 2);
	wbs_fail(&s, -EIO);
	EXPECT_EQ(fsync_of(&s), -EIO);
	EXPECT_EQ(args_set("wberr", "drop"), 0);
	EXPECT_EQ(nr_dirty_pages(), dirty + 1);
	EXPECT_EQ(fsync_of(&s), -EIO);
	EXPECT_EQ(nr_dirty_pages(), dirty);
	EXPECT_EQ(fsync_of(&s), 0);
	EXPECT_EQ(args_set("wberr", "keep"), 0);
	wbs_store(&s, 2);
	EXPECT_EQ(fsync_of(&s), -EIO);
	wbs_fail(&s, 0);
	EXPECT_EQ(fsync_of(&s), 0);
	EXPECT(wbs_on_disk(&s, 2));
	EXPECT_EQ(args_set("wberr", "lose"), -EINVAL);
	wbs_end(&s, FST_SOUND);
}
