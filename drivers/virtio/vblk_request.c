/* SPDX-License-Identifier: MIT */
/*
 * vblk_request.c - a bio becomes a virtio-blk request, and its answer a status.
 *
 * Owns:  the contents of requests; each queue's list of bios for which the ring had no room.
 * Not:   the ring (virtqueue.c), set-up (virtio_blk.c), bounds (submit_bio() checked them).
 * Locks: a queue's lock, one at a time. bio_endio() is called without it.
 * Key fact: a bio is the request. Its segments already have the shape of descriptors; the request
 *        header stands in bio->driver[0..1], the status byte in bio->driver[2], the descriptors of
 *        both in front of and behind the segments. Nothing is allocated, nothing copied.
 */
#include "drivers/virtio/vblk.h"

#include <errno.h>
#include <string.h>

#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/core/stat.h"

_Static_assert(sizeof(struct bio_seg) == sizeof(struct vring_desc), "a segment is a descriptor");
_Static_assert(offsetof(struct bio_seg, addr) == offsetof(struct vring_desc, addr), "the same");
_Static_assert(offsetof(struct bio_seg, len) == offsetof(struct vring_desc, len), "the same");
_Static_assert(offsetof(struct bio_seg, driver) == offsetof(struct vring_desc, flags), "the same");

/* flags and next of a descriptor are the two halves of bio_seg.driver. */
#define NEXT_IS(n) ((u32)(n) << 16)

/* A bio lies in the direct map. */
static paddr_t bio_phys(const struct bio *bio)
{
	return (u64)bio - DIRECT_MAP_BASE;
}

/* The extent of a DISCARD or WRITE_ZEROES is the data of its request: one segment, whose memory is
 * in the bio as well, behind the status descriptor. */
static void add_range(struct bio *bio)
{
	struct virtio_blk_range range = {
		.sector = bio->sector,
		.num_sectors = bio->len >> SECTOR_SHIFT,
	};

	memcpy(&bio->table[3], &range, sizeof(range));
	bio->seg[0].addr = bio_phys(bio) + offsetof(struct bio, table[3]);
	bio->seg[0].len = sizeof(range);
	bio->nr_segs = 1;
}

/* Write header, status and descriptors of a request of @type about @sector, whose segments the
 * device reads, or with @flags VRING_DESC_WRITE writes. */
static __always_inline void make_request(struct bio *bio, u32 type, sector_t sector, u32 flags)
{
	paddr_t header = bio_phys(bio) + offsetof(struct bio, driver);
	struct bio_seg *d = bio->table, *back = d + 1 + bio->nr_segs;
	u32 link = NEXT_IS(1) | VRING_DESC_NEXT;

	/* struct virtio_blk_req, and the status behind it */
	bio->driver[0] = type;
	bio->driver[1] = sector;
	bio->driver[2] = VIRTIO_BLK_S_NONE;
	d->addr = header;
	d->len = sizeof(struct virtio_blk_req);
	d->driver = link;
	link |= flags;
	while (++d < back) {
		link += NEXT_IS(1);
		d->driver = link;
	}
	d->addr = header + sizeof(struct virtio_blk_req);
	d->len = 1;
	d->driver = VRING_DESC_WRITE;
}

/* Queue's lock held. False if the ring has no room. */
static __always_inline bool offer(struct vblk_queue *q, struct bio *bio)
{
	return virtqueue_add(&q->vq, (const struct vring_desc *)bio->table,
			     bio_phys(bio) + offsetof(struct bio, table), bio->nr_segs + 2u, bio);
}

static __always_inline void start_request(struct vblk *vb, struct bio *bio)
{
	/* Another CPU's queue, if we are moved in between, is as good. */
	struct vblk_queue *q = vb->by_cpu[this_cpu()->id];
	u64 flags = spin_lock_irqsave(&q->lock);
	bool kick = false;

	/* Behind those that wait already: an interrupt will start it in its turn. */
	if (unlikely(!TAILQ_EMPTY(&q->waiting)) || unlikely(!offer(q, bio)))
		TAILQ_INSERT_TAIL(&q->waiting, bio, link);
	else
		kick = virtqueue_needs_kick(&q->vq);
	spin_unlock_irqrestore(&q->lock, flags);
	if (kick)
		virtqueue_kick(&q->vq);
}

static const u8 other_types[NR_BIO_OPS] = {
	[BIO_FLUSH] = VIRTIO_BLK_T_FLUSH,
	[BIO_DISCARD] = VIRTIO_BLK_T_DISCARD,
	[BIO_WRITE_ZEROES] = VIRTIO_BLK_T_WRITE_ZEROES,
};

