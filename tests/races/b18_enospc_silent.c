/* SPDX-License-Identifier: MIT */
/*
 * b18_enospc_silent.c - a store into a hole of a full disk (B18; rules 94, 95), and what else may
 * happen between a store that was let pass and its block.
 *
 *	W (writer)			K (cleaner)
 *	stores into a hole, no fault
 *	refused
 *					writes the page: no block is free
 *	if it never asks, nobody
 *	ever tells it
 */
#include "kernel/mm/policy.h"
#include "tests/fs/alloc_test.h"

#define MIB (1ul << 20)

struct scene {
	struct fst_disk d;
	struct file *file;
	struct mm *mm;
	u8 *p; /* 32 pages, holes */
	u64 start;
};

static bool begin(struct scene *s, const char *alloc, u32 block_size)
{
	if (!fst_disk_make(&s->d, "t_b18", 1 * MIB, block_size, 256))
		return false;
	EXPECT_EQ(args_set("alloc", alloc), 0);
	s->start = fst_free_blocks(s->d.path);
	s->file = alloc_sparse(&s->d, "f", 32 * PAGE_SIZE / block_size);
	s->p = s->file ? fst_map(s->file, 0, 32 * PAGE_SIZE, PROT_READ | PROT_WRITE) : NULL;
	s->mm = current_thread()->mm;
	return s->p;
}

static void end(struct scene *s)
{
	fst_unmap(s->p, 32 * PAGE_SIZE);
	file_put(s->file);
	alloc_audit(&s->d);
	EXPECT_EQ(alloc_reserved(&s->d), 0);
	EXPECT_EQ(args_set("alloc", "reserve"), 0);
	fst_disk_end(&s->d, FST_SOUND);
}

static void refused_before(const char *alloc)
{
	struct scene s;
	u8 c = 1;

	if (!begin(&s, alloc, 4096))
		return;
	alloc_fill(&s.d, "filler", 0);
	EXPECT(!fst_store(s.p + PAGE_SIZE, 'x'));
	EXPECT(fst_load(s.p + PAGE_SIZE, &c) && c == 0);
	EXPECT_EQ(vfs_fsync(s.file, false), 0);
	end(&s);
}

KTEST(races, b18_enospc_is_told_before_the_store)
{
	refused_before("reserve");
	refused_before("fault");
}

/* ext2 as it was: let pass, lost, and the next sync is told, once. */
KTEST(races, b18_enospc_is_told_after_the_store)
{
	struct scene s;
	u8 c;

	if (!begin(&s, "writeback", 4096))
		return;
	alloc_fill(&s.d, "filler", 1);
	EXPECT(fst_store(s.p, 'x'));
	EXPECT(fst_store(s.p + PAGE_SIZE, 'x'));
	EXPECT_EQ(alloc_reserved(&s.d), 0);
	EXPECT_EQ(vfs_fsync(s.file, false), -ENOSPC);
	/* One of the two had the last block. */
	EXPECT_EQ(fst_on_disk(s.file, 0, &c, 1) + fst_on_disk(s.file, PAGE_SIZE, &c, 1), 1);
	EXPECT_EQ(vfs_unlink(fst_path(&s.d, "filler")), 0);
	EXPECT(fst_store(s.p + PAGE_SIZE, 'y'));
	EXPECT_EQ(vfs_fsync(s.file, false), 0);
	EXPECT(fst_on_disk(s.file, PAGE_SIZE, &c, 1) && c == 'y');
	end(&s);
}

/* --- while blocks are looked for --- */

static int fsync_it(void *arg)
{
	return vfs_fsync(arg, false);
}

static int truncate_it(void *arg)
{
	return vfs_ftruncate(arg, 0);
}

/* A sync stands before the block map; its page is under writeback and not locked. */
static void hold(struct scene *s, struct gate *g, struct job *syncer)
{
	gate_arm(g, "blocks_not_found_yet", s->file->inode);
	job_start(syncer, CPU_ANY, NULL, fsync_it, s->file);
	gate_wait(g);
}

/* A store now finds its promise, and needs no other; the page is written twice to one block. */
static void store_meanwhile(const char *policy)
{
	struct job syncer;
	struct scene s;
	struct gate g;
	u8 c = 0;

	if (!begin(&s, "reserve", 1024))
		return;
	s.file->inode->data.policy = policy_find(policy);
	EXPECT(fst_store(s.p + 4 * PAGE_SIZE, 'a'));
	EXPECT_EQ(alloc_reserved(&s.d), 5);
	hold(&s, &g, &syncer);
	EXPECT(fst_store(s.p + 4 * PAGE_SIZE, 'b'));
	EXPECT_EQ(alloc_reserved(&s.d), 5);
	gate_open(&g);
	EXPECT_EQ(job_end(&syncer), 0);
	gate_disarm(&g);
	EXPECT_EQ(alloc_reserved(&s.d), 0);
	EXPECT_EQ(fst_stat(fst_path(&s.d, "f")).blocks, 10);
	EXPECT_EQ(vfs_fsync(s.file, false), 0);
	EXPECT(fst_on_disk(s.file, 4 * PAGE_SIZE, &c, 1) && c == 'b');
	s.file->inode->data.policy = NULL;
	end(&s);
}

KTEST(races, r95_store_while_blocks_are_looked_for)
{
	store_meanwhile("write_notify");
	store_meanwhile("clean_writable");
}

/* The store gets a copy of the page: the promise is the place's, not the frame's. */
KTEST(races, r95_fork_while_blocks_are_looked_for)
{
	store_meanwhile("forked");
}

/* rule 103: truncate waits, and gives back what was found as well. */
KTEST(races, r95_truncate_while_blocks_are_looked_for)
{
	struct job syncer, cutter;
	struct scene s;
	struct gate g;

	if (!begin(&s, "reserve", 1024))
		return;
	for (u64 i = 0; i < 8; i++)
		EXPECT(fst_store(s.p + i * PAGE_SIZE, 'a'));
	hold(&s, &g, &syncer);
	job_start(&cutter, CPU_ANY, NULL, truncate_it, s.file);
	EXPECT(job_settles(&cutter) != NULL);
	gate_open(&g);
	EXPECT_EQ(job_end(&syncer), 0);
	EXPECT_EQ(job_end(&cutter), 0);
	gate_disarm(&g);
	EXPECT_EQ(alloc_reserved(&s.d), 0);
	EXPECT_EQ(alloc_free(&s.d), s.start);
	end(&s);
}
