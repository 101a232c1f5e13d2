/* SPDX-License-Identifier: MIT */
/*
 * test_dio_coherent.c - what direct I/O and mappings of the same file see of each other, under each
 * policy and each value of dio= (seeds P18 to P23; rules 105 to 109, 112).
 */
#include "kernel/core/stat.h"
#include "kernel/fs/directio.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/gup.h"
#include "kernel/mm/invalidate.h"
#include "kernel/mm/policy.h"
#include "tests/fs/dio_test.h"

#define PAGES 8u
#define LEN   (PAGES * PAGE_SIZE)

/* A file that is on the disk, and mapped, with nothing cached. */
struct mapped {
	struct dio_scene s;
	u64 *map;
};

static bool begin(struct mapped *m)
{
	if (!dio_begin_alone(&m->s, LEN))
		return false;
	EXPECT_EQ(vfs_fsync(m->s.cached, false), 0);
	drop_all(&m->s);
	m->map = (u64 *)fst_map(m->s.cached, 0, LEN, PROT_READ | PROT_WRITE);
	if (m->map)
		return true;
	dio_end(&m->s);
	return false;
}

static void end(struct mapped *m)
{
	fst_unmap(m->map, LEN);
	dio_end(&m->s);
}

static volatile u64 *word_of(struct mapped *m, pgoff_t page)
{
	return m->map + page * SLOTS_PER_PAGE;
}

static s64 write_word(struct mapped *m, pgoff_t page, u64 value)
{
	u64 *sector = (u64 *)m->s.buf;

	memset(sector, 0, 512);
	sector[0] = value;
	return vfs_pwrite(m->s.direct, sector, 512, page * PAGE_SIZE);
}

static struct address_space *mapping_of(struct mapped *m)
{
	return &m->s.cached->inode->data;
}

static void with_each_policy(void (*body)(struct mapped *m))
{
	const struct dirty_policy *policy = NULL;
	struct mapped m;

	while ((policy = policy_next(policy)) && !ktest_failed()) {
		if (!begin(&m))
			return;
		EXPECT_EQ(policy_choose_file(mapping_of(&m), policy->name), 0);
		body(&m);
		if (ktest_failed())
			ktest_note("with policy %s", policy->name);
		end(&m);
	}
}

/* ---- coherent ------------------------------------------------------------------------------ */

/* P18, rule 105: first stores, silent ones, and those whose PTE is gone. */
static void read_sees_stores(struct mapped *m)
{
	for (u64 value = 1; value <= 6; value++) {
		for (pgoff_t i = 0; i < PAGES; i++)
			*word_of(m, i) = value << 8 | i;
		if (value == 3)
			EXPECT_EQ(fst_msync(m->map, LEN), 0);
		if (value == 5)
			unmap_mapping_range(mapping_of(m), 0, PAGES, ZAP_FILE_ONLY);
		for (pgoff_t i = 0; i < PAGES; i++)
			EXPECT_EQ(dio_word(&m->s, i * PAGE_SIZE), value << 8 | i);
	}
}

KTEST(dio, read_sees_stores)
{
	with_each_policy(read_sees_stores);
}

/* P22: what a reader may cost others is nothing. */
static void read_costs_others_nothing(struct mapped *m)
{
	struct mm *mm = current_thread()->mm;
	struct stats before;
	pte_t pte[PAGES];

	for (pgoff_t i = 0; i < PAGES; i++)
		*word_of(m, i) = i + 1;
	for (pgoff_t i = 0; i < PAGES; i++)
		pte[i] = test_pte(mm, (void *)word_of(m, i));
	stats_snapshot(&before);
	EXPECT_EQ(vfs_pread(m->s.direct, m->s.buf, LEN, 0), LEN);
	EXPECT_EQ(stat_since(&before, STAT_PTES_CLEANED), 0);
	EXPECT_EQ(stat_since(&before, STAT_PTES_ZAPPED), 0);
	EXPECT_EQ(stat_since(&before, STAT_HARVEST_PTES), 0);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_WRITTEN), 0);
	EXPECT_EQ(stat_since(&before, STAT_DIO_COPIED), PAGES);
	for (pgoff_t i = 0; i < PAGES; i++) {
		EXPECT(pte_same(test_pte(mm, (void *)word_of(m, i)), pte[i]));
		*word_of(m, i) = i + 2;
	}
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 0);
	/* Where the disk says the same, it is asked. */
	EXPECT_EQ(fst_msync(m->map, LEN), 0);
	invalidate_mapping_range(mapping_of(m), 0, PAGES);
	EXPECT_EQ(*word_of(m, 0), 2);
	stats_snapshot(&before);
	EXPECT_EQ(dio_word(&m->s, PAGE_SIZE), 3);
	EXPECT_EQ(stat_since(&before, STAT_DIO_COPIED), 0);
}

KTEST(dio, read_costs_others_nothing)
{
	with_each_policy(read_costs_others_nothing);
}

