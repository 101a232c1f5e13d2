/* SPDX-License-Identifier: MIT */
/*
 * b05_rmap_before_flush.c - B5: what a PTE held is let go before its last translation is gone
 * (rules 38, 56; promise P6).
 *
 *	T (munmap)			K				W
 *	exchanges the PTE
 *	drops mapcount and reference
 *					"not mapped": drops the page
 *					the frame is somebody else's
 *									stores, or loads, there
 *	flushes
 */
#include <string.h>

#include "kernel/mm/page_alloc.h"
#include "tests/util.h"

#define FRAMES	160 /* more than a CPU's cache of free frames holds */
#define FOREIGN 0xf0f0f0f0f0f0f0f0UL
#define OWN	0x0123456789abcdefUL

/* A stale entry may leave a busy machine's TLB by itself; not every time. */
#define ROUNDS 10

static void repeat(void (*round)(void))
{
	for (unsigned int i = 0; i < ROUNDS && !ktest_failed(); i++)
		round();
}

/* Somebody else gets frames, those that were freed last first. */
static void take_frames(struct page **frames)
{
	for (unsigned int i = 0; i < FRAMES; i++) {
		u64 *words;

		frames[i] = alloc_page(ALLOC_NORMAL);
		BUG_ON(!frames[i]);
		words = page_address(frames[i]);
		for (unsigned int w = 0; w < SLOTS_PER_PAGE; w++)
			words[w] = FOREIGN;
	}
}

/* How many of their words are not as they were left. */
static unsigned int give_frames(struct page **frames)
{
	unsigned int changed = 0;

	for (unsigned int i = 0; i < FRAMES; i++) {
		const u64 *words = page_address(frames[i]);

		for (unsigned int w = 0; w < SLOTS_PER_PAGE; w++)
			changed += READ_ONCE(words[w]) != FOREIGN;
		page_put(frames[i]);
	}
	return changed;
}

/* The page of a file, clean: dropped from the cache it may be, but not from under W. */
static void rmap_before_flush(void)
{
	static struct page *frames[FRAMES];
	struct stage s;
	struct gate zap;
	struct job t;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	testfs_set_platter(s.fs, 0, 0, OWN);
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	gate_arm(&zap, "zap_before_flush", NULL);
	job_start(&t, 0, s.mm, stage_munmap_job, &s);
	gate_wait(&zap);

	EXPECT_EQ(testfs_drop_clean(s.fs), 1);
	take_frames(frames);
	remote_try_load(&s.w, s.map);
	EXPECT_EQ(give_frames(frames), 0);
	gate_disarm(&zap);
	if (!remote_wait(&s.w))
		EXPECT_EQ(s.w.access.v, OWN);
	EXPECT_EQ(job_end(&t), 0);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b05_rmap_before_flush)
{
	repeat(rmap_before_flush);
}

/* Memory of nobody but W: its frame may be used again only when W cannot reach it. */
static void free_before_flush(void)
{
	static struct page *frames[FRAMES];
	struct stage s;
	struct gate zap;
	struct job t;
	vaddr_t va;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(mm_mmap(s.mm, (vaddr_t)s.map, PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0, &va),
		  0);
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	gate_arm(&zap, "zap_before_flush", NULL);
	job_start(&t, 0, s.mm, stage_munmap_job, &s);
	gate_wait(&zap);

	take_frames(frames);
	remote_try_store(&s.w, s.map, 2);
	EXPECT_EQ(give_frames(frames), 0);
	gate_disarm(&zap);
	remote_wait(&s.w);
	EXPECT_EQ(job_end(&t), 0);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b05_free_before_flush)
{
	repeat(free_before_flush);
}

/* And once munmap() has returned, no CPU may have anything left. (The second page keeps the table:
 * freeing that makes every CPU forget all.) */
static void nothing_left_after_munmap(void)
{
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	EXPECT_EQ(remote_store(&s.w, s.map, 1), 0);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, PAGE_SIZE), 0);
	EXPECT(remote_store(&s.w, s.map, 2) < 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 1);
	stage_end(&s);
}

KTEST_ON_CPU0(races, b05_nothing_left_after_munmap)
{
	repeat(nothing_left_after_munmap);
}
