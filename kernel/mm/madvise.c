/* SPDX-License-Identifier: MIT */
/*
 * madvise.c - what a program says about a range of its memory: it is to stay there, it is not
 * needed, it will be read or written to, this policy shall answer for it.
 *
 * Owns:  VM_ASKED, VM_LOCKED, VM_SEQ, VM_RAND and vma->policy.
 * Not:   what the advice leads to (policy/), making pages writable (grant.c), cutting areas
 *        (mmap.c).
 * Locks: mmap_lock (write) to mark areas; then, a leaf table at a time, mmap_lock (read) to fill
 *        them, so that others come in between and throttling waits with no lock held (rule 12).
 * Key fact: reclaim looks at VM_LOCKED under pgtable.lock before it takes a PTE away. mlock() marks
 *        its areas first, and then looks under the same lock at each address whether the page is
 *        there: what it finds stays until it is unmapped or cut off the file, or munlock().
 */
#include <sys/errno.h>

#include "kernel/mm/area.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/grant.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/mmap.h"
#include "kernel/mm/policy.h"

/* How an area's marks change. */
struct marks {
	u32 set, clear; /* VM_* */
	bool choose;	/* ->policy counts */
	const struct dirty_policy *policy;
};

/* Others look at the marks with i_mmap_rwsem alone, or at the whole flags with mmap_lock: one
 * store each. */
static void mark_area(struct vm_area *vma, const struct marks *marks)
{
	WRITE_ONCE(vma->flags, (vma->flags & ~marks->clear) | marks->set);
	if (marks->choose)
		WRITE_ONCE(vma->policy, marks->policy);
}

/* Every area of [start, end), cut where it crosses an end of it. -ENOMEM: a part of the range is
 * not mapped, and the rest was marked; or no memory, and nothing was. */
static int mark_range(struct mm *mm, vaddr_t start, vaddr_t end, const struct marks *marks)
{
	struct vm_area *vma;
	vaddr_t at = start;
	int err;

	down_write(&mm->mmap_lock);
	err = area_cut_at(mm, start, end);
	if (err) {
		up_write(&mm->mmap_lock);
		return err;
	}
	for (vma = find_vma_from(mm, start); vma && vma->start < end; vma = next_vma(vma)) {
		if (vma->start > at)
			err = -ENOMEM;
		mark_area(vma, marks);
		at = vma->end;
	}
	area_join_range(mm, start, end);
	up_write(&mm->mmap_lock);
	return at < end ? -ENOMEM : err;
}

/* --- filling --- */

enum fill { FILL_READ, FILL_WRITE, FILL_WILL_WRITE, FILL_LOCK };

/* What is done at one address, looked up with mmap_lock held. */
struct step {
	vaddr_t end; /* of what this step covers */
	bool grant;  /* ... which is to become writable and clean; else touched */
	bool write;
};

/* -ENOMEM: a hole; -EINVAL: the area does not allow it. */
static int next_step(const struct vm_area *vma, vaddr_t addr, vaddr_t end, enum fill how,
		     struct step *step)
{
	bool shared = vma && vma->flags & VM_SHARED, writable = vma && vma->flags & VM_WRITE;

	if (!vma)
		return -ENOMEM;
	if (!(vma->flags &
	      (how == FILL_WRITE || how == FILL_WILL_WRITE ? VM_WRITE :
							     VM_READ | VM_WRITE | VM_EXEC)))
		return -EINVAL;
	/* A private page is copied ahead; a shared one is not dirtied for nothing. */
	step->write = how == FILL_WRITE || how == FILL_WILL_WRITE ||
		      (how == FILL_LOCK && writable && !shared);
	step->grant = how == FILL_WILL_WRITE && shared && vma->mapping &&
		      mapping_writeback(vma->mapping);
	step->end = step->grant ? min(min(end, vma->end), addr + ptes_left(addr) * PAGE_SIZE) :
				  addr + PAGE_SIZE;
	return 0;
}

