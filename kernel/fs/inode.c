/* SPDX-License-Identifier: MIT */
/*
 * inode.c - the inodes in memory: found by number, counted, kept for a while, thrown out.
 *
 * Owns:  every struct inode, its place in the lists of its super block, refs and state.
 * Not:   what an inode means on disk (super_operations), names (namei.c), times (cmtime.c).
 * Locks: sb->inode_lock (spinlock) for lists, refs and state; nothing while reading or writing.
 * Key fact: an inode that is being read or thrown out stays in the hash, marked; who looks for its
 *        number waits. So no number ever has two inodes in memory, and one that is deleted has
 *        left the flusher's hands before its slot on the disk may become another file's.
 */
#include <errno.h>

#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/core/wait.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/truncate.h"
#include "kernel/mm/writeback.h"

/* Unused inodes kept per file system, for their cached pages. */
#define UNUSED_MAX 256

/* ---- lists: inode_lock held ---------------------------------------------------------------- */

static struct inode_list *hash_list(struct super_block *sb, u64 ino)
{
	return &sb->hash[ino % INODE_HASH];
}

static struct inode *find(struct super_block *sb, u64 ino)
{
	struct inode *inode;

	TAILQ_FOREACH(inode, hash_list(sb, ino), hash)
		if (inode->ino == ino)
			return inode;
	return NULL;
}

static void insert(struct super_block *sb, struct inode *inode)
{
	TAILQ_INSERT_TAIL(hash_list(sb, inode->ino), inode, hash);
	TAILQ_INSERT_TAIL(&sb->inodes, inode, link);
}

static void leave_unused(struct inode *inode)
{
	if (!(inode->state & I_UNUSED))
		return;
	TAILQ_REMOVE(&inode->sb->unused, inode, lru);
	inode->sb->nr_unused--;
	inode->state &= ~(u32)I_UNUSED;
}

static void join_unused(struct inode *inode)
{
	if (inode->sb->in_memory)
		return;
	TAILQ_INSERT_TAIL(&inode->sb->unused, inode, lru);
	inode->sb->nr_unused++;
	inode->state |= I_UNUSED;
}

static void take(struct inode *inode)
{
	inode->refs++;
	leave_unused(inode);
}

/* ---- birth and death ----------------------------------------------------------------------- */

static struct inode *new_inode(struct super_block *sb, u64 ino, u32 state)
{
	struct inode *inode = kzalloc(sizeof(*inode));

	if (!inode)
		return NULL;
	inode->sb = sb;
	inode->ino = ino;
	inode->refs = 1;
	inode->state = state;
	inode->ops = sb->inode_ops;
	rwsem_init(&inode->i_rwsem, "i_rwsem", RANK_I_RWSEM);
	spin_init(&inode->time_lock, "time_lock", RANK_INODE_LIST);
	wait_queue_init(&inode->dio_wait, "dio_wait");
	mapping_init(&inode->data, sb->a_ops, inode, ino, sb->dev ? &sb->dev->wb : NULL);
	if (!sb->dev)
		inode->data.flags |= 1ul << AS_NO_WRITEBACK;
	return inode;
}

/* Out of the lists, and those who waited for its number look again. Its mapping is destroyed. */
static void remove_and_free(struct inode *inode)
{
	struct super_block *sb = inode->sb;

	spin_lock(&sb->inode_lock);
	TAILQ_REMOVE(hash_list(sb, inode->ino), inode, hash);
	TAILQ_REMOVE(&sb->inodes, inode, link);
	/* Inside: once the lock is free an unmount may free @sb. */
	wake_up(&sb->inode_wait);
	spin_unlock(&sb->inode_lock);
	kfree(inode);
}

static void clear_state(struct inode *inode, u32 state)
{
	struct super_block *sb = inode->sb;

	spin_lock(&sb->inode_lock);
	inode->state &= ~state;
	if (!inode->refs)
		join_unused(inode);
	wake_up(&sb->inode_wait);
	spin_unlock(&sb->inode_lock);
}

static bool has_dirty_inode(const struct inode *inode)
{
	return READ_ONCE(inode->data.flags) &
	       (1ul << AS_CMTIME | 1ul << AS_DIRTY_TIME | 1ul << AS_DIRTY_META);
}

/* All of a file to the disk, its inode to its buffer. 0 or the first error. */
static int write_out(struct inode *inode)
{
	const struct address_space_operations *ops = inode->data.a_ops;
	int err = filemap_write_and_wait_range(&inode->data, 0, ~0ul, HARVEST_FSYNC), e = 0;

	inode_flush_cmtime(&inode->data);
	if (ops->write_inode)
		e = ops->write_inode(&inode->data, SYNC_FULL);
	return err ? err : e;
}

/* True if nothing of @inode is left to be written, no page is cached any more, and no error is
 * untold: who opens the file later is to hear of it (rule 74). */
