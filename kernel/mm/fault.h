/* SPDX-License-Identifier: MIT */
/*
 * fault.h - from a fault to a PTE, and from a range to no PTEs.
 */
#ifndef KERNEL_MM_FAULT_H
#define KERNEL_MM_FAULT_H

#include "kernel/core/sched.h"
#include "kernel/mm/vm_area.h"

/*
 * Why an access could not be made good. Four classes that who asks can tell apart (rule 20); what
 * has changed meanwhile is none of them, and is tried again.
 */
enum fault_kind {
	FAULT_NOT_MAPPED,    /* SIGSEGV, SEGV_MAPERR */
	FAULT_NOT_PERMITTED, /* SIGSEGV, SEGV_ACCERR */
	FAULT_BY_FILE,	     /* SIGBUS: behind its end, no space, I/O error */
	FAULT_NO_MEMORY,     /* no signal: the thread ends */
};

#define FAULT_NAME 64

struct fault_info {
	vaddr_t addr; /* to the byte */
	enum fault_kind kind;
	int error;	    /* what a copy of the kernel returns: -EFAULT, -ENOSPC, -EIO, -ENOMEM */
	const char *reason; /* the same in words */
	u64 offset;	    /* of the address in the file */
	char file[FAULT_NAME]; /* its name or number; "": no file */
};

/* memory.c. mmap_lock held for read. Makes @addr of @vma accessible, or says why not; *@error is
 * the errno with SIGBUS. Returns with the same locks. */
vm_fault_t handle_mm_fault(struct vm_area *vma, vaddr_t addr, bool write, int *error);

/*
 * zap.c. Remove the PTEs of [start, end) of @vma: exchange, note D (PG_d_seen), flush, then drop
 * mapcounts and references (rules 55, 56; design section 6). With ZAP_COWS private copies and
 * anonymous pages go too (munmap, truncate), else only the file's own pages. For areas that map a
 * file i_mmap_rwsem is held for write from the first exchange until the flush is acknowledged, by
 * this function. The caller holds mmap_lock for write, or is the last user. May sleep.
 */
enum zap_cows { ZAP_FILE_ONLY, ZAP_COWS };
void zap_range(struct vm_area *vma, vaddr_t start, vaddr_t end, enum zap_cows cows);
/* The same for all of @vma, and its place in i_mmap. True: it had page tables. */
bool zap_area(struct vm_area *vma);

/* zap.c. Remove every PTE of @mapping in file pages [first, last], in all address spaces. No
 * mmap_lock needed. May sleep. */
void unmap_mapping_range(struct address_space *mapping, pgoff_t first, pgoff_t last,
			 enum zap_cows cows);

/* Between these a fault of this thread fails at once (copy_fault returns short): for copies made
 * with a page lock held (rule 13). */
static inline void pagefault_disable(void)
{
	current_thread()->fault_disabled++;
}

static inline void pagefault_enable(void)
{
	current_thread()->fault_disabled--;
}

/* fault.c. Fault in [p, p+len) for reading or writing as the CPU would, without touching data.
 * 0 or -EFAULT. For addresses of the kernel half: 0. May sleep. */
int fault_in(const void *p, size_t len, bool write);
/* One page of @mm, as if somebody there had loaded from it or stored to it. 0, -EFAULT (not mapped,
 * not permitted, beyond the end of the file), -EIO, -ENOSPC, -ENOMEM. It may be gone again when
 * this returns. No lock held; may sleep. */
int mm_fault_in(struct mm *mm, vaddr_t addr, bool write);

#endif
