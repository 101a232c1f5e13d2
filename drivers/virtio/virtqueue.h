/* SPDX-License-Identifier: MIT */
/*
 * virtqueue.h - a split virtqueue: requests to a device, and which of them it has finished.
 *
 * A request is a table of descriptors in DMA memory that belongs to the caller until the request is
 * finished. With INDIRECT_DESC the device reads the table where it is, and the ring holds one
 * descriptor for it; without, the table is copied into the ring.
 * The caller's lock guards every call but virtqueue_kick().
 */
#ifndef DRIVERS_VIRTIO_VIRTQUEUE_H
#define DRIVERS_VIRTIO_VIRTQUEUE_H

#include "arch/x86_64/asm/atomic.h"
#include "arch/x86_64/asm/cpu.h"
#include "drivers/virtio/virtio_regs.h"
#include "kernel/core/percpu.h"
#include "kernel/core/stat.h"
#include "kernel/lib/types.h"

#define VIRTQUEUE_MAX 256 /* more is not asked for */

/* What the driver remembers of a descriptor, out of the device's reach. */
struct vq_slot {
	void *cookie; /* of the request whose first descriptor it is, else NULL */
	u16 next;     /* in the free list, or in the chain */
	u16 count;    /* descriptors of the request: always 1 if indirect */
};

/* s: at creation; the others by the caller's lock */
struct virtqueue {
	struct vring_desc *desc;   /* s */
	struct vring_avail *avail; /* s */
	struct vring_used *used;   /* s */
	u16 *used_event;	   /* s: D: interrupt when used.idx passes it */
	const u16 *avail_event;	   /* s: d: kick when avail.idx passes it */
	struct vq_slot *slots;	   /* s */
	volatile u16 *doorbell;	   /* s */
	const char *name;	   /* s: the device's, for messages */
	u16 index, size;	   /* s; size is a power of two */
	bool indirect, event_idx;  /* s */
	bool complained;
	u16 free_head, nr_free;
	u16 avail_idx; /* what avail.idx is */
	u16 kicked;    /* avail_idx at the last look at avail_event */
	u16 last_used; /* used.idx up to which was read */
	void *memory;  /* s: all three parts, physically contiguous */
};

/* @size: a power of two up to VIRTQUEUE_MAX. @features as negotiated. 0 or -ENOMEM. */
int virtqueue_init(struct virtqueue *vq, const char *name, u16 index, u16 size, u64 features);
/* The device is reset or does not know the queue. */
void virtqueue_destroy(struct virtqueue *vq);

/*
 * The request stands in the ring: show its head @head to the device. Here and below fields are read
 * into locals before the first store, since the compiler must think that any store changes them.
 */
static inline void virtqueue_publish(struct virtqueue *vq, u16 head, void *cookie)
{
	struct vring_avail *avail = vq->avail;
	struct vq_slot *slot = &vq->slots[head];
	u16 idx = vq->avail_idx;

	avail->ring[idx & (vq->size - 1)] = head;
	slot->cookie = cookie;
	vq->avail_idx = ++idx;
	/* Release: the device reads avail.idx first, the request after, and must find all above. */
	atomic_store(&avail->idx, idx);
}

bool virtqueue_add_direct(struct virtqueue *vq, const struct vring_desc *table, unsigned int nr,
			  void *cookie);

/* Publish a request: @nr <= size descriptors, each but the last with VRING_DESC_NEXT and the index
 * of its follower in @table, which lies at physical @pa. False if the ring has no room. */
static inline bool virtqueue_add(struct virtqueue *vq, const struct vring_desc *table, paddr_t pa,
				 unsigned int nr, void *cookie)
{
	u16 head = vq->free_head, nr_free = vq->nr_free;
	struct vring_desc *d = &vq->desc[head];

	if (unlikely(!vq->indirect))
		return virtqueue_add_direct(vq, table, nr, cookie);
	if (unlikely(!nr_free))
		return false;
	vq->free_head = vq->slots[head].next;
	vq->nr_free = (u16)(nr_free - 1);
	d->addr = pa;
	d->len = nr * (u32)sizeof(*table);
	virtqueue_publish(vq, head, cookie);
	return true;
}

