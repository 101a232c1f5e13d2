/* SPDX-License-Identifier: MIT */
/*
 * test_alloc_room.c - a full disk that has room after all (rule 96), and one that breaks between
 * the promise and the block.
 */
#include "kernel/core/stat.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/truncate.h"
#include "tests/fs/alloc_test.h"

#define MIB   (1ul << 20)
#define PAGES 32ul

/* --- promised, and not stored to --- */

static enum policy_map always_writable(const struct policy_page *page)
{
	return POLICY_MAP_WRITABLE;
}

static enum policy_grant nobody_stored(const struct policy_page *page)
{
	return POLICY_GRANT_CLEAN;
}

static const struct dirty_policy eager = {
	.name = "eager",
	.summary = "of tests: pages are writable before anybody stores",
	.on_read_fault = always_writable,
	.on_write_fault = nobody_stored,
};

struct scene {
	struct file *granted, *other;
	u8 *p, *q; /* PAGES pages of each */
	u64 per_page;
};

/* PAGES pages of one file may be stored to, only the first was, and the disk is full by that. */
static bool begin(struct scene *s, struct fst_disk *d)
{
	u8 c;

	s->per_page = PAGE_SIZE / d->block_size;
	s->granted = alloc_sparse(d, "granted", PAGES * s->per_page);
	s->other = alloc_sparse(d, "other", PAGES * s->per_page);
	if (!s->granted || !s->other)
		return false;
	WRITE_ONCE(s->granted->inode->data.policy, &eager);
	alloc_fill(d, "filler", PAGES * s->per_page + 1);
	s->p = fst_map(s->granted, 0, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE);
	s->q = fst_map(s->other, 0, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE);
	if (!s->p || !s->q)
		return false;
	for (u64 i = 0; i < PAGES; i++)
		EXPECT(fst_load(s->p + i * PAGE_SIZE, &c));
	s->p[0] = 'a'; /* no fault tells of it */
	EXPECT_EQ(alloc_free(d), 0);
	EXPECT_EQ(alloc_reserved(d), PAGES * s->per_page + 1);
	return true;
}

static void unmap(struct scene *s)
{
	WRITE_ONCE(s->granted->inode->data.policy, NULL);
	fst_unmap(s->p, PAGES * PAGE_SIZE);
	fst_unmap(s->q, PAGES * PAGE_SIZE);
}

static void end(struct scene *s)
{
	unmap(s);
	file_put(s->granted);
	file_put(s->other);
}

static void check_granted(struct scene *s)
{
	u8 c = 0;

	EXPECT_EQ(vfs_fsync(s->granted, false), 0);
	EXPECT(fst_on_disk(s->granted, 0, &c, 1) && c == 'a');
	/* The others ask again, and cannot have it all. */
	EXPECT(fst_load(s->p + PAGE_SIZE, &c) && c == 0);
}

/* rule 96: the store finds room in what was promised to pages that nobody stored to. */
static void store_finds_room(struct fst_disk *d)
{
	u64 before = stat_read(STAT_ENOSPC_RETRIES);
	struct scene s;
	u8 c = 0;

	if (!begin(&s, d))
		return;
	EXPECT(fst_store(s.q, 'b'));
	EXPECT_EQ(stat_read(STAT_ENOSPC_RETRIES), before + 1);
	alloc_audit(d);
	EXPECT_EQ(vfs_fsync(s.other, false), 0);
	EXPECT(fst_on_disk(s.other, 0, &c, 1) && c == 'b');
	check_granted(&s);
	end(&s);
}

KTEST(alloc_room, r96_store_is_tried_again)
{
	alloc_on_each_shape("reserve", 1 * MIB, store_finds_room);
}

static void write_finds_room(struct fst_disk *d)
{
	struct scene s;

	if (!begin(&s, d))
		return;
	EXPECT(fst_write(s.other, 0, 20 * PAGE_SIZE, 2));
	alloc_audit(d);
	EXPECT_EQ(vfs_fsync(s.other, false), 0);
	EXPECT(fst_check(s.other, 0, 20 * PAGE_SIZE, 2));
	check_granted(&s);
	end(&s);
}

KTEST(alloc_room, r96_write_is_tried_again)
{
	alloc_on_each_shape("reserve", 1 * MIB, write_finds_room);
}

static void directory_finds_room(struct fst_disk *d)
{
	struct scene s;

	if (!begin(&s, d))
		return;
	EXPECT_EQ(vfs_mkdir(fst_path(d, "dir"), 0755), 0);
	alloc_audit(d);
	check_granted(&s);
	end(&s);
}

KTEST(alloc_room, r96_directory_gets_its_block)
{
	alloc_on_each_shape("reserve", 1 * MIB, directory_finds_room);
}

/* The other way round: a page made writable ahead does not push others out. */
static void grant_does_not_insist(struct fst_disk *d)
{
	u64 before = stat_read(STAT_ENOSPC_RETRIES);
	struct scene s;
	u8 c;

	if (!begin(&s, d))
		return;
	WRITE_ONCE(s.other->inode->data.policy, &eager);
	for (u64 i = 0; i < PAGES; i++)
		EXPECT(fst_load(s.q + i * PAGE_SIZE, &c) && c == 0);
	EXPECT_EQ(stat_read(STAT_ENOSPC_RETRIES), before);
	EXPECT_EQ(ext2_info(s.other->inode)->reserved, 0);
	WRITE_ONCE(s.other->inode->data.policy, NULL);
	check_granted(&s);
	end(&s);
}

