/* SPDX-License-Identifier: MIT */
/*
 * slab.c - object caches over frames.
 *
 * Owns:  slabs (blocks of frames cut into objects of one size) and the fields slab, slab_info,
 *        private, next and index of their struct pages.
 * Not:   sizes (kmalloc.c), frames (page_alloc.c), kernel addresses beyond the direct map (vmap.c).
 * Locks: the free list of a CPU has none: only that CPU touches it, with interrupts off. A cache's
 *        lock (RANK_SLAB, irqsave) guards its slabs; frames are taken and freed inside it at most.
 * Key fact: an object on a CPU's free list counts as taken from its slab; a slab is empty, and may
 *        go back, only when all its objects have been returned under the lock.
 *
 * A free object's first word links it to the next. With debug=1 the second word is a mark made from
 * its address, by which a second free is seen, and the rest a pattern, by which a store to the
 * freed object is seen when it is allocated again.
 */
#include "kernel/mm/kmalloc.h"

#include <string.h>

#include "kernel/core/printk.h"
#include "kernel/core/sched.h"
#include "kernel/core/spinlock.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/reclaim.h"
#include "kernel/mm/shrinker.h"

#define MAX_CACHES     48
#define MAX_SLAB_ORDER 3
#define FREE_MARK      0x66726565206f626aUL
#define FREE_POISON    0x6b
#define NEW_POISON     0x5a

/* c: its CPU alone, interrupts off */
struct kmem_cpu {
	void *first; /* c: free objects */
	u32 nr;	     /* c */
	s64 live;    /* c: allocated minus freed here; only the sum over CPUs means anything */
} __aligned(64);

/* l: lock   s: at creation */
struct kmem_cache {
	struct kmem_cpu cpu[MAX_CPUS];
	struct spinlock lock;
	struct page *partial; /* l: slabs that have free objects; ->next, and ->index points back */
	u64 nr_slabs;	      /* l */
	u32 nr_empty;	      /* l: slabs in partial of which nothing is taken; at most 1 stays */
	u32 size;	      /* s */
	u32 order;	      /* s: frames of a slab, 2^order */
	u32 per_slab;	      /* s */
	u32 batch, high;      /* s: objects moved at once; most on a CPU's list */
	const char *name;     /* s */
};

static struct kmem_cache caches[MAX_CACHES];
static unsigned int nr_caches; /* boot */

/* --- slabs: the cache's lock held --- */

static void partial_add(struct kmem_cache *c, struct page *slab)
{
	slab->next = c->partial;
	slab->index = 0;
	if (c->partial)
		c->partial->index = (u64)slab;
	c->partial = slab;
}

static void partial_del(struct kmem_cache *c, struct page *slab)
{
	struct page *prev = (struct page *)slab->index;

	if (prev)
		prev->next = slab->next;
	else
		c->partial = slab->next;
	if (slab->next)
		slab->next->index = (u64)prev;
}

/* The first frame's page of the slab that holds @obj: blocks are aligned to their size. */
static struct page *slab_of(const struct kmem_cache *c, const void *obj)
{
	return virt_to_page((void *)ALIGN_DOWN((u64)obj, PAGE_SIZE << c->order));
}

/* A new slab with all objects free, in no list; NULL if out of memory. Needs no lock. */
static struct page *slab_create(struct kmem_cache *c)
{
	struct page *slab = alloc_pages(c->order, ALLOC_NORMAL);
	void *next = NULL;
	char *base;
	u32 i;

	if (!slab)
		return NULL;
	for (i = 0; i < 1u << c->order; i++) {
		slab[i].flags = 1UL << PG_slab;
		slab[i].slab = (u64)c;
	}
	base = page_address(slab);
	for (i = c->per_slab; i-- > 0;) {
		void **obj = (void **)(base + (size_t)i * c->size);

		obj[0] = next;
		obj[1] = NULL; /* no mark: never poisoned */
		next = obj;
	}
	slab->private = (u64)next;
	slab->slab_info = 0; /* taken */
	return slab;
}

static void slab_destroy(struct kmem_cache *c, struct page *slab)
{
	u32 i;

	for (i = 0; i < 1u << c->order; i++) {
		slab[i].flags = 0;
		slab[i].slab = 0;
	}
	c->nr_slabs--;
	free_pages(slab, c->order);
}

