/* SPDX-License-Identifier: MIT */
/*
 * test_cmtime_modes.c - what each mode of cmtime= keeps, and what it breaks.
 *
 * The table of kernel/fs/cmtime.h, executed: a cell that changes fails, in either direction.
 */
#include "kernel/core/args.h"
#include "kernel/core/sched.h"
#include "tests/fs/cmtime_scene.h"

/* ---- properties: true if it is kept -------------------------------------------------------- */

static bool first_store(struct cts *s)
{
	u64 t = clock_realtime();

	EXPECT(fst_store(s->p, 1));
	EXPECT_EQ(cts_msync(s, MS_ASYNC), 0);
	return cts_mtime(s) >= t;
}

static bool again_async(struct cts *s)
{
	u64 t = cts_store_again(s);

	EXPECT_EQ(cts_msync(s, MS_ASYNC), 0);
	return cts_mtime(s) >= t;
}

static bool again_sync(struct cts *s)
{
	u64 t = cts_store_again(s);

	EXPECT_EQ(cts_msync(s, MS_SYNC), 0);
	return cts_mtime(s) >= t;
}

static bool again_unmap(struct cts *s)
{
	u64 t = cts_store_again(s);

	cts_unmap(s);
	return cts_mtime(s) >= t;
}

static bool again_fsync(struct cts *s)
{
	u64 t = cts_store_again(s), on_platter;

	EXPECT_EQ(vfs_fsync(s->file, false), 0);
	on_platter = cts_mtime_on_platter(s);
	EXPECT_EQ(on_platter, cts_mtime(s)); /* fsync writes what it has, whatever that is */
	return on_platter >= t;
}

/* Unmapped, closed, unmounted: nobody looked, and nothing is in memory any more. */
static bool again_unmount(struct cts *s)
{
	u64 t = cts_store_again(s);

	cts_close(s);
	fst_disk_remount(&s->disk);
	s->file = fst_open(fst_path(&s->disk, "f"), O_RD);
	return s->file && cts_mtime(s) >= t;
}

/* A page that stays writable when it is cleaned: no store after its first one ever faults. */
static bool silent_fsync(struct cts *s)
{
	struct stats before;
	u64 t;

	s->file->inode->data.policy = &test_policy_clear_d;
	EXPECT(fst_store(s->p, 1));
	EXPECT_EQ(vfs_fsync(s->file, false), 0);
	t = cts_later();
	stats_snapshot(&before);
	EXPECT(fst_store(s->p, 2));
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 0);
	EXPECT_EQ(vfs_fsync(s->file, false), 0);
	return cts_mtime(s) >= t;
}

/* The same, granted with D clear, and nobody cleans it. */
static bool silent_look(struct cts *s)
{
	u64 t;

	s->file->inode->data.policy = &test_policy_silent;
	EXPECT(fst_store(s->p, 1));
	cts_mtime(s);
	t = cts_later();
	EXPECT(fst_store(s->p, 2));
	return cts_mtime(s) >= t;
}

static bool same(const struct kstat *a, const struct cts *s)
{
	struct kstat b = cts_look(s);

	cts_later();
	return cts_nanoseconds(a->mtime) == cts_nanoseconds(b.mtime) &&
	       cts_nanoseconds(a->ctime) == cts_nanoseconds(b.ctime) && a->version == b.version;
}

/* No store: whatever is done to the file, nobody sees its times move. The store before left D in
 * its PTE, which its stamp has answered already. */
static bool quiet(struct cts *s)
{
	struct kstat seen;
	u8 byte;
	bool ok;

	EXPECT(fst_store(s->p, 1));
	EXPECT(fst_store(s->p + PAGE_SIZE, 1));
	seen = cts_look(s);
	ok = same(&seen, s) && same(&seen, s);
	EXPECT(fst_load(s->p, &byte));
	EXPECT_EQ(cts_msync(s, MS_ASYNC), 0);
	ok &= same(&seen, s);
	EXPECT_EQ(mm_msync(current_thread()->mm, (vaddr_t)s->p, PAGE_SIZE, MS_SYNC), 0);
	ok &= same(&seen, s);
	EXPECT_EQ(vfs_fsync(s->file, false), 0);
	ok &= same(&seen, s);
	EXPECT(fst_load(s->p, &byte));
	cts_unmap(s);
	ok &= same(&seen, s);
	return ok;
}

/* A look, a store, a look: they differ, although the page was writable all the time. */
static bool seen_by_a_look(struct cts *s)
{
	struct kstat a, b;

	EXPECT(fst_store(s->p, 1));
	a = cts_look(s);
	cts_later();
	EXPECT(fst_store(s->p, 2));
	b = cts_look(s);
	return cts_nanoseconds(b.mtime) > cts_nanoseconds(a.mtime) && b.version > a.version;
}

