/* SPDX-License-Identifier: MIT */
/*
 * b29_mtime_lost_on_path.c - B29: each way to a writable PTE must lead to the times (rule 80), also
 * where there is nothing else to do: "page already dirty", "already mapped".
 *
 * An observer looks, somebody stores by one of the ways, the observer looks again. Under lazy the
 * D of the PTE must be found whichever way it came; under query the way itself must tell.
 */
#include "kernel/core/args.h"
#include "kernel/mm/policy.h"
#include "tests/fs/cmtime_scene.h"

static void set_policy(struct cts *s, const char *name)
{
	EXPECT_EQ(policy_choose_file(&s->file->inode->data, name), 0);
}

static void dirty_all(struct cts *s)
{
	for (unsigned int i = 0; i < CTS_PAGES; i++)
		EXPECT(fst_store(s->p + i * PAGE_SIZE, 1));
}

/* --- what the file is like before the observer looks --- */

static void untouched(struct cts *s)
{
}

static void loaded(struct cts *s)
{
	u8 v;

	EXPECT(fst_load(s->p, &v));
}

static void written(struct cts *s)
{
	EXPECT_EQ(vfs_pwrite(s->file, "x", 1, 0), 1);
}

static void written_and_loaded(struct cts *s)
{
	loaded(s);
	written(s);
}

static void stored(struct cts *s)
{
	EXPECT(fst_store(s->p, 1));
}

/* The file is on the dirty list, the page is clean and has its blocks: the short way. */
static void cleaned(struct cts *s)
{
	dirty_all(s);
	EXPECT_EQ(mm_msync(current_thread()->mm, (vaddr_t)s->p, PAGE_SIZE, MS_SYNC), 0);
}

static void granted_by_log(struct cts *s)
{
	set_policy(s, "log");
	dirty_all(s);
	EXPECT_EQ(vfs_fsync(s->file, false), 0);
}

static void granted_clean(struct cts *s)
{
	s->file->inode->data.policy = &test_policy_clear_d;
}

static void silent_since_sync(struct cts *s)
{
	granted_clean(s);
	dirty_all(s);
	EXPECT_EQ(vfs_fsync(s->file, false), 0);
}

static void granted_by_load(struct cts *s)
{
	s->file->inode->data.policy = &test_policy_silent;
}

/* Its I/O is held: the next store is given a copy. */
static void under_io(struct cts *s)
{
	struct writeback_control wbc = { .mode = SYNC_NONE, .last = ~0ul, .nr_to_write = ~0ul };

	set_policy(s, "forked");
	EXPECT(fst_store(s->p, 1));
	ramblk_hold(s->disk.dev, 1 << BIO_WRITE, false);
	filemap_fdatawrite_range(&s->file->inode->data, &wbc);
}

static void window(struct cts *s)
{
	EXPECT_EQ(args_set("grant", "16"), 0);
}

/* --- the way to the store, between the two looks --- */

static void store(struct cts *s)
{
	EXPECT(fst_store(s->p, 7));
}

static void load_and_store(struct cts *s)
{
	u8 v;

	EXPECT(fst_load(s->p, &v));
	EXPECT(fst_store(s->p, 7));
}

static void store_in_window(struct cts *s)
{
	EXPECT(fst_store(s->p + PAGE_SIZE, 7));
}

static void advise_and_store(struct cts *s)
{
	EXPECT_EQ(mm_madvise(current_thread()->mm, (vaddr_t)s->p, CTS_LEN, MADV_WILL_WRITE), 0);
	EXPECT(fst_store(s->p, 7));
}

static const struct {
	const char *what;
	void (*prepare)(struct cts *s);
	void (*way)(struct cts *s);
} ways[] = {
	{ "page not mapped", untouched, store },
	{ "mapped read-only", loaded, store },
	{ "dirty by write(), not mapped", written, store },
	{ "dirty by write(), mapped read-only", written_and_loaded, store },
	{ "stored to before", stored, store },
	{ "cleaned, other pages dirty", cleaned, store },
	{ "logged", granted_by_log, store },
	{ "granted clean", granted_clean, store },
	{ "writable since a sync", silent_since_sync, store },
	{ "granted by a load", granted_by_load, load_and_store },
	{ "granted by advice", untouched, advise_and_store },
	{ "granted with a neighbour", window, store_in_window },
	{ "to a copy, its page is under I/O", under_io, store },
};

static void each_way(const char *mode)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		struct cts s = { 0 };
		struct kstat a, b;

		if (cts_begin(&s, mode)) {
			ways[i].prepare(&s);
			a = cts_look(&s);
			cts_later();
			ways[i].way(&s);
			b = cts_look(&s);
			if (b.version <= a.version ||
			    cts_nanoseconds(b.mtime) <= cts_nanoseconds(a.mtime))
				ktest_fail(__FILE__, __LINE__, "cmtime=%s: %s: no new time", mode,
					   ways[i].what);
			ramblk_unhold(s.disk.dev);
			EXPECT_EQ(args_set("grant", "1"), 0);
		}
		cts_end(&s);
	}
}

KTEST(races, b29_mtime_lost_on_path_lazy)
{
	each_way("lazy");
}

KTEST(races, b29_mtime_lost_on_path_query)
{
	each_way("query");
}
