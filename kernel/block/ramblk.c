/* SPDX-License-Identifier: MIT */
/*
 * ramblk.c - a disk in memory, whose completions a test can hold, release, fail and reorder.
 *
 * Owns:  the bytes, the list of held requests, the rule that makes requests fail.
 * Not:   bounds and alignment, which submit_bio() has checked.
 * Locks: lock (RANK_DEVICE, irqsave) guards the list and the rules; bytes are moved and bio_endio()
 *        is called without it, since end_io may submit again and takes locks above RANK_DEVICE.
 * Key fact: a request's fate (held? fails?) is decided in the order of submission, so that a test
 *        with one submitter gets the same every time.
 */
#include "kernel/block/ramblk.h"

#include <errno.h>
#include <string.h>

#include "kernel/core/args.h"
#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/core/wait.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/vmap.h"

static u64 seed_arg;
ARG_UINT(ramblk_seed, seed_arg, "seed of shuffled RAM disk completions; 0: from the clock");

struct fail_rule {
	enum bio_op op;
	sector_t first, last;
	unsigned int skip, count; /* matching requests to let pass, and then to fail */
	int error;
};

/* s: at creation   l: lock */
struct ramblk {
	struct blkdev dev; /* s */
	u8 *data;	   /* s */
	void *own;	   /* s: data, if it has to be freed */
	struct spinlock lock;
	unsigned int hold_ops;		/* l */
	bool copy_early;		/* l */
	TAILQ_HEAD(bio_list, bio) held; /* l: oldest first */
	unsigned int nr_held;		/* l; READ_ONCE to wait for it */
	struct wait_queue arrived;	/* ramblk_wait_held() */
	struct fail_rule fail;		/* l */
	u64 random;			/* l: 0 until the first shuffle */
};

/* What bio->driver[0] says of a held request. */
enum { MOVE_LATER, MOVED };
/* bio->driver[1] is the error it ends with. */

static struct ramblk *to_ramblk(struct blkdev *dev)
{
	return container_of(dev, struct ramblk, dev);
}

/* ---- doing it ------------------------------------------------------------------------------ */

/* Move the bytes. Interrupts in any state, no lock. */
static void move(struct ramblk *r, struct bio *bio)
{
	u8 *disk = r->data + (bio->sector << SECTOR_SHIFT);

	if (bio->op == BIO_DISCARD || bio->op == BIO_WRITE_ZEROES) {
		memset(disk, 0, bio->len);
		return;
	}
	for (unsigned int i = 0; i < bio->nr_segs; i++) {
		void *memory = phys_to_virt(bio->seg[i].addr);

		if (bio->op == BIO_READ)
			memcpy(memory, disk, bio->seg[i].len);
		else if (bio->op == BIO_WRITE)
			memcpy(disk, memory, bio->seg[i].len);
		disk += bio->seg[i].len;
	}
}

/* As an interrupt would end it: interrupts off, no lock held. */
static void end(struct bio *bio, int status)
{
	u64 flags = irq_save();

	bio_endio(bio, status);
	irq_restore(flags);
}

/* Lock held. The error that the rule has for this request, or 0. */
static int judge(struct ramblk *r, const struct bio *bio)
{
	struct fail_rule *f = &r->fail;
	sector_t last = bio->sector + (bio->len >> SECTOR_SHIFT) - 1;

	if (!f->count || bio->op != f->op)
		return 0;
	if (bio->op != BIO_FLUSH && (bio->sector > f->last || last < f->first))
		return 0;
	if (f->skip) {
		f->skip--;
		return 0;
	}
	f->count--;
	return f->error;
}

static void ramblk_submit(struct blkdev *dev, struct bio *bio)
{
	struct ramblk *r = to_ramblk(dev);
	u64 flags = spin_lock_irqsave(&r->lock);
	int error = judge(r, bio);
	bool hold = r->hold_ops & (1u << bio->op);

	if (hold) {
		/* With the lock: a release on another CPU must find the bytes moved. */
		if (r->copy_early && !error)
			move(r, bio);
		bio->driver[0] = r->copy_early ? MOVED : MOVE_LATER;
		bio->driver[1] = (u64)(s64)error;
		TAILQ_INSERT_TAIL(&r->held, bio, link);
		WRITE_ONCE(r->nr_held, r->nr_held + 1);
		/* With the lock: once it is dropped the test may release, and destroy the disk. */
		wake_up(&r->arrived);
	}
	spin_unlock_irqrestore(&r->lock, flags);
	if (hold)
		return;
	if (!error)
		move(r, bio);
	end(bio, error);
}

/* ---- holding and releasing ----------------------------------------------------------------- */

void ramblk_hold(struct blkdev *dev, unsigned int ops, bool copy_early)
{
	struct ramblk *r = to_ramblk(dev);
	u64 flags = spin_lock_irqsave(&r->lock);

	r->hold_ops = ops;
	r->copy_early = copy_early;
	spin_unlock_irqrestore(&r->lock, flags);
}

unsigned int ramblk_nr_held(struct blkdev *dev)
{
	return READ_ONCE(to_ramblk(dev)->nr_held);
}

