/* SPDX-License-Identifier: MIT */
/*
 * mmap.h - making, cutting and syncing areas.
 *
 * Errors are negative errno as Linux's manual names them (rule 69; conformance E4); on error the
 * address space is as it was.
 */
#ifndef KERNEL_MM_MMAP_H
#define KERNEL_MM_MMAP_H

#include "kernel/lib/mman.h"
#include "kernel/mm/vm_area.h"

/* What is to be mapped: filled by the file system (fs/file.c); all NULL for anonymous memory. */
struct mmap_file {
	struct address_space *mapping;
	struct file *file;
	const struct vm_operations *ops;
	bool readable, writable; /* how the descriptor was opened */
};

/*
 * mmap: @len > 0 bytes at @addr (a hint, or with MAP_FIXED a demand that replaces what is there).
 * @offset bytes, page aligned. On success *@out is the address. -EINVAL, -ENOMEM, -EACCES (a shared
 * writable mapping of a read-only descriptor, any mapping of a write-only one), -EEXIST
 * (MAP_FIXED_NOREPLACE).
 * May sleep; takes mmap_lock.
 */
int mm_mmap(struct mm *mm, vaddr_t addr, u64 len, int prot, int flags, const struct mmap_file *file,
	    u64 offset, vaddr_t *out);
/* Any part of any areas; holes are fine. -EINVAL (alignment, zero length), -ENOMEM. */
int mm_munmap(struct mm *mm, vaddr_t addr, u64 len);

/*
 * mprotect(2): from its return on no CPU does what @prot does not allow (rule 115), and a store
 * that came before is not forgotten (rule 114). -EINVAL (alignment, unknown bits), -ENOMEM (a hole,
 * or no memory to cut an area), -EACCES (a shared mapping of a read-only descriptor cannot become
 * writable, rule 20): what lies before the first of these in the range was changed. Length 0: 0.
 */
int mm_mprotect(struct mm *mm, vaddr_t addr, u64 len, int prot);

/*
 * mremap(2) with the MREMAP_* of mman.h, from one area to one place; @to counts with MREMAP_FIXED.
 * On success *@out is the new address. What was stored stays stored, and known (rule 120). @old_len
 * 0: a second mapping of a shared area. -EINVAL (flags, alignment, lengths, overlap, @old_len 0 of
 * a private area), -EFAULT (not one area from end to end), -ENOMEM (no room, or none without
 * MREMAP_MAYMOVE): nothing changed, but that with MREMAP_FIXED the new range may be empty, and the
 * old one as short as the new.
 */
int mm_mremap(struct mm *mm, vaddr_t addr, u64 old_len, u64 new_len, int flags, vaddr_t to,
	      vaddr_t *out);

/*
 * mm_fork.c. A new address space, *@out, with the areas of @mm: shared areas map the same, private
 * ones hold what they hold now, and neither side sees what the other stores there from now on; nor
 * does the child see what threads of @mm on other CPUs store after this has returned (rule 116).
 * mlock() is not inherited. -ENOMEM: @mm is as it was. May sleep.
 */
int mm_fork(struct mm *mm, struct mm **out);

/*
 * madvise(2) with the MADV_* of mman.h. STAY_WRITABLE and WILL_WRITE mark the areas (VM_ASKED) and
 * NORMAL takes the mark back; WILL_WRITE also makes all pages writable and clean now: -ENOSPC,
 * -EIO, -EFAULT (beyond the end of the file) instead of the SIGBUS of a later store. POPULATE_READ
 * and _WRITE touch each page: -EFAULT. MADV_POLICY(n) chooses who answers for the range. DONTNEED
 * unmaps, and forgets what is private (-EINVAL: locked; rule 119); WILLNEED starts reading (-EBADF:
 * no file); SEQUENTIAL and RANDOM say how much a fault reads, until NORMAL.
 * -EINVAL (advice, alignment; not permitted there), -ENOMEM (holes: what is mapped was marked).
 * May sleep; throttles.
 */
int mm_madvise(struct mm *mm, vaddr_t addr, u64 len, int advice);
/* mlock(2), munlock(2): -EINVAL, -ENOMEM (a hole; a page cannot be had). Private pages are copied
 * ahead; shared ones are mapped as a load would, which the policy may answer by making them
 * writable. */
int mm_mlock(struct mm *mm, vaddr_t addr, u64 len);
int mm_munlock(struct mm *mm, vaddr_t addr, u64 len);
/* mlockall(2), munlockall(2): MCL_CURRENT, MCL_FUTURE; -EINVAL. What is not there yet and cannot be
 * had is no error. */
int mm_mlockall(struct mm *mm, int flags);
int mm_munlockall(struct mm *mm);
/* mincore(2): bit 0 of @vec[i], a program's memory, says whether page i is in memory. -EINVAL
 * (alignment), -ENOMEM (a hole), -EFAULT (@vec). May sleep. */
int mm_mincore(struct mm *mm, vaddr_t addr, u64 len, u8 *vec);
/* The same filling of [@addr, @addr + @len), as far as it goes (MAP_POPULATE). */
void mm_populate(struct mm *mm, vaddr_t addr, u64 len);

/* msync(2): rules 68-73. -EINVAL, -ENOMEM (a hole: the mapped rest was synced), -EIO, -ENOSPC. */
int mm_msync(struct mm *mm, vaddr_t addr, u64 len, int flags);

#endif