/* P19, rules 106, 107: clean pages, dirty ones, and the other sectors of a dirty one. */
static void write_is_seen(struct mapped *m)
{
	for (u64 value = 1; value <= 4; value++) {
		for (pgoff_t i = 0; i < PAGES; i++) {
			if (value % 2)
				*word_of(m, i) = 1000 + value;
			EXPECT(*word_of(m, i));
			word_of(m, i)[SLOTS_PER_PAGE - 1] = value << 16;
			EXPECT_EQ(write_word(m, i, value << 8 | i), 512);
			EXPECT_EQ(*word_of(m, i), value << 8 | i);
			EXPECT_EQ(word_of(m, i)[SLOTS_PER_PAGE - 1], value << 16);
			EXPECT_EQ(disk_word(&m->s, i * PAGE_SIZE), value << 8 | i);
		}
	}
	EXPECT_EQ(vfs_fsync(m->s.cached, false), 0);
	for (pgoff_t i = 0; i < PAGES; i++) {
		EXPECT_EQ(disk_word(&m->s, i * PAGE_SIZE), 4u << 8 | i);
		EXPECT_EQ(disk_word(&m->s, (i + 1) * PAGE_SIZE - 8), 4u << 16);
	}
}

KTEST(dio, write_is_seen)
{
	with_each_policy(write_is_seen);
}

/* Rule 11: what was copied before belongs to its owner. */
KTEST(dio, write_leaves_private_copies)
{
	struct mapped m;
	vaddr_t va;
	u64 *copy;

	if (!begin(&m))
		return;
	EXPECT_EQ(vfs_mmap(current_thread()->mm, 0, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			   m.s.cached, 0, &va),
		  0);
	copy = (u64 *)va;
	copy[0] = 77;
	EXPECT(copy[SLOTS_PER_PAGE]); /* the file's own page */
	EXPECT_EQ(write_word(&m, 0, 5), 512);
	EXPECT_EQ(write_word(&m, 1, 6), 512);
	EXPECT_EQ(copy[0], 77);
	EXPECT_EQ(copy[SLOTS_PER_PAGE], 6);
	EXPECT_EQ(mm_munmap(current_thread()->mm, va, LEN), 0);
	end(&m);
}

/* Rule 106: a page that cannot go. The bytes take the other way, and are as much on the disk. */
KTEST(dio, write_of_a_pinned_page_goes_through_the_cache)
{
	struct mm *mm;
	struct page *pin;
	struct stats before;
	struct mapped m;

	if (!begin(&m))
		return;
	mm = current_thread()->mm;
	EXPECT_EQ(pin_user_pages(mm, (vaddr_t)m.map, 1, PIN_TO_READ, &pin), 1);
	stats_snapshot(&before);
	EXPECT_EQ(write_word(&m, 0, 5), 512);
	EXPECT_EQ(stat_since(&before, STAT_DIO_CACHED), 1);
	EXPECT_EQ(stat_since(&before, STAT_INVALIDATE_BUSY), 2);
	EXPECT_EQ(stat_since(&before, STAT_DIO_RACES), 0);
	EXPECT(dio_page(&m.s, 0) == pin);
	EXPECT_EQ(*word_of(&m, 0), 5);
	EXPECT_EQ(disk_word(&m.s, 0), 5);
	unpin_user_pages(mm, (vaddr_t)m.map, 1, PIN_TO_READ, &pin, 0);
	stats_snapshot(&before);
	EXPECT_EQ(write_word(&m, 0, 6), 512);
	EXPECT_EQ(stat_since(&before, STAT_DIO_CACHED), 0);
	EXPECT_EQ(*word_of(&m, 0), 6);
	end(&m);
}

/* B20: that the dirty page could not be written is told to the writer, and kept for fsync. */
KTEST(dio, error_of_the_flush_is_not_stolen)
{
	struct mapped m;
	sector_t sector;

	if (!begin(&m))
		return;
	*word_of(&m, 1) = 5;
	ASSERT_EQ(vfs_bmap(m.s.cached, PAGE_SIZE, &sector), 0);
	ramblk_fail(m.s.disk.dev, BIO_WRITE, sector, sector, 1, 1000, -EIO);
	EXPECT_EQ(write_word(&m, 1, 6), -EIO);
	ramblk_fail(m.s.disk.dev, BIO_WRITE, 0, 0, 0, 0, 0);
	EXPECT_EQ(vfs_fsync(m.s.cached, false), -EIO);
	end(&m);
}

/* ---- the other two ------------------------------------------------------------------------- */

