/* SPDX-License-Identifier: MIT */
/*
 * area.h - what the calls that change areas share about one area: mm.c, mmap.c, mprotect.c,
 * mremap.c, madvise.c, mm_fork.c. Nobody else includes this.
 *
 * Everywhere: mmap_lock of the address space is held for write.
 */
#ifndef KERNEL_MM_AREA_H
#define KERNEL_MM_AREA_H

#include "kernel/lib/mman.h"
#include "kernel/mm/vm_area.h"

RB_PROTOTYPE(vm_area_tree, vm_area, link, area_cmp);

/* Into the address space's tree and into i_mmap; start, end, pgoff, mapping are set. */
void area_link(struct vm_area *vma);
/* All of it goes: PTEs, its places in both trees, what it holds, itself. True: it had tables, and
 * area_free_tables() has work. */
bool area_remove(struct vm_area *vma);
/* A copy that is in no tree and holds nothing (ops->open is the caller's); NULL: no memory. */
struct vm_area *area_copy(const struct vm_area *vma);
/* The area ends at @end from now on, with its PTEs beyond gone already or another's. */
void area_set_end(struct vm_area *vma, vaddr_t end);

/* Cut so that no area crosses @start or @end. 0, or -ENOMEM: nothing changed. */
int area_cut_at(struct mm *mm, vaddr_t start, vaddr_t end);
/* Join neighbours that differ in nothing any more, wherever they meet in [@start, @end]. Areas of
 * the range may be freed: look them up again. Cannot fail. */
void area_join_range(struct mm *mm, vaddr_t start, vaddr_t end);

/* VM_READ, VM_WRITE, VM_EXEC for PROT_*. */
static inline u32 prot_to_flags(int prot)
{
	return (prot & PROT_READ ? VM_READ : 0u) | (prot & PROT_WRITE ? VM_WRITE : 0u) |
	       (prot & PROT_EXEC ? VM_EXEC : 0u);
}

/* Addresses that a program may map. */
static inline bool area_range_ok(vaddr_t addr, u64 len)
{
	return addr >= USER_START && len <= USER_END && addr <= USER_END - len;
}

/* Where @len bytes go: @hint if nothing is mapped there, else wherever there is room; 0: there is
 * none. */
vaddr_t area_find_room(struct mm *mm, vaddr_t hint, u64 len);
/* [@start, @end) was unmapped: free the tables of it that no area needs any more. */
void area_free_tables(struct mm *mm, vaddr_t start, vaddr_t end);
/* mmap.c. Take away all that is mapped in [@start, @end), but not its tables; *@touched (false
 * before): there were some. -ENOMEM: nothing changed. */
int unmap_locked(struct mm *mm, vaddr_t start, vaddr_t end, bool *touched);

#endif
