/* SPDX-License-Identifier: MIT */
/*
 * bio.c - requests: made, filled, checked, counted, handed to a driver and ended.
 *
 * Owns:  every struct bio, the reserve of bios, and the question whether a flush is still needed.
 * Not:   what a request means to a device (ramblk.c, virtio_blk.c).
 * Locks: none. The reserve is a mask of atomic bits, the flush counters are atomics that only grow.
 * Key fact: a request may end before submit_bio() returns, and its end_io may free it; nobody but
 *        the driver touches a bio between submit and end_io.
 */
#include "kernel/block/bio.h"

#include <errno.h>

#include "arch/x86_64/asm/cpu.h"
#include "kernel/core/completion.h"
#include "kernel/core/percpu.h"
#include "kernel/core/printk.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/core/wait.h"
#include "kernel/block/blkdev.h"
#include "kernel/mm/kmalloc.h"

/* Enough that the flusher and a few syncs go on at once; each needs only one to get on. */
#define BIO_RESERVE 16

static struct kmem_cache *bio_cache;

/* The reserve: part of the kernel's image, so that nothing can keep us from having it. Used by its
 * addresses in the direct map, as every bio. */
static u8 reserve[BIO_RESERVE][PAGE_SIZE] __aligned(PAGE_SIZE);
static u32 reserve_free = (1u << BIO_RESERVE) - 1; /* a: a bit for each */
static WAIT_QUEUE(reserve_wait);

static const char *const op_names[NR_BIO_OPS] = {
	[BIO_READ] = "read",
	[BIO_WRITE] = "write",
	[BIO_FLUSH] = "flush",
	[BIO_DISCARD] = "discard",
	[BIO_WRITE_ZEROES] = "write-zeroes",
};

const char *bio_op_name(unsigned int op)
{
	return op < NR_BIO_OPS ? op_names[op] : "unknown";
}

/* ---- memory -------------------------------------------------------------------------------- */

void bio_init(void)
{
	if (!bio_cache)
		bio_cache = kmem_cache_create("bio", sizeof(struct bio));
}

static u64 reserve_base(void)
{
	return (u64)phys_to_virt(virt_to_phys(reserve));
}

static bool in_reserve(const struct bio *bio)
{
	return (u64)bio - reserve_base() < sizeof(reserve);
}

static struct bio *reserve_get(void)
{
	u32 old = atomic_load(&reserve_free);

	while (old && !atomic_cas(&reserve_free, old, old & (old - 1)))
		old = atomic_load(&reserve_free);
	if (!old)
		return NULL;
	return (struct bio *)(reserve_base() + (u64)__builtin_ctz(old) * PAGE_SIZE);
}

static void reserve_put(struct bio *bio)
{
	atomic_or(&reserve_free, 1u << ((u64)bio - reserve_base()) / PAGE_SIZE);
	wake_up(&reserve_wait);
}

/* No memory. A thread waits: who has a bio of the reserve has submitted it, or will, and it comes
 * back. */
static __noinline struct bio *bio_alloc_slow(void)
{
	struct bio *bio = reserve_get();

	if (bio || preempt_count() || in_irq() || !irqs_enabled())
		return bio;
	while (!(bio = reserve_get()))
		wait_event(&reserve_wait, READ_ONCE(reserve_free));
	return bio;
}

struct bio *bio_alloc(struct blkdev *dev, enum bio_op op, sector_t sector)
{
	struct bio *bio = kmem_cache_alloc(bio_cache);

	if (unlikely(!bio)) {
		bio = bio_alloc_slow();
		if (!bio)
			return NULL;
	}
	bio->dev = dev;
	bio->sector = sector;
	bio->len = 0;
	bio->op = (u16)op;
	bio->nr_segs = 0;
	bio->status = 0;
	bio->max_segs = dev->max_segs;
	bio->max_len = dev->max_bytes;
	bio->max_seg_len = dev->max_seg_bytes;
	bio->end_io = NULL;
	bio->private = NULL;
	bio->pages.first = bio->pages.last = NULL;
	bio->pages.nr = 0;
	/* No memory follows it, so that bio_add() never merges the first segment with it. */
	bio->front.addr = ~0UL;
	bio->front.len = 0;
	return bio;
}

void bio_free(struct bio *bio)
{
	if (unlikely(in_reserve(bio)))
		reserve_put(bio);
	else
		kmem_cache_free(bio_cache, bio);
}

/* More than one segment takes: several, or none. */
bool bio_add_split(struct bio *bio, paddr_t addr, u32 len)
{
	u32 limit = bio->max_seg_len;

	if (bio->nr_segs + DIV_ROUND_UP((u64)len, limit) > bio->max_segs)
		return false;
	bio->len += len;
	while (len) {
		struct bio_seg *seg = &bio->seg[bio->nr_segs++];
		u32 part = min(len, limit);

		seg->addr = addr;
		seg->len = part;
		addr += part;
		len -= part;
	}
	return true;
}

/* ---- submission and completion ------------------------------------------------------------- */

static __attribute__((cold)) int refuse(struct bio *bio, int error, const char *why)
{
	printk("%s: %s of %u bytes at sector %lu of %lu refused: %s\n", bio->dev->name,
	       bio_op_name(bio->op), bio->len, (unsigned long)bio->sector,
	       (unsigned long)bio->dev->nr_sectors, why);
	return error;
}

/* The place comes from a file system's image and the operation from its needs: neither is
 * asserted. 0 or the error that ends the request. */
