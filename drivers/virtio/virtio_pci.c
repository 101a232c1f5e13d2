/* SPDX-License-Identifier: MIT */
/*
 * virtio_pci.c - the modern transport: registers found by capabilities, features, queues.
 *
 * Owns:  the common configuration registers of each device.
 * Not:   rings (virtqueue.c), PCI itself (pci.c), what the device does (virtio_blk.c).
 * Locks: none: set-up only, by one thread at boot.
 * Key fact: a BAR may lie anywhere, above 896 GiB with some firmware: always mapped, never assumed.
 */
#include "drivers/virtio/virtio_pci.h"

#include <errno.h>

#include "arch/x86_64/asm/arch.h"
#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/core/sched.h"

#define RESET_PATIENCE (2 * NSEC_PER_SEC)

static int refuse(const struct virtio_device *v, const char *why)
{
	printk("virtio %s: not used: %s\n", v->pci.name, why);
	return -ENODEV;
}

/* Map what the first capability of @type names; *@len is its length. NULL if there is none. */
static volatile void *map_cap(struct virtio_device *v, u8 type, u32 min_len, u32 *len,
			      unsigned int *at)
{
	unsigned int cap = 0;

	while ((cap = pci_find_cap(&v->pci, cap, PCI_CAP_VENDOR)) != 0) {
		unsigned int bar = pci_read8(&v->pci, cap + 4);

		/* A reserved BAR number means: ignore this one (4.1.4.1). */
		if (pci_read8(&v->pci, cap + 3) != type || bar > 5)
			continue;
		if (cap + pci_read8(&v->pci, cap + 2) > 256)
			continue;
		*len = pci_read32(&v->pci, cap + 12);
		*at = cap;
		if (*len < min_len)
			return NULL;
		return pci_map(&v->pci, bar, pci_read32(&v->pci, cap + 8), *len);
	}
	return NULL;
}

static int map_registers(struct virtio_device *v)
{
	unsigned int cap;
	u32 len;

	v->common = map_cap(v, VIRTIO_CAP_COMMON, sizeof(*v->common), &len, &cap);
	if (!v->common)
		return refuse(v, "no registers of the modern interface (virtio 1.0)");
	v->config = map_cap(v, VIRTIO_CAP_DEVICE, 1, &v->config_len, &cap);
	if (!v->config)
		v->config_len = 0;
	v->notify = map_cap(v, VIRTIO_CAP_NOTIFY, 2, &v->notify_len, &cap);
	if (!v->notify || pci_read8(&v->pci, cap + 2) < 20)
		return refuse(v, "no register to notify it");
	v->notify_multiplier = pci_read32(&v->pci, cap + 16);
	return 0;
}

static bool reset(struct virtio_device *v)
{
	ktime_t deadline = ktime_get() + RESET_PATIENCE;

	v->common->device_status = 0;
	while (v->common->device_status) {
		if (ktime_get() > deadline)
			return false;
		yield();
	}
	return true;
}

static void add_status(struct virtio_device *v, u8 bits)
{
	v->common->device_status = (u8)(v->common->device_status | bits);
}

int virtio_pci_init(struct virtio_device *v, const struct pci_func *pci)
{
	int error;

	*v = (struct virtio_device){ .pci = *pci };
	pci_enable(&v->pci);
	error = map_registers(v);
	if (error)
		return error;
	if (!reset(v))
		return refuse(v, "it does not come out of reset");
	if (!pci_msix_enable(&v->pci))
		return refuse(v, "its interrupts cannot be routed without MSI-X");
	add_status(v, VIRTIO_STATUS_ACKNOWLEDGE);
	add_status(v, VIRTIO_STATUS_DRIVER);
	v->common->msix_config = VIRTIO_NO_VECTOR;
	return 0;
}

int virtio_negotiate(struct virtio_device *v, u64 wanted)
{
	volatile struct virtio_pci_common_cfg *c = v->common;
	u64 offered;

	c->device_feature_select = 0;
	offered = c->device_feature;
	c->device_feature_select = 1;
	offered |= (u64)c->device_feature << 32;
	if (!(offered & VIRTIO_F_VERSION_1))
		return refuse(v, "it does not offer VERSION_1");
	v->features = offered & (wanted | VIRTIO_F_VERSION_1);
	c->driver_feature_select = 0;
	c->driver_feature = (u32)v->features;
	c->driver_feature_select = 1;
	c->driver_feature = (u32)(v->features >> 32);
	add_status(v, VIRTIO_STATUS_FEATURES_OK);
	if (!(c->device_status & VIRTIO_STATUS_FEATURES_OK))
		return refuse(v, "it insists on a feature that this driver does not know");
	return 0;
}

int virtio_setup_queue(struct virtio_device *v, struct virtqueue *vq, u16 index, u16 msix,
		       const char *name)
{
	volatile struct virtio_pci_common_cfg *c = v->common;
	u64 doorbell;
	u16 size;
	int error;

	c->queue_select = index;
	size = c->queue_size;
	/* Header, one segment, status; and the split ring's arithmetic needs a power of two. */
	if (size < 4 || (size & (size - 1))) {
		printk("virtio %s: not used: queue %u has %u entries\n", v->pci.name, index, size);
		return -EINVAL;
	}
	size = min(size, (u16)VIRTQUEUE_MAX);
	doorbell = (u64)c->queue_notify_off * v->notify_multiplier;
	if (doorbell + sizeof(u16) > v->notify_len)
		return refuse(v, "a queue's notification register lies outside");
	error = virtqueue_init(vq, name, index, size, v->features);
	if (error)
		return error;
	vq->doorbell = (volatile u16 *)(v->notify + doorbell);
	c->queue_size = size;
	c->queue_msix_vector = msix;
	if (c->queue_msix_vector != msix) {
		virtqueue_destroy(vq);
		return refuse(v, "it has no room for a queue's interrupt");
	}
	c->queue_desc = virt_to_phys(vq->desc);
	c->queue_driver = virt_to_phys(vq->avail);
	c->queue_device = virt_to_phys(vq->used);
	c->queue_enable = 1;
	return 0;
}

void virtio_start(struct virtio_device *v)
{
	add_status(v, VIRTIO_STATUS_DRIVER_OK);
}

void virtio_pci_reset(struct virtio_device *v)
{
	if (!v->common)
		return;
	if (!reset(v))
		printk("virtio %s: it cannot be reset and may still write to memory\n",
		       v->pci.name);
	pci_msix_disable(&v->pci);
}

/* ---- device configuration: each field by an access of its own width (4.1.3.1) --------------- */

u16 virtio_config16(const struct virtio_device *v, unsigned int offset)
{
	if (offset + 2 > v->config_len)
		return 0;
	return *(const volatile u16 *)(v->config + offset);
}

u32 virtio_config32(const struct virtio_device *v, unsigned int offset)
{
	if (offset + 4 > v->config_len)
		return 0;
	return *(const volatile u32 *)(v->config + offset);
}

u64 virtio_config64(const struct virtio_device *v, unsigned int offset)
{
	u64 low, high;
	u8 generation;

	/* Two halves of one moment: the generation changes with every change. Bounded, since a
	 * device that changes for ever must not hang the boot. */
	for (unsigned int i = 0; i < 1000; i++) {
		generation = v->common->config_generation;
		low = virtio_config32(v, offset);
		high = virtio_config32(v, offset + 4);
		if (generation == v->common->config_generation)
			return high << 32 | low;
	}
	return 0;
}