static void slab_return(struct kmem_cache *c, void *obj)
{
	struct page *slab = slab_of(c, obj);

	if (!slab->private)
		partial_add(c, slab);
	*(void **)obj = (void *)slab->private;
	slab->private = (u64)obj;
	if (--slab->slab_info)
		return;
	if (c->nr_empty) {
		partial_del(c, slab);
		slab_destroy(c, slab);
	} else {
		c->nr_empty++;
	}
}

/* --- a CPU's list: interrupts off --- */

static void take_from_slab(struct kmem_cache *c, struct kmem_cpu *k, struct page *slab)
{
	if (!slab->slab_info)
		c->nr_empty--;
	while (slab->private && k->nr < c->batch) {
		void **obj = (void **)slab->private;

		slab->private = (u64)*obj;
		*obj = k->first;
		k->first = obj;
		k->nr++;
		slab->slab_info++;
	}
	if (!slab->private)
		partial_del(c, slab);
}

/* At least one object on the list, or out of memory. */
static __attribute__((noinline)) void refill(struct kmem_cache *c, struct kmem_cpu *k)
{
	u64 flags = spin_lock_irqsave(&c->lock);

	while (c->partial && k->nr < c->batch)
		take_from_slab(c, k, c->partial);
	spin_unlock_irqrestore(&c->lock, flags);
	if (!k->first) {
		/* Unlocked meanwhile: the list is still ours, since interrupts are off. */
		struct page *slab = slab_create(c);

		if (!slab)
			return;
		flags = spin_lock_irqsave(&c->lock);
		c->nr_slabs++;
		c->nr_empty++;
		partial_add(c, slab);
		take_from_slab(c, k, slab);
		spin_unlock_irqrestore(&c->lock, flags);
	}
}

static __attribute__((noinline)) void give_back(struct kmem_cache *c, struct kmem_cpu *k, u32 nr)
{
	u64 flags = spin_lock_irqsave(&c->lock);

	while (nr--) {
		void *obj = k->first;

		k->first = *(void **)obj;
		k->nr--;
		slab_return(c, obj);
	}
	spin_unlock_irqrestore(&c->lock, flags);
}

/* --- debug=1 --- */

static u64 free_mark(const void *obj)
{
	return FREE_MARK ^ (u64)obj;
}

static __attribute__((noinline)) void debug_alloc(const struct kmem_cache *c, void *obj)
{
	const u8 *bytes = obj;
	u32 i;

	/* Without the mark it was freed before debug=1, or never. */
	if (((u64 *)obj)[1] == free_mark(obj)) {
		for (i = 16; i < c->size; i++)
			if (bytes[i] != FREE_POISON)
				panic("kmalloc: object %p of %s: byte %u was stored to after the "
				      "object was freed",
				      obj, c->name, i);
	}
	memset(obj, NEW_POISON, c->size);
}

static __attribute__((noinline)) void debug_free(const struct kmem_cache *c, void *obj)
{
	struct page *page = virt_to_page(obj);

	if (!test_bit(&page->flags, PG_slab) || page->slab != (u64)c)
		panic("kmalloc: %p was freed to %s, which it is not from", obj, c->name);
	if (((u64)obj - (u64)page_address(slab_of(c, obj))) % c->size)
		panic("kmalloc: %p was freed to %s, but no object begins there", obj, c->name);
	if (((u64 *)obj)[1] == free_mark(obj))
		panic("kmalloc: object %p of %s was freed twice", obj, c->name);
	memset(obj, FREE_POISON, c->size);
	((u64 *)obj)[1] = free_mark(obj);
}

/* --- the interface --- */

static inline void *try_alloc(struct kmem_cache *c)
{
	u64 flags = irq_save();
	struct kmem_cpu *k = &c->cpu[this_cpu()->id];
	void *obj;

	if (unlikely(!k->first))
		refill(c, k);
	obj = k->first;
	if (likely(obj)) {
		k->first = *(void **)obj;
		k->nr--;
		k->live++;
	}
	irq_restore(flags);
	return obj;
}

/* Not out of memory as long as clean pages can leave for it. Others may be faster, a few times. */
static __noinline void *alloc_after_making_room(struct kmem_cache *c)
{
	void *obj = NULL;

	for (int i = 0; !obj && i < 4 && make_room_now(c->order); i++)
		obj = try_alloc(c);
	return obj;
}

void *kmem_cache_alloc(struct kmem_cache *c)
{
	void *obj;

	if (alloc_fails())
		return NULL;
	obj = try_alloc(c);
	if (unlikely(!obj)) {
		obj = alloc_after_making_room(c);
		if (!obj)
			return NULL;
	}
	if (unlikely(debug_checks))
		debug_alloc(c, obj);
	return obj;
}

