/* SPDX-License-Identifier: MIT */
/*
 * b22_dio_write_vs_refault.c - B22, rules 106 to 108: a page comes back while a direct write is on
 * its way (xfstests generic 208, 209, 247).
 *
 *	X (direct write)		F (fault)
 *	writes back, unmaps and drops
 *	the pages of the range
 *					reads the page from the disk: old bytes
 *	the new bytes reach the disk
 *	returns; the mapping shows the old bytes for ever, or F has stored to them, and they will be
 *	written over the new ones
 */
#include "kernel/core/stat.h"
#include "tests/fs/dio_test.h"

#define OTHER 100 /* a slot that the direct write does not touch */

struct scene {
	struct dio_scene s;
	struct stats before;
	struct job x;
	struct gate gate;
	u64 *map;
};

static int write_job(void *arg)
{
	struct scene *c = arg;

	return (int)vfs_pwrite(c->s.direct, c->s.buf, 512, 0);
}

/* X stands at @point, about to write the word 5. */
static bool begin(struct scene *c, const char *point)
{
	if (!dio_begin_alone(&c->s, 8192))
		return false;
	EXPECT_EQ(vfs_fsync(c->s.cached, false), 0);
	drop_all(&c->s);
	c->map = (u64 *)fst_map(c->s.cached, 0, 8192, PROT_READ | PROT_WRITE);
	EXPECT(READ_ONCE(c->map[0]) != 5);
	memset(c->s.buf, 0, 512);
	*(u64 *)c->s.buf = 5;
	stats_snapshot(&c->before);
	gate_arm(&c->gate, point, NULL);
	job_start(&c->x, 0, NULL, write_job, c);
	gate_wait(&c->gate);
	return true;
}

static void end(struct scene *c, bool visible)
{
	if (visible)
		EXPECT_EQ(READ_ONCE(c->map[0]), 5);
	EXPECT_EQ(stat_since(&c->before, STAT_DIO_RACES), !visible);
	fst_unmap(c->map, 8192);
	dio_end(&c->s);
}

/* Old bytes in the cache, clean: dropped again. */
KTEST_ON_CPU0(races, b22_load_before_the_disk_has_it)
{
	struct scene c;

	if (!begin(&c, "dio_before_write"))
		return;
	EXPECT(READ_ONCE(c.map[0]) != 5);
	gate_disarm(&c.gate);
	EXPECT_EQ(job_end(&c.x), 512);
	end(&c, true);
}

/* Old bytes in the cache, and a store beside them: they cannot be dropped, and the caller is told.
 * The bytes are on the disk, until the page is written. */
KTEST_ON_CPU0(races, b22_store_before_the_disk_has_it)
{
	struct scene c;

	if (!begin(&c, "dio_before_write"))
		return;
	WRITE_ONCE(c.map[OTHER], 7);
	gate_disarm(&c.gate);
	EXPECT_EQ(job_end(&c.x), -ERACE);
	EXPECT_EQ(disk_word(&c.s, 0), 5);
	EXPECT(READ_ONCE(c.map[0]) != 5);
	EXPECT_EQ(READ_ONCE(c.map[OTHER]), 7);
	EXPECT_EQ(fst_msync(c.map, 8192), 0);
	EXPECT_EQ(disk_word(&c.s, OTHER * 8), 7);
	end(&c, false);
}

/* The disk has the new bytes; who stores now stores beside them. But X cannot know that. */
KTEST_ON_CPU0(races, b22_store_when_the_disk_has_it)
{
	struct scene c;

	if (!begin(&c, "dio_written"))
		return;
	WRITE_ONCE(c.map[OTHER], 7);
	gate_disarm(&c.gate);
	EXPECT_EQ(job_end(&c.x), -ERACE);
	EXPECT_EQ(READ_ONCE(c.map[0]), 5);
	EXPECT_EQ(READ_ONCE(c.map[OTHER]), 7);
	end(&c, false);
}

/* Rules 106, 108: a store between the flush and the dropping keeps the page; X takes the other way,
 * and nothing is lost. */
KTEST_ON_CPU0(races, b22_store_between_flush_and_drop)
{
	struct scene c;

	if (!begin(&c, "dio_flushed"))
		return;
	WRITE_ONCE(c.map[OTHER], 7);
	gate_disarm(&c.gate);
	EXPECT_EQ(job_end(&c.x), 512);
	EXPECT_EQ(stat_since(&c.before, STAT_DIO_CACHED), 1);
	EXPECT_EQ(disk_word(&c.s, 0), 5);
	EXPECT_EQ(disk_word(&c.s, OTHER * 8), 7);
	end(&c, true);
}

static int store_job(void *arg)
{
	struct scene *c = arg;

	WRITE_ONCE(c->map[OTHER], 7);
	return 0;
}

/* The page is unmapped, and looked at for the last time; W's store waits for its lock, finds it
 * gone and goes to the new bytes. */
KTEST_ON_CPU0(races, b22_store_while_the_page_goes)
{
	struct scene c;
	struct job w;

	if (!begin(&c, "invalidate_unmapped"))
		return;
	job_start(&w, 1, current_thread()->mm, store_job, &c);
	EXPECT(job_settles(&w));
	gate_disarm(&c.gate);
	EXPECT(job_end(&c.x) != 0);
	EXPECT_EQ(job_end(&w), 0);
	EXPECT_EQ(READ_ONCE(c.map[OTHER]), 7);
	EXPECT_EQ(fst_msync(c.map, 8192), 0);
	EXPECT_EQ(disk_word(&c.s, OTHER * 8), 7);
	fst_unmap(c.map, 8192);
	dio_end(&c.s);
}
