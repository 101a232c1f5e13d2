/* SPDX-License-Identifier: MIT */
/*
 * heap.c - the memory behind malloc: a range of kernel addresses that grows by whole frames.
 *
 * Owns:  the addresses from HEAP_BASE on.
 * Not:   how it is cut up (newlib's malloc).
 * Locks: newlib's malloc lock, which is held whenever newlib calls sbrk.
 * Key fact: frames are never given back. malloc's trimming only moves the end; what lies above is
 *	  reused by the next growth, and no shootdown is ever needed.
 */
#include "kernel/lib/types.h"

#include "arch/x86_64/pgtable.h"
#include "kernel/mm/page_alloc.h"
#include "libc/libc.h"
#include "libc/process.h"

/* The upper end of vmap's addresses, which vmap fills from below and never reaches. */
#ifndef HEAP_BASE
#define HEAP_BASE (VMAP_END - (64UL << 30))
#endif

#define HEAP_CHUNK 64 /* pages; so that growing is rare */
#define HEAP_LEAST (64UL << 20)

static vaddr_t heap_end = HEAP_BASE;	/* sbrk(0) */
static vaddr_t heap_mapped = HEAP_BASE; /* frames lie below */

u64 libc_heap_pages(void)
{
	return (heap_mapped - HEAP_BASE) >> PAGE_SHIFT;
}

/* 64 MiB, or a quarter of memory where that is less. */
static u64 heap_limit(void)
{
	u64 quarter = nr_total_pages() * PAGE_SIZE / 4;

	return min(quarter, HEAP_LEAST);
}

static bool heap_map(vaddr_t end)
{
	struct page *page;

	while (heap_mapped < end) {
		page = alloc_page(ALLOC_WAIT);
		if (!page)
			return false;
		if (pgtable_map_kernel(heap_mapped, page_to_phys(page), 1, PTE_W | PTE_NX)) {
			free_pages(page, 0);
			return false;
		}
		heap_mapped += PAGE_SIZE;
	}
	return true;
}

void *heap_grow(s64 increment)
{
	vaddr_t old = heap_end;
	vaddr_t end = old + increment;

	if (end < HEAP_BASE || end > HEAP_BASE + heap_limit())
		return NULL;
	if (end > heap_mapped && !heap_map(ALIGN_UP(end, HEAP_CHUNK * PAGE_SIZE)) &&
	    end > heap_mapped)
		return NULL;
	heap_end = end;
	return (void *)old;
}
