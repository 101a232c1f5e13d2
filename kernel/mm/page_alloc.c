/* SPDX-License-Identifier: MIT */
/*
 * page_alloc.c - which frames are free.
 *
 * Owns:  every struct page while its refs are 0; all of a page's fields are free for links then.
 * Not:   what a page with references is used for.
 * Locks: zone.lock (RANK_ZONE, irqsave) for the buddy lists; the per-CPU caches have none: only
 *        their CPU touches them, with interrupts off, since handlers free pages too.
 * Key fact: the buddy of a free block always has a struct page, because vmemmap is mapped for whole
 *        aligned blocks of the largest order. Holes in them look reserved and never merge.
 *
 * P6: a frame comes here only after the flush of its last translation. What can be seen of that is
 * checked on the way in: mapcount 0, no mapping, no I/O, clean.
 */
#include "kernel/mm/page_alloc.h"

#include "arch/x86_64/pgtable.h"
#include "boot/boot.h"
#include "kernel/core/printk.h"
#include "kernel/core/sched.h"
#include "kernel/core/spinlock.h"
#include "kernel/mm/reclaim.h"

#define BLOCK_PAGES (1UL << MAX_ORDER)
#define CACHE_BATCH 32
#define CACHE_HIGH  96
#define POISON	    0x6b6b6b6b6b6b6b6bUL

/* No allocated page that is given back may have any of these. */
#define FLAGS_BAD                                                                                  \
	(1UL << PG_locked | 1UL << PG_writeback | 1UL << PG_reserved | 1UL << PG_buddy |           \
	 1UL << PG_slab)

/* z: zone.lock   s: at boot */
static struct {
	struct spinlock lock;
	struct page *free[MAX_ORDER + 1]; /* z: heads; ->next, and ->private points back */
	u64 nr_free;			  /* z: frames in the lists */
	u64 nr_total;			  /* s */
	u64 reserve, low;		  /* s: page_alloc_set_marks() */
	bool ready;			  /* s */
} zone = { .lock = { .rank = RANK_ZONE, .name = "zone" } };

/* Its CPU's alone, interrupts off. */
static struct frame_cache {
	struct page *first;
	unsigned int nr;
} __aligned(64) caches[MAX_CPUS];

/* s: runs of frames with a struct page; the last is followed by an empty one */
static struct span {
	u64 pfn, blocks;
} spans[BOOT_MAX_RANGES + 1];
static u64 nr_blocks; /* s: of all of them */

/* --- buddy lists: zone.lock held --- */

static void list_add(struct page *page, unsigned int order)
{
	struct page *head = zone.free[order];

	page->flags = 1UL << PG_buddy;
	page->order = (u8)order;
	page->next = head;
	page->private = 0;
	if (head)
		head->private = (u64)page;
	zone.free[order] = page;
	zone.nr_free += 1UL << order;
}

static void list_del(struct page *page, unsigned int order)
{
	struct page *prev = (struct page *)page->private;

	if (prev)
		prev->next = page->next;
	else
		zone.free[order] = page->next;
	if (page->next)
		page->next->private = (u64)prev;
	page->flags = 0;
	zone.nr_free -= 1UL << order;
}

static void buddy_free(struct page *page, unsigned int order)
{
	u64 pfn = page_to_pfn(page);

	for (; order < MAX_ORDER; order++) {
		struct page *buddy = pfn_to_page(pfn ^ (1UL << order));

		/* It may be allocated and change under us, but PG_buddy changes under our lock. */
		if (!test_bit(&buddy->flags, PG_buddy) || buddy->order != order)
			break;
		list_del(buddy, order);
		pfn &= ~(1UL << order);
	}
	list_add(pfn_to_page(pfn), order);
}

/* A block of the smallest order >= @order there is, cut down to @most; *@order says what it is. */
static struct page *buddy_take(unsigned int *order, unsigned int most)
{
	unsigned int o = *order;
	struct page *page;

	while (o <= MAX_ORDER && !zone.free[o])
		o++;
	if (o > MAX_ORDER)
		return NULL;
	page = zone.free[o];
	list_del(page, o);
	while (o > most) {
		o--;
		list_add(page + (1UL << o), o);
	}
	*order = o;
	return page;
}

/* --- per-CPU caches: interrupts off --- */

static void cache_push(struct frame_cache *c, struct page *page)
{
	page->next = c->first;
	c->first = page;
	c->nr++;
}

/* May the frames that are kept for writing out be given for this? */
static bool may_take_reserve(enum alloc_flags how)
{
	const struct thread *t = current_thread();

	return how & ALLOC_RESERVE || in_irq() || (t && t->writes_out);
}

/* zone.lock held: how many frames may go. */
static u64 available(enum alloc_flags how)
{
	u64 keep = may_take_reserve(how) ? 0 : zone.reserve;

	return zone.nr_free - min(keep, zone.nr_free);
}

