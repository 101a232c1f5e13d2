/* SPDX-License-Identifier: MIT */
/*
 * kmalloc.h - objects smaller than pages, and larger ones by whole frames.
 *
 * Memory is in the direct map and physically contiguous. Nothing here sleeps; any context in which
 * no lock of rank SLAB or below is held. Where interrupts are on and no spinlock is held, clean
 * cached pages leave for it before it says that there is none.
 */
#ifndef KERNEL_MM_KMALLOC_H
#define KERNEL_MM_KMALLOC_H

#include "kernel/lib/types.h"

/* NULL if there is no memory, or @size > 4 MiB. 16-byte aligned; powers of two are aligned to
 * themselves up to a page; sizes >= 64, except 65 to 96, start a cache line. */
void *kmalloc(size_t size);
void *kzalloc(size_t size);
/* NULL is allowed. debug=1 poisons and catches double frees and stores to freed objects. */
void kfree(void *p);

/* An object cache of its own for frequent things; named in leak reports. @size up to 4096; 16-byte
 * aligned. Panics when there are too many caches: they are made at boot. */
struct kmem_cache;
struct kmem_cache *kmem_cache_create(const char *name, size_t size);
void *kmem_cache_alloc(struct kmem_cache *c); /* not zeroed */
void kmem_cache_free(struct kmem_cache *c, void *p);

void kmalloc_init(void);

/* Living objects of all caches and living blocks of whole frames: leak checks. Exact when the other
 * CPUs are quiet. */
u64 kmalloc_nr_objects(void);
/* Frames in slabs, free objects included. nr_free_pages() + this stays the same over a test that
 * frees what it allocates. */
u64 kmalloc_nr_slab_pages(void);
/* Give free objects of all CPUs back to their slabs and empty slabs to the frame allocator: for
 * tests. May sleep. */
void kmalloc_drain(void);
void kmalloc_dump(void); /* one line per cache */

/* slab.c for kmalloc.c: of the caches alone. */
s64 slab_nr_objects(void);
void slab_dump(void);

#endif