void kmem_cache_free(struct kmem_cache *c, void *obj)
{
	struct kmem_cpu *k;
	u64 flags;

	if (unlikely(debug_checks))
		debug_free(c, obj);
	flags = irq_save();
	k = &c->cpu[this_cpu()->id];
	BUG_ON(k->first == obj);
	*(void **)obj = k->first;
	k->first = obj;
	k->live--;
	if (unlikely(++k->nr > c->high))
		give_back(c, k, c->batch);
	irq_restore(flags);
}

static u32 objects_in(u32 order, u32 size)
{
	return (u32)(PAGE_SIZE << order) / size;
}

struct kmem_cache *kmem_cache_create(const char *name, size_t size)
{
	struct kmem_cache *c;

	if (nr_caches == MAX_CACHES || size > PAGE_SIZE)
		panic("kmalloc: no room for a cache of %s, %lu bytes each", name,
		      (unsigned long)size);
	c = &caches[nr_caches++];
	spin_init(&c->lock, name, RANK_SLAB);
	c->name = name;
	c->size = (u32)ALIGN_UP(max(size, (size_t)16), 16);
	/* Eight or more in a slab, and no more than a sixteenth of it unused. */
	while (c->order < MAX_SLAB_ORDER &&
	       (objects_in(c->order, c->size) < 8 ||
		(PAGE_SIZE << c->order) % c->size > (PAGE_SIZE << c->order) / 16))
		c->order++;
	c->per_slab = objects_in(c->order, c->size);
	c->batch = min(max((u32)PAGE_SIZE / c->size, 4u), 32u);
	c->high = 3 * c->batch;
	return c;
}

/* --- counts --- */

static s64 cache_live(const struct kmem_cache *c)
{
	s64 live = 0;
	unsigned int i;

	for (i = 0; i < MAX_CPUS; i++)
		live += READ_ONCE(c->cpu[i].live);
	return live;
}

s64 slab_nr_objects(void)
{
	s64 live = 0;

	for (unsigned int i = 0; i < nr_caches; i++)
		live += cache_live(&caches[i]);
	return live;
}

u64 kmalloc_nr_slab_pages(void)
{
	u64 nr = 0;
	unsigned int i;

	for (i = 0; i < nr_caches; i++)
		nr += READ_ONCE(caches[i].nr_slabs) << caches[i].order;
	return nr;
}

static int drain_this_cpu(void *unused)
{
	unsigned int i;

	for (i = 0; i < nr_caches; i++) {
		struct kmem_cache *c = &caches[i];
		u64 flags = irq_save();
		struct kmem_cpu *k = &c->cpu[this_cpu()->id];

		give_back(c, k, k->nr);
		irq_restore(flags);
	}
	return 0;
}

/* How many: 0 or 1. */
static u64 drop_empty_slab(struct kmem_cache *c)
{
	u64 flags = spin_lock_irqsave(&c->lock);
	struct page *slab;
	u64 nr = 0;

	for (slab = c->partial; c->nr_empty && slab; slab = slab->next) {
		if (slab->slab_info)
			continue;
		c->nr_empty--;
		partial_del(c, slab);
		slab_destroy(c, slab);
		nr++;
		break;
	}
	spin_unlock_irqrestore(&c->lock, flags);
	return nr;
}

/* What this CPU keeps at hand, then the empty slabs; the other CPUs' lists are short. */
static u64 shrink_slabs(void)
{
	u64 nr = 0;

	drain_this_cpu(NULL);
	for (unsigned int i = 0; i < nr_caches; i++)
		nr += drop_empty_slab(&caches[i]);
	return nr;
}
SHRINKER(slabs, shrink_slabs);

void kmalloc_drain(void)
{
	unsigned int i;

	if (nr_cpus == 1)
		drain_this_cpu(NULL);
	else
		for (i = 0; i < nr_cpus; i++)
			if (on_cpu(i, drain_this_cpu, NULL))
				printk("kmalloc: CPU %u keeps its objects: no thread could start\n",
				       i);
	for (i = 0; i < nr_caches; i++)
		drop_empty_slab(&caches[i]);
}

void slab_dump(void)
{
	for (unsigned int i = 0; i < nr_caches; i++) {
		const struct kmem_cache *c = &caches[i];

		if (c->nr_slabs)
			printk("%-16s %7lld living of %4u bytes, %lu frames\n", c->name,
			       (long long)cache_live(c), c->size,
			       (unsigned long)(c->nr_slabs << c->order));
	}
}