bool ramblk_wait_held(struct blkdev *dev, unsigned int n)
{
	struct ramblk *r = to_ramblk(dev);

	return wait_event_until(&r->arrived, READ_ONCE(r->nr_held) >= n,
				ktime_get() + 10 * NSEC_PER_SEC);
}

/* Lock held. */
static u64 next_random(struct ramblk *r)
{
	u64 x = r->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	r->random = x;
	return x * 0x2545f4914f6cdd1dUL >> 32;
}

/* Lock held, something is held. */
static struct bio *choose(struct ramblk *r, enum ramblk_order order)
{
	struct bio *bio = TAILQ_FIRST(&r->held);

	if (order == RAMBLK_LIFO)
		bio = TAILQ_LAST(&r->held, bio_list);
	if (order == RAMBLK_SHUFFLE) {
		for (u64 n = next_random(r) % r->nr_held; n; n--)
			bio = TAILQ_NEXT(bio, link);
	}
	return bio;
}

static void seed_shuffle(struct ramblk *r)
{
	u64 seed = seed_arg ? seed_arg : ktime_get() | 1;
	u64 flags = spin_lock_irqsave(&r->lock);
	bool first = !r->random;

	if (first)
		r->random = seed;
	spin_unlock_irqrestore(&r->lock, flags);
	if (first)
		printk("%s: completions are shuffled, ramblk_seed=%lu repeats them\n", r->dev.name,
		       (unsigned long)seed);
}

unsigned int ramblk_release(struct blkdev *dev, unsigned int n, enum ramblk_order order)
{
	struct ramblk *r = to_ramblk(dev);
	unsigned int done;

	if (order == RAMBLK_SHUFFLE)
		seed_shuffle(r);
	for (done = 0; done < n; done++) {
		u64 flags = spin_lock_irqsave(&r->lock);
		struct bio *bio = NULL;

		if (r->nr_held) {
			bio = choose(r, order);
			TAILQ_REMOVE(&r->held, bio, link);
			WRITE_ONCE(r->nr_held, r->nr_held - 1);
		}
		spin_unlock_irqrestore(&r->lock, flags);
		if (!bio)
			break;
		if (bio->driver[0] == MOVE_LATER && !bio->driver[1])
			move(r, bio);
		end(bio, (int)(s64)bio->driver[1]);
	}
	return done;
}

void ramblk_unhold(struct blkdev *dev)
{
	/* First no more, then all: what is submitted in between ends by itself. */
	ramblk_hold(dev, 0, false);
	ramblk_release(dev, ~0u, RAMBLK_FIFO);
}

void ramblk_fail(struct blkdev *dev, enum bio_op op, sector_t first, sector_t last,
		 unsigned int nth, unsigned int count, int error)
{
	struct ramblk *r = to_ramblk(dev);
	u64 flags = spin_lock_irqsave(&r->lock);

	r->fail = (struct fail_rule){ op, first, last, nth ? nth - 1 : 0, count, error };
	spin_unlock_irqrestore(&r->lock, flags);
}

void *ramblk_data(struct blkdev *dev, sector_t sector)
{
	BUG_ON(sector >= dev->nr_sectors);
	return to_ramblk(dev)->data + (sector << SECTOR_SHIFT);
}

/* ---- life ---------------------------------------------------------------------------------- */

static const struct blkdev_ops ramblk_ops = { .submit = ramblk_submit };

static void free_ramblk(struct ramblk *r)
{
	if (r->own)
		vfree(r->own);
	kfree(r);
}

int ramblk_create(const char *name, u64 size, void *image, u32 sector_size, struct blkdev **out)
{
	struct ramblk *r = kzalloc(sizeof(*r));
	u64 odd = sector_size ? size % sector_size : 0;
	int error;

	if (!r)
		return -ENOMEM;
	/* A boot module has whatever size its file has. */
	if (odd)
		printk("%s: the last %lu of %lu bytes are no whole sector of %u and left out\n",
		       name, (unsigned long)odd, (unsigned long)size, sector_size);
	if (!image) {
		r->own = vmalloc(max(1UL, DIV_ROUND_UP(size, PAGE_SIZE)));
		if (!r->own) {
			kfree(r);
			return -ENOMEM;
		}
	}
	r->data = image ? image : r->own;
	spin_init(&r->lock, "ramblk", RANK_DEVICE);
	TAILQ_INIT(&r->held);
	wait_queue_init(&r->arrived, "ramblk arrivals");
	strlcpy(r->dev.name, name, sizeof(r->dev.name));
	r->dev.ops = &ramblk_ops;
	r->dev.driver = r;
	r->dev.nr_sectors = (size - odd) >> SECTOR_SHIFT;
	r->dev.sector_size = sector_size;
	r->dev.can_flush = r->dev.can_discard = r->dev.can_write_zeroes = true;
	error = blkdev_register(&r->dev);
	if (error) {
		free_ramblk(r);
		return error;
	}
	*out = &r->dev;
	return 0;
}

void ramblk_destroy(struct blkdev *dev)
{
	struct ramblk *r = to_ramblk(dev);

	BUG_ON(r->nr_held);
	blkdev_unregister(dev);
	free_ramblk(r);
}
