/* SPDX-License-Identifier: MIT */
/*
 * cmtime.c - the times of a file.
 *
 * Owns:  atime, mtime, ctime and the change cookie in memory.
 * Not:   when they move for a mapped store (cmtime_mode.c), when that is noted (AS_CMTIME:
 *        page_dirty.c, harvest.c, zap.c), when times are written.
 * Locks: time_lock (spinlock) around the times; never under a page lock or a page-table lock.
 * Key fact: to settle is to test and clear the flag first, then read the clock, then stamp. A store
 *        that comes in between sets the flag again and gets a stamp of its own; the other order
 *        would lose it (rules C.2.1).
 *
 * The cookie moves with every modification, to the time if that is higher: then it need not be kept
 * on the disk. It is never ahead of the clock, since no two modifications share a nanosecond.
 */
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/fs/fs.h"
#include "kernel/mm/writeback.h"

#define DAY_SECONDS 86400

static struct file_time time_of(u64 ns, const struct super_block *sb)
{
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

bool inode_touch(struct inode *inode, unsigned int which)
{
	struct file_time now;
	bool moved = false;
	u64 ns;

	if (inode->sb->read_only)
		return false;
	spin_lock(&inode->time_lock);
	ns = clock_realtime(); /* inside: the cookie must not pass it */
	now = time_of(ns, inode->sb);
	if (which & TOUCH_A)
		moved |= move(&inode->atime, now);
	if (which & TOUCH_C)
		moved |= move(&inode->ctime, now);
	if (which & TOUCH_M) {
		moved |= move(&inode->mtime, now);
		/* Also when the time stood still: it orders, it does not tell. */
		inode->version = max(inode->version + 1, (u64)now.sec * NSEC_PER_SEC + now.nsec);
	}
	spin_unlock(&inode->time_lock);
	if (moved)
		mark_times(inode);
	return moved;
}

void inode_settle_cmtime(struct inode *inode)
{
	struct address_space *mapping = &inode->data;

	if (!test_bit(&mapping->flags, AS_CMTIME) ||
	    !test_and_clear_bit(&mapping->flags, AS_CMTIME))
		return;
	delay_point("cmtime_settling", inode);
	inode_touch(inode, TOUCH_M | TOUCH_C);
	stat_inc(STAT_CMTIME_FLUSHES);
	trace(TRACE_CMTIME, inode->ino, (u64)inode->mtime.sec);
}

void inode_accessed(struct inode *inode)
{
	u64 day_later = (u64)(inode->atime.sec + DAY_SECONDS) * NSEC_PER_SEC;

	/* Without the lock: who sees half of a change moves atime once too often, or with the next
	 * read. */
	if (!after(inode->atime, inode->mtime) || !after(inode->atime, inode->ctime) ||
	    clock_realtime() > day_later)
		inode_touch(inode, TOUCH_A);
}

/* While ctime stood still at what the disk tells, the cookie rose to less than the next time that
 * the disk can tell, and never beyond the clock. */
u64 inode_first_version(const struct inode *inode)
{
	u64 ctime = (u64)inode->ctime.sec * NSEC_PER_SEC + inode->ctime.nsec;

	return min(clock_realtime(), ctime + max(inode->sb->time_gran, 1u) - 1);
}