/* Rule 112: never a page that will not go, because none is asked to. */
KTEST(dio, buffered_where_the_file_is_mapped)
{
	struct stats before;
	struct mapped m;

	if (!begin(&m))
		return;
	dio_set(&m.s, "buffered");
	stats_snapshot(&before);
	*word_of(&m, 0) = 5;
	EXPECT_EQ(dio_word(&m.s, 0), 5);
	EXPECT_EQ(write_word(&m, 0, 6), 512);
	EXPECT_EQ(*word_of(&m, 0), 6);
	EXPECT_EQ(stat_since(&before, STAT_DIO_CACHED), 2);
	EXPECT_EQ(stat_since(&before, STAT_PTES_ZAPPED), 0);
	EXPECT_EQ(stat_since(&before, STAT_INVALIDATE_BUSY), 0);
	/* Still only for whole sectors. */
	EXPECT_EQ(vfs_pread(m.s.direct, m.s.buf, 511, 0), -EINVAL);
	EXPECT_EQ(vfs_pwrite(m.s.direct, m.s.buf, 511, 0), -EINVAL);
	fst_unmap(m.map, LEN);
	stats_snapshot(&before);
	EXPECT_EQ(dio_word(&m.s, 0), 6);
	EXPECT_EQ(write_word(&m, 0, 7), 512);
	EXPECT_EQ(disk_word(&m.s, 0), 7);
	EXPECT_EQ(stat_since(&before, STAT_DIO_CACHED), 0);
	dio_end(&m.s);
}

/* D6: what the other two are for. */
KTEST(dio, none_is_not_coherent)
{
	struct mapped m;
	u64 old;

	if (!begin(&m))
		return;
	dio_set(&m.s, "none");
	old = *word_of(&m, 0);
	*word_of(&m, 0) = 5;
	EXPECT_EQ(dio_word(&m.s, 0), old);
	EXPECT_EQ(vfs_fsync(m.s.cached, false), 0);
	EXPECT_EQ(write_word(&m, 0, 6), 512);
	EXPECT_EQ(disk_word(&m.s, 0), 6);
	EXPECT_EQ(*word_of(&m, 0), 5);
	end(&m);
}

/* ---- all calls, any order, one after the other (P23) --------------------------------------- */

#define MODEL_LEN  LEN
#define MODEL_STEP 120

struct model {
	u8 bytes[MODEL_LEN];
	u64 rng;
};

static void random_range(struct model *t, u64 unit, u64 *pos, u64 *len)
{
	*pos = ktest_rand(&t->rng) % (MODEL_LEN / unit) * unit;
	*len = (1 + ktest_rand(&t->rng) % (8192 / unit)) * unit;
	*len = min(*len, MODEL_LEN - *pos);
}

static void write_step(struct model *t, struct mapped *m, u64 what)
{
	u64 pos, len;

	random_range(t, what == 0 ? 512 : 8, &pos, &len);
	fst_fill(m->s.buf, len, pos, ktest_rand(&t->rng));
	memcpy(t->bytes + pos, m->s.buf, len);
	if (what == 0)
		EXPECT_EQ(vfs_pwrite(m->s.direct, m->s.buf, len, pos), len);
	else if (what == 1)
		EXPECT_EQ(vfs_pwrite(m->s.cached, m->s.buf, len, pos), len);
	else
		memcpy((u8 *)m->map + pos, m->s.buf, len);
}

static void read_step(struct model *t, struct mapped *m, u64 what)
{
	u64 pos, len;

	random_range(t, what == 0 ? 512 : 8, &pos, &len);
	memset(m->s.buf, 0, len);
	if (what == 0)
		EXPECT_EQ(vfs_pread(m->s.direct, m->s.buf, len, pos), len);
	else if (what == 1)
		EXPECT_EQ(vfs_pread(m->s.cached, m->s.buf, len, pos), len);
	else
		memcpy(m->s.buf, (u8 *)m->map + pos, len);
	EXPECT(!memcmp(m->s.buf, t->bytes + pos, len));
}

static void agrees_with_a_model(struct mapped *m)
{
	static struct model t;

	t.rng = ktest_seed() | 1;
	fst_fill(t.bytes, MODEL_LEN, 0, 1);
	for (u32 i = 0; i < MODEL_STEP && !ktest_failed(); i++) {
		u64 what = ktest_rand(&t.rng) % 16;

		if (what < 6)
			write_step(&t, m, what % 3);
		else if (what < 12)
			read_step(&t, m, what % 3);
		else if (what == 12)
			EXPECT_EQ(fst_msync(m->map, LEN), 0);
		else if (what == 13)
			EXPECT_EQ(vfs_fsync(m->s.direct, true), 0);
		else if (what == 14)
			invalidate_mapping_range(mapping_of(m), 0, PAGES);
		else
			unmap_mapping_range(mapping_of(m), 0, PAGES, ZAP_FILE_ONLY);
	}
	EXPECT_EQ(fst_msync(m->map, LEN), 0);
	EXPECT(fst_on_disk(m->s.cached, 0, m->s.buf, MODEL_LEN));
	EXPECT(!memcmp(m->s.buf, t.bytes, MODEL_LEN));
}

KTEST(dio, agrees_with_a_model)
{
	with_each_policy(agrees_with_a_model);
}
