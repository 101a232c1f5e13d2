/* SPDX-License-Identifier: MIT */
/*
 * vmap.c - the kernel addresses from VMAP_BASE to VMAP_END.
 *
 * Owns:  the areas of that range, the frames mapped there, and the stacks of threads.
 * Not:   page tables (pgtable.c), invalidation (tlb.c), what a thread is (sched.c).
 * Locks: vmap.lock (RANK_VMAP) for the tree of areas, free descriptors and cached stacks; never
 *        held while mapping (pgtable.lock ranks above) or flushing.
 * Key fact: an area leaves in the order unmap, flush, tree, frames. Its addresses must not be given
 *        out again, nor its frames (P6), while a CPU may hold the old translations: on such a CPU
 *        the new owner's stores would go to the old frames, or the old owner's to the new.
 *
 * Descriptors are never returned to the frame allocator, so that vmap_describe() may follow their
 * links without the lock when a panic stopped the CPU that holds it.
 */
#include "kernel/mm/vmap.h"

#include <string.h>
#include <sys/tree.h>

#include "kernel/lib/fmt.h"
#include "arch/x86_64/pgtable.h"
#include "arch/x86_64/tlb.h"
#include "kernel/core/sched.h"
#include "kernel/core/spinlock.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/shrinker.h"

#define MAX_CACHED_STACKS 32
#define MAX_DEPTH	  64 /* of the tree; no tree of 2^32 areas is higher */
/* A and D are set now, so that the CPU need not. */
#define MEMORY_BITS (PTE_W | PTE_NX | PTE_A | PTE_D)
#define DEVICE_BITS (MEMORY_BITS | PTE_PCD | PTE_PWT)

enum vmap_kind { VMAP_MEMORY, VMAP_STACK, VMAP_DEVICE };

/* v: vmap.lock   s: at creation */
struct vmap_area {
	RB_ENTRY(vmap_area) link; /* v */
	struct vmap_area *next;	  /* v: free descriptor, or cached stack */
	vaddr_t start;		  /* s: first mapped byte; a guard page lies before it ... */
	u64 nr_pages;		  /* s: ... and one after so many pages */
	struct page *pages;	  /* s: chained; NULL: device registers */
	paddr_t device;		  /* s */
	enum vmap_kind kind;	  /* s */
	bool cached;		  /* v: a stack nobody uses */
	struct thread *owner;	  /* of a stack; NULL: a CPU's, or cached */
};

