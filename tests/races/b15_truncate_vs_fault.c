/* SPDX-License-Identifier: MIT */
/*
 * b15_truncate_vs_fault.c - B15: a file shrinks while a fault is on its way (rules 6, 98, 99).
 *
 *	F (fault)			T (truncate)
 *	finds the page, looks at the size
 *					publishes the new size, unmaps, drops pages
 *	installs a PTE of a page that is
 *	in no file: what was cut off can be
 *	read and stored to, for ever
 *
 * F has to look again with the page locked; T drops each page under its lock and unmaps what F was
 * quicker with; and T unmaps once more for private copies that F made meanwhile.
 */
#include <sys/errno.h>

#include "tests/util.h"

#define OLD 0x77 /* what page 1 held before it was cut off */

struct scene {
	struct stage s;
	u64 *private; /* the same file, MAP_PRIVATE */
	struct job f, t;
	u64 *at; /* where F goes */
};

static int load_job(void *arg)
{
	struct scene *c = arg;
	u64 v;

	return remote_load(&c->s.w, c->at, &v);
}

static int store_job(void *arg)
{
	struct scene *c = arg;

	return remote_store(&c->s.w, c->at, 1);
}

static int truncate_job(void *arg)
{
	struct scene *c = arg;

	return testfs_truncate(c->s.fs, PAGE_SIZE);
}

static bool begin(struct scene *c)
{
	if (!stage_begin(&c->s, 2))
		return false;
	testfs_set_platter(c->s.fs, 1, 0, OLD);
	c->private = testfs_mmap(c->s.fs, c->s.mm, 0, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	return c->private;
}

/* F stands at @point; then the file is cut; then F goes on. Returns what F's access ended with. */
static int cut_while_f_stands_at(struct scene *c, const char *point, int (*access)(void *), u64 *at)
{
	struct gate gate;
	int err;

	c->at = at;
	gate_arm(&gate, point, NULL);
	job_start(&c->f, 0, NULL, access, c);
	gate_wait(&gate);
	job_start(&c->t, 0, NULL, truncate_job, c);
	job_settles(&c->t);
	gate_disarm(&gate);
	err = job_end(&c->f);
	EXPECT_EQ(job_end(&c->t), 0);
	return err;
}

/* Nothing of page 1 is left, neither now nor when the file grows again. */
static void end(struct scene *c)
{
	u64 *shared = stage_slot(&c->s, 1), *copy = c->private + SLOTS_PER_PAGE;
	u64 v = 0;

	EXPECT_EQ(remote_load(&c->s.w, shared, &v), -EFAULT);
	EXPECT_EQ(remote_store(&c->s.w, shared, 1), -EFAULT);
	EXPECT_EQ(remote_load(&c->s.w, copy, &v), -EFAULT);
	EXPECT_EQ(testfs_truncate(c->s.fs, 2 * PAGE_SIZE), 0);
	EXPECT_EQ(remote_load(&c->s.w, shared, &v), 0);
	EXPECT_EQ(v, 0);
	EXPECT_EQ(remote_load(&c->s.w, copy, &v), 0);
	EXPECT_EQ(v, 0);
	stage_end(&c->s);
}

/* F has found the page and not locked it yet: it must notice. */
KTEST_ON_CPU0(races, b15_truncate_vs_fault)
{
	struct scene c;

	if (!begin(&c))
		return;
	EXPECT_EQ(cut_while_f_stands_at(&c, "fault_page_found", load_job, stage_slot(&c.s, 1)),
		  -EFAULT);
	end(&c);
}

/* F has the page lock and has looked at everything: T comes second and takes the PTE away. */
KTEST_ON_CPU0(races, b15_fault_before_truncate)
{
	struct scene c;

	if (!begin(&c))
		return;
	cut_while_f_stands_at(&c, "fault_before_install", load_job, stage_slot(&c.s, 1));
	end(&c);
}

/* A private store, to a page that is not mapped yet: the copy is made between T's unmappings. */
KTEST_ON_CPU0(races, b15_private_copy)
{
	struct scene c;

	if (!begin(&c))
		return;
	cut_while_f_stands_at(&c, "cow_before_install", store_job, c.private + SLOTS_PER_PAGE);
	end(&c);
}

/* The same where the page was mapped for reading before, which takes another way. */
KTEST_ON_CPU0(races, b15_private_copy_of_mapped_page)
{
	struct scene c;
	u64 v;

	if (!begin(&c))
		return;
	EXPECT_EQ(remote_load(&c.s.w, c.private + SLOTS_PER_PAGE, &v), 0);
	EXPECT_EQ(v, OLD);
	cut_while_f_stands_at(&c, "cow_before_install", store_job, c.private + SLOTS_PER_PAGE);
	end(&c);
}
