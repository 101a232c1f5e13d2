/* SPDX-License-Identifier: MIT */
/*
 * buf.c - the metadata cache: blocks by number, the dirty ones in order, the idle ones by age.
 *
 * Owns:  every struct buf and its state: dirty, writing, forgotten.
 * Not:   what a block means (the file system), how dirty ones reach the device (bsync.c).
 * Locks: a buf's mutex (RANK_BUF) for its bytes, then the cache lock (RANK_WB_LIST, plain) for all
 *        else.
 * Key fact: a forgotten buf is out of the tree at once but lives until its last reference goes;
 *        who waited for its mutex finds it forgotten and looks the block up again.
 */
#include "kernel/block/buf_impl.h"

#include <errno.h>
#include <string.h>

#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/mm/kmalloc.h"

#define MAX_IDLE_BUFS 1024

static int compare(const struct buf *a, const struct buf *b)
{
	return a->block < b->block ? -1 : a->block > b->block;
}

RB_GENERATE_STATIC(buf_tree, buf, node, compare)
RB_GENERATE_STATIC(buf_dirty_tree, buf, dirty_node, compare)

static struct buf *find(struct buf_cache *c, u64 block)
{
	struct buf *b = RB_ROOT(&c->tree);

	while (b && b->block != block)
		b = block < b->block ? RB_LEFT(b, node) : RB_RIGHT(b, node);
	return b;
}

/* ---- the mutex ----------------------------------------------------------------------------- */

/* A mutex has a rank but no place among those of its rank; a buf has: block numbers rise. */
void buf_lock(struct buf *b)
{
	if (unlikely(debug_checks))
		lockrank_acquire(b, RANK_BUF, b->block + 1, "buf");
	mutex_lock(&b->lock);
}

bool buf_trylock(struct buf *b)
{
	if (!mutex_trylock(&b->lock))
		return false;
	if (unlikely(debug_checks))
		lockrank_acquire(b, RANK_BUF, b->block + 1, "buf");
	return true;
}

void buf_unlock(struct buf *b)
{
	if (unlikely(debug_checks))
		lockrank_release(b);
	mutex_unlock(&b->lock);
}

/* ---- references ---------------------------------------------------------------------------- */

void buf_free(struct buf *b)
{
	if (!b)
		return;
	kfree(b->data);
	kfree(b);
}

static struct buf *new_buf(struct buf_cache *c, u64 block)
{
	struct buf *b = kzalloc(sizeof(*b));

	if (!b)
		return NULL;
	b->data = kmalloc(c->block_size);
	if (!b->data) {
		kfree(b);
		return NULL;
	}
	b->dev = c->dev;
	b->block = block;
	mutex_init(&b->lock, "buf", RANK_NONE); /* see buf_lock() */
	return b;
}

/* A buf is on the LRU list exactly while refs is 0 and it is clean. */
void buf_get_ref(struct buf_cache *c, struct buf *b)
{
	if (b->refs++ == 0 && !b->dirty) {
		TAILQ_REMOVE(&c->lru, b, lru_link);
		c->nr_lru--;
	}
}

static struct buf *pop_lru(struct buf_cache *c)
{
	struct buf *b = TAILQ_FIRST(&c->lru);

	TAILQ_REMOVE(&c->lru, b, lru_link);
	RB_REMOVE(buf_tree, &c->tree, b);
	c->nr_lru--;
	return b;
}

struct buf *buf_drop_ref(struct buf_cache *c, struct buf *b)
{
	BUG_ON(b->refs <= 0);
	if (--b->refs)
		return NULL;
	if (b->forgotten)
		return b;
	if (b->dirty)
		return NULL;
	TAILQ_INSERT_TAIL(&c->lru, b, lru_link);
	return ++c->nr_lru > MAX_IDLE_BUFS ? pop_lru(c) : NULL;
}

static void put_buf(struct buf_cache *c, struct buf *b)
{
	struct buf *victim;

	spin_lock(&c->lock);
	victim = buf_drop_ref(c, b);
	spin_unlock(&c->lock);
	buf_free(victim);
}

/* Referenced, not locked. NULL: out of memory. */
static struct buf *get_buf(struct buf_cache *c, u64 block)
{
	struct buf *b, *made = NULL;

	for (;;) {
		spin_lock(&c->lock);
		b = find(c, block);
		if (b) {
			buf_get_ref(c, b);
		} else if (made) {
			b = made;
			made = NULL;
			b->refs = 1;
			RB_INSERT(buf_tree, &c->tree, b);
		}
		spin_unlock(&c->lock);
		if (b)
			break;
		made = new_buf(c, block);
		if (!made)
			return NULL;
	}
	buf_free(made); /* another thread was faster */
	return b;
}

static int get_locked(struct blkdev *dev, u64 block, struct buf **out)
{
	struct buf_cache *c = dev->bufs;
	struct buf *b;

	BUG_ON(!c);
	/* A number from a damaged image must not wrap into a good sector. */
	if (block >= dev->nr_sectors / (c->block_size >> SECTOR_SHIFT)) {
		printk("%s: metadata block %lu is beyond the end of the device\n", dev->name,
		       (unsigned long)block);
		return -EIO;
	}
	for (;;) {
		b = get_buf(c, block);
		if (!b)
			return -ENOMEM;
		buf_lock(b);
		if (likely(!READ_ONCE(b->forgotten)))
			break;
		/* Freed by bforget() while we waited; the block may have a new buf by now. */
		brelse(b);
	}
	*out = b;
	return 0;
}

