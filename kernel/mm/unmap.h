/* SPDX-License-Identifier: MIT */
/*
 * unmap.h - are pages used by who maps them, and taking them out of all page tables: many pages, of
 * several files, under one shootdown.
 *
 *	struct unmap u;
 *	unmap_begin(&u);
 *	... lock pages; unmap_hold(&u, page->mapping); unmap_page(&u, page, &d); ...
 *	unmap_flush(&u);	what was removed is gone from all CPUs
 *	... mapcounts and references fall by what unmap_page() returned ...
 *	unmap_end(&u);		others may look at these files' PTEs again
 *
 * All pages stay locked from before unmap_page() until after unmap_flush(): so nobody maps them
 * again, cleans them, or starts their I/O before the flush (rules 42, 57; B12).
 */
#ifndef KERNEL_MM_UNMAP_H
#define KERNEL_MM_UNMAP_H

#include "arch/x86_64/tlb.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/vm_area.h"

#define UNMAP_FILES 8 /* held at once */

/* Where the PTEs of pages [first, last] of a file lie, if only one area maps them. */
struct unmap_place {
	struct address_space *mapping; /* NULL: nothing is known */
	pgoff_t first, last;
	struct vm_area *vma;
	pte_t *ptes; /* ptes[index] */
};

struct unmap {
	struct tlb_batch tlb;
	struct address_space *held[UNMAP_FILES];
	unsigned int nr_held;
	unsigned int stored; /* bit i: a D of held[i] was taken */
	struct unmap_place place;
};

void unmap_begin(struct unmap *u);

/* Hold @mapping's i_mmap_rwsem for read until unmap_end(). Nothing is waited for: false if it is
 * busy, or too many are held. The caller holds the lock of a page that is in @mapping. */
bool unmap_hold(struct unmap *u, struct address_space *mapping);

enum page_use {		     /* the more, the higher */
		PAGE_IDLE,   /* no PTE was used, or there is none */
		PAGE_IN_USE, /* some PTE has its A bit */
		PAGE_PINNED, /* an area of mlock() has it */
};
enum unmap_ask { UNMAP_LOOK, UNMAP_TAKE_A };
/* Ask all PTEs of @page. UNMAP_TAKE_A: they lose their A bits, which the next flush makes all CPUs
 * hear of. @page is locked, its mapping held. */
enum page_use unmap_ask(struct unmap *u, struct page *page, enum unmap_ask how);

/*
 * Remove all PTEs of @page but those of areas of mlock(). Returns how many: by so much
 * page->mapcount and page->refs fall, after the flush and not before (rules 38, 56). *@d becomes
 * true if one of a shared area had D. @page is locked, its mapping held. Allocates nothing.
 */
unsigned int unmap_page(struct unmap *u, struct page *page, bool *d);

/* One shootdown for all. Interrupts on, no spinlock held: asserted. */
void unmap_flush(struct unmap *u);
void unmap_end(struct unmap *u);

#endif
