/* SPDX-License-Identifier: MIT */
/*
 * b45_short_lived_dirtiers.c - B45: ten thousand threads that each dirty a page and end. Where a
 * thread counts for itself and looks at the limit only now and then, none of them ever looks.
 */
#include "tests/util.h"

#define PAGES	128
#define LIMIT	32
#define AT_ONCE 64
#define WAVES	24 /* of AT_ONCE threads: their stacks cost shootdowns, or there would be more */

static struct stage s;
static int started; /* a */
static u64 most;    /* a */

static int dirty_one(void *arg)
{
	unsigned int n = (unsigned int)atomic_add_return(&started, 1);
	u64 now, seen;

	WRITE_ONCE(*stage_slot(&s, n % PAGES), n);
	now = READ_ONCE(s.fs->mapping.nr_unwritten);
	for (seen = atomic_load(&most); now > seen && !atomic_cas(&most, seen, now);)
		seen = atomic_load(&most);
	return 0;
}

static void one_wave(void)
{
	static struct job jobs[AT_ONCE];

	for (unsigned int i = 0; i < AT_ONCE; i++)
		job_start(&jobs[i], i, s.mm, dirty_one, NULL);
	for (unsigned int i = 0; i < AT_ONCE; i++)
		EXPECT_EQ(job_end(&jobs[i]), 0);
}

KTEST_ON_CPU0(races, b45_short_lived_dirtiers)
{
	static struct job jobs[AT_ONCE];
	u64 v;

	if (!stage_begin(&s, PAGES))
		return;
	started = 0;
	most = 0;
	/* Present: who reads a page in after it has asked dirties it when there may be no room. */
	for (pgoff_t i = 0; i < PAGES; i++)
		EXPECT_EQ(remote_load(&s.w, stage_slot(&s, i), &v), 0);
	mapping_limit_dirty(&s.fs->mapping, LIMIT);
	/* Nothing is written: one half of them has to wait, all but those that had asked when the
	 * limit was reached; a quarter more is for these. */
	for (unsigned int i = 0; i < AT_ONCE; i++)
		job_start(&jobs[i], i, s.mm, dirty_one, NULL);
	for (unsigned int i = 0; i < AT_ONCE; i++)
		job_settles(&jobs[i]);
	EXPECT(s.fs->mapping.nr_unwritten >= LIMIT);
	EXPECT(s.fs->mapping.nr_unwritten <= LIMIT + LIMIT / 2);
	testfs_unpark(s.fs);
	for (unsigned int i = 0; i < AT_ONCE; i++)
		EXPECT_EQ(job_end(&jobs[i]), 0);
	for (int i = 1; i < WAVES && !ktest_failed(); i++)
		one_wave();
	EXPECT_EQ(started, WAVES * AT_ONCE);
	EXPECT(most <= LIMIT + LIMIT / 2);
	stage_end(&s);
}
