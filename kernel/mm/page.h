/* SPDX-License-Identifier: MIT */
/*
 * page.h - one struct for every frame of memory.
 */
#ifndef KERNEL_MM_PAGE_H
#define KERNEL_MM_PAGE_H

#include "arch/x86_64/asm/arch.h"
#include "arch/x86_64/asm/atomic.h"
#include "kernel/lib/bug.h"
#include "kernel/lib/types.h"

struct address_space;

/* PG_waiters is bit 7, see page_clear_bit_wake(). */
enum page_flag {
	PG_locked,
	PG_writeback, /* I/O started, not finished; set and cleared only by page_dirty.c */
	PG_uptodate,  /* contents are the file's */
	PG_error,     /* the read that should have filled it failed */
	PG_d_seen,    /* a D bit was found while unmapping; page_dirty.c */
	PG_blocks,    /* private holds the first disk block, and all the page's blocks follow it */
	PG_waiters = 7, /* somebody sleeps on a bit of this page */
	PG_reserved,	/* not memory to be handed out */
	PG_buddy,	/* free, head of a block of 2^order */
	PG_slab,
	PG_readahead, /* read ahead, and nobody has come for it yet: finding it is its first use */
	PG_kept,      /* its last write failed; CLEAN, but counted as dirty; page_dirty.c */
	PG_copy,      /* PG_writeback is that of a frame this one replaced; page_fork.c */
	PG_used,      /* found in the cache since the clock's front hand came by; reclaim.c */
	PG_table,     /* a page table: for who counts (oom.c) */
};

enum page_dirtiness { PAGE_CLEAN, PAGE_MAYBE_DIRTY, PAGE_DIRTY };

/* L: page lock   t: mapping->tree_lock   s: at creation   a: atomic   z: frame allocator */
struct page {
	unsigned long flags;	       /* a: PG_* */
	struct address_space *mapping; /* L,t: write both, read either; NULL = not in a file */
	pgoff_t index;		       /* s: in pages, while in a mapping */
	struct page *next;	       /* L: link of the page_list that holds it */
	u64 private;		       /* L: the file system's; see PG_blocks */
	int refs;		       /* a: 0 = free; PAGE_CACHED and more: in a file's tree */
	int mapcount; /* a: PTEs that map it; falls only after the flush (rule 38) */
	u8 dirty;     /* L: enum page_dirtiness; page_dirty.c alone */
	u8 order;     /* z */
	u8 left;      /* L: PAGE_LEFT_* of the cleaning that is under way, else 0 */
	u8 spare;
	u32 slab_info;
	u64 slab; /* kmalloc's */
};
_Static_assert(sizeof(struct page) == 64, "one cache line, and vmemmap counts on it");

/*
 * What the tree's reference counts. So the count itself says whether the frame is a cached page,
 * and who comes upon it by its number looks and takes a reference in one instruction
 * (page_get_cached): a frame that was freed meanwhile, and has become a slab or a page table, never
 * gets a reference that its owner does not know of.
 */
#define PAGE_CACHED (1 << 28)

#define vmemmap ((struct page *)VMEMMAP_BASE)

static inline u64 page_to_pfn(const struct page *page)
{
	return (u64)(page - vmemmap);
}

/* @pfn must be memory: there is no struct page for holes. */
static inline struct page *pfn_to_page(u64 pfn)
{
	return vmemmap + pfn;
}

static inline paddr_t page_to_phys(const struct page *page)
{
	return page_to_pfn(page) << PAGE_SHIFT;
}

static inline struct page *phys_to_page(paddr_t pa)
{
	return pfn_to_page(pa >> PAGE_SHIFT);
}

static inline void *page_address(const struct page *page)
{
	return phys_to_virt(page_to_phys(page));
}

static inline struct page *virt_to_page(const void *va)
{
	return phys_to_page(virt_to_phys(va));
}

/* Zero the 4096 bytes of a frame. */
static inline void clear_frame(void *va)
{
	u64 words = PAGE_SIZE / 8;

	__asm__ volatile("rep stosq" : "+D"(va), "+c"(words) : "a"(0UL) : "memory");
}

/* A chain of pages through page->next, in index order where it matters. */
struct page_list {
	struct page *first, *last;
	unsigned int nr;
};

static inline void page_list_add(struct page_list *list, struct page *page)
{
	page->next = NULL;
	if (list->last)
		list->last->next = page;
	else
		list->first = page;
	list->last = page;
	list->nr++;
}

static inline void page_get(struct page *page)
{
	atomic_inc(&page->refs);
}

void page_release(struct page *page); /* page.c: refs fell to zero, or below: a bug */

/* Frees a single frame at zero. Any context. */
static inline void page_put(struct page *page)
{
	bool last;

	__asm__ volatile("lock decl %0" : "+m"(page->refs), "=@ccle"(last)::"memory");
	if (unlikely(last))
		page_release(page);
}

/*
 * A pin: a device may read or write the frame by its physical address. Counted in refs, as many
 * references as no frame has otherwise; so a page that is mapped 32,768 times looks pinned, which
 * keeps it in the cache and nothing else. Taken by gup.c under pgtable.lock; for who wants to take
 * the page out of its file: locked, no PTE maps it, then look.
 */
#define PAGE_PIN 32768

static inline void page_pin(struct page *page)
{
	(void)atomic_add_return(&page->refs, PAGE_PIN);
}

