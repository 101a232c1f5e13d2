/* SPDX-License-Identifier: MIT */
/*
 * check.c - from what was seen to a verdict: on one value, on pages of the disk, and on all at the
 * end.
 *
 * Key fact: the disk is read where the file system says the blocks are, by requests of our own, so
 *        no cache can answer. A page under writeback again is no matter: what one request replaces
 *        by another is never older, and slots are whole. But a block that was found for a store a
 *        moment ago, and not yet written, holds what its last owner left there: only a block with
 *        a slot that was stored to before the sync began has been written for certain, and then all
 *        of it was.
 */
#include "tests/stress/stress.h"

#include <string.h>

#include "kernel/mm/kmalloc.h"
#include "tests/ktest.h"

static void complain(struct stress *s, u64 slot, u64 bound, u64 value, const char *what,
		     const char *where)
{
	if (atomic_add_return(&s->alarms, 1) > 5)
		return;
	ktest_fail(s->path, 0,
		   "page %lu slot %lu holds %lu:%lu %s: %s; before: %lu in epoch %lu; begun %lu, "
		   "done %lu in epoch %lu, dead %lu, epoch %u",
		   (unsigned long)(slot / ORACLE_PAGE_SLOTS), (unsigned long)slot,
		   (unsigned long)(value >> ORACLE_SEQ_BITS), (unsigned long)oracle_seq(value),
		   where, what, (unsigned long)oracle_seq(bound),
		   (unsigned long)(bound >> ORACLE_SEQ_BITS), (unsigned long)s->oracle.begun[slot],
		   (unsigned long)oracle_seq(s->oracle.done[slot]),
		   (unsigned long)(s->oracle.done[slot] >> ORACLE_SEQ_BITS),
		   (unsigned long)s->oracle.dead[slot], s->oracle.epoch[slot]);
}

void stress_judge(struct worker *w, u64 slot, u64 bound, u64 value, enum oracle_place place)
{
	struct stress *s = w->stress;
	const char *what = oracle_judge(&s->oracle, slot, bound, value, place);

	w->count[place == ON_DISK ? NR_JUDGED_ON_DISK : NR_JUDGED]++;
	if (what)
		complain(s, slot, bound, value, what, place == ON_DISK ? "on disk" : "in memory");
}

void stress_look(struct worker *w, u64 first, u64 nr)
{
	for (u64 i = 0; i < nr; i++)
		w->bound[i] = oracle_look(&w->stress->oracle, first + i);
}

int stress_read_disk(struct stress *s, pgoff_t index, u64 *buffer)
{
	u32 block = min(s->file->inode->sb->block_size, (u32)PAGE_SIZE);

	for (u32 offset = 0; offset < PAGE_SIZE; offset += block) {
		void *to = (char *)buffer + offset;
		sector_t sector;
		int err = vfs_bmap(s->file, (index << PAGE_SHIFT) + offset, &sector);

		if (!err && sector)
			err = blkdev_rw(s->dev, BIO_READ, sector, to, block);
		else
			memset(to, 0, block);
		if (err)
			return err;
	}
	return 0;
}

/* A page of which a part was cut meanwhile is not looked at: its blocks may be another file's. */
static bool page_settled(struct worker *w, u64 slot, const u64 *bound)
{
	for (u64 i = 0; i < ORACLE_PAGE_SLOTS; i++)
		if (oracle_unsettled(&w->stress->oracle, slot + i, bound[i]))
			return false;
	return true;
}

static void judge_blocks(struct worker *w, u64 slot, const u64 *bound)
{
	u64 per_block = w->stress->file->inode->sb->block_size / ORACLE_SLOT;

	for (u64 b = 0; b < ORACLE_PAGE_SLOTS; b += per_block) {
		bool written = false;

		for (u64 i = b; i < b + per_block && !written; i++)
			written = oracle_seq(bound[i]);
		for (u64 i = b; i < b + per_block && written; i++)
			stress_judge(w, slot + i, bound[i], w->buffer[i], ON_DISK);
	}
}

void stress_judge_disk(struct worker *w, pgoff_t first, unsigned int pages, const u32 *mapped)
{
	for (unsigned int p = 0; p < pages; p++) {
		u64 slot = (first + p) * ORACLE_PAGE_SLOTS;
		const u64 *bound = w->bound + p * ORACLE_PAGE_SLOTS;
		int err;

		if (mapped && (mapped_phase(mapped[p]) != MAPPED ||
			       atomic_load(&w->space->mapped[first + p]) != mapped[p]))
			continue;
		if (!page_settled(w, slot, bound))
			continue;
		err = stress_read_disk(w->stress, first + p, w->buffer);
		/* A truncation that began meanwhile explains even a failed read. */
		if (!page_settled(w, slot, bound))
			continue;
		EXPECT_EQ(err, 0);
		if (!err)
			judge_blocks(w, slot, bound);
	}
}

static void judge_final_page(struct stress *s, pgoff_t index, u64 *memory, u64 *disk)
{
	u64 slot = index * ORACLE_PAGE_SLOTS;

	EXPECT_EQ(vfs_pread(s->file, memory, PAGE_SIZE, index << PAGE_SHIFT), PAGE_SIZE);
	EXPECT_EQ(stress_read_disk(s, index, disk), 0);
	for (u64 i = 0; i < ORACLE_PAGE_SLOTS; i++) {
		u64 bound = oracle_look(&s->oracle, slot + i);
		const char *what = oracle_judge_final(&s->oracle, slot + i, memory[i]);

		if (what)
			complain(s, slot + i, bound, memory[i], what, "in memory, at the end");
		if (memory[i] != disk[i])
			complain(s, slot + i, bound, disk[i], "memory differs",
				 "on disk, at the end");
	}
}

void stress_judge_final(struct stress *s)
{
	u64 *memory = kmalloc(PAGE_SIZE), *disk = kmalloc(PAGE_SIZE);
	struct kstat st = { 0 };

	EXPECT(memory && disk);
	EXPECT_EQ(vfs_fsync(s->file, false), 0);
	EXPECT_EQ(vfs_fstat(s->file, &st), 0);
	EXPECT_EQ(st.size, STRESS_SIZE);
	for (pgoff_t i = 0; i < STRESS_PAGES && memory && disk; i++)
		judge_final_page(s, i, memory, disk);
	kfree(memory);
	kfree(disk);
}