/* ---- what file systems call ---------------------------------------------------------------- */

int bread(struct blkdev *dev, u64 block, struct buf **out)
{
	struct buf *b;
	int error = get_locked(dev, block, &b);

	if (error)
		return error;
	if (!b->valid) {
		u32 size = dev->bufs->block_size;

		error = blkdev_rw(dev, BIO_READ, block * (size >> SECTOR_SHIFT), b->data, size);
		if (error) {
			brelse(b);
			return error;
		}
		b->valid = true;
	}
	*out = b;
	return 0;
}

int bnew(struct blkdev *dev, u64 block, struct buf **out)
{
	struct buf *b;
	int error = get_locked(dev, block, &b);

	if (error)
		return error;
	memset(b->data, 0, dev->bufs->block_size);
	b->valid = true;
	bdirty(b);
	*out = b;
	return 0;
}

void buf_tree_set_dirty(struct buf_cache *c, struct buf *b)
{
	b->dirty = true;
	RB_INSERT(buf_dirty_tree, &c->dirty, b);
}

void buf_tree_clear_dirty(struct buf_cache *c, struct buf *b)
{
	b->dirty = false;
	RB_REMOVE(buf_dirty_tree, &c->dirty, b);
}

void bdirty(struct buf *b)
{
	struct buf_cache *c = b->dev->bufs;

	BUG_ON(b->lock.owner != current_thread() || !b->valid);
	/* Only holders of the mutex set it; bsync clears it under the mutex. bforget() may clear it
	 * now, and then whether this store came before or after is all the same. */
	if (READ_ONCE(b->dirty))
		return;
	spin_lock(&c->lock);
	/* Dirty after all, if its write failed just now. */
	if (!b->forgotten && !b->dirty) {
		b->dirtied_when = ktime_get();
		buf_tree_set_dirty(c, b);
		if (!b->writing)
			c->nr_unclean++;
	}
	spin_unlock(&c->lock);
}

void brelse(struct buf *b)
{
	buf_unlock(b);
	put_buf(b->dev->bufs, b);
}

void bforget(struct blkdev *dev, u64 block)
{
	struct buf_cache *c = dev->bufs;
	struct buf *b;

	spin_lock(&c->lock);
	b = find(c, block);
	if (!b) {
		spin_unlock(&c->lock);
		return;
	}
	buf_get_ref(c, b);
	RB_REMOVE(buf_tree, &c->tree, b);
	b->forgotten = true;
	if (b->dirty) {
		buf_tree_clear_dirty(c, b);
		if (!b->writing)
			c->nr_unclean--;
	}
	spin_unlock(&c->lock);
	/*
	 * A copy of it may be on its way. The block's next owner may write it soon, and a device
	 * may do two writes in either order: the old bytes would land on the new ones.
	 */
	wait_event(&c->wait, !READ_ONCE(b->writing));
	put_buf(c, b);
}

/* ---- life of a cache ----------------------------------------------------------------------- */

/* writeback->sync_metadata: each pass of the flusher. */
static int sync_metadata(struct writeback *wb, enum sync_mode mode)
{
	return bsync(container_of(wb, struct blkdev, wb));
}

int buf_cache_init(struct blkdev *dev, u32 block_size)
{
	struct buf_cache *c;

	BUG_ON(dev->bufs);
	if (block_size < 1024 || block_size > PAGE_SIZE || block_size & (block_size - 1) ||
	    block_size < dev->sector_size) {
		printk("%s: blocks of %u bytes do not fit sectors of %u and pages of %lu\n",
		       dev->name, block_size, dev->sector_size, PAGE_SIZE);
		return -EINVAL;
	}
	c = kzalloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->copies = kmalloc((size_t)BUF_BATCH * block_size);
	if (!c->copies) {
		kfree(c);
		return -ENOMEM;
	}
	c->dev = dev;
	c->block_size = block_size;
	spin_init(&c->lock, "buf cache", RANK_WB_LIST);
	RB_INIT(&c->tree);
	RB_INIT(&c->dirty);
	TAILQ_INIT(&c->lru);
	wait_queue_init(&c->wait, "buf cache");
	dev->bufs = c;
	dev->wb.sync_metadata = sync_metadata;
	return 0;
}

u64 buf_cache_shrink(struct blkdev *dev)
{
	struct buf_cache *c = dev->bufs;
	struct buf *b;
	u64 nr = 0;

	if (!c)
		return 0;
	do {
		spin_lock(&c->lock);
		b = TAILQ_EMPTY(&c->lru) ? NULL : pop_lru(c);
		spin_unlock(&c->lock);
		buf_free(b);
		nr += b != NULL;
	} while (b);
	return nr;
}

void buf_cache_destroy(struct blkdev *dev)
{
	struct buf_cache *c = dev->bufs;
	struct buf *b, *next;
	unsigned int lost = 0;
	int error;

	if (!c)
		return;
	/* The flusher may be inside sync_metadata; parked, it is not, and will not be. */
	writeback_park(&dev->wb);
	error = bsync(dev);
	dev->wb.sync_metadata = NULL;
	RB_FOREACH_SAFE(b, buf_tree, &c->tree, next) {
		BUG_ON(b->refs);
		lost += b->dirty;
		RB_REMOVE(buf_tree, &c->tree, b);
		buf_free(b);
	}
	if (lost)
		printk("%s: %u metadata blocks could not be written (error %d) and are lost\n",
		       dev->name, lost, error);
	dev->bufs = NULL;
	kfree(c->copies);
	kfree(c);
	writeback_unpark(&dev->wb);
}
