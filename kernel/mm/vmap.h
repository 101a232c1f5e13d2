/* SPDX-License-Identifier: MIT */
/*
 * vmap.h - kernel addresses that are not the direct map: stacks with guard pages, big buffers,
 * device registers.
 */
#ifndef KERNEL_MM_VMAP_H
#define KERNEL_MM_VMAP_H

#include "kernel/lib/types.h"

void vmap_init(void); /* after kmalloc_init() */
/* @nr_pages zeroed pages at contiguous kernel addresses, an unmapped guard page on each side. NULL
 * if out of memory. May sleep. */
void *vmalloc(u64 nr_pages);
/* NULL is allowed. May sleep; interrupts on, no spinlock: it waits for a shootdown. */
void vfree(void *p);
/* Device registers, uncached; page offset kept. NULL if out of room. Never freed. */
void *ioremap(paddr_t pa, u64 size);
/* Name of what lies at @va ("guard page below the stack of thread 7 (flusher)"), or NULL. Any
 * context, also while panicking. */
const char *vmap_describe(vaddr_t va, char *buf, size_t size);

/* For sched_init() and smp_set_memory(). Stacks are cached, not unmapped, at free: up to 32. */
struct thread;
struct thread *thread_alloc(void);
void thread_free(struct thread *t); /* nobody runs on its stack; the conditions of vfree() */
void *stack_alloc(void); /* STACK_SIZE bytes with guard pages; lowest address; for life */

/* Frames behind cached stacks and descriptors, which nobody uses now: for leak checks. */
u64 vmap_nr_cached_pages(void);

#endif
