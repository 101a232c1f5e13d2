/* SPDX-License-Identifier: MIT */
/*
 * bio.h - one request to a block device: a run of sectors and the memory it goes to or comes from.
 *
 * Asynchronous: submit_bio() returns at once, end_io runs later in interrupt context (or before
 * submit returns, in the caller's): it must not sleep and must not touch a file system. Segments
 * are physical; neighbours are merged. Whoever allocated a bio frees it, usually in end_io.
 *
 * A bio is 4 KiB of the direct map and carries all that a driver needs until the end:
 * its segments have the shape of a DMA descriptor, with a free one before and behind them, and
 * driver[] may be written by the device. So a request allocates nothing and copies nothing.
 */
#ifndef KERNEL_BLOCK_BIO_H
#define KERNEL_BLOCK_BIO_H

#include <sys/queue.h>

#include "kernel/lib/types.h"
#include "kernel/mm/page.h"

struct blkdev;

enum bio_op { BIO_READ, BIO_WRITE, BIO_FLUSH, BIO_DISCARD, BIO_WRITE_ZEROES, NR_BIO_OPS };

struct bio_seg {
	paddr_t addr;
	u32 len;    /* bytes */
	u32 driver; /* the driver's */
};

#define BIO_MAX_SEGS 246 /* a bio is one page */

struct bio {
	struct blkdev *dev;
	sector_t sector; /* 512-byte units; a multiple of the device's sector size */
	u32 len; /* bytes in all; for DISCARD and WRITE_ZEROES the extent, set by the caller */
	u16 op;	 /* enum bio_op */
	u16 nr_segs;
	int status;	 /* 0 or -EIO, -ENOSPC, -EOPNOTSUPP, ...; valid in end_io */
	u32 max_segs;	 /* this device's limits: <= BIO_MAX_SEGS */
	u32 max_len;	 /* bytes of all segments */
	u32 max_seg_len; /* bytes of one segment */
	void (*end_io)(struct bio *bio);
	void *private;		/* the submitter's */
	struct page_list pages; /* the submitter's: pages that this bio carries */
	TAILQ_ENTRY(bio) link;	/* the driver's */
	u64 driver[3];		/* the driver's, and its device's */
	u64 writes_seen; /* bio.c: of a FLUSH, the writes that had completed when it started */
	union {
		struct {
			struct bio_seg front; /* the driver's */
			struct bio_seg seg[BIO_MAX_SEGS];
			struct bio_seg back; /* the driver's, if all others are in use */
		};
		struct bio_seg table[BIO_MAX_SEGS + 2];
	};
};
_Static_assert(sizeof(struct bio) == 4096, "no more than a frame's worth");

/*
 * Any context. Does not fail in a thread that may sleep: there it waits, if it must, for one of a
 * few bios kept in reserve, so that writeback goes on without memory (rule 130); therefore a thread
 * submits or frees the bio it has before it asks for the next. Elsewhere (interrupts off, spinlock
 * held) NULL if out of memory.
 */
struct bio *bio_alloc(struct blkdev *dev, enum bio_op op, sector_t sector);
void bio_free(struct bio *bio);

/* @bio, of an ended request, becomes a FLUSH of the same device. */
static inline void bio_make_flush(struct bio *bio)
{
	bio->op = BIO_FLUSH;
	bio->sector = 0;
	bio->len = 0;
	bio->nr_segs = 0;
}

bool bio_add_split(struct bio *bio, paddr_t addr, u32 len); /* bio.c: the rest of bio_add() */

/* False if the device's segment or length limit is reached: submit and start another. An empty bio
 * takes at least a page. */
static inline bool bio_add(struct bio *bio, paddr_t addr, u32 len)
{
	/* Of an empty bio this is the front one, which ends nowhere. */
	struct bio_seg *last = &bio->table[bio->nr_segs];

	if (unlikely(len > bio->max_len - bio->len))
		return false;
	if (last->addr + last->len == addr && len <= bio->max_seg_len - last->len) {
		last->len += len;
		bio->len += len;
		return true;
	}
	if (unlikely(len > bio->max_seg_len || bio->nr_segs >= bio->max_segs))
		return bio_add_split(bio, addr, len);
	last[1].addr = addr;
	last[1].len = len;
	bio->nr_segs++;
	bio->len += len;
	return true;
}

/* Checks bounds and alignment (a violation ends with -EIO and a line that names it), counts, hands
 * it to the driver. Any context that may take the device lock. A write that the device does not
 * accept ends with -EROFS, an operation it does not know with -EOPNOTSUPP. */
void submit_bio(struct bio *bio);
/* For drivers: the request is done. Any context, no lock of the device held. */
void bio_endio(struct bio *bio, int status);
const char *bio_op_name(unsigned int op);

/* Synchronous helpers; sleep. 0 or a negative error. */
int submit_bio_wait(struct bio *bio); /* the caller still owns @bio; end_io and private are used */
/* Whole sectors between the device and direct-map memory, outside every cache; any length. For
 * DISCARD and WRITE_ZEROES @buf is not looked at. */
int blkdev_rw(struct blkdev *dev, enum bio_op op, sector_t sector, void *buf, u64 len);
/* Make every completed write durable. Skipped, correctly, when a flush that began after the last
 * write completed has ended. */
int blkdev_flush(struct blkdev *dev);

void bio_init(void); /* blkdev_register() calls it */

#endif
