/* SPDX-License-Identifier: MIT */
/*
 * wb_scene.h - a file on a disk that refuses its blocks, for the tests of what a failed write
 * leaves and who is told.
 */
#ifndef TESTS_FS_WB_SCENE_H
#define TESTS_FS_WB_SCENE_H

#include "kernel/mm/mapping.h"
#include "tests/fs/fs_test.h"
#include "tests/util.h"

#define WBS_PAGES 8

/* The flusher is parked: nothing is written but what the test writes. */
struct wbs {
	struct fst_disk disk;
	struct file *file; /* open since before anything failed */
	sector_t first, last;
	u8 version; /* of what was stored last */
};

/* wberr is @wberr until wbs_end(). A disk with "f" of WBS_PAGES pages, all durable. False: the test
 * has failed, nothing is left. */
bool wbs_begin(struct wbs *s, const char *wberr);
void wbs_end(struct wbs *s, enum fst_end end);
struct file *wbs_open(const struct wbs *s, u32 flags);

/* From now on writes of the file's data fail with @error; 0: they do not. Metadata goes through. */
void wbs_fail(const struct wbs *s, int error);
/* Store to page @page, through write(). */
void wbs_store(struct wbs *s, pgoff_t page);
/* What background writeback does, and the end of its I/O. */
void wbs_background(const struct wbs *s);
/* All three: a store to page 0 whose write fails, behind everybody's back. */
void wbs_failed_write(struct wbs *s, int error);
/* Is what was stored last to page @page on the disk? */
bool wbs_on_disk(const struct wbs *s, pgoff_t page);
/* The inode of the file, with none open, referenced; iput() it. */
struct inode *wbs_inode(const struct wbs *s);

#endif
