/* SPDX-License-Identifier: MIT */
/*
 * virtqueue.c - the split ring: descriptors, the ring of offers, the ring of results.
 *
 * Owns:  the three parts in memory, the free list, when to kick and when to be interrupted.
 * Not:   what a request says (virtio_blk.c), where the doorbell is (virtio_pci.c).
 * Locks: the caller's, see virtqueue.h.
 * Key fact: the device is another processor. On x86-64 stores become visible in order and loads
 *        are done in order, so publishing needs only that the compiler keeps the order; but a store
 *        may pass a later load, and in two places each side stores and then looks at the other's
 *        store. Those need a full fence on both sides, or both may look too early: see
 *        virtqueue_needs_kick() and virtqueue_enable_interrupt() in the header.
 */
#include "drivers/virtio/virtqueue.h"

#include <errno.h>

#include "arch/x86_64/asm/arch.h"
#include "kernel/core/printk.h"
#include "kernel/lib/bug.h"
#include "kernel/mm/kmalloc.h"

int virtqueue_init(struct virtqueue *vq, const char *name, u16 index, u16 size, u64 features)
{
	u64 desc_bytes = sizeof(struct vring_desc) * size;
	/* idx and flags before, an event word behind. */
	u64 avail_bytes = sizeof(struct vring_avail) + sizeof(u16) * (size + 1);
	u64 used_at = ALIGN_UP(desc_bytes + avail_bytes, 4UL);
	u64 used_bytes = sizeof(struct vring_used) + sizeof(struct vring_used_elem) * size + 2;

	BUG_ON(!size || size > VIRTQUEUE_MAX || (size & (size - 1)));
	*vq = (struct virtqueue){ .name = name, .index = index, .size = size, .nr_free = size };
	vq->memory = kzalloc(ALIGN_UP(used_at + used_bytes, PAGE_SIZE));
	vq->slots = kzalloc(sizeof(struct vq_slot) * size);
	if (!vq->memory || !vq->slots) {
		virtqueue_destroy(vq);
		return -ENOMEM;
	}
	vq->desc = vq->memory;
	vq->avail = (void *)((u8 *)vq->memory + desc_bytes);
	vq->used = (void *)((u8 *)vq->memory + used_at);
	vq->used_event = &vq->avail->ring[size];
	vq->avail_event = (const u16 *)&vq->used->ring[size];
	vq->indirect = features & VIRTIO_F_INDIRECT_DESC;
	vq->event_idx = features & VIRTIO_F_EVENT_IDX;
	for (u16 i = 0; i < size; i++) {
		vq->slots[i].next = (u16)(i + 1);
		/* What stays the same with indirect tables; the direct way writes it anew. */
		vq->slots[i].count = 1;
		vq->desc[i].flags = VRING_DESC_INDIRECT;
	}
	return 0;
}

void virtqueue_destroy(struct virtqueue *vq)
{
	kfree(vq->memory);
	kfree(vq->slots);
	vq->memory = NULL;
	vq->slots = NULL;
}

/* ---- offering ------------------------------------------------------------------------------ */

/* Without INDIRECT_DESC: the table is copied into free descriptors, whose order in the free list
 * becomes the chain's. */
bool virtqueue_add_direct(struct virtqueue *vq, const struct vring_desc *table, unsigned int nr,
			  void *cookie)
{
	u16 head = vq->free_head, i = head;

	if (vq->nr_free < nr)
		return false;
	for (unsigned int n = 0; n < nr; n++) {
		vq->desc[i] = table[n];
		vq->desc[i].next = vq->slots[i].next;
		i = vq->slots[i].next;
	}
	vq->free_head = i;
	vq->nr_free = (u16)(vq->nr_free - nr);
	vq->slots[head].count = (u16)nr;
	virtqueue_publish(vq, head, cookie);
	return true;
}

/* ---- results ------------------------------------------------------------------------------- */

__attribute__((cold)) void *virtqueue_complain(struct virtqueue *vq, const char *what, u32 value)
{
	if (!vq->complained)
		printk("%s: queue %u: the device's answer is wrong: %s %u of %u; ignored\n",
		       vq->name, vq->index, what, value, vq->size);
	vq->complained = true;
	return NULL;
}
