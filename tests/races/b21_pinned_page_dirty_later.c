/* SPDX-License-Identifier: MIT */
/*
 * b21_pinned_page_dirty_later.c - B21, rule 15: a device writes into a page of a file that was
 * cleaned since the device was told where.
 *
 *	R (direct read of f into a mapping of g)	S (sync of g)
 *	pins g's page: faulted in for writing
 *	starts the request
 *							cleans g's page, writes it
 *	the device fills the page
 *	returns: g's page is not what is on the disk, and CLEAN
 */
#include "kernel/mm/invalidate.h"
#include "kernel/mm/policy.h"
#include "tests/fs/dio_test.h"

struct scene {
	struct dio_scene s;
	struct file *g;
	u8 *map;
	struct job r;
};

static int read_job(void *arg)
{
	struct scene *c = arg;

	return (int)vfs_pread(c->s.direct, c->map, 4096, 4096);
}

/* R's request is held by the disk. */
static bool begin(struct scene *c, const char *policy)
{
	if (!dio_begin_alone(&c->s, 16384))
		return false;
	EXPECT_EQ(vfs_fsync(c->s.cached, false), 0);
	drop_all(&c->s);
	EXPECT(fst_make(fst_path(&c->s.disk, "g"), 8192, 2));
	c->g = fst_open(fst_path(&c->s.disk, "g"), O_RW);
	EXPECT_EQ(policy_choose_file(&c->g->inode->data, policy), 0);
	EXPECT_EQ(vfs_fsync(c->g, false), 0);
	c->map = fst_map(c->g, 0, 8192, PROT_READ | PROT_WRITE);
	EXPECT(fst_store(c->map, 9));
	ramblk_hold(c->s.disk.dev, 1u << BIO_READ, false);
	job_start(&c->r, 0, current_thread()->mm, read_job, c);
	EXPECT(ramblk_wait_held(c->s.disk.dev, 1));
	return true;
}

static void end(struct scene *c)
{
	ramblk_unhold(c->s.disk.dev);
	EXPECT_EQ(job_end(&c->r), 4096);
	EXPECT_EQ(fst_differs(c->map, 4096, 4096, 1), 4096);
	EXPECT_EQ(fst_msync(c->map, 8192), 0);
	EXPECT(fst_on_disk(c->g, 0, c->s.buf, 4096));
	EXPECT_EQ(fst_differs(c->s.buf, 4096, 4096, 1), 4096);
	fst_unmap(c->map, 8192);
	file_put(c->g);
	vfs_unlink(fst_path(&c->s.disk, "g"));
	dio_end(&c->s);
}

KTEST_ON_CPU0(races, b21_pinned_page_dirty_later)
{
	const struct dirty_policy *policy = NULL;
	struct scene c;

	while ((policy = policy_next(policy)) && !ktest_failed()) {
		if (!begin(&c, policy->name))
			return;
		EXPECT_EQ(fst_msync(c.map, 8192), 0);
		end(&c);
		if (ktest_failed())
			ktest_note("with policy %s", policy->name);
	}
}

/* Who wants the page out of the cache meanwhile is refused. */
KTEST_ON_CPU0(races, b21_pinned_page_stays)
{
	struct scene c;

	if (!begin(&c, NULL))
		return;
	EXPECT_EQ(flush_and_invalidate_range(&c.g->inode->data, 0, ~0ul), -EBUSY);
	EXPECT_EQ(c.g->inode->data.pages.nr, 1);
	end(&c);
}
