/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk.c - finding virtio disks, believing or not what they say, giving each CPU a queue.
 *
 * Owns:  every struct vblk from discovery to registration.
 * Not:   requests (vblk_request.c), registers and features (virtio_pci.c).
 * Locks: none: one thread at boot.
 * Key fact: a device's configuration is input. What makes no sense refuses the device with a line;
 *        what only limits us is taken as a limit.
 */
#include "drivers/virtio/virtio_blk.h"

#include <errno.h>

#include "drivers/virtio/vblk.h"
#include "kernel/core/irq.h"
#include "kernel/core/printk.h"
#include "kernel/lib/fmt.h"
#include "kernel/mm/kmalloc.h"

#define WANTED                                                                                     \
	(VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | VIRTIO_BLK_F_SIZE_MAX |                     \
	 VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_RO | VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_FLUSH |     \
	 VIRTIO_BLK_F_MQ | VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES)

#define FIELD(name) offsetof(struct virtio_blk_config, name)

static int refuse(const struct vblk *vb, const char *what, u64 value)
{
	printk("virtio %s: not used: %s %lu\n", vb->v.pci.name, what, (unsigned long)value);
	return -EINVAL;
}

/* ---- configuration ------------------------------------------------------------------------- */

static int read_sizes(struct vblk *vb)
{
	const struct virtio_device *v = &vb->v;
	struct blkdev *dev = &vb->dev;
	u64 capacity = virtio_config64(v, FIELD(capacity));

	dev->sector_size = SECTOR_SIZE;
	if (v->features & VIRTIO_BLK_F_BLK_SIZE)
		dev->sector_size = virtio_config32(v, FIELD(blk_size));
	if (dev->sector_size != 512 && dev->sector_size != 4096)
		return refuse(vb, "sectors must have 512 or 4096 bytes, not", dev->sector_size);
	dev->nr_sectors = ALIGN_DOWN(capacity, (u64)dev->sector_size / SECTOR_SIZE);
	if (!dev->nr_sectors || capacity > 1UL << 54)
		return refuse(vb, "its capacity in sectors is", capacity);
	dev->read_only = v->features & VIRTIO_BLK_F_RO;
	dev->can_flush = v->features & VIRTIO_BLK_F_FLUSH;
	return 0;
}

static int read_limits(struct vblk *vb)
{
	const struct virtio_device *v = &vb->v;
	struct blkdev *dev = &vb->dev;

	dev->max_segs = 1; /* what every device can */
	if (v->features & VIRTIO_BLK_F_SEG_MAX)
		dev->max_segs = virtio_config32(v, FIELD(seg_max));
	if (!dev->max_segs)
		return refuse(vb, "its requests may have so many segments:", dev->max_segs);
	dev->max_segs = min(dev->max_segs, (u32)BIO_MAX_SEGS);
	if (v->features & VIRTIO_BLK_F_SIZE_MAX) {
		dev->max_seg_bytes = virtio_config32(v, FIELD(size_max));
		if (dev->max_seg_bytes < PAGE_SIZE)
			return refuse(vb, "a segment must hold a page, not", dev->max_seg_bytes);
		/* A segment that is not the last must end with a sector. */
		dev->max_seg_bytes = ALIGN_DOWN(dev->max_seg_bytes, (u32)PAGE_SIZE);
	}
	return 0;
}

/* Sectors one request of a kind may cover, as bytes we can ask for; 0: the kind is of no use. */
static u32 read_extent(const struct vblk *vb, u64 feature, unsigned int sectors, unsigned int segs)
{
	u64 bytes = (u64)virtio_config32(&vb->v, sectors) << SECTOR_SHIFT;

	if (!(vb->v.features & feature) || !virtio_config32(&vb->v, segs))
		return 0;
	return (u32)(min(bytes, (u64)BLKDEV_MAX_EXTENT) & PAGE_MASK);
}

static void read_extents(struct vblk *vb)
{
	u32 discard = read_extent(vb, VIRTIO_BLK_F_DISCARD, FIELD(max_discard_sectors),
				  FIELD(max_discard_seg));
	u32 zeroes = read_extent(vb, VIRTIO_BLK_F_WRITE_ZEROES, FIELD(max_write_zeroes_sectors),
				 FIELD(max_write_zeroes_seg));

	vb->dev.can_discard = discard;
	vb->dev.can_write_zeroes = zeroes;
	vb->dev.max_extent = discard && zeroes ? min(discard, zeroes) : discard | zeroes;
}

/* ---- queues -------------------------------------------------------------------------------- */

/* One per CPU, as far as device, interrupts and table entries go. */
static unsigned int count_queues(const struct virtio_device *v)
{
	unsigned int nr = 1;

	if (v->features & VIRTIO_BLK_F_MQ)
		nr = virtio_config16(v, FIELD(num_queues));
	nr = min(nr, (unsigned int)v->common->num_queues);
	return min(min(nr, nr_cpus), v->pci.nr_msix);
}