static bool write_and_drop(struct inode *inode, enum evict_how how)
{
	int err;

	if (inode->sb->in_memory)
		return how == EVICT_FORCED;
	err = write_out(inode);
	if (!drop_mapping_pages(&inode->data, 0, ~0ul, DROP_CLEAN_ONLY) && !err &&
	    !has_dirty_inode(inode) && !errseq_untold(&inode->data.wb_err))
		return true;
	if (how == EVICT_FORCED)
		inode_tell_lost(inode, err);
	return how == EVICT_FORCED;
}

/*
 * @inode has I_FREEING, no user, and is off the unused list. True: it is gone. False: it could not
 * be written and is unused again.
 */
static bool evict(struct inode *inode, enum evict_how how)
{
	struct super_block *sb = inode->sb;
	bool delete = !inode->nlink && !(inode->state & I_DELETED);

	if (inode->nlink && !write_and_drop(inode, how)) {
		clear_state(inode, I_FREEING);
		return false;
	}
	drop_mapping_pages(&inode->data, 0, ~0ul, DROP_DIRTY);
	/* Before the number is free for another file: the flusher may be about to write this
	 * one. */
	mapping_destroy(&inode->data);
	if (delete)
		sb->ops->delete_inode(inode);
	if (sb->ops->destroy_inode)
		sb->ops->destroy_inode(inode);
	remove_and_free(inode);
	return true;
}

/* The oldest unused inode, marked, or NULL. */
static struct inode *take_victim(struct super_block *sb)
{
	struct inode *inode;

	spin_lock(&sb->inode_lock);
	inode = TAILQ_FIRST(&sb->unused);
	if (inode) {
		leave_unused(inode);
		inode->state |= I_FREEING;
	}
	spin_unlock(&sb->inode_lock);
	return inode;
}

void inode_trim(struct super_block *sb)
{
	while (READ_ONCE(sb->nr_unused) > UNUSED_MAX) {
		struct inode *victim = take_victim(sb);

		/* One that cannot be written went to the end of the line; do not turn in
		 * circles. */
		if (!victim || !evict(victim, EVICT_POLITE))
			return;
	}
}

/* The oldest unused inode that is nothing but itself: no page is cached, nothing to be written. */
static struct inode *take_bare_victim(struct super_block *sb)
{
	struct inode *inode;

	spin_lock(&sb->inode_lock);
	TAILQ_FOREACH(inode, &sb->unused, lru)
		if (!READ_ONCE(inode->data.pages.nr) && !has_dirty_inode(inode))
			break;
	if (inode) {
		leave_unused(inode);
		inode->state |= I_FREEING;
	}
	spin_unlock(&sb->inode_lock);
	return inode;
}

u64 inode_shrink(struct super_block *sb)
{
	struct inode *victim;
	u64 nr = 0;

	while ((victim = take_bare_victim(sb)) && evict(victim, EVICT_POLITE))
		nr++;
	return nr;
}

/* An inode in memory only, which nobody uses, of a file system that goes. */
static struct inode *take_memory_victim(struct super_block *sb)
{
	struct inode *inode;

	spin_lock(&sb->inode_lock);
	TAILQ_FOREACH(inode, &sb->inodes, link)
		if (!inode->refs && !(inode->state & (I_FREEING | I_NEW)))
			break;
	if (inode)
		inode->state |= I_FREEING;
	spin_unlock(&sb->inode_lock);
	return inode;
}

/* How many inodes there are; *@leaving: how many of them are on their way out. */
static u64 count_inodes(struct super_block *sb, u64 *leaving)
{
	struct inode *inode;
	u64 nr = 0;

	*leaving = 0;
	spin_lock(&sb->inode_lock);
	TAILQ_FOREACH(inode, &sb->inodes, link) {
		nr++;
		*leaving += (inode->state & I_FREEING) != 0;
	}
	spin_unlock(&sb->inode_lock);
	return nr;
}

static bool none_leaving(struct super_block *sb)
{
	u64 leaving;

	(void)count_inodes(sb, &leaving);
	return !leaving;
}

u64 inode_evict_all(struct super_block *sb, enum evict_how how)
{
	unsigned int tries = READ_ONCE(sb->nr_unused);
	struct inode *inode;
	u64 leaving;

	while (tries-- && (inode = take_victim(sb)))
		evict(inode, how);
	while (sb->in_memory && how == EVICT_FORCED && (inode = take_memory_victim(sb)))
		evict(inode, how);
	/* Others may be closing the last of a file just now. */
	if (how == EVICT_FORCED)
		wait_event(&sb->inode_wait, none_leaving(sb));
	return count_inodes(sb, &leaving);
}

/* ---- references ---------------------------------------------------------------------------- */

void inode_get(struct inode *inode)
{
	struct super_block *sb = inode->sb;

	spin_lock(&sb->inode_lock);
	take(inode);
	spin_unlock(&sb->inode_lock);
}

void iput(struct inode *inode)
{
	struct super_block *sb = inode->sb;
	bool last;

	spin_lock(&sb->inode_lock);
	BUG_ON(inode->refs <= 0);
	last = --inode->refs == 0 && !inode->nlink;
	if (last)
		inode->state |= I_FREEING;
	else if (!inode->refs)
		join_unused(inode);
	spin_unlock(&sb->inode_lock);
	if (last)
		evict(inode, EVICT_FORCED);
}

