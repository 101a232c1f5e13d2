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
#include "kernel/mm/page_alloc.h"

_Static_assert(sizeof(struct bio_seg) == sizeof(struct vring_desc), "a segment is a descriptor");
_Static_assert(offsetof(struct bio_seg, addr) == offsetof(struct vring_desc, addr), "the same");
_Static_assert(offsetof(struct bio_seg, len) == offsetof(struct vring_desc, len), "the same");
_Static_assert(offsetof(struct bio_seg, driver) == offsetof(struct vring_desc, flags), "the same");

static const u8 types[NR_BIO_OPS] = {
	[BIO_READ] = VIRTIO_BLK_T_IN,
	[BIO_WRITE] = VIRTIO_BLK_T_OUT,
	[BIO_FLUSH] = VIRTIO_BLK_T_FLUSH,
	[BIO_DISCARD] = VIRTIO_BLK_T_DISCARD,
	[BIO_WRITE_ZEROES] = VIRTIO_BLK_T_WRITE_ZEROES,
};

/* The extent of a DISCARD or WRITE_ZEROES is the data of its request: one segment, whose memory is
 * in the bio as well, behind the status descriptor. */
static void add_range(struct bio *bio)
{
	struct virtio_blk_range range = {
		.sector = bio->sector,
		.num_sectors = bio->len >> SECTOR_SHIFT,
	};

	memcpy(&bio->table[3], &range, sizeof(range));
	bio->seg[0].addr = virt_to_phys(&bio->table[3]);
	bio->seg[0].len = sizeof(range);
	bio->nr_segs = 1;
}

/* flags and next of a descriptor, the two halves of bio_seg.driver. */
static u32 link_to(u32 next, u32 flags)
{
	return next << 16 | VRING_DESC_NEXT | flags;
}

/* Write header and descriptors of a request of @type. */
static void make_request(struct bio *bio, u32 type)
{
	bool data = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_OUT;
	bool to_memory = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	u32 flags = to_memory ? VRING_DESC_WRITE : 0;
	struct bio_seg *d = bio->table;
	u32 i;

	if (type == VIRTIO_BLK_T_DISCARD || type == VIRTIO_BLK_T_WRITE_ZEROES)
		add_range(bio);
	/* struct virtio_blk_req */
	bio->driver[0] = type;
	bio->driver[1] = data ? bio->sector : 0;
	bio->driver[2] = VIRTIO_BLK_S_NONE;
	d[0] = (struct bio_seg){ virt_to_phys(bio->driver), sizeof(struct virtio_blk_req),
				 link_to(1, 0) };
	for (i = 1; i <= bio->nr_segs; i++)
		d[i].driver = link_to(i + 1, flags);
	d[i] = (struct bio_seg){ d[0].addr + sizeof(struct virtio_blk_req), 1, VRING_DESC_WRITE };
}

/* Queue's lock held. False if the ring has no room. */
static bool offer(struct vblk_queue *q, struct bio *bio)
{
	return virtqueue_add(&q->vq, (const struct vring_desc *)bio->table, bio->nr_segs + 2u, bio);
}

static void start_request(struct vblk *vb, struct bio *bio)
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

static void vblk_submit(struct blkdev *dev, struct bio *bio)
{
	make_request(bio, types[bio->op]);
	start_request(dev->driver, bio);
}

const struct blkdev_ops vblk_ops = { .submit = vblk_submit };

/* ---- completion ---------------------------------------------------------------------------- */

/* The device's answer as an error, named in a line. */
static int explain(const struct bio *bio, u8 status)
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

/* Queue's lock held. Offer what waits, as far as there is room. True: kick the device. */
static bool start_waiting(struct vblk_queue *q)
{
	struct bio *bio = TAILQ_FIRST(&q->waiting);

	if (likely(!bio))
		return false;
	while (bio && offer(q, bio)) {
		TAILQ_REMOVE(&q->waiting, bio, link);
		bio = TAILQ_FIRST(&q->waiting);
	}
	return virtqueue_needs_kick(&q->vq);
}

void vblk_irq(void *arg)
{
	struct bio_list done = TAILQ_HEAD_INITIALIZER(done);
	struct vblk_queue *q = arg;
	struct bio *bio;
	u64 flags;
	bool kick;

	stat_inc(STAT_VIRTIO_IRQS);
	flags = spin_lock_irqsave(&q->lock);
	do {
		while ((bio = virtqueue_get(&q->vq)))
			TAILQ_INSERT_TAIL(&done, bio, link);
	} while (!virtqueue_enable_interrupt(&q->vq));
	kick = start_waiting(q);
	spin_unlock_irqrestore(&q->lock, flags);
	if (kick)
		virtqueue_kick(&q->vq);
	/* Only now: end_io takes locks that rank above ours, and may submit to this queue. */
	while ((bio = TAILQ_FIRST(&done))) {
		TAILQ_REMOVE(&done, bio, link);
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
	/* The answer stands in the bio's own frame, behind the last descriptor in use. */
	char *text = (char *)&bio->table[3];
	int error;

	memset(text, 0, VIRTIO_BLK_ID_BYTES);
	bio_add(bio, virt_to_phys(text), VIRTIO_BLK_ID_BYTES);
	bio->end_io = end_get_id;
	bio->private = vb;
	make_request(bio, VIRTIO_BLK_T_GET_ID);
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
