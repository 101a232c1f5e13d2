/* SPDX-License-Identifier: MIT */
/*
 * test_filemap.c - the page cache: reading ahead, read() and write() and mappings of one page, the
 * kernel's own copies (rule 13; B24).
 */
#include <string.h>
#include <sys/errno.h>

#include "kernel/core/stat.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/truncate.h"
#include "tests/util.h"

/* --- reading --- */

#define FILE_PAGES 300

static void number_pages(struct testfs *fs)
{
	for (pgoff_t i = 0; i < fs->nr_pages; i++)
		testfs_set_platter(fs, i, i % SLOTS_PER_PAGE, i + 1);
}

KTEST_ON_CPU0(mm_filemap, sequential_reader_is_read_ahead_for)
{
	struct testfs *fs = testfs_create(FILE_PAGES);
	struct readahead ra = { 0 };
	struct stats before;
	u64 *page = page_address(alloc_page(ALLOC_NORMAL));

	if (!fs)
		return;
	number_pages(fs);
	stats_snapshot(&before);
	for (pgoff_t i = 0; i < FILE_PAGES; i++) {
		EXPECT_EQ(filemap_read(&fs->mapping, i << PAGE_SHIFT, page, PAGE_SIZE, &ra),
			  PAGE_SIZE);
		EXPECT_EQ(page[i % SLOTS_PER_PAGE], i + 1);
	}
	EXPECT_EQ(fs->pages_read, FILE_PAGES); /* each once */
	EXPECT(stat_since(&before, STAT_BIO_READS) <= FILE_PAGES / 10);
	EXPECT_EQ(filemap_read(&fs->mapping, FILE_PAGES << PAGE_SHIFT, page, 1, &ra), 0);
	page_put(virt_to_page(page));
	testfs_destroy(fs);
}

/* Who jumps about gets little that he did not ask for. */
KTEST_ON_CPU0(mm_filemap, random_reader_is_not)
{
	struct testfs *fs = testfs_create(FILE_PAGES);
	struct readahead ra = { 0 };
	u64 v, reads = 0;

	if (!fs)
		return;
	number_pages(fs);
	for (pgoff_t i = 7; i < FILE_PAGES; i += 50, reads++) {
		pgoff_t at = FILE_PAGES - i;

		EXPECT_EQ(filemap_read(&fs->mapping, (at << PAGE_SHIFT) + at % SLOTS_PER_PAGE * 8,
				       &v, 8, &ra),
			  8);
		EXPECT_EQ(v, at + 1);
	}
	EXPECT(fs->pages_read <= 4 * reads);
	testfs_destroy(fs);
}

KTEST_ON_CPU0(mm_filemap, reading_stops_at_the_end)
{
	struct testfs *fs = testfs_create(3);
	u8 buf[64];

	if (!fs)
		return;
	EXPECT_EQ(testfs_truncate(fs, PAGE_SIZE + 100), 0);
	EXPECT_EQ(testfs_read(fs, PAGE_SIZE + 90, buf, sizeof(buf)), 10);
	EXPECT_EQ(testfs_read(fs, PAGE_SIZE + 100, buf, sizeof(buf)), 0);
	EXPECT_EQ(testfs_read(fs, 10 * PAGE_SIZE, buf, sizeof(buf)), 0);
	EXPECT_EQ(testfs_read(fs, PAGE_SIZE - 10, buf, sizeof(buf)), sizeof(buf));
	testfs_destroy(fs);
}

/* A read of an error gives what came before it, then the error, then tries again. */
KTEST_ON_CPU0(mm_filemap, read_error_in_the_middle)
{
	struct testfs *fs = testfs_create(3);
	static u8 buf[3 * PAGE_SIZE];

	if (!fs)
		return;
	EXPECT_EQ(testfs_read(fs, 0, buf, 1), 1);
	drop_mapping_pages(&fs->mapping, 1, 2, DROP_CLEAN_ONLY);
	ramblk_fail(fs->dev, BIO_READ, 8, 23, 1, 1, -EIO);
	EXPECT_EQ(testfs_read(fs, 0, buf, sizeof(buf)), PAGE_SIZE);
	EXPECT_EQ(testfs_read(fs, PAGE_SIZE, buf, PAGE_SIZE), PAGE_SIZE);
	EXPECT_EQ(testfs_read(fs, 0, buf, sizeof(buf)), sizeof(buf));
	testfs_destroy(fs);
}

/* --- one page, three ways to it --- */

KTEST_ON_CPU0(mm_filemap, read_write_and_mapping_agree)
{
	struct stage s;
	u64 v, w;

	if (!stage_begin(&s, 4))
		return;
	for (u64 i = 1; i <= 20; i++) {
		u64 pos = (i % 4) * PAGE_SIZE + i * 8;

		v = i;
		EXPECT_EQ(testfs_write(s.fs, pos, &v, sizeof(v)), sizeof(v));
		EXPECT_EQ(remote_load(&s.w, &s.map[pos / 8], &w), 0);
		EXPECT_EQ(w, i);
		EXPECT_EQ(remote_store(&s.w, &s.map[pos / 8], i + 100), 0);
		EXPECT_EQ(testfs_read(s.fs, pos, &w, sizeof(w)), sizeof(w));
		EXPECT_EQ(w, i + 100);
		if (i % 5 == 0) {
			EXPECT_EQ(testfs_fsync(s.fs), 0);
			EXPECT_EQ(testfs_platter(s.fs, i % 4, (unsigned int)(pos / 8 % 512)),
				  i + 100);
		}
	}
	stage_end(&s);
}

