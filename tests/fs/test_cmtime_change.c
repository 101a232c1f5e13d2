/* SPDX-License-Identifier: MIT */
/*
 * test_cmtime_change.c - what the modes of cmtime= cost, changing from one to another, and the
 * cookie of a file that was away.
 */
#include "kernel/core/args.h"
#include "tests/fs/cmtime_scene.h"

/* ---- costs --------------------------------------------------------------------------------- */

/* P29, P33: who writes the inode, and when? Stores to clean pages, within as few ticks as the
 * machine allows. */
static void stores_and_inode_writes(const char *mode, bool in_the_fault)
{
	struct cts s = { 0 };
	struct stats before;
	u64 ticks, updates;

	if (cts_begin(&s, mode)) {
		stats_snapshot(&before);
		ticks = clock_realtime() / CMTIME_TICK;
		for (u32 i = 0; i < CTS_PAGES; i++)
			EXPECT(fst_store(s.p + i * PAGE_SIZE, 1));
		ticks = clock_realtime() / CMTIME_TICK - ticks + 1;
		updates = stat_since(&before, STAT_INODE_UPDATES);
		EXPECT(updates >= 1 && updates <= ticks);
		EXPECT_EQ(stat_since(&before, STAT_INODE_WRITES), in_the_fault ? updates : 0);
		EXPECT_EQ(vfs_fsync(s.file, false), 0);
		EXPECT(stat_since(&before, STAT_INODE_WRITES) >= 1);
		EXPECT_EQ(cts_mtime_on_platter(&s), cts_mtime(&s));
	}
	cts_end(&s);
}

KTEST(cmtime_modes, eager_writes_the_inode_in_the_fault)
{
	stores_and_inode_writes("eager", true);
}

KTEST(cmtime_modes, memory_writes_it_later)
{
	stores_and_inode_writes("memory", false);
}

/* P30: thousands of updates collapse into one. */
KTEST(cmtime_modes, lazy_updates_once)
{
	struct cts s = { 0 };
	struct stats before;

	if (cts_begin(&s, "lazy")) {
		stats_snapshot(&before);
		for (u32 i = 0; i < CTS_LEN; i += 16)
			EXPECT(fst_store(s.p + i, 1));
		EXPECT_EQ(stat_since(&before, STAT_INODE_UPDATES), 0);
		EXPECT_EQ(cts_msync(&s, MS_ASYNC), 0);
		cts_mtime(&s);
		EXPECT_EQ(vfs_fsync(s.file, false), 0);
		cts_unmap(&s);
		EXPECT_EQ(stat_since(&before, STAT_INODE_UPDATES), 1);
	}
	cts_end(&s);
}

/* S14: a fault after a look stamps; none does until the next look, whatever page it is for. */
KTEST(cmtime_modes, query_stamps_once_per_look)
{
	struct cts s = { 0 };
	struct stats before;

	if (cts_begin(&s, "query")) {
		for (u32 round = 0; round < 3; round++) {
			stats_snapshot(&before);
			for (u32 i = 0; i < CTS_PAGES; i++)
				EXPECT(fst_store(s.p + i * PAGE_SIZE, (u8)round));
			EXPECT_EQ(stat_since(&before, STAT_WRITE_FAULTS), CTS_PAGES);
			EXPECT_EQ(stat_since(&before, STAT_INODE_UPDATES), 1);
			cts_look(&s);
			cts_look(&s);
			EXPECT_EQ(stat_since(&before, STAT_PTES_ARMED), CTS_PAGES);
		}
	}
	cts_end(&s);
}

/* ---- changing the mode --------------------------------------------------------------------- */

static void change(const char *from, const char *to)
{
	struct cts s = { 0 };
	u64 t;

	if (cts_begin(&s, from)) {
		t = cts_store_again(&s); /* nobody has looked since */
		EXPECT_EQ(args_set("cmtime", to), 0);
		if (cts_mtime(&s) < t)
			ktest_fail(__FILE__, __LINE__, "a store under %s is lost by %s", from, to);
		/* And the open, mapped file follows the new one. */
		EXPECT_EQ(vfs_fsync(s.file, false), 0);
		cts_mtime(&s);
		cts_later();
		t = clock_realtime();
		EXPECT(fst_store(s.p, 1));
		if ((cts_mtime(&s) >= t) != (strcmp(to, "writeback") != 0))
			ktest_fail(__FILE__, __LINE__, "after %s: not as %s", from, to);
	}
	cts_end(&s);
}

KTEST(cmtime_modes, change_loses_no_store)
{
	for (unsigned int from = 0; from < CTS_MODES; from++)
		for (unsigned int to = 0; to < CTS_MODES; to++)
			if (from != to)
				change(cts_modes[from], cts_modes[to]);
	EXPECT_EQ(args_set("cmtime", "sometimes"), -EINVAL);
}

/* ---- the cookie ---------------------------------------------------------------------------- */

/* A disk that tells seconds: many modifications share a time. The cookie orders them, and is not
 * lower when the file comes back from the disk. */
KTEST(cmtime, cookie_survives_eviction)
{
	struct kstat last, st;
	struct fst_disk d;

	if (!fst_disk_make(&d, "t_cookie", 256 << 10, 1024, 128))
		return;
	EXPECT(fst_make(fst_path(&d, "f"), 1, 1));
	last = fst_stat(fst_path(&d, "f"));
	for (u32 i = 0; i < 30; i++) {
		if (i % 3) {
			struct file *file = fst_open(fst_path(&d, "f"), O_RW);

			EXPECT(file && fst_write(file, 0, 1, i));
			if (file)
				file_put(file);
		} else {
			fst_disk_remount(&d);
		}
		st = fst_stat(fst_path(&d, "f"));
		EXPECT(i % 3 ? st.version > last.version : st.version >= last.version);
		last = st;
	}
	fst_disk_end(&d, FST_SOUND);
}
