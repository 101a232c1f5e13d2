/* SPDX-License-Identifier: MIT */
/*
 * cmtime_mode.c - which events move the times of a file that is stored to through a mapping.
 *
 * Owns:  the argument cmtime= and what each of its modes does at each event; cmtime.h has the
 *        table.
 * Not:   the stamp itself (cmtime.c), PTEs (kernel/mm/harvest.c, arm.c), the events.
 * Locks: mount_lock (read) while the mode is changed, to reach every file.
 * Key fact: a look takes all marks before it reads, or else arms the file after it read. In either
 *        order a store that the look missed moves the times later, so that what a look returned is
 *        never taken for newer than it is.
 */
#include "kernel/core/args.h"
#include "kernel/core/delay.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/arm.h"
#include "kernel/mm/harvest.h"

unsigned int cmtime_mode = CMTIME_LAZY;

static bool mode_is(enum cmtime_mode mode)
{
	return READ_ONCE(cmtime_mode) == mode;
}

/* ---- events -------------------------------------------------------------------------------- */

void inode_flush_cmtime(struct address_space *mapping)
{
	struct inode *inode = mapping->host;

	if (mode_is(CMTIME_LAZY) || mode_is(CMTIME_WRITEBACK))
		inode_settle_cmtime(inode);
	else if (test_bit(&mapping->flags, AS_CMTIME))
		clear_bit(&mapping->flags, AS_CMTIME); /* stamped in the fault, or not at all */
}

/* Has the clock that Linux would look at moved since the last stamp? */
static bool ticked(struct inode *inode)
{
	u64 last, now = clock_realtime();

	spin_lock(&inode->time_lock);
	last = (u64)inode->mtime.sec * NSEC_PER_SEC + inode->mtime.nsec;
	spin_unlock(&inode->time_lock);
	return last / CMTIME_TICK != now / CMTIME_TICK;
}

void inode_note_store(struct address_space *mapping)
{
	struct inode *inode = mapping->host;

	switch (READ_ONCE(cmtime_mode)) {
	case CMTIME_QUERY:
		if (mapping_disarm(mapping))
			inode_touch(inode, TOUCH_M | TOUCH_C);
		break;
	case CMTIME_EAGER:
	case CMTIME_MEMORY:
		if (!ticked(inode) || !inode_touch(inode, TOUCH_M | TOUCH_C))
			break;
		/* What fails is tried again by the next write-out. */
		if (mode_is(CMTIME_EAGER) && mapping->a_ops->write_inode)
			mapping->a_ops->write_inode(mapping, SYNC_FULL);
		break;
	default: break;
	}
	delay_point("cmtime_noted", inode);
}

/* May a PTE have D? If not, everybody who took one has noted it: cleaning keeps TAG_DIRTY until
 * then, and unmapping its area. */
static bool may_be_marked(const struct address_space *mapping)
{
	return !i_mmap_empty(&mapping->i_mmap) &&
	       (!mapping_writeback(mapping) || radix_tagged(&mapping->pages, TAG_DIRTY) ||
		mapping_may_hide(mapping));
}

/*
 * Take all marks. One that somebody took a moment ago, to clean its page or to unmap it, is noted
 * before he lets i_mmap_rwsem go, which both ways of taking hold for write: we wait for him.
 * Otherwise:
 *
 *	C (fsync)		L (stat)
 *	takes D of a store
 *				finds no D, no AS_CMTIME: an old time
 *	notes AS_CMTIME
 */
static void collect_marks(struct address_space *mapping)
{
	if (!may_be_marked(mapping))
		return;
	if (mapping_writeback(mapping))
		mapping_harvest(mapping, 0, ~0ul, HARVEST_TIMES);
	else
		mapping_take_d(mapping);
}

static void copy_times(struct inode *inode, struct kstat *st)
{
	spin_lock(&inode->time_lock);
	st->atime = inode->atime;
	st->mtime = inode->mtime;
	st->ctime = inode->ctime;
	st->version = inode->version;
	spin_unlock(&inode->time_lock);
}

void inode_look(struct inode *inode, struct kstat *st)
{
	if (mode_is(CMTIME_LAZY)) {
		collect_marks(&inode->data);
		delay_point("cmtime_marks_collected", inode);
		inode_settle_cmtime(inode);
	}
	copy_times(inode, st);
	if (mode_is(CMTIME_QUERY))
		mapping_arm(&inode->data); /* after the copy: see arm.h */
}

void inode_unmapped(struct inode *inode)
{
	if (mode_is(CMTIME_LAZY))
		inode_settle_cmtime(inode);
}

/* ---- which mode ---------------------------------------------------------------------------- */

/* After the mode was changed, or before the first fault of an area. */
static void heed_mode(struct inode *inode)
{
	unsigned int mode = atomic_load(&cmtime_mode);
	bool want = mode == CMTIME_EAGER || mode == CMTIME_MEMORY || mode == CMTIME_QUERY;
	unsigned long flags = READ_ONCE(inode->data.flags);

	/* Nobody is told, and nobody wants to be: each mmap comes by here. */
	if (likely(!want && !(flags & (1ul << AS_NOTE_STORE | 1ul << AS_ARMED))))
		return;
	mapping_want_notes(&inode->data, want);
	if (mode == CMTIME_QUERY)
		mapping_arm(&inode->data);
}

/* Twice if the mode changes meanwhile: who changes it may have passed this file already. */
void inode_mapped(struct inode *inode)
{
	unsigned int mode;

	do {
		mode = atomic_load(&cmtime_mode);
		heed_mode(inode);
	} while (mode != atomic_load(&cmtime_mode));
}

/*
 * What was stored to under the old mode and is not stamped yet is stamped now, once. The new mode
 * is in force for the file before its marks are taken: a store in between has two stamps, not none.
 */
static int change_mode_of(struct inode *inode)
{
	heed_mode(inode);
	collect_marks(&inode->data);
	inode_settle_cmtime(inode);
	return 0;
}

static unsigned int chosen = CMTIME_LAZY; /* what args_set() writes */
static const char *const mode_names[] = { "lazy", "eager", "memory", "writeback", "query", NULL };

static int change_mode(const char *name)
{
	struct super_block *sb;

	if (atomic_xchg(&cmtime_mode, chosen) == chosen)
		return 0;
	if (TAILQ_EMPTY(&supers))
		return 0; /* boot: no locks yet, and nothing to tell */
	down_read(&mount_lock);
	TAILQ_FOREACH(sb, &supers, link)
		inode_for_all(sb, change_mode_of);
	up_read(&mount_lock);
	return 0;
}

ARG_CHOICE_CALL(cmtime, chosen, mode_names, change_mode,
		"when a mapped store moves the times of its file");
