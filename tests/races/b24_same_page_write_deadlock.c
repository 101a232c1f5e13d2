/* SPDX-License-Identifier: MIT */
/*
 * b24_same_page_write_deadlock.c - B24, rules 13, 111: direct I/O whose buffer is a mapping of a
 * file that somebody writes to from a mapping of ours.
 *
 *	A (writes f from a mapping of g)	B (writes g from a mapping of f)
 *	pins g's page
 *						pins f's page
 *	drops f's page: waits for B's pin?	drops g's page: waits for A's pin?
 *
 * Nobody waits for a pin: the page stays, and the bytes go through the cache.
 */
#include "tests/fs/dio_test.h"

#define ROUNDS 60
#define LEN    16384ul

struct scene {
	struct dio_scene s;
	struct file *g_cached, *g; /* the latter with FS_O_DIRECT */
	u8 *f_map, *g_map;
};

static bool ended_well(s64 n)
{
	return n == (s64)LEN || n == -ERACE;
}

static int write_f_from_g(void *arg)
{
	struct scene *c = arg;
	int bad = 0;

	for (u32 i = 0; i < ROUNDS; i++) {
		bad += !ended_well(vfs_pwrite(c->s.direct, c->g_map, LEN, 0));
		bad += !ended_well(vfs_pread(c->s.direct, c->g_map, LEN, 0));
	}
	return bad;
}

static int write_g_from_f(void *arg)
{
	struct scene *c = arg;
	int bad = 0;

	for (u32 i = 0; i < ROUNDS; i++) {
		bad += !ended_well(vfs_pread(c->g, c->f_map, LEN, 0));
		bad += !ended_well(vfs_pwrite(c->g, c->f_map, LEN, 0));
	}
	return bad;
}

/* Both files hold the same bytes, and so nothing else may ever be in them. */
KTEST_ON_CPU0(races, b24_two_files_into_each_other)
{
	struct scene c;
	struct job a, b;

	if (!dio_begin_alone(&c.s, LEN))
		return;
	EXPECT(fst_make(fst_path(&c.s.disk, "g"), LEN, 1));
	c.g_cached = fst_open(fst_path(&c.s.disk, "g"), O_RW);
	c.g = fst_open(fst_path(&c.s.disk, "g"), O_RW | FS_O_DIRECT);
	c.f_map = fst_map(c.s.cached, 0, LEN, PROT_READ | PROT_WRITE);
	c.g_map = fst_map(c.g_cached, 0, LEN, PROT_READ | PROT_WRITE);
	job_start(&a, 0, current_thread()->mm, write_f_from_g, &c);
	job_start(&b, 1, current_thread()->mm, write_g_from_f, &c);
	EXPECT_EQ(job_end(&a), 0);
	EXPECT_EQ(job_end(&b), 0);
	EXPECT(fst_check(c.s.cached, 0, LEN, 1));
	EXPECT(fst_check(c.g_cached, 0, LEN, 1));
	EXPECT_EQ(fst_differs(c.f_map, LEN, 0, 1), LEN);
	EXPECT_EQ(fst_msync(c.f_map, LEN), 0);
	EXPECT_EQ(fst_msync(c.g_map, LEN), 0);
	EXPECT(fst_on_disk(c.s.cached, 0, c.s.buf, LEN));
	EXPECT_EQ(fst_differs(c.s.buf, LEN, 0, 1), LEN);
	EXPECT(fst_on_disk(c.g, 0, c.s.buf, LEN));
	EXPECT_EQ(fst_differs(c.s.buf, LEN, 0, 1), LEN);
	fst_unmap(c.f_map, LEN);
	fst_unmap(c.g_map, LEN);
	file_put(c.g);
	file_put(c.g_cached);
	vfs_unlink(fst_path(&c.s.disk, "g"));
	dio_end(&c.s);
}

/* One page, read and written by two at once, each from and into the mapping of it. */
static int onto_itself(void *arg)
{
	struct scene *c = arg;
	int bad = 0;

	for (u32 i = 0; i < ROUNDS; i++) {
		bad += !ended_well(vfs_pwrite(c->s.direct, c->f_map, LEN, 0));
		bad += !ended_well(vfs_pread(c->s.direct, c->f_map, LEN, 0));
	}
	return bad;
}

KTEST_ON_CPU0(races, b24_same_page_write_deadlock)
{
	struct scene c;
	struct job a, b;

	if (!dio_begin_alone(&c.s, LEN))
		return;
	c.f_map = fst_map(c.s.cached, 0, LEN, PROT_READ | PROT_WRITE);
	job_start(&a, 0, current_thread()->mm, onto_itself, &c);
	job_start(&b, 1, current_thread()->mm, onto_itself, &c);
	EXPECT_EQ(job_end(&a), 0);
	EXPECT_EQ(job_end(&b), 0);
	EXPECT(fst_check(c.s.cached, 0, LEN, 1));
	EXPECT_EQ(fst_differs(c.f_map, LEN, 0, 1), LEN);
	fst_unmap(c.f_map, LEN);
	dio_end(&c.s);
}
