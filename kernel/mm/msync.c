/* SPDX-License-Identifier: MIT */
/*
 * msync.c - msync(2): which files of a range must be synced, and how.
 *
 * Owns:  the walk over areas and the errors of the call (rules 68-73).
 * Not:   syncing a file (a_ops->fsync).
 * Locks: mmap_lock (read) while looking; dropped while I/O runs, and the area looked up anew
 *        (rule 70). The area's file is kept by a reference meanwhile.
 */
#include <sys/errno.h>

#include "kernel/core/stat.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/mmap.h"

/* What one area wants of msync: filled under mmap_lock, used without. */
struct part {
	struct address_space *mapping; /* NULL: nothing to do */
	struct vm_area held;	       /* a copy that holds the file */
	pgoff_t first, last;
	vaddr_t end;
	bool hole;
};

/* The next piece at or after @addr, with its file held. False: nothing more is mapped. */
static bool next_part(struct mm *mm, vaddr_t addr, vaddr_t end, struct part *part)
{
	struct vm_area *vma;

	down_read(&mm->mmap_lock);
	vma = find_vma_from(mm, addr);
	if (!vma || vma->start >= end) {
		up_read(&mm->mmap_lock);
		return false;
	}
	part->hole = vma->start > addr;
	addr = max(addr, vma->start);
	part->end = min(end, vma->end);
	part->mapping = NULL;
	if (vma->mapping && (vma->flags & VM_SHARED)) {
		part->mapping = vma->mapping;
		part->first = vma_pgoff(vma, addr);
		part->last = vma_pgoff(vma, part->end - 1);
		part->held = *vma;
		if (vma->ops->open)
			vma->ops->open(&part->held);
	}
	up_read(&mm->mmap_lock);
	return true;
}

/* MS_SYNC: data of the range and what is needed to find it. MS_ASYNC: no I/O; owed times move
 * (rules 68, P31). */
static int sync_part(struct part *part, int flags)
{
	const struct address_space_operations *ops = part->mapping->a_ops;
	int err = 0;

	if (flags & MS_SYNC) {
		if (ops->fsync)
			err = ops->fsync(part->mapping, part->first, part->last, SYNC_DATA);
	} else if (ops->flush_cmtime && test_bit(&part->mapping->flags, AS_CMTIME)) {
		ops->flush_cmtime(part->mapping);
	}
	if (part->held.ops->close)
		part->held.ops->close(&part->held);
	return err;
}

int mm_msync(struct mm *mm, vaddr_t addr, u64 len, int flags)
{
	vaddr_t end = addr + PAGE_ALIGN(len);
	struct part part;
	int err = 0, result = 0;

	stat_inc(STAT_MSYNCS);
	if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || (addr & ~PAGE_MASK) ||
	    ((flags & MS_ASYNC) && (flags & MS_SYNC)))
		return -EINVAL;
	if (len > ~0ul - PAGE_SIZE || end < addr)
		return -ENOMEM;
	while (addr < end && next_part(mm, addr, end, &part)) {
		if (part.hole)
			result = -ENOMEM;
		if (part.mapping) {
			err = sync_part(&part, flags);
			if (err)
				return err;
		}
		addr = part.end;
	}
	return addr < end ? -ENOMEM : result;
}
