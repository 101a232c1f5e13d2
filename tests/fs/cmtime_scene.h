/* SPDX-License-Identifier: MIT */
/*
 * cmtime_scene.h - a mapped file whose times can be watched, under each mode of cmtime=.
 *
 * A clean file of 4 pages, on a disk in memory that tells nanoseconds and whose flusher is parked;
 * mapped shared by the calling program. Somebody has looked at its times, and since then the clock
 * has gone on.
 */
#ifndef TESTS_FS_CMTIME_SCENE_H
#define TESTS_FS_CMTIME_SCENE_H

#include "kernel/fs/cmtime.h"
#include "tests/fs/fs_test.h"
#include "tests/util.h"

#define CTS_PAGES 4
#define CTS_LEN	  (CTS_PAGES * PAGE_SIZE)

struct cts {
	struct fst_disk disk;
	struct file *file; /* NULL: closed */
	u8 *p;		   /* NULL: not mapped */
};

/* Their names, by enum cmtime_mode. */
#define CTS_MODES 5
extern const char *const cts_modes[CTS_MODES];

/* False: the test has failed; cts_end() in any case. */
bool cts_begin(struct cts *s, const char *mode);
/* Back to the mode that was before. */
void cts_end(struct cts *s);
/* Open and map it (again). False: the test has failed. */
bool cts_open(struct cts *s);
void cts_unmap(struct cts *s);
void cts_close(struct cts *s); /* unmaps, too */
int cts_msync(const struct cts *s, int flags);

u64 cts_nanoseconds(struct file_time t);
/* fstat(). */
struct kstat cts_look(const struct cts *s);
u64 cts_mtime(const struct cts *s);
/* What a machine finds that starts from the bytes which are on the platter now. */
u64 cts_mtime_on_platter(const struct cts *s);
/* Until any mode has to give another stamp; what the clock says then. */
u64 cts_later(void);
/* A first store, which faults, and later another one to the same page, which does not; what the
 * clock said before that one. */
u64 cts_store_again(const struct cts *s);

#endif
