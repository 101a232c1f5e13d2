/* SPDX-License-Identifier: MIT */
/*
 * b24_copies.c - B24, rule 13: write() and read() whose buffer maps a page of the
 * same file, or of a file that is written from ours at the same time.
 *
 *	write(fd, p), p maps the very page
 *	locks the page, copies from p: faults
 *	the fault wants to lock the page
 *
 *	A: write(f, mapping of g)		B: write(g, mapping of f)
 *	locks f's page				locks g's page
 *	copies: faults on g's page, waits	copies: faults on f's page, waits
 *
 * So nobody copies with a page locked and faults on. What was faulted in before may be gone when it
 * is copied; then it is faulted in again.
 */
#include <sys/errno.h>

#include "kernel/mm/fault.h"
#include "kernel/mm/truncate.h"
#include "tests/util.h"

#define PAGES  8
#define ROUNDS 200

static struct stage s;

static int write_page_0(void *from)
{
	return (int)testfs_write(s.fs, 0, from, PAGE_SIZE);
}

static int read_page_0(void *to)
{
	return (int)testfs_read(s.fs, 0, to, PAGE_SIZE);
}

static void fill(pgoff_t page, u64 value)
{
	for (unsigned int i = 0; i < SLOTS_PER_PAGE; i++)
		stage_slot(&s, page)[i] = value + i;
}

static void expect_filled(pgoff_t page, u64 value)
{
	u64 wrong = 0;

	for (unsigned int i = 0; i < SLOTS_PER_PAGE; i++)
		wrong += stage_slot(&s, page)[i] != value + i;
	EXPECT_EQ(wrong, 0);
}

/* The source loses its PTE after it was faulted in, and the page that is written is locked. */
KTEST_ON_CPU0(races, b24_source_leaves_before_the_copy)
{
	struct gate g;
	struct job j;

	if (!stage_begin(&s, PAGES))
		return;
	for (pgoff_t source = 0; source < 2; source++) {
		fill(0, 1000);
		fill(source, 2000);
		gate_arm(&g, "write_page_locked", testfs_page(s.fs, 0));
		job_start(&j, 1, s.mm, write_page_0, stage_slot(&s, source));
		gate_wait(&g);
		unmap_mapping_range(&s.fs->mapping, source, source, ZAP_FILE_ONLY);
		gate_open(&g);
		EXPECT_EQ(job_end(&j), PAGE_SIZE);
		gate_disarm(&g);
		expect_filled(0, 2000);
	}
	stage_end(&s);
}

/* A read's target is write-protected, or unmapped, when the bytes come: the fault inside the copy
 * makes it good, with i_rwsem held and no page lock. */
KTEST_ON_CPU0(races, b24_read_into_its_own_page)
{
	struct job j;

	if (!stage_begin(&s, PAGES))
		return;
	for (pgoff_t target = 0; target < 2; target++) {
		for (int i = 0; i < 3; i++) {
			fill(0, 3000 + i);
			EXPECT_EQ(testfs_fsync(s.fs), 0);
			if (i == 1)
				unmap_mapping_range(&s.fs->mapping, 0, 1, ZAP_FILE_ONLY);
			if (i == 2)
				ramblk_hold(s.fs->dev, 1 << BIO_WRITE, true);
			if (i == 2)
				WRITE_ONCE(stage_slot(&s, target)[0], 3000 + i);
			if (i == 2)
				testfs_background(s.fs);
			job_start(&j, 1, s.mm, read_page_0, stage_slot(&s, target));
			EXPECT_EQ(job_end(&j), PAGE_SIZE);
			ramblk_unhold(s.fs->dev);
			expect_filled(target, 3000 + i);
			EXPECT_EQ(testfs_fsync(s.fs), 0);
			EXPECT_EQ(testfs_platter(s.fs, target, 1), 3001 + i);
		}
	}
	stage_end(&s);
}

/* read() into a mapping waits for the disk like any store, with i_rwsem held for reading: the
 * flusher does not want it (rule 128), nor does another reader. */
KTEST_ON_CPU0(races, b24_read_is_throttled)
{
	struct job j;
	u64 v;

	if (!stage_begin(&s, PAGES))
		return;
	fill(0, 4000);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	mapping_limit_dirty(&s.fs->mapping, 1);
	EXPECT_EQ(remote_store(&s.w, stage_slot(&s, 7), 1), 0);
	job_start(&j, 1, s.mm, read_page_0, stage_slot(&s, 1));
	EXPECT(job_settles(&j));
	EXPECT_EQ(testfs_read(s.fs, 0, &v, sizeof(v)), sizeof(v));
	EXPECT_EQ(v, 4000);
	testfs_unpark(s.fs);
	EXPECT_EQ(job_end(&j), PAGE_SIZE);
	expect_filled(1, 4000);
	stage_end(&s);
}

/* --- two files --- */

static struct testfs *other;
static u64 *other_map;
static bool stop; /* a */