/* P32. An observer trusts its copy as long as the cookie is what it was. */
struct observer {
	u64 cookie;
	u8 copy;
	bool has_copy;
	unsigned int stale;
};

static void observe(const struct cts *s, struct observer *o)
{
	u64 cookie = cts_look(s).version;
	u8 fresh;

	EXPECT_EQ(vfs_pread(s->file, &fresh, 1, 0), 1);
	if (o->has_copy && o->cookie == cookie) {
		o->stale += o->copy != fresh;
		return;
	}
	EXPECT(!o->has_copy || cookie > o->cookie);
	*o = (struct observer){ cookie, fresh, true, o->stale };
}

static bool cookie(struct cts *s)
{
	struct observer o = { 0 };

	for (u8 i = 1; i <= 12; i++) {
		EXPECT(fst_store(s->p, i));
		if (i % 5 == 0)
			EXPECT_EQ(cts_msync(s, i & 1 ? MS_SYNC : MS_ASYNC), 0);
		observe(s, &o);
		if (i % 3 == 0)
			observe(s, &o);
	}
	return !o.stale;
}

static void disturb(struct cts *s, u64 random)
{
	u8 *p = s->p + random / 16 % CTS_LEN;

	switch (random % 8) {
	case 0: EXPECT_EQ(vfs_fsync(s->file, random & 16), 0); break;
	case 1: EXPECT_EQ(cts_msync(s, random & 16 ? MS_SYNC : MS_ASYNC), 0); break;
	case 2: EXPECT_EQ(vfs_pwrite(s->file, "x", 1, random / 16 % CTS_LEN), 1); break;
	case 3:
		if (random & 16)
			cts_close(s);
		else
			cts_unmap(s);
		if (!s->file)
			vfs_drop_caches();
		else
			file_put(s->file);
		EXPECT(cts_open(s));
		break;
	case 4: EXPECT_EQ(args_set("cmtime", cts_modes[random / 16 % CTS_MODES]), 0); break;
	default: EXPECT(fst_store(p, (u8)random)); break;
	}
}

/* Whatever happens, also a change of the mode, times and cookie never go back. */
static bool monotonic(struct cts *s)
{
	u64 random = ktest_seed();
	struct kstat last = cts_look(s), st;

	for (u32 i = 0; i < 200 && s->p; i++) {
		disturb(s, ktest_rand(&random));
		st = cts_look(s);
		if (cts_nanoseconds(st.mtime) < cts_nanoseconds(last.mtime) ||
		    cts_nanoseconds(st.ctime) < cts_nanoseconds(last.ctime) ||
		    st.version < last.version)
			return false;
		last = st;
	}
	return true;
}

/* ---- the table ----------------------------------------------------------------------------- */

static const struct {
	const char *what;
	bool (*kept)(struct cts *s);
	char expected[CTS_MODES + 1]; /* + or -, in the order of cts_modes[] */
} table[] = {
	{ "not older than a first store; MS_ASYNC, stat", first_store, "+++-+" },
	{ "not older than a store again; MS_ASYNC, stat", again_async, "+----" },
	{ "not older than a store again; MS_SYNC, stat", again_sync, "+--+-" },
	{ "not older than a store again; munmap, stat", again_unmap, "+----" },
	{ "not older than a store again; fsync, on the disk", again_fsync, "+--+-" },
	{ "not older than a store again; unmount, mount", again_unmount, "+--+-" },
	{ "not older than a silent store; fsync, stat", silent_fsync, "+--+-" },
	{ "not older than a silent store; stat", silent_look, "+---+" },
	{ "they move only after a store", quiet, "+++-+" },
	{ "they move with a store between looks", seen_by_a_look, "+---+" },
	{ "the cookie never lets a stale copy be trusted", cookie, "+---+" },
	{ "they never go back", monotonic, "+++++" },
};

static void run(unsigned int mode)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(table); i++) {
		struct cts s = { 0 };
		bool kept;

		if (cts_begin(&s, cts_modes[mode])) {
			kept = table[i].kept(&s);
			if (kept != (table[i].expected[mode] == '+'))
				ktest_fail(__FILE__, __LINE__, "cmtime=%s: %s: %s", cts_modes[mode],
					   table[i].what, kept ? "kept" : "broken");
		}
		cts_end(&s);
	}
}

KTEST(cmtime_modes, lazy)
{
	run(0);
}

KTEST(cmtime_modes, eager)
{
	run(1);
}

KTEST(cmtime_modes, memory)
{
	run(2);
}

KTEST(cmtime_modes, writeback)
{
	run(3);
}

KTEST(cmtime_modes, query)
{
	run(4);
}
