/* SPDX-License-Identifier: MIT */
/*
 * b16_punch_vs_fault.c - B16: a part of a file is given up while faults are on their way (rule
 * 100). The size does not change, and so does not tell them.
 *
 *	P (punch)			F (fault)
 *	unmaps and drops the pages
 *					reads the old block into a new page
 *	frees the block; it becomes
 *	another file's
 *					sees, or stores over, what is not its own
 *
 * And what goes on beside it: a store that got its block before its page was dropped, a copy that
 * took the place of a page under I/O, a store to the page at the edge.
 */
#include <sys/errno.h>

#include "kernel/mm/policy.h"
#include "tests/util.h"

#define OLD	 0x77 /* what page 1 holds */
#define SLOT(at) ((at) / 8)

struct scene {
	struct stage s;
	struct job f, p;
	struct gate gate;
	u64 *at; /* where F goes */
	u64 seen;
	u64 start, end; /* what P gives up */
};

static int load_job(void *arg)
{
	struct scene *c = arg;

	return remote_load(&c->s.w, c->at, &c->seen);
}

static int store_job(void *arg)
{
	struct scene *c = arg;

	return remote_store(&c->s.w, c->at, 9);
}

static int will_write_job(void *arg)
{
	struct scene *c = arg;

	return mm_madvise(c->s.mm, (vaddr_t)c->s.map, 2 * PAGE_SIZE, MADV_WILL_WRITE);
}

static int punch_job(void *arg)
{
	struct scene *c = arg;

	return testfs_punch(c->s.fs, c->start, c->end);
}

/* Page 1 is what P gives up, and where F goes. */
static bool begin(struct scene *c)
{
	if (!stage_begin(&c->s, 2))
		return false;
	testfs_set_platter(c->s.fs, 1, 0, OLD);
	c->start = PAGE_SIZE;
	c->end = 2 * PAGE_SIZE;
	c->at = stage_slot(&c->s, 1);
	return true;
}

/* Nothing of what was there is to be seen, now or after the page has been read anew. */
static void end(struct scene *c)
{
	u64 v = 1;

	EXPECT_EQ(remote_load(&c->s.w, stage_slot(&c->s, 1), &v), 0);
	EXPECT_EQ(v, 0);
	EXPECT_EQ(testfs_fsync(c->s.fs), 0);
	EXPECT_EQ(testfs_platter(c->s.fs, 1, 0), 0);
	EXPECT_EQ(c->s.fs->prepared[1], 0);
	stage_end(&c->s);
}

/* P stands between the last page's end and the first block's. */
static void stop_before_blocks_are_free(struct scene *c)
{
	gate_arm(&c->gate, "punch_before_free", &c->s.fs->mapping);
	job_start(&c->p, 0, NULL, punch_job, c);
	gate_wait(&c->gate);
}

static void go_on(struct scene *c)
{
	gate_disarm(&c->gate);
	EXPECT_EQ(job_end(&c->p), 0);
}

/* The blocks are still there, the page is gone: F must not read it. */
KTEST_ON_CPU0(races, b16_punch_vs_fault)
{
	struct scene c;

	if (!begin(&c))
		return;
	EXPECT_EQ(remote_load(&c.s.w, c.at, &c.seen), 0);
	EXPECT_EQ(c.seen, OLD);
	stop_before_blocks_are_free(&c);
	remote_try_load(&c.s.w, c.at);
	go_on(&c);
	EXPECT_EQ(remote_wait(&c.s.w), 0);
	EXPECT_EQ(c.s.w.access.v, 0);
	end(&c);
}

/* The same by a grant, which brings pages in with a read-ahead of its own. */
KTEST_ON_CPU0(races, b16_punch_vs_grant)
{
	struct scene c;

	if (!begin(&c))
		return;
	stop_before_blocks_are_free(&c);
	job_start(&c.f, 0, NULL, will_write_job, &c);
	EXPECT(job_settles(&c.f));
	go_on(&c);
	EXPECT_EQ(job_end(&c.f), 0);
	/* It asked for a block then, and its page holds zeros. */
	EXPECT_EQ(c.s.fs->prepared[1], 0xf);
	EXPECT_EQ(remote_load(&c.s.w, c.at, &c.seen), 0);
	EXPECT_EQ(c.seen, 0);
	stage_end(&c.s);
}

/* F stands at @point, with the page; then P comes; then F goes on. */
static int punch_while_f_stands_at(struct scene *c, const char *point, int (*access)(void *))
{
	int err;

	gate_arm(&c->gate, point, NULL);
	job_start(&c->f, 0, NULL, access, c);
	gate_wait(&c->gate);
	job_start(&c->p, 0, NULL, punch_job, c);
	job_settles(&c->p);
	gate_disarm(&c->gate);
	err = job_end(&c->f);
	EXPECT_EQ(job_end(&c->p), 0);
	return err;
}