KTEST(alloc_room, page_granted_ahead_pushes_nobody_out)
{
	alloc_on_each_shape("reserve", 1 * MIB, grant_does_not_insist);
}

/* rule 95: a clean page that leaves the cache gives back what was promised to it. */
static void released_page_gives_back(struct fst_disk *d)
{
	struct scene s;
	u64 promised;

	if (!begin(&s, d))
		return;
	unmap(&s);
	promised = alloc_reserved(d);
	EXPECT(promised > 1);
	/* Only pages go: the inode, which would give back all, stays. */
	EXPECT_EQ(vfs_fsync(s.granted, false), 0);
	EXPECT_EQ(drop_mapping_pages(&s.granted->inode->data, 0, ~0ul, DROP_CLEAN_ONLY), 0);
	EXPECT_EQ(alloc_reserved(d), 0);
	EXPECT_EQ(alloc_free(d), promised - s.per_page);
	file_put(s.granted);
	file_put(s.other);
}

KTEST(alloc_room, r95_released_page_gives_back)
{
	alloc_on_each_shape("reserve", 1 * MIB, released_page_gives_back);
}

/* --- two files, one disk --- */

struct rival {
	struct job job;
	struct mm *mm;
	struct file *file;
	u64 pages, stored;
};

static int store_until_refused(void *arg)
{
	struct rival *r = arg;
	vaddr_t va;

	EXPECT_EQ(vfs_mmap(r->mm, 0, r->pages * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   r->file, 0, &va),
		  0);
	for (u64 i = 0; i < r->pages; i++)
		r->stored += fst_store((u8 *)va + i * PAGE_SIZE, (u8)(i + 1));
	return 0;
}

static void two_rivals(struct fst_disk *d)
{
	u64 per_page = PAGE_SIZE / d->block_size;
	struct rival r[2];

	for (int i = 0; i < 2; i++)
		r[i] = (struct rival){ .pages = 48,
				       .mm = test_mm(),
				       .file = alloc_sparse(d, i ? "a" : "b", 48 * per_page) };
	ASSERT(r[0].file && r[1].file);
	alloc_fill(d, "filler", 60 * per_page + 2);
	for (int i = 0; i < 2; i++)
		job_start(&r[i].job, CPU_ANY, r[i].mm, store_until_refused, &r[i]);
	for (int i = 0; i < 2; i++)
		job_end(&r[i].job);
	EXPECT(r[0].stored + r[1].stored >= 60 && r[0].stored + r[1].stored <= 60 + 1);
	EXPECT(alloc_free(d) < per_page + 1);
	alloc_audit(d);
	for (int i = 0; i < 2; i++) {
		u64 bad = 0;
		u8 c;

		mm_put(r[i].mm);
		EXPECT_EQ(vfs_fsync(r[i].file, false), 0);
		for (u64 p = 0; p < r[i].pages; p++)
			bad += fst_on_disk(r[i].file, p * PAGE_SIZE, &c, 1) && c == (u8)(p + 1);
		EXPECT_EQ(bad, r[i].stored);
		file_put(r[i].file);
	}
	EXPECT_EQ(alloc_reserved(d), 0);
}

KTEST(alloc_room, r94_two_files_share_what_is_left)
{
	alloc_on_each_shape("reserve", 1 * MIB, two_rivals);
}

/* --- the disk breaks --- */

/* The bitmap cannot be read when blocks are looked for: the next sync is told, what was promised
 * stays promised, and the next store has it. */
static void bitmap_unreadable(struct fst_disk *d)
{
	struct file *file = alloc_sparse(d, "f", 64);
	struct ext2_sb *sbi;
	sector_t bitmap;
	u64 promised;
	u8 c = 0;

	if (!file)
		return;
	sbi = ext2_sb(file->inode->sb);
	EXPECT_EQ(vfs_sync(), 0);
	EXPECT(fst_write(file, 0, 16 * d->block_size, 1));
	promised = alloc_reserved(d);
	EXPECT(promised >= 16);
	bforget(d->dev, sbi->group[0].block_bitmap);
	bitmap = (sector_t)sbi->group[0].block_bitmap * (d->block_size / SECTOR_SIZE);
	ramblk_fail(d->dev, BIO_READ, bitmap, bitmap, 1, ~0u, -EIO);
	EXPECT_EQ(vfs_fsync(file, false), -EIO);
	EXPECT_EQ(alloc_reserved(d), promised);
	alloc_audit(d);
	ramblk_fail(d->dev, BIO_READ, 0, 0, 1, 0, 0);
	EXPECT(fst_write(file, 0, 16 * d->block_size, 2));
	EXPECT_EQ(alloc_reserved(d), promised);
	EXPECT_EQ(vfs_fsync(file, false), 0);
	EXPECT_EQ(alloc_reserved(d), 0);
	EXPECT(fst_on_disk(file, 0, &c, 1) && c);
	file_put(file);
}

KTEST(alloc_room, bitmap_that_cannot_be_read_costs_no_promise)
{
	alloc_on_each_shape("reserve", 1 * MIB, bitmap_unreadable);
}
