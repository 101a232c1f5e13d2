/* SPDX-License-Identifier: MIT */
/*
 * area.h - what mm.c, mmap.c and madvise.c share about one area. Nobody else includes this.
 */
#ifndef KERNEL_MM_AREA_H
#define KERNEL_MM_AREA_H

#include "kernel/mm/vm_area.h"

RB_PROTOTYPE(vm_area_tree, vm_area, link, area_cmp);

/* mmap.c. mmap_lock w. Out of the address space's tree; its PTEs and its place in i_mmap stay, so
 * that cleaning still finds what has not been zapped yet. */
void area_unlink(struct vm_area *vma);
/* Zapped and unlinked: out of i_mmap, closed, freed. */
void area_free(struct vm_area *vma);

/* Two areas that a cut may need, had before mmap_lock: 0 or -ENOMEM. What is left goes back. */
int area_get_spares(struct vm_area **spares);
void area_put_spares(struct vm_area **spares);
/* mmap_lock w. Cut so that no area crosses @start or @end; spares that are used become NULL. */
void area_cut_at(struct mm *mm, vaddr_t start, vaddr_t end, struct vm_area **spares);

#endif