/* F has found the page and not locked it yet: it must notice that it went. */
KTEST_ON_CPU0(races, b16_page_found_and_dropped)
{
	struct scene c;

	if (!begin(&c))
		return;
	EXPECT_EQ(punch_while_f_stands_at(&c, "fault_page_found", load_job), 0);
	EXPECT_EQ(c.seen, 0);
	end(&c);
}

/* F has the page lock and has looked at everything: P comes second and takes the PTE away. */
KTEST_ON_CPU0(races, b16_fault_before_punch)
{
	struct scene c;

	if (!begin(&c))
		return;
	EXPECT_EQ(punch_while_f_stands_at(&c, "fault_before_install", load_job), 0);
	end(&c);
}

/* A store whose page was mapped and had no block: it has got one when P unmaps the page. The block
 * goes with the others; the store happens afterwards, to a new page with a block of its own. */
KTEST_ON_CPU0(races, b16_block_found_before_the_drop)
{
	struct scene c;

	if (!begin(&c))
		return;
	EXPECT_EQ(remote_load(&c.s.w, c.at, &c.seen), 0);
	EXPECT_EQ(c.s.fs->prepared[1], 0);
	EXPECT_EQ(punch_while_f_stands_at(&c, "mkwrite_done", store_job), 0);
	EXPECT_EQ(remote_load(&c.s.w, c.at, &c.seen), 0);
	EXPECT_EQ(c.seen, 9);
	EXPECT_EQ(testfs_fsync(c.s.fs), 0);
	EXPECT_EQ(testfs_platter(c.s.fs, 1, 0), 9);
	EXPECT_EQ(c.s.fs->prepared[1], 0xf);
	stage_end(&c.s);
}

/* A private copy that is made while P unmaps: it is no longer the file's, and stays. */
KTEST_ON_CPU0(races, b16_private_copy)
{
	struct scene c;
	u64 *private;

	if (!begin(&c))
		return;
	private = testfs_mmap(c.s.fs, c.s.mm, 0, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	c.at = private + SLOTS_PER_PAGE + 1;
	EXPECT_EQ(punch_while_f_stands_at(&c, "cow_before_install", store_job), 0);
	EXPECT_EQ(remote_load(&c.s.w, private + SLOTS_PER_PAGE + 1, &c.seen), 0);
	EXPECT_EQ(c.seen, 9);
	EXPECT_EQ(remote_load(&c.s.w, private + SLOTS_PER_PAGE, &c.seen), 0);
	EXPECT_EQ(c.seen, OLD);
	end(&c);
}

/*
 * A copy takes the place of a page under I/O (page_fork.c) after P has found the page: P must give
 * up the copy, which holds a store and would be written to a block that is another's by then.
 */
KTEST_ON_CPU0(races, b16_copy_takes_the_place)
{
	struct scene c;

	if (!begin(&c))
		return;
	c.s.fs->mapping.policy = policy_find("forked");
	EXPECT_EQ(remote_store(&c.s.w, c.at, 1), 0);
	ramblk_hold(c.s.fs->dev, 1 << BIO_WRITE, false);
	testfs_background(c.s.fs);
	EXPECT(ramblk_wait_held(c.s.fs->dev, 1));
	gate_arm(&c.gate, "fork_copied", NULL);
	job_start(&c.f, 0, NULL, store_job, &c);
	gate_wait(&c.gate);
	job_start(&c.p, 0, NULL, punch_job, &c);
	EXPECT(job_settles(&c.p));
	gate_disarm(&c.gate);
	EXPECT_EQ(job_end(&c.f), 0);
	ramblk_unhold(c.s.fs->dev);
	EXPECT_EQ(job_end(&c.p), 0);
	EXPECT(!testfs_page(c.s.fs, 1));
	end(&c);
}

/* Page 1 is covered in part: its block 1 goes. A store there waits until it has gone, and asks for
 * another. */
KTEST_ON_CPU0(races, b16_store_at_the_edge)
{
	struct scene c;

	if (!begin(&c))
		return;
	c.start = PAGE_SIZE + TESTFS_BLOCK;
	c.end = PAGE_SIZE + 2 * TESTFS_BLOCK;
	c.at = stage_slot(&c.s, 1) + SLOT(TESTFS_BLOCK);
	EXPECT_EQ(remote_store(&c.s.w, c.at, 1), 0);
	stop_before_blocks_are_free(&c);
	remote_try_store(&c.s.w, c.at, 9);
	go_on(&c);
	EXPECT_EQ(remote_wait(&c.s.w), 0);
	EXPECT_EQ(testfs_fsync(c.s.fs), 0);
	EXPECT_EQ(testfs_platter(c.s.fs, 1, SLOT(TESTFS_BLOCK)), 9);
	EXPECT_EQ(testfs_platter(c.s.fs, 1, 0), OLD);
	stage_end(&c.s);
}
