/* SPDX-License-Identifier: MIT */
/*
 * b28_mtime_confusions.c - B28: times that were right for somebody and wrong for somebody else
 * (rules 85-88; cmtime=lazy, whose table is in kernel/fs/cmtime.h).
 *
 *	vi	saves, looks at the time, and later: "file changed", because what it had stored was
 *		stamped when it was written out, after it looked
 *	tar	reads a file, and finds a younger time when it is done: its writer only closed it
 *	make	waits for the linker, and finds its output younger than what was made from it
 *	POSIX	a second store takes no fault; after msync(MS_ASYNC) the time may not be older
 */
#include "tests/fs/cmtime_scene.h"

static bool begin(struct cts *s)
{
	if (cts_begin(s, "lazy"))
		return true;
	cts_end(s);
	return false;
}

/* The same time, whatever becomes of the stores that it stands for. */
KTEST(races, b28_time_is_that_of_the_first_look)
{
	struct cts s = { 0 };
	u64 saved;

	if (!begin(&s))
		return;
	EXPECT(fst_store(s.p, 1));
	EXPECT(fst_store(s.p + PAGE_SIZE, 1));
	saved = cts_mtime(&s);
	cts_later();
	EXPECT_EQ(cts_msync(&s, MS_SYNC), 0);
	EXPECT_EQ(cts_mtime(&s), saved);
	EXPECT_EQ(vfs_fsync(s.file, false), 0);
	EXPECT_EQ(cts_mtime(&s), saved);
	cts_unmap(&s);
	EXPECT_EQ(cts_mtime(&s), saved);
	cts_end(&s);
}

KTEST(races, b28_time_is_not_that_of_who_looks_late)
{
	struct cts s = { 0 };
	u64 ended;

	if (!begin(&s))
		return;
	EXPECT(fst_store(s.p, 1));
	cts_unmap(&s);
	ended = clock_realtime();
	cts_later();
	EXPECT(cts_mtime(&s) <= ended);
	cts_end(&s);
}

KTEST(races, b28_posix_window)
{
	struct cts s = { 0 };
	u64 t;

	if (!begin(&s))
		return;
	t = cts_store_again(&s);
	EXPECT_EQ(cts_msync(&s, MS_ASYNC), 0);
	EXPECT(cts_mtime(&s) >= t);
	cts_end(&s);
}