/* Is the inode of this number in a state that nobody may use? */
static bool in_transit(struct super_block *sb, u64 ino)
{
	struct inode *inode;
	bool busy;

	spin_lock(&sb->inode_lock);
	inode = find(sb, ino);
	busy = inode && inode->state & (I_NEW | I_FREEING);
	spin_unlock(&sb->inode_lock);
	return busy;
}

/*
 * The inode of this number, referenced; or NULL, and then @fresh (if not NULL) is in the lists.
 * Waits for one that comes or goes.
 */
static struct inode *find_or_insert(struct super_block *sb, u64 ino, struct inode *fresh)
{
	struct inode *inode;

	for (;;) {
		spin_lock(&sb->inode_lock);
		inode = find(sb, ino);
		if (!inode && fresh)
			insert(sb, fresh);
		if (!inode || !(inode->state & (I_NEW | I_FREEING))) {
			if (inode)
				take(inode);
			spin_unlock(&sb->inode_lock);
			return inode;
		}
		spin_unlock(&sb->inode_lock);
		wait_event(&sb->inode_wait, !in_transit(sb, ino));
	}
}

/* Not in the lists (any more): nobody else knows it. */
static void forget(struct inode *inode)
{
	mapping_destroy(&inode->data);
	if (inode->sb->ops->destroy_inode)
		inode->sb->ops->destroy_inode(inode);
}

int iget(struct super_block *sb, u64 ino, struct inode **out)
{
	struct inode *inode = find_or_insert(sb, ino, NULL), *fresh;
	int err;

	if (inode) {
		*out = inode;
		return 0;
	}
	inode_trim(sb);
	fresh = new_inode(sb, ino, I_NEW);
	if (!fresh)
		return -ENOMEM;
	inode = find_or_insert(sb, ino, fresh);
	if (inode) {
		forget(fresh);
		kfree(fresh);
		*out = inode;
		return 0;
	}
	err = sb->ops->read_inode(fresh);
	if (err) {
		forget(fresh);
		remove_and_free(fresh);
		return err;
	}
	fresh->version = inode_first_version(fresh);
	clear_state(fresh, I_NEW);
	*out = fresh;
	return 0;
}

int inew(struct super_block *sb, u64 ino, u32 mode, struct inode **out)
{
	struct inode *fresh, *old;

	inode_trim(sb);
	fresh = new_inode(sb, ino, 0);
	if (!fresh)
		return -ENOMEM;
	fresh->mode = mode;
	/* The number's former owner may still be on its way out; this waits for it. */
	old = find_or_insert(sb, ino, fresh);
	if (old) {
		printk("%s: inode %lu is free on the disk but in use in memory.\n", sb->type,
		       (unsigned long)ino);
		iput(old);
		forget(fresh);
		kfree(fresh);
		return -EIO;
	}
	*out = fresh;
	return 0;
}

/* ---- all of them --------------------------------------------------------------------------- */

static bool has_something(const struct inode *inode)
{
	return inode->data.pages.nr || has_dirty_inode(inode);
}

static int for_each(struct super_block *sb, int (*fn)(struct inode *inode), bool all)
{
	struct inode *inode, *done = NULL;
	int err = 0, e;

	spin_lock(&sb->inode_lock);
	TAILQ_FOREACH(inode, &sb->inodes, link) {
		if (inode->state & (I_NEW | I_FREEING) || !(all || has_something(inode)))
			continue;
		take(inode);
		spin_unlock(&sb->inode_lock);
		/* Our reference on @inode keeps our place in the list; the former may go. */
		if (done)
			iput(done);
		e = fn(inode);
		err = err ? err : e;
		done = inode;
		spin_lock(&sb->inode_lock);
	}
	spin_unlock(&sb->inode_lock);
	if (done)
		iput(done);
	return err;
}

int inode_for_each(struct super_block *sb, int (*fn)(struct inode *inode))
{
	return for_each(sb, fn, false);
}

int inode_for_all(struct super_block *sb, int (*fn)(struct inode *inode))
{
	return for_each(sb, fn, true);
}

void inode_delete_orphans(struct super_block *sb)
{
	struct inode *inode;

	for (;;) {
		spin_lock(&sb->inode_lock);
		TAILQ_FOREACH(inode, &sb->inodes, link)
			if (!inode->nlink && !(inode->state & (I_NEW | I_FREEING | I_DELETED)))
				break;
		if (inode) {
			take(inode);
			inode->state |= I_DELETED;
		}
		spin_unlock(&sb->inode_lock);
		if (!inode)
			return;
		down_write(&inode->i_rwsem);
		if (!truncate_setsize(&inode->data, 0))
			sb->ops->delete_inode(inode);
		up_write(&inode->i_rwsem);
		iput(inode);
	}
}

void inode_mark_meta(struct inode *inode)
{
	(void)atomic_add_return(&inode->meta_gen, 1);
	if (mapping_writeback(&inode->data) && !test_and_set_bit(&inode->data.flags, AS_DIRTY_META))
		mapping_mark_dirty(&inode->data);
}
