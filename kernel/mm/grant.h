/* SPDX-License-Identifier: MIT */
/*
 * grant.h - making pages writable before they are stored to: writable, but clean.
 *
 * Such a page is MAYBE_DIRTY: its file system agreed, its blocks are there, and only the dirty bit
 * of the PTE will tell of a store. A page that needed a new block for it is DIRTY instead: the
 * block holds its last owner's bytes until the page is written over them.
 */
#ifndef KERNEL_MM_GRANT_H
#define KERNEL_MM_GRANT_H

#include "kernel/mm/vm_area.h"

#define GRANT_MAX 512UL /* pages; what one leaf table maps */

/* Argument grant=: how many pages one write fault makes writable. 0: one; n: 8 << n. */
extern unsigned int grant_choice;

/* A page that is not easily had (it changed meanwhile; the device reads it, and the policy promised
 * that nobody changes it) is passed over, or waited for. */
enum grant_patience { GRANT_IF_EASY, GRANT_INSIST };

/*
 * vmf->page (referenced) becomes writable without notice at vmf->addr; vmf->orig is what the PTE
 * was: absent, or read-only and of this page. Takes over the reference. NOPAGE | DIRTIED: done;
 * NOPAGE: not easy, or changed meanwhile; SIGBUS (vmf->error): refused, nothing changed. mmap_lock
 * held for read; may sleep.
 */
vm_fault_t grant_page(struct vm_fault *vmf, enum grant_patience how);

/* A store to @addr was granted: so are its neighbours, the naturally aligned window around it, as
 * far as area and file reach. What cannot be had is left to its own fault. mmap_lock held for
 * read; may sleep. */
void grant_around(struct vm_area *vma, vaddr_t addr);

/*
 * All pages of [start, end), inside the shared writable @vma of a file with writeback and inside
 * one leaf table. 0, or the error of the first page that is refused: -ENOSPC, -EIO, -ENOMEM,
 * -EFAULT (beyond the end of the file); the pages before it are granted. mmap_lock held for read;
 * may sleep.
 */
int grant_range(struct vm_area *vma, vaddr_t start, vaddr_t end);

#endif