static int setup_queue(struct vblk *vb, unsigned int i)
{
	struct vblk_queue *q = &vb->queue[i];
	int error;

	spin_init(&q->lock, "virtio-blk queue", RANK_DEVICE);
	TAILQ_INIT(&q->waiting);
	q->vector = irq_alloc_vector(vblk_irq, q, vb->dev.name);
	if (q->vector < 0)
		return q->vector;
	error = virtio_setup_queue(&vb->v, &q->vq, (u16)i, (u16)i, vb->dev.name);
	if (error) {
		irq_free_vector((unsigned int)q->vector);
		return error;
	}
	/* A chain may not be longer than the queue, indirect or not (2.6.5.3.1). */
	vb->dev.max_segs = min(vb->dev.max_segs, q->vq.size - 2u);
	pci_msix_set(&vb->v.pci, i, i, (u8)q->vector);
	vb->nr_queues = i + 1;
	return 0;
}

static int setup_queues(struct vblk *vb, unsigned int nr)
{
	int error = 0;

	for (unsigned int i = 0; i < nr && !error; i++)
		error = setup_queue(vb, i);
	/* Vectors are few with many disks and CPUs: queues are shared then. */
	if (error && !(error == -ENOSPC && vb->nr_queues)) {
		if (error == -ENOSPC)
			printk("virtio %s: not used: no interrupt vector is left\n",
			       vb->v.pci.name);
		return error;
	}
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++)
		vb->by_cpu[cpu] = &vb->queue[cpu % vb->nr_queues];
	return 0;
}

/* The device first: once it is reset it writes nothing and interrupts nobody. */
static void destroy(struct vblk *vb)
{
	virtio_pci_reset(&vb->v);
	for (unsigned int i = 0; i < vb->nr_queues; i++) {
		irq_free_vector((unsigned int)vb->queue[i].vector);
		virtqueue_destroy(&vb->queue[i].vq);
	}
	kfree(vb);
}

/* ---- one disk ------------------------------------------------------------------------------ */

static void announce(const struct vblk *vb, const char *id)
{
	const struct blkdev *dev = &vb->dev;
	bool small = dev->nr_sectors & ((1 << 20 >> SECTOR_SHIFT) - 1);

	printk("%s: %lu %s in sectors of %u%s, %u queue%s of %u%s%s%s; virtio %s%s%s\n", dev->name,
	       (unsigned long)dev->nr_sectors / (small ? 2 : 2048), small ? "KiB" : "MiB",
	       dev->sector_size, dev->read_only ? ", read-only" : "", vb->nr_queues,
	       vb->nr_queues > 1 ? "s" : "", vb->queue[0].vq.size, dev->can_flush ? ", flush" : "",
	       dev->can_discard ? ", discard" : "", dev->can_write_zeroes ? ", write-zeroes" : "",
	       vb->v.pci.name, *id ? ", serial " : "", id);
}

/* Register it and hear it answer: an interrupt that does not arrive shows here. */
static int go_live(struct vblk *vb)
{
	char id[VIRTIO_BLK_ID_BYTES + 1] = "";
	int error;

	virtio_start(&vb->v);
	error = blkdev_register(&vb->dev);
	if (error) {
		printk("%s: not registered: error %d\n", vb->dev.name, error);
		return error;
	}
	error = vblk_get_id(vb, id);
	if (error == -ETIMEDOUT) {
		printk("%s: not used: it does not answer within 5 s\n", vb->dev.name);
		blkdev_unregister(&vb->dev);
		return error;
	}
	announce(vb, id);
	return 0;
}

static int set_up(struct vblk *vb, const struct pci_func *pci)
{
	unsigned int nr;
	int error = virtio_pci_init(&vb->v, pci);

	if (!error)
		error = virtio_negotiate(&vb->v, WANTED);
	if (!error)
		error = read_sizes(vb);
	if (!error)
		error = read_limits(vb);
	if (error)
		return error;
	read_extents(vb);
	nr = count_queues(&vb->v);
	if (!nr)
		return refuse(vb, "its number of queues is", nr);
	error = setup_queues(vb, nr);
	return error ? error : go_live(vb);
}

static void probe(struct pci_func *pci, void *arg)
{
	int *count = arg;
	struct vblk *vb;

	if (pci->vendor != VIRTIO_PCI_VENDOR ||
	    (pci->device != VIRTIO_PCI_BLK && pci->device != VIRTIO_PCI_BLK_TRANSITIONAL))
		return;
	if (*count == 26) {
		printk("virtio %s: not used: there are 26 disks already\n", pci->name);
		return;
	}
	vb = kzalloc(sizeof(*vb) + nr_cpus * sizeof(vb->queue[0]));
	if (!vb) {
		printk("virtio %s: not used: no memory\n", pci->name);
		return;
	}
	ksnprintf(vb->dev.name, sizeof(vb->dev.name), "vd%c", 'a' + *count);
	vb->dev.ops = &vblk_ops;
	vb->dev.driver = vb;
	wait_queue_init(&vb->id_wait, "virtio-blk id");
	if (set_up(vb, pci))
		destroy(vb);
	else
		++*count;
}

int virtio_blk_probe_all(void)
{
	int count = 0;

	pci_scan(probe, &count);
	return count;
}
