/* SPDX-License-Identifier: MIT */
/*
 * b23_dio_meets_delalloc.c - B23, rule 110: a fault prepares a page for a store between a direct
 * write's flush and its look for blocks (xfstests generic 446).
 *
 *	X (direct write into a hole)		F (store to the hole)
 *	writes back and drops the range
 *						reserves (alloc=reserve), or finds a block
 *	looks for blocks: there is a place
 *	that is no block
 *
 * Whatever it finds, both X's and F's bytes are in the file, or X is told of a race; and nothing is
 * written to a place that is not the file's.
 */
#include "kernel/core/args.h"
#include "kernel/core/stat.h"
#include "tests/fs/dio_test.h"

#define OTHER 100

static int write_job(void *arg)
{
	struct dio_scene *s = arg;

	return (int)vfs_pwrite(s->direct, s->buf, 512, 16384);
}

static void race(const char *alloc)
{
	struct dio_scene s;
	struct gate gate;
	struct job x;
	u64 *map;
	int n;

	if (!dio_begin_alone(&s, 4096))
		return;
	if (alloc)
		EXPECT_EQ(args_set("alloc", alloc), 0);
	EXPECT_EQ(vfs_ftruncate(s.cached, 32768), 0);
	map = (u64 *)fst_map(s.cached, 16384, 16384, PROT_READ | PROT_WRITE);
	EXPECT_EQ(READ_ONCE(map[0]), 0);
	memset(s.buf, 0, 512);
	*(u64 *)s.buf = 5;
	gate_arm(&gate, "dio_before_write", NULL);
	job_start(&x, 0, NULL, write_job, &s);
	gate_wait(&gate);
	WRITE_ONCE(map[OTHER], 7);
	gate_disarm(&gate);
	n = job_end(&x);
	EXPECT(n == 512 || n == -ERACE);
	EXPECT_EQ(fst_msync(map, 16384), 0);
	EXPECT_EQ(READ_ONCE(map[OTHER]), 7);
	EXPECT_EQ(disk_word(&s, 16384 + OTHER * 8), 7);
	if (n == 512) {
		EXPECT_EQ(READ_ONCE(map[0]), 5);
		EXPECT_EQ(disk_word(&s, 16384), 5);
	}
	EXPECT(fst_check(s.cached, 0, 4096, 1));
	fst_unmap(map, 16384);
	dio_end(&s);
}

KTEST_ON_CPU0(races, b23_dio_meets_delalloc)
{
	static const char *const allocs[] = { "reserve", "fault", "writeback" };
	char before[16];

	if (args_get("alloc", before, sizeof(before))) {
		race(NULL);
		return;
	}
	for (u32 i = 0; i < ARRAY_SIZE(allocs) && !ktest_failed(); i++) {
		race(allocs[i]);
		if (ktest_failed())
			ktest_note("with alloc=%s", allocs[i]);
	}
	EXPECT_EQ(args_set("alloc", before), 0);
}
