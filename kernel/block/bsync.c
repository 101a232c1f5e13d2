/* SPDX-License-Identifier: MIT */
/*
 * bsync.c - dirty metadata blocks to the device, in rising order, many at a time.
 *
 * Owns:  the copies in flight, and a buf's `writing`.
 * Not:   which bufs there are (buf.c), durability of the device's cache (blkdev_flush).
 * Locks: `syncing` lets one thread at a time through; then one buf's mutex, then the cache lock.
 * Key fact: what goes to the device is a copy made under the mutex. So the bytes on the disk are
 *        of one moment, and nobody who wants to change a bitmap waits for a disk that writes it: a
 *        fault that allocates a block while a test holds that write back would wait for ever. The
 *        room for the copies is taken at mount, so that bsync goes on without memory (rule 130).
 */
#include "kernel/block/buf_impl.h"

#include <string.h>

/*
 * One less in flight. Once the bit is clear bsync may return and the cache may go with its device:
 * only the address of the word is used after that.
 */
static void end_pending(struct buf_cache *c)
{
	unsigned long *busy = &c->busy;

	if (atomic_dec_and_test(&c->pending)) {
		clear_bit(busy, 0);
		wake_up_bit(busy);
	}
}

/* Interrupt context. bio->private: index of its first block in the batch. */
static void end_batch_write(struct bio *bio)
{
	struct buf_cache *c = bio->dev->bufs;
	unsigned int first = (unsigned int)(u64)bio->private;
	unsigned int nr = bio->len / c->block_size;

	for (unsigned int i = 0; i < nr; i++)
		c->error[first + i] = bio->status;
	bio_free(bio);
	end_pending(c);
}

/* Write batch[first ..]: as many as are neighbours on the disk. Returns how many. */
static unsigned int submit_run(struct buf_cache *c, unsigned int first)
{
	u64 block = c->batch[first]->block;
	u64 sectors = c->block_size >> SECTOR_SHIFT;
	struct bio *bio = bio_alloc(c->dev, BIO_WRITE, block * sectors);
	unsigned int n = 0;

	BUG_ON(!bio); /* threads get one from the reserve */
	while (first + n < c->nr_batch && c->batch[first + n]->block == block + n) {
		u8 *copy = c->copies + (u64)(first + n) * c->block_size;

		if (!bio_add(bio, virt_to_phys(copy), c->block_size))
			break;
		n++;
	}
	bio->private = (void *)(u64)first;
	bio->end_io = end_batch_write;
	atomic_inc(&c->pending);
	submit_bio(bio);
	return n;
}

/* Cache lock held. The write of batch[i] ended; returns a buf that has to be freed, or NULL. */
static struct buf *end_one(struct buf_cache *c, unsigned int i)
{
	struct buf *b = c->batch[i];

	b->writing = false;
	if (c->error[i] && !b->forgotten && !b->dirty)
		buf_tree_set_dirty(c, b); /* dirtied_when stays: it is as old as it was */
	if (!b->dirty)
		c->nr_unclean--;
	return buf_drop_ref(c, b);
}

/* Submit what was copied, wait, and settle each buf. 0 or the first error. */
static int finish_batch(struct buf_cache *c)
{
	unsigned int i;
	int error = 0;

	if (!c->nr_batch)
		return 0;
	c->pending = 1; /* ours, so that it is not 0 before all are submitted */
	c->busy = 1;
	for (i = 0; i < c->nr_batch;)
		i += submit_run(c, i);
	end_pending(c);
	wait_on_bit(&c->busy, 0);
	for (i = 0; i < c->nr_batch; i++) {
		struct buf *victim;

		spin_lock(&c->lock);
		victim = end_one(c, i);
		spin_unlock(&c->lock);
		buf_free(victim);
		if (!error)
			error = c->error[i];
	}
	c->nr_batch = 0;
	wake_up(&c->wait); /* bforget() */
	return error;
}

/* First dirty buf with a block >= @from, referenced, or NULL. */
static struct buf *next_dirty(struct buf_cache *c, u64 from)
{
	struct buf *b, *found = NULL;

	spin_lock(&c->lock);
	b = RB_ROOT(&c->dirty);
	while (b) {
		if (b->block >= from) {
			found = b;
			b = RB_LEFT(b, dirty_node);
		} else {
			b = RB_RIGHT(b, dirty_node);
		}
	}
	if (found)
		buf_get_ref(c, found);
	spin_unlock(&c->lock);
	return found;
}

/* @b is locked. Copies it and puts it into the batch with the reference, unless it was forgotten
 * since it was found. */
static bool take_copy(struct buf_cache *c, struct buf *b)
{
	bool take;

	spin_lock(&c->lock);
	take = b->dirty;
	if (take) {
		buf_tree_clear_dirty(c, b);
		b->writing = true; /* from here on bforget() waits */
	}
	spin_unlock(&c->lock);
	if (take) {
		memcpy(c->copies + (u64)c->nr_batch * c->block_size, b->data, c->block_size);
		c->error[c->nr_batch] = 0;
		c->batch[c->nr_batch++] = b;
	}
	return take;
}

static int write_dirty(struct buf_cache *c)
{
	int error = 0, e;
	struct buf *b;
	u64 from = 0;

	while ((b = next_dirty(c, from))) {
		from = b->block + 1;
		if (!buf_trylock(b)) {
			/*
			 * Its holder may be inside bforget() of a block that is in the batch, and
			 * would wait for us while we wait for it.
			 */
			e = finish_batch(c);
			error = error ? error : e;
			buf_lock(b);
		}
		if (take_copy(c, b))
			buf_unlock(b);
		else
			brelse(b);
		if (c->nr_batch == BUF_BATCH) {
			e = finish_batch(c);
			error = error ? error : e;
		}
	}
	e = finish_batch(c);
	return error ? error : e;
}

static bool begin_sync(struct buf_cache *c)
{
	bool mine;

	spin_lock(&c->lock);
	mine = !c->syncing;
	c->syncing = true;
	spin_unlock(&c->lock);
	return mine;
}

int bsync(struct blkdev *dev)
{
	struct buf_cache *c = dev->bufs;
	int error;

	assert_can_sleep();
	/* What the caller dirtied is counted until its write has ended, whoever writes it. */
	if (!c || !READ_ONCE(c->nr_unclean))
		return 0;
	while (!begin_sync(c))
		wait_event(&c->wait, !READ_ONCE(c->syncing));
	error = write_dirty(c);
	spin_lock(&c->lock);
	c->syncing = false;
	spin_unlock(&c->lock);
	wake_up(&c->wait);
	return error;
}