static int check_bio(struct bio *bio)
{
	const struct blkdev *dev = bio->dev;
	sector_t end = bio->sector + (bio->len >> SECTOR_SHIFT);

	if (unlikely((bio->len | bio->sector << SECTOR_SHIFT) & (dev->sector_size - 1) ||
		     !bio->len))
		return refuse(bio, -EIO, "not whole sectors");
	if (unlikely(end > dev->nr_sectors || end < bio->sector))
		return refuse(bio, -EIO, "it goes beyond the end");
	if (likely(bio->op == BIO_READ))
		return 0;
	if (unlikely(dev->read_only))
		return refuse(bio, -EROFS, "the device is read-only");
	if (likely(bio->op == BIO_WRITE))
		return 0;
	if (bio->op == BIO_DISCARD ? !dev->can_discard : !dev->can_write_zeroes)
		return -EOPNOTSUPP;
	if (bio->len > dev->max_extent)
		return refuse(bio, -EIO, "longer than the device takes at once");
	return 0;
}

static void submit_flush(struct bio *bio)
{
	struct blkdev *dev = bio->dev;

	stat_inc(STAT_BIO_FLUSHES);
	/* Before the driver sees it: a write that completes after this line may miss the flush. */
	bio->writes_seen = atomic_load(&dev->writes_done);
	if (dev->can_flush)
		dev->ops->submit(dev, bio);
	else
		bio_endio(bio, 0); /* no volatile cache: what has completed is durable */
}

void submit_bio(struct bio *bio)
{
	struct blkdev *dev = bio->dev;
	unsigned int op = bio->op;
	int error;

	BUG_ON(op >= NR_BIO_OPS || !bio->end_io);
	trace(TRACE_BIO, op, bio->sector);
	(void)atomic_add_return(&dev->requests[op], 1);
	if (op == BIO_FLUSH) {
		submit_flush(bio);
		return;
	}
	stat_inc(op == BIO_READ ? STAT_BIO_READS : STAT_BIO_WRITES);
	error = check_bio(bio);
	if (unlikely(error))
		bio_endio(bio, error);
	else
		dev->ops->submit(dev, bio);
}

/* A flush ended well: what had completed when it began is durable. */
static void note_flushed(struct blkdev *dev, u64 seen)
{
	u64 old = atomic_load(&dev->flushed_up_to);

	/* Two flushes may end in either order; the counter must not fall. */
	while (old < seen && !atomic_cas(&dev->flushed_up_to, old, seen))
		old = atomic_load(&dev->flushed_up_to);
}

void bio_endio(struct bio *bio, int status)
{
	struct blkdev *dev = bio->dev;

	trace(TRACE_BIO_END, (u64)(s64)status, bio->sector);
	bio->status = status;
	if (unlikely(status))
		stat_inc(STAT_BIO_ERRORS);
	/*
	 * Counted before end_io, so that whoever learns of a completed write and calls
	 * blkdev_flush() finds it in writes_done. A failed write counts too: part of it may be in
	 * the device's cache.
	 */
	if (bio->op == BIO_FLUSH && !status)
		note_flushed(dev, bio->writes_seen);
	else if (bio->op != BIO_READ && bio->op != BIO_FLUSH)
		(void)atomic_add_return(&dev->writes_done, 1);
	bio->end_io(bio);
}

/* ---- synchronous helpers ------------------------------------------------------------------- */

/* The waiter may free the bio as soon as this has ended. */
static void end_wait(struct bio *bio)
{
	complete(bio->private);
}

int submit_bio_wait(struct bio *bio)
{
	struct completion done;

	assert_can_sleep();
	completion_init(&done, 1);
	bio->end_io = end_wait;
	bio->private = &done;
	submit_bio(bio);
	completion_wait(&done);
	return bio->status;
}

static u64 add_buffer(struct bio *bio, paddr_t addr, u64 len)
{
	u64 done = 0;

	while (done < len) {
		/* Pages, so that a limit of the device costs at most the rest of one. */
		u32 part = (u32)min(len - done, PAGE_SIZE - ((addr + done) & (PAGE_SIZE - 1)));

		if (!bio_add(bio, addr + done, part))
			break;
		done += part;
	}
	return done;
}

int blkdev_rw(struct blkdev *dev, enum bio_op op, sector_t sector, void *buf, u64 len)
{
	bool data = op == BIO_READ || op == BIO_WRITE;
	u64 done = 0;
	int error = 0;

	/* The vmap area is not contiguous in memory; a stack lies there too. */
	BUG_ON(data && (vaddr_t)buf >= VMAP_BASE && (vaddr_t)buf < VMAP_END);
	while (done < len && !error) {
		struct bio *bio = bio_alloc(dev, op, sector + (done >> SECTOR_SHIFT));
		u64 part;

		if (!bio)
			return -ENOMEM;
		if (data)
			part = add_buffer(bio, virt_to_phys(buf) + done, len - done);
		else
			part = bio->len = (u32)min(len - done, (u64)dev->max_extent);
		/* A sector may not be cut between two requests; a memory page may. */
		if (part < len - done && (part & (dev->sector_size - 1))) {
			bio_free(bio);
			printk("%s: %s: the buffer %p is too badly aligned for this device\n",
			       dev->name, bio_op_name(op), buf);
			return -EINVAL;
		}
		error = submit_bio_wait(bio);
		bio_free(bio);
		done += part;
	}
	return error;
}

int blkdev_flush(struct blkdev *dev)
{
	struct bio *bio;
	int error;

	/*
	 * A write that had completed before this call is in writes_done now. If a flush that saw as
	 * many writes has ended well, it covered that write; which of the two counters is read
	 * first does not matter, since both only grow and a larger writes_done only costs a flush.
	 */
	if (atomic_load(&dev->flushed_up_to) >= atomic_load(&dev->writes_done))
		return 0;
	bio = bio_alloc(dev, BIO_FLUSH, 0);
	if (!bio)
		return -ENOMEM;
	error = submit_bio_wait(bio);
	bio_free(bio);
	return error;
}