/*
 * Our stores before our loads, as the device sees them. QEMU before 8.1 leaves fences out of the
 * code of a machine with one processor, although its devices run beside it; a register read goes
 * through a lock of QEMU's, and that is a fence.
 */
static inline void virtqueue_fence(const struct virtqueue *vq)
{
	full_fence();
	if (unlikely(nr_cpus == 1))
		(void)*vq->doorbell;
}

/* After one or more virtqueue_add(): does the device want to be told? */
static inline bool virtqueue_needs_kick(struct virtqueue *vq)
{
	u16 new = vq->avail_idx, old = vq->kicked;

	vq->kicked = new;
	/*
	 * We: store avail.idx, load avail_event. Device, before it sleeps: store avail_event, load
	 * avail.idx. If our load could pass our store, we would find the avail_event of before (no
	 * kick wanted) while the device finds the avail.idx of before (nothing to do), and the
	 * request would lie there for ever. Pairs with the device's fence between its two.
	 */
	virtqueue_fence(vq);
	if (likely(vq->event_idx))
		return (u16)(new - READ_ONCE(*vq->avail_event) - 1) < (u16)(new - old);
	return !(READ_ONCE(vq->used->flags) & VRING_USED_NO_NOTIFY);
}

/* Tell it. Without the lock: the register may be slow, and a kick too many does no harm. */
static inline void virtqueue_kick(struct virtqueue *vq)
{
	stat_inc(STAT_VIRTIO_KICKS);
	*vq->doorbell = vq->index;
}

/* The device named a request that it does not have, or more than there are: said once. NULL. */
void *virtqueue_complain(struct virtqueue *vq, const char *what, u32 value);

/* Put the descriptors of a request, chained by slots[].next, on the free list. */
static inline void virtqueue_free_chain(struct virtqueue *vq, struct vq_slot *slot, u16 head)
{
	u16 free_head = vq->free_head, nr_free = vq->nr_free, count = slot->count;

	for (u16 n = 1; unlikely(n < count); n++)
		slot = &vq->slots[slot->next];
	slot->next = free_head;
	vq->free_head = head;
	vq->nr_free = (u16)(nr_free + count);
}

/* The result behind last_used, which is not @used; NULL if it is none of our requests:
 * virtqueue_enable_interrupt() then says whether there are more. */
static inline void *virtqueue_get_one(struct virtqueue *vq, u16 used)
{
	u16 last = vq->last_used, size = vq->size;
	struct vq_slot *slot;
	void *cookie;
	u32 id;

	if (unlikely((u16)(used - last) > size)) {
		vq->last_used = used;
		return virtqueue_complain(vq, "results ahead", (u16)(used - last));
	}
	id = READ_ONCE(vq->used->ring[last & (size - 1)].id);
	vq->last_used = (u16)(last + 1);
	if (unlikely(id >= size))
		return virtqueue_complain(vq, "request", id);
	slot = &vq->slots[id];
	cookie = slot->cookie;
	if (unlikely(!cookie))
		return virtqueue_complain(vq, "request", id);
	slot->cookie = NULL;
	virtqueue_free_chain(vq, slot, (u16)id);
	return cookie;
}

/* The cookie of the next finished request, or NULL. What the device wrote into the request's memory
 * can be read. */
static inline void *virtqueue_get(struct virtqueue *vq)
{
	/* Acquire: pairs with the device's release of used.idx, after the result and the data. */
	u16 used = atomic_load(&vq->used->idx);

	return used == vq->last_used ? NULL : virtqueue_get_one(vq, used);
}

/* Ask for an interrupt when the next request is finished. False: one is already; get it. */
static inline bool virtqueue_enable_interrupt(struct virtqueue *vq)
{
	u16 last = vq->last_used;

	/* Without EVENT_IDX interrupts are never switched off. */
	if (likely(vq->event_idx)) {
		WRITE_ONCE(*vq->used_event, last);
		/*
		 * We: store used_event, load used.idx. Device: store used.idx, load used_event.
		 * Without the fence we could find the used.idx of before (nothing finished) while
		 * the device finds the used_event of before (no interrupt wanted): a finished
		 * request that nobody hears of. Pairs with the device's fence between its two.
		 */
		virtqueue_fence(vq);
	}
	return last == READ_ONCE(vq->used->idx);
}

#endif