/* Whole blocks where they fit: frames then leave the cache in rising runs, which I/O likes. */
static __attribute__((noinline)) void cache_refill(struct frame_cache *c, enum alloc_flags how)
{
	u64 flags = spin_lock_irqsave(&zone.lock);
	unsigned int left = (unsigned int)min(available(how), (u64)CACHE_BATCH);
	bool low = zone.nr_free < zone.low;

	while (left) {
		unsigned int order = 0, i;
		struct page *page = buddy_take(&order, 31 - (unsigned int)__builtin_clz(left));

		if (!page)
			break;
		for (i = 1u << order; i-- > 0;)
			cache_push(c, page + i);
		left -= 1u << order;
	}
	spin_unlock_irqrestore(&zone.lock, flags);
	if (unlikely(low))
		reclaim_wake();
}

static __attribute__((noinline)) void cache_give_back(struct frame_cache *c, unsigned int nr)
{
	u64 flags = spin_lock_irqsave(&zone.lock);

	while (nr--) {
		struct page *page = c->first;

		c->first = page->next;
		c->nr--;
		buddy_free(page, 0);
	}
	spin_unlock_irqrestore(&zone.lock, flags);
}

/* --- the interface --- */

static __noreturn void bad_page(const struct page *page, const char *what)
{
	panic("frame %#lx: %s: flags %#lx refs %d mapcount %d dirty %u mapping %p index %lu "
	      "order %u",
	      (unsigned long)page_to_pfn(page), what, page->flags, page->refs, page->mapcount,
	      page->dirty, (void *)page->mapping, (unsigned long)page->index, page->order);
}

static struct page *take_one(enum alloc_flags how)
{
	u64 flags = irq_save();
	struct frame_cache *c = &caches[this_cpu()->id];
	struct page *page;

	if (unlikely(!c->first))
		cache_refill(c, how);
	page = c->first;
	if (likely(page)) {
		c->first = page->next;
		c->nr--;
	}
	irq_restore(flags);
	return page;
}

static struct page *take_block(unsigned int order, enum alloc_flags how)
{
	u64 flags = spin_lock_irqsave(&zone.lock);
	bool low = zone.nr_free < zone.low;
	unsigned int got = order;
	struct page *page = NULL;

	if (likely(available(how) >> order))
		page = buddy_take(&got, order);
	spin_unlock_irqrestore(&zone.lock, flags);
	if (unlikely(low))
		reclaim_wake();
	return page;
}

struct page *alloc_pages(unsigned int order, enum alloc_flags flags)
{
	struct page *page;

	if (unlikely(order > MAX_ORDER))
		return NULL;
	page = alloc_fails() ? NULL : order ? take_block(order, flags) : take_one(flags);
	if (unlikely(!page))
		return flags & ALLOC_WAIT ? alloc_pages_waiting(order, flags) : NULL;
	if (unlikely(page->refs || page->mapcount))
		bad_page(page, "was referenced while free");
	page->flags = 0;
	page->mapping = NULL;
	page->next = NULL;
	page->private = 0;
	page->dirty = 0;
	page->order = (u8)order;
	WRITE_ONCE(page->refs, 1);
	if (flags & ALLOC_ZERO) {
		u64 i;

		for (i = 0; i < 1UL << order; i++)
			clear_frame((char *)page_address(page) + (i << PAGE_SHIFT));
	}
	return page;
}

static void check_unused(struct page *page)
{
	if (unlikely(page->mapping || page->mapcount || page->dirty || page->flags & FLAGS_BAD))
		bad_page(page, "freed while in use");
	page->flags = 0;
}

/* debug=1: whoever reads or sends the frame after this sees that it was freed. */
static void poison(struct page *page, unsigned int order)
{
	void *va = page_address(page);
	u64 words = PAGE_SIZE / 8 << order;

	__asm__ volatile("rep stosq" : "+D"(va), "+c"(words) : "a"(POISON) : "memory");
}

void free_unreferenced(struct page *page)
{
	struct frame_cache *c;
	u64 flags;

	check_unused(page);
	if (unlikely(page->order))
		bad_page(page, "a block of several frames was put, not freed");
	if (unlikely(debug_checks))
		poison(page, 0);
	flags = irq_save();
	c = &caches[this_cpu()->id];
	cache_push(c, page);
	if (unlikely(c->nr > CACHE_HIGH))
		cache_give_back(c, CACHE_BATCH);
	irq_restore(flags);
}

void free_pages(struct page *page, unsigned int order)
{
	u64 flags;

	if (unlikely(!atomic_cas(&page->refs, 1, 0)))
		bad_page(page, page->refs ? "freed while referenced" : "freed twice");
	if (unlikely(page->order != order))
		bad_page(page, "freed with another order");
	if (!order) {
		free_unreferenced(page);
		return;
	}
	check_unused(page);
	if (unlikely(debug_checks))
		poison(page, order);
	flags = spin_lock_irqsave(&zone.lock);
	buddy_free(page, order);
	spin_unlock_irqrestore(&zone.lock, flags);
}

u64 nr_frame_blocks(void)
{
	return nr_blocks;
}

struct page *frame_block(u64 n)
{
	const struct span *s = spans;