static inline void page_unpin(struct page *page)
{
	if (unlikely(atomic_sub_return(&page->refs, PAGE_PIN) <= 0))
		page_release(page);
}

static inline bool page_pinned(const struct page *page)
{
	return (READ_ONCE(page->refs) & (PAGE_CACHED - 1)) >= PAGE_PIN;
}

/* Any frame, by its number: true, with a reference, if it is some file's page now. It may leave the
 * file at once: who wants more locks it and looks at page->mapping. */
static inline bool page_get_cached(struct page *page)
{
	int refs = READ_ONCE(page->refs);

	while (refs >= PAGE_CACHED && !atomic_cas(&page->refs, refs, refs + 1))
		refs = READ_ONCE(page->refs);
	return refs >= PAGE_CACHED;
}

/* The tree's reference of a page that the caller has referenced, and its end. */
static inline void page_get_tree(struct page *page)
{
	(void)atomic_add_return(&page->refs, PAGE_CACHED);
}

static inline void page_put_tree(struct page *page)
{
	if (unlikely(atomic_sub_return(&page->refs, PAGE_CACHED) <= 0))
		page_release(page);
}

static inline bool page_locked(const struct page *page)
{
	return test_bit(&page->flags, PG_locked);
}

static inline void assert_page_locked(const struct page *page)
{
	if (unlikely(!page_locked(page)))
		panic("page %lu of mapping %p is not locked", (unsigned long)page->index,
		      (void *)page->mapping);
}

/* Not for others: the slow halves of what follows. */
void lock_page_slow(struct page *page);
void page_wake(struct page *page);
void page_clear_bit_slow(struct page *page, unsigned int bit);
void page_note_lock(struct page *page);
void page_note_unlock(struct page *page);

/*
 * Clear @bit (PG_locked or PG_writeback), a full barrier, and wake who waits for it; any context.
 *
 * The page may be freed by others as soon as the bit is clear, so the clearing instruction itself
 * must say whether somebody waits: PG_waiters is the sign of the byte. A load of PG_waiters after
 * it would read the flags of a page that a truncate has given to somebody else meanwhile.
 */
static inline void page_clear_known_bit_wake(struct page *page, enum page_flag bit)
{
	bool waiters;

	__asm__ volatile("lock andb %2, %0"
			 : "+m"(*(u8 *)&page->flags), "=@ccs"(waiters)
			 : "iq"((u8) ~(1u << bit))
			 : "memory");
	if (unlikely(waiters))
		page_wake(page);
}

/* The same, and a panic if the bit is not set. */
static inline void page_clear_bit_wake(struct page *page, enum page_flag bit)
{
	unsigned long mine = READ_ONCE(page->flags) & (1UL << bit | 1UL << PG_waiters);

	if (unlikely(mine != 1UL << bit))
		page_clear_bit_slow(page, bit);
	else
		page_clear_known_bit_wake(page, bit);
}

/*
 * The page lock: the serialization point between a store's fault and its cleaning (rule 28). May
 * sleep. Several pages of one mapping may be locked by rising index.
 */
static inline void lock_page(struct page *page)
{
	if (unlikely(debug_checks))
		page_note_lock(page);
	if (unlikely(test_and_set_bit(&page->flags, PG_locked)))
		lock_page_slow(page);
}

bool trylock_page(struct page *page);

/* By the thread that locked it. debug=1: checks the page's promises first, and may sleep for it. */
static inline void unlock_page(struct page *page)
{
	if (unlikely(debug_checks))
		page_note_unlock(page);
	page_clear_bit_wake(page, PG_locked);
}

/* A page that is read stays locked until its I/O completes, in whatever context. The thread that
 * locked it hands the lock over before it submits; the completion unlocks, without a check of
 * promises (which takes locks). A thread that keeps its lock uses unlock_page(). */
void page_lock_handed_to_io(struct page *page);

static inline void unlock_page_io(struct page *page)
{
	page_clear_bit_wake(page, PG_locked);
}

static inline bool page_uptodate(const struct page *page)
{
	return test_bit(&page->flags, PG_uptodate);
}

/* Somebody found it in the cache: the clock passes it over once (reclaim.c). */
static inline void page_mark_used(struct page *page)
{
	if (unlikely(!test_bit(&page->flags, PG_used)) &&
	    !test_and_clear_bit(&page->flags, PG_readahead))
		set_bit(&page->flags, PG_used);
}

static inline bool page_writeback(const struct page *page)
{
	return test_bit(&page->flags, PG_writeback);
}

/* Does a device read this very frame? */
static inline bool page_under_io(const struct page *page)
{
	return (READ_ONCE(page->flags) & (1ul << PG_writeback | 1ul << PG_copy)) ==
	       1ul << PG_writeback;
}

/*
 * The file whose I/O the page carries. A frame that was replaced by its copy (page_fork.c) is in no
 * file any more, and its page->mapping compares equal to none: bit 0 of it is set.
 */
#define PAGE_REPLACED 1ul

static inline bool page_replaced(const struct page *page)
{
	return (u64)READ_ONCE(page->mapping) & PAGE_REPLACED;
}

static inline struct address_space *page_io_mapping(const struct page *page)
{
	return (struct address_space *)((u64)READ_ONCE(page->mapping) & ~PAGE_REPLACED);
}

/* Sleep until the page's I/O ended. The caller holds a reference. */
void wait_on_page_writeback(struct page *page);

#endif