static int fill_range(struct mm *mm, vaddr_t start, vaddr_t end, enum fill how)
{
	struct step step = { .end = end };
	int err = 0;

	for (; start < end && !err; start = step.end) {
		struct vm_area *vma;

		down_read(&mm->mmap_lock);
		vma = find_vma(mm, start);
		err = next_step(vma, start, end, how, &step);
		if (!err && step.grant)
			err = grant_range(vma, start, step.end);
		up_read(&mm->mmap_lock);
		if (!err && !step.grant)
			err = mm_fault_in(mm, start, step.write);
	}
	return err;
}

/* --- bringing in, throwing away --- */

/* Nothing of a shared file is lost: D goes from the PTEs to the pages (rule 119). */
static int dont_need(struct vm_area *vma, vaddr_t start, vaddr_t end)
{
	if (vma->flags & VM_LOCKED)
		return -EINVAL;
	zap_range(vma, start, end, ZAP_COWS);
	return 0;
}

static int will_need(struct vm_area *vma, vaddr_t start, vaddr_t end)
{
	struct address_space *mapping = vma->mapping;
	pgoff_t index, stop;
	struct page *page;

	if (!mapping)
		return -EBADF;
	stop = min(vma_pgoff(vma, end), DIV_ROUND_UP(READ_ONCE(mapping->size), PAGE_SIZE));
	down_read(&mapping->invalidate_lock);
	for (index = vma_pgoff(vma, start); index < stop; index++) {
		page = find_get_page(mapping, index);
		if (page)
			page_put(page);
		else
			filemap_read_absent(mapping, index, min(index + 63, stop - 1));
	}
	up_read(&mapping->invalidate_lock);
	return 0;
}

/* -ENOMEM: a part of the range is not mapped, the rest was served. What an area refuses ends it. */
static int advise_pages(struct mm *mm, vaddr_t start, vaddr_t end,
			int (*serve)(struct vm_area *vma, vaddr_t start, vaddr_t end))
{
	struct vm_area *vma;
	vaddr_t at = start;
	int err = 0, hole = 0;

	down_write(&mm->mmap_lock);
	for (vma = find_vma_from(mm, start); !err && vma && vma->start < end; vma = next_vma(vma)) {
		if (vma->start > at)
			hole = -ENOMEM;
		err = serve(vma, max(start, vma->start), min(end, vma->end));
		at = vma->end;
	}
	up_write(&mm->mmap_lock);
	return err ? err : at < end ? -ENOMEM : hole;
}

/* --- giving up --- */

/* May all of [start, end) be given up? mmap_lock held. Errors as in Linux's manual. */
static int may_remove(struct mm *mm, vaddr_t start, vaddr_t end)
{
	while (start < end) {
		struct vm_area *vma = find_vma(mm, start);

		if (!vma)
			return -ENOMEM;
		if (vma->flags & VM_LOCKED || !vma->ops || !vma->ops->remove)
			return -EINVAL;
		if ((vma->flags & (VM_SHARED | VM_WRITE)) != (VM_SHARED | VM_WRITE))
			return -EACCES;
		start = vma->end;
	}
	return 0;
}

/* The file is asked with no lock held; so each area is looked up again. */
static int remove_range(struct mm *mm, vaddr_t start, vaddr_t end)
{
	while (start < end) {
		struct vm_area *vma;
		vaddr_t stop;
		u64 at;
		int err;

		down_read(&mm->mmap_lock);
		err = may_remove(mm, start, end);
		if (err) {
			up_read(&mm->mmap_lock);
			return err;
		}
		vma = find_vma(mm, start);
		stop = min(end, vma->end);
		at = vma_pgoff(vma, start) << PAGE_SHIFT;
		err = vma->ops->remove(vma, at, at + (stop - start));
		if (err)
			return err;
		start = stop;
	}
	return 0;
}

/* --- the calls --- */

static int mark_for(int advice, struct marks *marks)
{
	int number = advice - MADV_POLICY(0);

	*marks = (struct marks){ 0 };
	switch (advice) {
	case MADV_NORMAL: marks->clear = VM_ASKED | VM_SEQ | VM_RAND; return 0;
	case MADV_RANDOM:
		marks->set = VM_RAND;
		marks->clear = VM_SEQ;
		return 0;
	case MADV_SEQUENTIAL:
		marks->set = VM_SEQ;
		marks->clear = VM_RAND;
		return 0;
	case MADV_STAY_WRITABLE:
	case MADV_WILL_WRITE: marks->set = VM_ASKED; return 0;
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_REMOVE:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE: return 0;
	}
	if (number < -1)
		return -EINVAL;
	marks->choose = true;
	marks->policy = number < 0 ? NULL : policy_by_number((unsigned int)number);
	return number >= 0 && !marks->policy ? -EINVAL : 0;
}

