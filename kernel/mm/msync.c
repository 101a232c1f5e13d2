/* SPDX-License-Identifier: MIT */
/*
 * msync.c - msync(2): which files of a range must be synced, and how.
 *
 * Owns:  the walk over areas and the errors of the call (rules 68-73).
 * Not:   syncing a file, and what its open file is told (vm_ops->fsync).
 * Locks: mmap_lock (read) while looking; dropped while I/O runs, and the area looked up anew
 *        (rule 70). The area's file is kept by a reference meanwhile.
 */
#include <sys/errno.h>

#include "kernel/core/stat.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/mmap.h"

/* What one area wants of msync: filled under mmap_lock, used without. */
struct part {
	struct vm_area held; /* stands for the area, and holds its file */
	pgoff_t first, last;
	vaddr_t end;
	bool hole, sync; /* sync: there is something to do */
};

/* What a locked area keeps in memory may not be made invalid there (rule 69). */
static bool is_busy(const struct vm_area *vma, int flags)
{
	return (flags & MS_INVALIDATE) && (vma->flags & VM_LOCKED);
}

/* The next piece at or after @addr, with its file held: 1. 0: nothing more is mapped. -EBUSY. */
static int next_part(struct mm *mm, vaddr_t addr, vaddr_t end, int flags, struct part *part)
{
	struct vm_area *vma;

	down_read(&mm->mmap_lock);
	vma = find_vma_from(mm, addr);
	if (!vma || vma->start >= end || is_busy(vma, flags)) {
		up_read(&mm->mmap_lock);
		return vma && vma->start < end ? -EBUSY : 0;
	}
	part->hole = vma->start > addr;
	addr = max(addr, vma->start);
	part->end = min(end, vma->end);
	part->sync = vma->mapping && vma->flags & VM_SHARED && vma->ops->fsync;
	if (part->sync) {
		part->first = vma_pgoff(vma, addr);
		part->last = vma_pgoff(vma, part->end - 1);
		/* As much of it as open, close and fsync look at. */
		part->held.mapping = vma->mapping;
		part->held.file = vma->file;
		part->held.ops = vma->ops;
		if (vma->ops->open)
			vma->ops->open(&part->held);
	}
	up_read(&mm->mmap_lock);
	return 1;
}

/* Data of the part and what is needed to find it. */
static int sync_part(struct part *part)
{
	const struct vm_operations *ops = part->held.ops;
	int err = ops->fsync(&part->held, part->first, part->last);

	if (ops->close)
		ops->close(&part->held);
	return err;
}

/* MS_SYNC: the mapped parts in order; the first error ends it, a hole does not. */
static int sync_range(struct mm *mm, vaddr_t addr, vaddr_t end, int flags)
{
	struct part part;
	int err, more, result = 0;

	while (addr < end && (more = next_part(mm, addr, end, flags, &part))) {
		if (more < 0)
			return more;
		if (part.hole)
			result = -ENOMEM;
		if (part.sync) {
			err = sync_part(&part);
			if (err)
				return err;
		}
		addr = part.end;
	}
	return addr < end ? -ENOMEM : result;
}

/*
 * MS_ASYNC: is all of it mapped? Nothing is written, and nothing need be marked: a store's D bit is
 * the mark that POSIX wants by now (kernel/fs/cmtime.h), and the flusher finds the page by its tag
 * or by harvest (rule 68, P8, P31).
 */
static int check_range(struct mm *mm, vaddr_t addr, vaddr_t end, int flags)
{
	struct vm_area *vma;
	int err = 0;

	down_read(&mm->mmap_lock);
	for (vma = find_vma(mm, addr); addr < end; vma = next_vma(vma)) {
		if (!vma || vma->start > addr) {
			err = -ENOMEM;
			break;
		}
		if (is_busy(vma, flags)) {
			err = -EBUSY;
			break;
		}
		addr = vma->end;
		if (likely(addr >= end))
			break;
	}
	up_read(&mm->mmap_lock);
	return err;
}

int mm_msync(struct mm *mm, vaddr_t addr, u64 len, int flags)
{
	vaddr_t end = addr + PAGE_ALIGN(len);

	stat_inc(STAT_MSYNCS);
	if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || (addr & ~PAGE_MASK) ||
	    ((flags & MS_ASYNC) && (flags & MS_SYNC)))
		return -EINVAL;
	if (len > ~0ul - PAGE_SIZE || end < addr)
		return -ENOMEM;
	if (flags & MS_SYNC)
		return sync_range(mm, addr, end, flags);
	return check_range(mm, addr, end, flags);
}