static int area_cmp(const struct vmap_area *a, const struct vmap_area *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

RB_HEAD(vmap_tree, vmap_area);
RB_GENERATE_STATIC(vmap_tree, vmap_area, link, area_cmp)

/* v */
static struct {
	struct spinlock lock;
	struct vmap_tree areas;
	struct vmap_area *free; /* descriptors */
	struct vmap_area *stacks;
	unsigned int nr_stacks;
	u64 nr_descriptor_pages;
} vmap = { .lock = { .rank = RANK_VMAP, .name = "vmap" } };

static struct kmem_cache *thread_cache; /* s */

static vaddr_t area_end(const struct vmap_area *a)
{
	return a->start + (a->nr_pages << PAGE_SHIFT);
}

/* --- descriptors --- */

static struct vmap_area *descriptor_pop(void)
{
	struct vmap_area *a;

	spin_lock(&vmap.lock);
	a = vmap.free;
	if (a)
		vmap.free = a->next;
	spin_unlock(&vmap.lock);
	return a;
}

static void descriptor_push(struct vmap_area *a)
{
	spin_lock(&vmap.lock);
	a->next = vmap.free;
	vmap.free = a;
	spin_unlock(&vmap.lock);
}

static struct vmap_area *descriptor_alloc(void)
{
	struct vmap_area *a = descriptor_pop();
	struct page *page;
	unsigned int i;

	if (likely(a))
		return a;
	page = alloc_page(ALLOC_ZERO);
	if (!page)
		return NULL;
	a = page_address(page);
	for (i = 1; i < PAGE_SIZE / sizeof(*a); i++)
		descriptor_push(a + i);
	spin_lock(&vmap.lock);
	vmap.nr_descriptor_pages++;
	spin_unlock(&vmap.lock);
	return a;
}

/* --- frames --- */

static void free_chain(struct page *page)
{
	while (page) {
		struct page *next = page->next;

		free_pages(page, 0);
		page = next;
	}
}

static struct page *alloc_chain(u64 nr, enum alloc_flags flags)
{
	struct page_list list = { 0 };

	while (nr--) {
		struct page *page = alloc_page(flags);

		if (!page) {
			free_chain(list.first);
			return NULL;
		}
		page_list_add(&list, page);
	}
	return list.first;
}

/* Map a chain from @va, neighbours together; up to where it went. */
static vaddr_t map_chain(vaddr_t va, struct page *page)
{
	while (page) {
		struct page *last = page;
		u64 run;

		while (last->next == last + 1)
			last = last->next;
		run = (u64)(last - page) + 1;
		if (pgtable_map_kernel(va, page_to_phys(page), run, MEMORY_BITS))
			break;
		va += run << PAGE_SHIFT;
		page = last->next;
	}
	return va;
}

/* --- areas --- */

/* First fit: the range stays dense, and with it the tables below, which are never freed. */
static bool area_insert(struct vmap_area *a)
{
	u64 need = (a->nr_pages + 2) << PAGE_SHIFT;
	vaddr_t at = VMAP_BASE;
	struct vmap_area *other;
	bool fits;

	spin_lock(&vmap.lock);
	RB_FOREACH(other, vmap_tree, &vmap.areas) {
		if (other->start - PAGE_SIZE - at >= need)
			break;
		at = area_end(other) + PAGE_SIZE;
	}
	fits = need <= VMAP_END - at;
	if (fits) {
		a->start = at + PAGE_SIZE;
		RB_INSERT(vmap_tree, &vmap.areas, a);
	}
	spin_unlock(&vmap.lock);
	return fits;
}

static void area_remove(struct vmap_area *a)
{
	spin_lock(&vmap.lock);
	RB_REMOVE(vmap_tree, &vmap.areas, a);
	a->next = vmap.free;
	vmap.free = a;
	spin_unlock(&vmap.lock);
}

/* Addresses for @nr_pages, nothing mapped; NULL if there is no room or memory. */
static struct vmap_area *area_reserve(enum vmap_kind kind, u64 nr_pages)
{
	struct vmap_area *a;

	if (!nr_pages || nr_pages > (VMAP_END - VMAP_BASE) >> PAGE_SHIFT)
		return NULL;
	a = descriptor_alloc();
	if (!a)
		return NULL;
	a->nr_pages = nr_pages;
	a->kind = kind;
	a->pages = NULL;
	a->device = 0;
	a->owner = NULL;
	a->cached = false;
	if (!area_insert(a)) {
		descriptor_push(a);
		return NULL;
	}
	return a;
}

/* Unmap the first @mapped bytes, wait until no CPU can use them, only then let go of the rest. */
static void area_destroy(struct vmap_area *a, u64 mapped)
{
	struct page *pages = a->pages;

	if (mapped) {
		pgtable_unmap_kernel(a->start, mapped >> PAGE_SHIFT);
		tlb_flush_kernel(a->start, a->start + mapped);
	}
	area_remove(a);
	free_chain(pages);
}

static struct vmap_area *area_create(enum vmap_kind kind, u64 nr_pages, enum alloc_flags flags)
{
	struct vmap_area *a = area_reserve(kind, nr_pages);
	vaddr_t end;

	if (!a)
		return NULL;
	a->pages = alloc_chain(nr_pages, flags);
	end = a->pages ? map_chain(a->start, a->pages) : a->start;
	if (end == area_end(a))
		return a;
	area_destroy(a, end - a->start);
	return NULL;
}

/* The area that begins at @p; anything else is a bug of the caller. */
static struct vmap_area *area_of(const void *p, enum vmap_kind kind)
{
	struct vmap_area key = { .start = (vaddr_t)p };
	struct vmap_area *a;

	spin_lock(&vmap.lock);
	a = RB_FIND(vmap_tree, &vmap.areas, &key);
	spin_unlock(&vmap.lock);
	if (!a || a->kind != kind || a->cached)
		panic("vmap: %p is not the beginning of %s", p,
		      kind == VMAP_STACK ? "a stack" : "memory from vmalloc");
	return a;
}

void *vmalloc(u64 nr_pages)
{
	struct vmap_area *a = area_create(VMAP_MEMORY, nr_pages, ALLOC_ZERO | ALLOC_WAIT);

	return a ? (void *)a->start : NULL;
}

void vfree(void *p)
{
	struct vmap_area *a;

	if (!p)
		return;
	a = area_of(p, VMAP_MEMORY);
	area_destroy(a, a->nr_pages << PAGE_SHIFT);
}

void *ioremap(paddr_t pa, u64 size)
{
	paddr_t base = ALIGN_DOWN(pa, PAGE_SIZE);
	u64 nr_pages;
	struct vmap_area *a;

	if (pa + size < pa)
		return NULL;
	nr_pages = (PAGE_ALIGN(pa + size) - base) >> PAGE_SHIFT;
	a = area_reserve(VMAP_DEVICE, nr_pages);
	if (!a)
		return NULL;
	a->device = base;
	if (pgtable_map_kernel(a->start, base, nr_pages, DEVICE_BITS)) {
		area_destroy(a, 0);
		return NULL;
	}
	return (char *)a->start + (pa - base);
}

/* --- stacks and threads --- */

/* NULL: none is cached. */
static struct vmap_area *pop_stack(void)
{
	struct vmap_area *a;

	spin_lock(&vmap.lock);
	a = vmap.stacks;
	if (a) {
		vmap.stacks = a->next;
		vmap.nr_stacks--;
		a->cached = false;
	}
	spin_unlock(&vmap.lock);
	return a;
}

static struct vmap_area *stack_get(void)
{
	struct vmap_area *a = pop_stack();

	return a ? a : area_create(VMAP_STACK, STACK_PAGES, ALLOC_WAIT);
}

static void stack_put(struct vmap_area *a)
{
	bool keep;

	spin_lock(&vmap.lock);
	a->owner = NULL;
	keep = vmap.nr_stacks < MAX_CACHED_STACKS;
	if (keep) {
		a->cached = true;
		a->next = vmap.stacks;
		vmap.stacks = a;
		vmap.nr_stacks++;
	}
	spin_unlock(&vmap.lock);
	if (!keep)
		area_destroy(a, STACK_SIZE);
}

void *stack_alloc(void)
{
	struct vmap_area *a = stack_get();

	return a ? (void *)a->start : NULL;
}

struct thread *thread_alloc(void)
{
	struct thread *t = kmem_cache_alloc(thread_cache);
	struct vmap_area *stack;

	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	t->fpu = kmalloc(512);
	if (!t->fpu)
		goto out_thread;
	if (debug_checks) {
		t->held = kmalloc(MAX_HELD_LOCKS * sizeof(*t->held));
		if (!t->held)
			goto out_fpu;
	}
	stack = stack_get();
	if (!stack)
		goto out_held;
	stack->owner = t;
	t->stack = (void *)stack->start;
	arch_fpu_init(t->fpu);
	return t;

out_held:
	kfree(t->held);
out_fpu:
	kfree(t->fpu);
out_thread:
	kmem_cache_free(thread_cache, t);
	return NULL;
}

void thread_free(struct thread *t)
{
	stack_put(area_of(t->stack, VMAP_STACK));
	kfree(t->held);
	kfree(t->fpu);
	kmem_cache_free(thread_cache, t);
}

static u64 shrink_stacks(void)
{
	struct vmap_area *a;
	u64 nr = 0;

	for (; (a = pop_stack()); nr++)
		area_destroy(a, STACK_SIZE);
	return nr;
}
SHRINKER(stacks, shrink_stacks);

u64 vmap_nr_cached_pages(void)
{
	return READ_ONCE(vmap.nr_stacks) * STACK_PAGES + READ_ONCE(vmap.nr_descriptor_pages);
}

void vmap_init(void)
{
	thread_cache = kmem_cache_create("thread", sizeof(struct thread));
}

/* --- names --- */

/*
 * The area or guard page at @va. The lock is tried, below lockrank's eyes, because a panic asks
 * with any lock held; without it the walk may miss, but every link leads to a descriptor.
 */
static const struct vmap_area *area_at(vaddr_t va)
{
	u64 flags = irq_save();
	bool locked = atomic_cas(&vmap.lock.locked, 0u, 1u);
	struct vmap_area *a = READ_ONCE(RB_ROOT(&vmap.areas));
	unsigned int depth;

	for (depth = 0; a && depth < MAX_DEPTH; depth++) {
		if (va < a->start - PAGE_SIZE)
			a = READ_ONCE(RB_LEFT(a, link));
		else if (va >= area_end(a) + PAGE_SIZE)
			a = READ_ONCE(RB_RIGHT(a, link));
		else
			break;
	}
	if (locked)
		atomic_store(&vmap.lock.locked, 0u);
	irq_restore(flags);
	return depth < MAX_DEPTH ? a : NULL;
}

static void describe_area(const struct vmap_area *a, vaddr_t va, char *buf, size_t size)
{
	const struct thread *owner = READ_ONCE(a->owner);
	const char *where = "";

	if (va < a->start)
		where = "guard page below ";
	else if (va >= area_end(a))
		where = "guard page above ";
	if (a->kind == VMAP_DEVICE)
		ksnprintf(buf, size, "%sdevice registers at physical %#lx", where,
			  (unsigned long)a->device);
	else if (a->kind == VMAP_MEMORY)
		ksnprintf(buf, size, "%s%lu pages from vmalloc", where, (unsigned long)a->nr_pages);
	else if (owner)
		ksnprintf(buf, size, "%sthe stack of thread %u (%.*s)", where, owner->id,
			  THREAD_NAME, owner->name);
	else
		ksnprintf(buf, size, "%sthe stack of %s", where, a->cached ? "no thread" : "a CPU");
}

const char *vmap_describe(vaddr_t va, char *buf, size_t size)
{
	const struct vmap_area *a;

	if (va >= VMEMMAP_BASE && va < KERNEL_BASE) {
		ksnprintf(buf, size, "struct page of frame %#lx",
			  (unsigned long)((va - VMEMMAP_BASE) / sizeof(struct page)));
		return buf;
	}
	if (va >= DIRECT_MAP_BASE && va < VMAP_BASE) {
		ksnprintf(buf, size, "direct map of physical %#lx",
			  (unsigned long)(va - DIRECT_MAP_BASE));
		return buf;
	}
	if (va < VMAP_BASE || va >= VMAP_END)
		return NULL;
	a = area_at(va);
	if (!a)
		return NULL;
	describe_area(a, va, buf, size);
	return buf;
}
