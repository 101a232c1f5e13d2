/* SPDX-License-Identifier: MIT */
/*
 * kmalloc.c - memory by size: a cache for each class of sizes, whole frames beyond.
 *
 * Owns:  the classes; blocks of whole frames (page->slab is LARGE).
 * Not:   objects (slab.c), frames (page_alloc.c).
 * Locks: none.
 */
#include "kernel/mm/kmalloc.h"

#include <string.h>

#include "kernel/core/printk.h"
#include "kernel/core/sched.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/reclaim.h"

#define CLASS_MAX 2048
#define LARGE	  0x6c61726765UL /* page->slab of a block of whole frames */

static struct {
	s64 live; /* its CPU alone, interrupts off */
} __aligned(64) large[MAX_CPUS];

static struct kmem_cache *classes[CLASS_MAX / 16 + 1]; /* s: by (size + 15) / 16 */

static void count_large(s64 change)
{
	u64 flags = irq_save();

	large[this_cpu()->id].live += change;
	irq_restore(flags);
}

static void *alloc_large(size_t size)
{
	unsigned int order = 0;
	struct page *page;

	while (order <= MAX_ORDER && PAGE_SIZE << order < size)
		order++;
	page = alloc_pages(order, ALLOC_NORMAL);
	for (int i = 0; !page && i < 4 && make_room_now(order); i++)
		page = alloc_pages(order, ALLOC_NORMAL);
	if (!page)
		return NULL;
	page->slab = LARGE;
	count_large(1);
	return page_address(page);
}

static void free_large(struct page *page, void *p)
{
	if (page->slab != LARGE || p != page_address(page))
		panic("kfree: %p was not allocated, or freed before", p);
	page->slab = 0;
	count_large(-1);
	free_pages(page, page->order);
}

void *kmalloc(size_t size)
{
	if (unlikely(size > CLASS_MAX))
		return alloc_large(size);
	return kmem_cache_alloc(classes[(size + 15) / 16]);
}

void *kzalloc(size_t size)
{
	void *p = kmalloc(size);

	if (likely(p))
		memset(p, 0, size);
	return p;
}

void kfree(void *p)
{
	struct page *page;

	if (!p)
		return;
	if (unlikely((u64)p < DIRECT_MAP_BASE || (u64)p >= VMAP_BASE))
		panic("kfree: %p is not from kmalloc", p);
	page = virt_to_page(p);
	if (likely(test_bit(&page->flags, PG_slab)))
		kmem_cache_free((struct kmem_cache *)page->slab, p);
	else
		free_large(page, p);
}

void kmalloc_init(void)
{
	static const struct {
		const char *name;
		u32 size;
	} sizes[] = {
		{ "kmalloc-16", 16 },	  { "kmalloc-32", 32 },	  { "kmalloc-64", 64 },
		{ "kmalloc-96", 96 },	  { "kmalloc-128", 128 }, { "kmalloc-192", 192 },
		{ "kmalloc-256", 256 },	  { "kmalloc-512", 512 }, { "kmalloc-1024", 1024 },
		{ "kmalloc-2048", 2048 },
	};
	unsigned int i, class = 0;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct kmem_cache *c = kmem_cache_create(sizes[i].name, sizes[i].size);

		while (class <= sizes[i].size / 16)
			classes[class ++] = c;
	}
}

static s64 nr_large(void)
{
	s64 live = 0;

	for (unsigned int i = 0; i < MAX_CPUS; i++)
		live += READ_ONCE(large[i].live);
	return live;
}

u64 kmalloc_nr_objects(void)
{
	return (u64)(slab_nr_objects() + nr_large());
}

void kmalloc_dump(void)
{
	slab_dump();
	printk("%-16s %7lld living\n", "whole frames", (long long)nr_large());
}
