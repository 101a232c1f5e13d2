/* SPDX-License-Identifier: MIT */
/*
 * blkdev.c - the list of block devices.
 *
 * Owns:  the list; the limits and counters that every struct blkdev starts with.
 * Not:   what a device does (its driver), its dirty files (writeback.c), its metadata (buf.c).
 * Locks: list_lock (RANK_DEVICE, irqsave as all of that rank), a leaf.
 */
#include "kernel/block/blkdev.h"

#include <errno.h>
#include <string.h>

#include "kernel/core/printk.h"
#include "kernel/core/spinlock.h"

static struct spinlock list_lock = { .rank = RANK_DEVICE, .name = "block devices" };
static TAILQ_HEAD(, blkdev) devices = TAILQ_HEAD_INITIALIZER(devices); /* list_lock */

static const char *check_fields(const struct blkdev *dev)
{
	if (!dev->name[0] || dev->name[sizeof(dev->name) - 1])
		return "it has no name, or one too long";
	if (dev->sector_size != 512 && dev->sector_size != 4096)
		return "its sectors are neither of 512 nor of 4096 bytes";
	if (!dev->nr_sectors || dev->nr_sectors % (dev->sector_size / SECTOR_SIZE))
		return "its size is not a number of whole sectors";
	if (dev->nr_sectors > 1UL << 54)
		return "its size cannot be counted in bytes";
	if (dev->max_segs > BIO_MAX_SEGS || (dev->max_seg_bytes && dev->max_seg_bytes < PAGE_SIZE))
		return "its limits leave no room for a page";
	if ((dev->max_bytes | dev->max_extent) & (PAGE_SIZE - 1))
		return "its limits are not whole pages";
	return NULL;
}

static void set_defaults(struct blkdev *dev)
{
	if (!dev->max_segs)
		dev->max_segs = BIO_MAX_SEGS;
	if (!dev->max_bytes)
		dev->max_bytes = BLKDEV_MAX_BYTES;
	if (!dev->max_seg_bytes)
		dev->max_seg_bytes = dev->max_bytes;
	if (!dev->max_extent)
		dev->max_extent = BLKDEV_MAX_EXTENT;
	dev->in_use = false;
	dev->bufs = NULL;
	dev->writes_done = dev->flushed_up_to = 0;
	memset(dev->requests, 0, sizeof(dev->requests));
}

static struct blkdev *find_locked(const char *name)
{
	struct blkdev *dev;

	TAILQ_FOREACH(dev, &devices, link) {
		if (!strcmp(dev->name, name))
			return dev;
	}
	return NULL;
}

static void forget(struct blkdev *dev)
{
	u64 flags = spin_lock_irqsave(&list_lock);

	TAILQ_REMOVE(&devices, dev, link);
	spin_unlock_irqrestore(&list_lock, flags);
}

int blkdev_register(struct blkdev *dev)
{
	const char *why = check_fields(dev);
	bool taken;
	u64 flags;
	int error;

	if (why) {
		printk("block: a device \"%.15s\" is refused: %s\n", dev->name, why);
		return -EINVAL;
	}
	set_defaults(dev);
	bio_init();
	/* In the list first: the name is claimed in the hold of the lock that looked for it. */
	flags = spin_lock_irqsave(&list_lock);
	taken = find_locked(dev->name);
	if (!taken)
		TAILQ_INSERT_TAIL(&devices, dev, link);
	spin_unlock_irqrestore(&list_lock, flags);
	if (taken)
		return -EEXIST;
	error = writeback_start(&dev->wb, dev->name);
	if (error)
		forget(dev);
	return error;
}

void blkdev_unregister(struct blkdev *dev)
{
	BUG_ON(dev->in_use || dev->bufs);
	forget(dev);
	writeback_stop(&dev->wb);
}

struct blkdev *blkdev_find(const char *name)
{
	u64 flags = spin_lock_irqsave(&list_lock);
	struct blkdev *dev = find_locked(name);

	spin_unlock_irqrestore(&list_lock, flags);
	return dev;
}

struct blkdev *blkdev_next(struct blkdev *dev)
{
	u64 flags = spin_lock_irqsave(&list_lock);

	dev = dev ? TAILQ_NEXT(dev, link) : TAILQ_FIRST(&devices);
	spin_unlock_irqrestore(&list_lock, flags);
	return dev;
}