/* A write of part of a page keeps the rest, of a whole page reads nothing first. */
KTEST_ON_CPU0(mm_filemap, partial_and_whole_pages)
{
	struct testfs *fs = testfs_create(4);
	static u64 page[SLOTS_PER_PAGE];
	u64 v = 9;

	if (!fs)
		return;
	testfs_set_platter(fs, 0, 1, 7);
	EXPECT_EQ(testfs_write(fs, 0, &v, sizeof(v)), sizeof(v));
	EXPECT(fs->pages_read > 0);
	memset(page, 0x11, sizeof(page));
	drop_mapping_pages(&fs->mapping, 1, 3, DROP_CLEAN_ONLY);
	fs->pages_read = 0;
	EXPECT_EQ(testfs_write(fs, 2 * PAGE_SIZE, page, PAGE_SIZE), PAGE_SIZE);
	EXPECT_EQ(fs->pages_read, 0);
	EXPECT_EQ(testfs_fsync(fs), 0);
	EXPECT_EQ(testfs_platter(fs, 0, 0), 9);
	EXPECT_EQ(testfs_platter(fs, 0, 1), 7);
	EXPECT_EQ(testfs_platter(fs, 2, 511), 0x1111111111111111ul);
	testfs_destroy(fs);
}

/* --- the buffer is a mapping --- */

struct copy {
	struct testfs *fs;
	u64 pos;
	void *buf;
	size_t len;
	s64 result;
};

static int write_job(void *arg)
{
	struct copy *c = arg;

	c->result = testfs_write(c->fs, c->pos, c->buf, c->len);
	return 0;
}

static int read_job(void *arg)
{
	struct copy *c = arg;

	c->result = testfs_read(c->fs, c->pos, c->buf, c->len);
	return 0;
}

/* A thread that waits for itself would hang the test: say so at once. */
static s64 copy_in_job(struct stage *s, int (*fn)(void *), u64 pos, void *buf, size_t len)
{
	struct copy c = { s->fs, pos, buf, len, 0 };
	struct job j;
	const char *on;

	job_start(&j, 0, s->mm, fn, &c);
	on = job_settles(&j);
	if (on)
		panic("a copy from or to a mapping of the same page waits for ever, on %s", on);
	job_end(&j);
	return c.result;
}

/* Rule 13: write(fd, p) where p maps the very page that is written: resident or not, clean or
 * dirty, to the same place, forwards, backwards, over the border of a page. */
KTEST_ON_CPU0(mm_filemap, write_from_a_mapping_of_the_same_page)
{
	static const struct {
		u64 to, from, len;
	} copies[] = {
		{ 0, 0, 4096 },	     { 0, 8, 8 },	{ 8, 0, 2048 },	   { 2048, 0, 2048 },
		{ 4000, 4040, 200 }, { 4096, 0, 4096 }, { 0, 4096, 8192 }, { 100, 3000, 9000 },
	};
	struct stage s;

	if (!stage_begin(&s, 4))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(copies) * 3; i++) {
		u64 to = copies[i / 3].to, from = copies[i / 3].from, len = copies[i / 3].len;

		if (i % 3 == 1)
			EXPECT_EQ(remote_store(&s.w, (u64 *)((u8 *)s.map + to / 8 * 8), i), 0);
		if (i % 3 == 2) { /* out of the address space and out of the cache */
			unmap_mapping_range(&s.fs->mapping, 0, ~0ul, ZAP_FILE_ONLY);
			EXPECT_EQ(testfs_fsync(s.fs), 0);
			EXPECT_EQ(testfs_drop_clean(s.fs), 0);
		}
		EXPECT_EQ(copy_in_job(&s, write_job, to, (u8 *)s.map + from, len), len);
	}
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	for (pgoff_t i = 0; i < 4; i++)
		EXPECT_EQ(testfs_platter(s.fs, i, 100), *(stage_slot(&s, i) + 100));
	stage_end(&s);
}

KTEST_ON_CPU0(mm_filemap, read_into_a_mapping_of_the_same_page)
{
	struct stage s;

	if (!stage_begin(&s, 2))
		return;
	testfs_set_platter(s.fs, 0, 0, 1);
	testfs_set_platter(s.fs, 0, 1, 2);
	/* The store faults inside the copy, and is tracked like any other. */
	EXPECT_EQ(copy_in_job(&s, read_job, 8, s.map, 8), 8);
	EXPECT_EQ(copy_in_job(&s, read_job, 0, stage_slot(&s, 1), PAGE_SIZE), PAGE_SIZE);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 2);
	EXPECT_EQ(testfs_platter(s.fs, 1, 0), 2);
	stage_end(&s);
}

/* What cannot be read is not written: short up to there, an error if it is the first byte. */
KTEST_ON_CPU0(mm_filemap, buffer_that_is_not_there)
{
	struct stage s;
	struct stage *p = &s;

	if (!stage_begin(&s, 4))
		return;
	for (unsigned int i = 0; i < SLOTS_PER_PAGE; i++)
		WRITE_ONCE(s.map[i], 5);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)stage_slot(p, 1), PAGE_SIZE), 0);
	EXPECT_EQ(copy_in_job(p, write_job, 2 * PAGE_SIZE, stage_slot(p, 1), 64), -EFAULT);
	EXPECT_EQ(copy_in_job(p, write_job, 2 * PAGE_SIZE, (u8 *)stage_slot(p, 1) - 256, 512), 256);
	EXPECT_EQ(copy_in_job(p, read_job, 0, stage_slot(p, 1), 64), -EFAULT);
	EXPECT_EQ(copy_in_job(p, read_job, 0, (u8 *)stage_slot(p, 1) - 256, 512), 256);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 2, 31), 5);
	EXPECT_EQ(testfs_platter(s.fs, 2, 32), 0);
	stage_end(&s);
}