static int write_from_other(void *arg)
{
	int bad = 0;

	for (u64 i = 0; i < ROUNDS; i++) {
		u64 at = i % PAGES * PAGE_SIZE, len = PAGES * PAGE_SIZE - at;

		bad += testfs_write(s.fs, at, (u8 *)other_map + at, len) != (s64)len;
		bad += testfs_read(s.fs, at, (u8 *)other_map + at, len) != (s64)len;
	}
	return bad;
}

static int write_to_other(void *arg)
{
	int bad = 0;

	for (u64 i = 0; i < ROUNDS; i++) {
		u64 at = i % PAGES * PAGE_SIZE, len = PAGES * PAGE_SIZE - at;

		bad += testfs_write(other, at, (u8 *)s.map + at, len) != (s64)len;
		bad += testfs_read(other, at, (u8 *)s.map + at, len) != (s64)len;
	}
	return bad;
}

/* As reclaim under pressure would: PTEs go, pages are written, and leave the cache. */
static int take_pages_away(void *arg)
{
	while (!atomic_load(&stop)) {
		unmap_mapping_range(&s.fs->mapping, 0, ~0ul, ZAP_FILE_ONLY);
		unmap_mapping_range(&other->mapping, 0, ~0ul, ZAP_FILE_ONLY);
		testfs_background(s.fs);
		testfs_fsync(other);
		testfs_drop_clean(s.fs);
		testfs_drop_clean(other);
		sleep_ns(NSEC_PER_MSEC);
	}
	return 0;
}

/* Both hold the same bytes at the same places, and so nothing else may ever be in them. */
static void expect_nothing_else(struct testfs *fs)
{
	u64 words[4];

	for (pgoff_t page = 0; page < PAGES; page++) {
		EXPECT_EQ(testfs_read(fs, page * PAGE_SIZE, words, sizeof(words)), sizeof(words));
		for (unsigned int i = 0; i < 4; i++)
			EXPECT_EQ(words[i], page * 1000 + i);
		EXPECT_EQ(testfs_platter(fs, page, 3), page * 1000 + 3);
	}
}

static void two_files(u64 limit)
{
	struct job a, b, taker;

	for (pgoff_t i = 0; i < PAGES; i++) {
		fill(i, i * 1000);
		EXPECT_EQ(testfs_write(other, i * PAGE_SIZE, stage_slot(&s, i), PAGE_SIZE),
			  PAGE_SIZE);
	}
	mapping_limit_dirty(&s.fs->mapping, limit);
	mapping_limit_dirty(&other->mapping, limit);
	stop = false;
	job_start(&taker, 0, NULL, take_pages_away, NULL);
	job_start(&a, 0, s.mm, write_from_other, NULL);
	job_start(&b, 1, s.mm, write_to_other, NULL);
	EXPECT_EQ(job_end(&a), 0);
	EXPECT_EQ(job_end(&b), 0);
	atomic_store(&stop, true);
	EXPECT_EQ(job_end(&taker), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_fsync(other), 0);
	expect_nothing_else(s.fs);
	expect_nothing_else(other);
}

KTEST_ON_CPU0(races, b24_two_files_crosswise)
{
	if (!stage_begin(&s, PAGES))
		return;
	other = testfs_create(PAGES);
	other_map = other ? testfs_mmap(other, s.mm, 0, PAGES, PROT_READ | PROT_WRITE, MAP_SHARED) :
			    NULL;
	if (other_map) {
		testfs_unpark(s.fs);
		testfs_unpark(other);
		two_files(0);
		two_files(3);
		EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)other_map, PAGES * PAGE_SIZE), 0);
	}
	if (other)
		testfs_destroy(other);
	stage_end(&s);
}

/* --- the buffer goes away --- */

static int copy_both_ways(void *arg)
{
	int bad = 0;

	for (int i = 0; i < ROUNDS; i++) {
		s64 n = testfs_write(s.fs, 0, stage_slot(&s, 4), 4 * PAGE_SIZE);

		bad += n != -EFAULT && (n <= 0 || n > 4 * (s64)PAGE_SIZE);
		n = testfs_read(s.fs, 0, stage_slot(&s, 4), 4 * PAGE_SIZE);
		bad += n != -EFAULT && (n <= 0 || n > 4 * (s64)PAGE_SIZE);
	}
	return bad;
}

/* munmap() wants mmap_lock to write while a copy faults with i_rwsem held: it waits for the fault,
 * not for the copy. */
KTEST_ON_CPU0(races, b24_buffer_is_unmapped_meanwhile)
{
	struct job j;
	vaddr_t va;

	if (!stage_begin(&s, PAGES))
		return;
	testfs_unpark(s.fs);
	job_start(&j, 1, s.mm, copy_both_ways, NULL);
	while (!READ_ONCE(j.done)) {
		va = (vaddr_t)stage_slot(&s, 5);
		EXPECT_EQ(mm_munmap(s.mm, va, PAGE_SIZE), 0);
		sleep_ns(100 * NSEC_PER_USEC);
		EXPECT_EQ(mm_mmap(s.mm, va, PAGE_SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0, &va),
			  0);
	}
	EXPECT_EQ(job_end(&j), 0);
	stage_end(&s);
}