	while (n >= s->blocks)
		n -= s++->blocks;
	return pfn_to_page(s->pfn + n * BLOCK_PAGES);
}

u64 nr_total_pages(void)
{
	return zone.nr_total;
}

u64 nr_shared_pages(void)
{
	return READ_ONCE(zone.nr_free);
}

void page_alloc_set_marks(u64 reserve, u64 low)
{
	WRITE_ONCE(zone.reserve, reserve);
	WRITE_ONCE(zone.low, low);
}

u64 nr_free_pages(void)
{
	u64 nr = READ_ONCE(zone.nr_free);
	unsigned int i;

	for (i = 0; i < MAX_CPUS; i++)
		nr += READ_ONCE(caches[i].nr);
	return nr;
}

void drain_page_cache(void)
{
	u64 flags = irq_save();
	struct frame_cache *c = &caches[this_cpu()->id];

	cache_give_back(c, c->nr);
	irq_restore(flags);
}

static int drain_this_cpu(void *unused)
{
	drain_page_cache();
	return 0;
}

void drain_page_caches(void)
{
	unsigned int cpu;

	if (nr_cpus == 1) {
		drain_this_cpu(NULL);
		return;
	}
	for (cpu = 0; cpu < nr_cpus; cpu++)
		if (on_cpu(cpu, drain_this_cpu, NULL))
			printk("memory: CPU %u keeps its cache of frames: no thread could start\n",
			       cpu);
}

/* --- boot --- */

static void *table_alloc(void)
{
	struct page *page;

	if (!zone.ready)
		return phys_to_virt(early_alloc());
	page = alloc_page(ALLOC_ZERO);
	if (!page)
		return NULL;
	page->flags = 1ul << PG_table;
	return page_address(page);
}

static void table_free(void *table)
{
	free_pages(virt_to_page(table), 0);
}

/*
 * The next run [*pfn, *end) of whole blocks with memory in them; *i counts the loader's ranges.
 * Ranges that share a block are one span, so that each range lies in exactly one.
 */
static bool next_span(const struct boot_info *info, unsigned int *i, u64 *pfn, u64 *end)
{
	const struct boot_range *r = &info->ranges[*i];

	if (*i >= info->nr_ranges)
		return false;
	*pfn = ALIGN_DOWN(r->start >> PAGE_SHIFT, BLOCK_PAGES);
	do {
		*end = ALIGN_UP(r->end >> PAGE_SHIFT, BLOCK_PAGES);
		r++;
	} while (++*i < info->nr_ranges && r->start >> PAGE_SHIFT < *end);
	return true;
}

/* Zeroed struct pages for [pfn, end), a multiple of blocks: 16 frames each. */
static void map_struct_pages(u64 pfn, u64 end)
{
	vaddr_t va = (vaddr_t)pfn_to_page(pfn);
	u64 left = (end - pfn) * sizeof(struct page) >> PAGE_SHIFT;

	while (left) {
		u64 nr, i;
		paddr_t pa = early_take(left, &nr);

		if (pgtable_map_kernel(va, pa, nr, PTE_W | PTE_NX | PTE_A | PTE_D))
			panic("memory: struct pages at %#lx could not be mapped", va);
		for (i = 0; i < nr; i++)
			clear_frame((void *)(va + (i << PAGE_SHIFT)));
		va += nr << PAGE_SHIFT;
		left -= nr;
	}
}

static void reserve(u64 pfn, u64 end)
{
	for (; pfn < end; pfn++) {
		struct page *page = pfn_to_page(pfn);

		page->flags = 1UL << PG_reserved;
		page->refs = 1;
	}
}

/* Into the largest aligned blocks: only their heads are written. */
static void release(u64 pfn, u64 end)
{
	zone.nr_total += end - pfn;
	while (pfn < end) {
		unsigned int order = MAX_ORDER;

		while (pfn & ((1UL << order) - 1) || pfn + (1UL << order) > end)
			order--;
		list_add(pfn_to_page(pfn), order);
		pfn += 1UL << order;
	}
}

void page_alloc_init(const struct boot_info *info)
{
	const struct boot_range *r;
	struct span *span = spans;
	unsigned int i, nr;
	u64 pfn, end;

	pgtable_set_memory(table_alloc, table_free);
	for (i = 0; next_span(info, &i, &pfn, &end);) {
		map_struct_pages(pfn, end);
		*span = (struct span){ pfn, (end - pfn) / BLOCK_PAGES };
		nr_blocks += span++->blocks;
	}

	/* Nothing more is taken early. What lies between the free ranges is reserved. */
	r = early_left(&nr);
	for (i = 0; next_span(info, &i, &pfn, &end);) {
		for (; nr && r->start >> PAGE_SHIFT < end; nr--, r++) {
			reserve(pfn, r->start >> PAGE_SHIFT);
			release(r->start >> PAGE_SHIFT, r->end >> PAGE_SHIFT);
			pfn = r->end >> PAGE_SHIFT;
		}
		reserve(pfn, end);
	}
	zone.ready = true;
}
