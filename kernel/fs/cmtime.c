/* SPDX-License-Identifier: MIT */
/*
 * cmtime.c - when the times of a file move.
 *
 * Owns:  atime, mtime, ctime and the change cookie in memory.
 * Not:   when a store is noted (page_mkwrite, page_dirty.c: AS_CMTIME), when times are written.
 * Locks: time_lock (spinlock) around the times; never under a page lock or a page-table lock.
 * Key fact: a store through a mapping only leaves a flag. Whoever must know or keep the time (stat,
 *        msync, fsync, writeback, eviction) settles: test and clear the flag first, then read the
 *        clock, then stamp. A store that comes in between sets the flag again and gets a stamp of
 *        its own; the other order would lose it (rules C.2.1).
 */
#include "kernel/core/clock.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/fs/fs.h"
#include "kernel/mm/writeback.h"

#define DAY_SECONDS 86400

static struct file_time time_now(const struct super_block *sb)
{
	u64 ns = clock_realtime();
	struct file_time t = { .sec = (s64)(ns / NSEC_PER_SEC), .nsec = (u32)(ns % NSEC_PER_SEC) };

	if (sb->time_gran > 1)
		t.nsec -= t.nsec % sb->time_gran;
	return t;
}

static bool after(struct file_time a, struct file_time b)
{
	return a.sec > b.sec || (a.sec == b.sec && a.nsec > b.nsec);
}

static bool move(struct file_time *t, struct file_time now)
{
	if (!after(now, *t))
		return false;
	*t = now;
	return true;
}

/* The times in memory differ from the disk's: counted after they moved, so that a sync which sees
 * the old count has not been promised the new time. */
static void mark_times(struct inode *inode)
{
	struct address_space *mapping = &inode->data;

	stat_inc(STAT_INODE_UPDATES);
	(void)atomic_add_return(&inode->time_gen, 1);
	if (mapping_writeback(mapping) && !test_and_set_bit(&mapping->flags, AS_DIRTY_TIME))
		mapping_mark_dirty(mapping);
}

void inode_touch(struct inode *inode, unsigned int which)
{
	struct file_time now;
	bool moved = false;

	if (inode->sb->read_only)
		return;
	now = time_now(inode->sb);
	spin_lock(&inode->time_lock);
	if (which & TOUCH_A)
		moved |= move(&inode->atime, now);
	if (which & TOUCH_C)
		moved |= move(&inode->ctime, now);
	if (which & TOUCH_M) {
		moved |= move(&inode->mtime, now);
		inode->version++; /* also when the clock stood still: it orders, it does not tell */
	}
	spin_unlock(&inode->time_lock);
	if (moved)
		mark_times(inode);
}

void inode_flush_cmtime(struct address_space *mapping)
{
	struct inode *inode = mapping->host;

	if (!test_bit(&mapping->flags, AS_CMTIME) ||
	    !test_and_clear_bit(&mapping->flags, AS_CMTIME))
		return;
	inode_touch(inode, TOUCH_M | TOUCH_C);
	stat_inc(STAT_CMTIME_FLUSHES);
	trace(TRACE_CMTIME, inode->ino, (u64)inode->mtime.sec);
}

void inode_accessed(struct inode *inode)
{
	bool due;

	spin_lock(&inode->time_lock);
	due = !after(inode->atime, inode->mtime) || !after(inode->atime, inode->ctime) ||
	      (s64)(clock_realtime() / NSEC_PER_SEC) - inode->atime.sec > DAY_SECONDS;
	spin_unlock(&inode->time_lock);
	if (due)
		inode_touch(inode, TOUCH_A);
}