static void vblk_submit(struct blkdev *dev, struct bio *bio)
{
	if (likely(bio->op == BIO_WRITE)) {
		make_request(bio, VIRTIO_BLK_T_OUT, bio->sector, 0);
	} else if (bio->op == BIO_READ) {
		make_request(bio, VIRTIO_BLK_T_IN, bio->sector, VRING_DESC_WRITE);
	} else {
		if (bio->op != BIO_FLUSH)
			add_range(bio);
		make_request(bio, other_types[bio->op], 0, 0);
	}
	start_request(dev->driver, bio);
}

const struct blkdev_ops vblk_ops = { .submit = vblk_submit };

/* ---- completion ---------------------------------------------------------------------------- */

/* The device's answer as an error, named in a line. */
static __attribute__((cold)) int explain(const struct bio *bio, u8 status)
{
	const char *what = "I/O error";
	int error = -EIO;

	if (status == VIRTIO_BLK_S_UNSUPP) {
		what = "the device does not support it";
		error = -EOPNOTSUPP;
	} else if (status != VIRTIO_BLK_S_IOERR) {
		what = "the device gave no valid status";
	}
	printk("%s: %s of %u bytes at sector %lu failed: %s\n", bio->dev->name,
	       bio_op_name(bio->op), bio->len, (unsigned long)bio->sector, what);
	return error;
}

static void finish(struct bio *bio)
{
	u8 status = *(const volatile u8 *)&bio->driver[2];

	bio_endio(bio, likely(status == VIRTIO_BLK_S_OK) ? 0 : explain(bio, status));
}

/* Queue's lock held, something waits. Offer as much as there is room for. True: kick the device. */
static __attribute__((noinline)) bool start_waiting(struct vblk_queue *q)
{
	struct bio *bio;

	while ((bio = TAILQ_FIRST(&q->waiting)) && offer(q, bio))
		TAILQ_REMOVE(&q->waiting, bio, link);
	return virtqueue_needs_kick(&q->vq);
}

void vblk_irq(void *arg)
{
	struct bio *bio, *next, *done = NULL, **last = &done;
	struct vblk_queue *q = arg;
	bool kick;

	stat_inc(STAT_VIRTIO_IRQS);
	spin_lock(&q->lock); /* interrupts are off */
	do {
		while ((bio = virtqueue_get(&q->vq))) {
			*last = bio;
			last = &TAILQ_NEXT(bio, link);
		}
	} while (!virtqueue_enable_interrupt(&q->vq));
	kick = unlikely(!TAILQ_EMPTY(&q->waiting)) && start_waiting(q);
	spin_unlock(&q->lock);
	if (kick)
		virtqueue_kick(&q->vq);
	*last = NULL;
	/* Only now: end_io takes locks that rank above ours, and may submit to this queue. */
	for (bio = done; bio; bio = next) {
		next = TAILQ_NEXT(bio, link);
		finish(bio);
	}
}

/* ---- GET_ID -------------------------------------------------------------------------------- */

static void end_get_id(struct bio *bio)
{
	struct vblk *vb = bio->private;

	WRITE_ONCE(vb->id_done, true);
	wake_up(&vb->id_wait);
}

int vblk_get_id(struct vblk *vb, char id[VIRTIO_BLK_ID_BYTES + 1])
{
	struct bio *bio = bio_alloc(&vb->dev, BIO_READ, 0);
	/* The answer stands in the bio itself, behind the last descriptor in use. */
	char *text = (char *)&bio->table[3];
	int error;

	memset(text, 0, VIRTIO_BLK_ID_BYTES);
	bio_add(bio, virt_to_phys(text), VIRTIO_BLK_ID_BYTES);
	bio->end_io = end_get_id;
	bio->private = vb;
	make_request(bio, VIRTIO_BLK_T_GET_ID, 0, VRING_DESC_WRITE);
	start_request(vb, bio);
	if (!wait_event_until(&vb->id_wait, READ_ONCE(vb->id_done), ktime_get() + 5 * NSEC_PER_SEC))
		return -ETIMEDOUT; /* the device may still write to the bio: it is given up */
	error = bio->status;
	for (unsigned int i = 0; i < VIRTIO_BLK_ID_BYTES; i++)
		id[i] = text[i] > ' ' && text[i] <= '~' ? text[i] : '\0';
	id[VIRTIO_BLK_ID_BYTES] = '\0';
	bio_free(bio);
	return error;
}
