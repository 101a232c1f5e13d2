/* SPDX-License-Identifier: MIT */
/*
 * vm_area.h - address spaces and the areas mapped in them.
 */
#ifndef KERNEL_MM_VM_AREA_H
#define KERNEL_MM_VM_AREA_H

#include <sys/queue.h>
#include <sys/tree.h>

#include "arch/x86_64/pgtable.h"
#include "kernel/core/sleeplock.h"
#include "kernel/mm/i_mmap.h"
#include "kernel/mm/page.h"

struct address_space;
struct file;
struct vm_area;

/* What a fault ended in; a bitmask. */
typedef unsigned int vm_fault_t;
#define VM_FAULT_NOPAGE	 0x01 /* done, or changed meanwhile: let the CPU retry */
#define VM_FAULT_LOCKED	 0x02 /* vmf->page is locked and referenced */
#define VM_FAULT_SIGBUS	 0x04 /* beyond EOF, no space, I/O error: vmf->error says which */
#define VM_FAULT_OOM	 0x08
#define VM_FAULT_SIGSEGV 0x10
#define VM_FAULT_DIRTIED 0x20 /* a page was dirtied: the caller throttles with no lock held */
#define VM_FAULT_ERROR	 (VM_FAULT_SIGBUS | VM_FAULT_OOM | VM_FAULT_SIGSEGV)

struct vm_fault {
	struct vm_area *vma;
	vaddr_t addr;  /* page aligned */
	pgoff_t pgoff; /* in the file */
	bool write;
	pte_t *ptep;
	pte_t orig;	   /* the PTE when the fault began; differs later: retry (rule 7) */
	struct page *page; /* result of fault(); subject of page_mkwrite() */
	int error;	   /* with VM_FAULT_SIGBUS: -ENOSPC, -EIO, -EFAULT (EOF) */
};

/*
 * | method	 | locks held		 | may sleep	| leaves				  |
 * | open, close | mmap_lock w		 | yes		| reference on vma->file changed	  |
 * | fault	 | mmap_lock r, invalidate r | yes	| LOCKED with an up-to-date page in file  |
 * | page_mkwrite| mmap_lock r		 | yes		| LOCKED, re-checked, or an error; nothing|
 * |		 |			 |		| changed on error			  |
 * | fsync	 | none			 | yes		| [first, last] (pages) of the file	  |
 * |		 |			 |		| durable (SYNC_DATA), or the error that  |
 * |		 |			 |		| vma->file is to be told of		  |
 * | remove	 | mmap_lock r, dropped	 | yes		| these pages of the file are a hole      |
 */
struct vm_operations {
	void (*open)(struct vm_area *vma);  /* the area was duplicated or split */
	void (*close)(struct vm_area *vma); /* it is gone, all its PTEs zapped and flushed */
	vm_fault_t (*fault)(struct vm_fault *vmf);
	/* vmf->page is referenced, not locked. NULL: no notice wanted (P3 of seeds). */
	vm_fault_t (*page_mkwrite)(struct vm_fault *vmf);
	/* Give up bytes [@start, @end) of the file, as fallocate() does. 0 or an error. NULL: it
	 * cannot be asked for. */
	int (*remove)(struct vm_area *vma, u64 start, u64 end);
	/* msync(MS_SYNC). Of @vma only @file is looked at: it may be gone from its space. NULL:
	 * there is nothing to make durable. */
	int (*fsync)(const struct vm_area *vma, pgoff_t first, pgoff_t last);
	/* Of the file, for messages; mmap_lock held. NULL: it has only a number. */
	const char *(*name)(const struct vm_area *vma);
};

#define VM_READ	    0x01
#define VM_WRITE    0x02
#define VM_EXEC	    0x04
#define VM_SHARED   0x08
#define VM_MAYWRITE 0x10  /* the descriptor allows it */
#define VM_LOCKED   0x20  /* mlock()ed */
#define VM_ASKED    0x40  /* MADV_STAY_WRITABLE, MADV_WILL_WRITE */
#define VM_SEQ	    0x80  /* MADV_SEQUENTIAL */
#define VM_RAND	    0x100 /* MADV_RANDOM */

/* m: mm->mmap_lock (w to change, r to read)   s: at creation */
struct vm_area {
	vaddr_t start,
		end; /* m: page aligned, end exclusive; also under i_mmap_rwsem w when in i_mmap */
	pgoff_t pgoff;			   /* m: of start */
	u32 flags;			   /* m: VM_* */
	struct mm *mm;			   /* s */
	struct address_space *mapping;	   /* s: NULL: anonymous */
	struct file *file;		   /* s: opaque; ops->open/close count it */
	const struct vm_operations *ops;   /* s: NULL: anonymous */
	const struct dirty_policy *policy; /* m: NULL: the mapping's */
	RB_ENTRY(vm_area) link;		   /* m: mm->areas */
	struct i_mmap_node i_node;	   /* mapping->i_mmap_rwsem */
};

RB_HEAD(vm_area_tree, vm_area);

/* m: mmap_lock */
struct mm {
	struct pgtable pgt;
	struct rwsem mmap_lock;
	struct vm_area_tree areas;  /* m */
	struct vm_area *last_found; /* a: hint of find_vma */
	unsigned int nr_areas;	    /* m */
	vaddr_t hint;		    /* m: where the next search for room begins */
	bool lock_all;		    /* m: MCL_FUTURE */
	int refs;		    /* a */
	TAILQ_ENTRY(mm) all_link;   /* mm.c */
};

static inline pgoff_t vma_pgoff(const struct vm_area *vma, vaddr_t addr)
{
	return vma->pgoff + ((addr - vma->start) >> PAGE_SHIFT);
}

static inline vaddr_t vma_address(const struct vm_area *vma, pgoff_t pgoff)
{
	return vma->start + ((pgoff - vma->pgoff) << PAGE_SHIFT);
}

/* A new, empty address space; NULL if out of memory. May sleep. */
struct mm *mm_create(void);
void mm_get(struct mm *mm);
/* All of them, one after the other: the first (@prev NULL) or the next, referenced; @prev is put.
 * NULL: no more. May sleep. */
struct mm *mm_next(struct mm *prev);
/* The last put unmaps everything and frees the tables. May sleep. */
void mm_put(struct mm *mm);

/* The current thread works in @mm from now on (NULL: in none). The caller holds a reference for as
 * long. Threads that were created with an mm need this only to change it. */
void mm_use(struct mm *mm);

/* The area that contains @addr, or NULL. mmap_lock held (r or w). */
struct vm_area *find_vma_slow(struct mm *mm, vaddr_t addr);

static inline struct vm_area *find_vma(struct mm *mm, vaddr_t addr)
{
	struct vm_area *vma = READ_ONCE(mm->last_found);

	if (likely(vma && addr >= vma->start && addr < vma->end))
		return vma;
	return find_vma_slow(mm, addr);
}

/* The first area with end > @addr, or NULL. */
struct vm_area *find_vma_from(struct mm *mm, vaddr_t addr);
struct vm_area *next_vma(struct vm_area *vma);

#endif