int mm_madvise(struct mm *mm, vaddr_t addr, u64 len, int advice)
{
	vaddr_t end = addr + PAGE_ALIGN(len);
	struct marks marks;
	int err = mark_for(advice, &marks);

	if (err || (addr & ~PAGE_MASK) || len > USER_END || end < addr)
		return -EINVAL;
	if (!len)
		return 0;
	if (end > USER_END)
		return -ENOMEM;
	if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE) {
		err = fill_range(mm, addr, end,
				 advice == MADV_POPULATE_READ ? FILL_READ : FILL_WRITE);
		/* As on Linux: whatever would have been SIGBUS. */
		return err == -EIO || err == -ENOSPC ? -EFAULT : err;
	}
	if (advice == MADV_DONTNEED || advice == MADV_WILLNEED)
		return advise_pages(mm, addr, end, advice == MADV_DONTNEED ? dont_need : will_need);
	if (advice == MADV_REMOVE)
		return remove_range(mm, addr, end);
	err = mark_range(mm, addr, end, &marks);
	if (!err && advice == MADV_WILL_WRITE)
		err = fill_range(mm, addr, end, FILL_WILL_WRITE);
	return err;
}

/* The pages that [addr, addr + len) touches. */
static int whole_pages(vaddr_t *addr, u64 len, vaddr_t *end)
{
	if (len > USER_END || *addr + len < *addr)
		return -EINVAL;
	*end = PAGE_ALIGN(*addr + len);
	*addr &= PAGE_MASK;
	return *end > USER_END ? -ENOMEM : 0;
}

int mm_mlock(struct mm *mm, vaddr_t addr, u64 len)
{
	const struct marks marks = { .set = VM_LOCKED };
	vaddr_t end;
	int err = whole_pages(&addr, len, &end);

	if (err || !len)
		return err;
	err = mark_range(mm, addr, end, &marks);
	if (!err)
		err = fill_range(mm, addr, end, FILL_LOCK);
	/* As on Linux: what cannot be had is memory that is not there. */
	return err ? -ENOMEM : 0;
}

int mm_munlock(struct mm *mm, vaddr_t addr, u64 len)
{
	const struct marks marks = { .clear = VM_LOCKED };
	vaddr_t end;
	int err = whole_pages(&addr, len, &end);

	return err || !len ? err : mark_range(mm, addr, end, &marks);
}

/* Every area; what cannot be had is met by who touches it. */
static void fill_all(struct mm *mm)
{
	vaddr_t start, end = 0;
	struct vm_area *vma;

	for (;;) {
		down_read(&mm->mmap_lock);
		vma = find_vma_from(mm, end);
		start = vma ? vma->start : 0;
		end = vma ? vma->end : 0;
		up_read(&mm->mmap_lock);
		if (!end)
			return;
		fill_range(mm, start, end, FILL_LOCK);
	}
}

/* Holes are no error. */
static void mark_all(struct mm *mm, const struct marks *marks)
{
	mark_range(mm, USER_START, USER_END, marks);
}

int mm_mlockall(struct mm *mm, int flags)
{
	const struct marks marks = { .set = VM_LOCKED };

	if (!flags || flags & ~(MCL_CURRENT | MCL_FUTURE))
		return -EINVAL;
	down_write(&mm->mmap_lock);
	mm->lock_all = flags & MCL_FUTURE;
	up_write(&mm->mmap_lock);
	if (flags & MCL_CURRENT) {
		mark_all(mm, &marks);
		fill_all(mm);
	}
	return 0;
}

int mm_munlockall(struct mm *mm)
{
	const struct marks marks = { .clear = VM_LOCKED };

	down_write(&mm->mmap_lock);
	mm->lock_all = false;
	up_write(&mm->mmap_lock);
	mark_all(mm, &marks);
	return 0;
}

void mm_populate(struct mm *mm, vaddr_t addr, u64 len)
{
	fill_range(mm, addr, addr + len, FILL_LOCK);
}
