/* SPDX-License-Identifier: MIT */
/*
 * mmap.c - making areas and taking them away.
 *
 * Owns:  what a new area is.
 * Not:   its place among others (area.c), PTEs (memory.c, zap.c), contents.
 * Locks: mmap_lock w around every change.
 * Key fact: all memory a call may need is had before the first change: after that nothing can fail.
 */
#include "kernel/mm/mmap.h"

#include <sys/errno.h>

#include "kernel/core/sched.h"
#include "kernel/mm/area.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/shm.h"

int unmap_locked(struct mm *mm, vaddr_t start, vaddr_t end, bool *touched)
{
	struct vm_area *vma;
	int err = area_cut_at(mm, start, end);

	if (err)
		return err;
	while ((vma = find_vma_from(mm, start)) && vma->start < end)
		*touched |= area_remove(vma);
	return 0;
}

int mm_munmap(struct mm *mm, vaddr_t addr, u64 len)
{
	bool touched = false;
	int err;

	if ((addr & ~PAGE_MASK) || !len || len > USER_END || !area_range_ok(addr, PAGE_ALIGN(len)))
		return -EINVAL;
	down_write(&mm->mmap_lock);
	err = unmap_locked(mm, addr, addr + PAGE_ALIGN(len), &touched);
	if (touched)
		area_free_tables(mm, addr, addr + PAGE_ALIGN(len));
	up_write(&mm->mmap_lock);
	return err;
}

#define MAP_AT (MAP_FIXED | MAP_FIXED_NOREPLACE)

static int check_mmap(vaddr_t addr, u64 len, int prot, int flags, const struct mmap_file *file,
		      u64 offset)
{
	int kind = flags & (MAP_SHARED | MAP_PRIVATE);
	bool anonymous = flags & MAP_ANONYMOUS;

	if (!len || (offset & ~PAGE_MASK) || (kind != MAP_SHARED && kind != MAP_PRIVATE))
		return -EINVAL;
	if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC))
		return -EINVAL;
	if (flags & ~(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_ANONYMOUS |
		      MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE))
		return -EINVAL;
	if (len > USER_END || offset + PAGE_ALIGN(len) < offset)
		return -ENOMEM;
	if ((flags & MAP_AT) && ((addr & ~PAGE_MASK) || !area_range_ok(addr, PAGE_ALIGN(len))))
		return addr & ~PAGE_MASK ? -EINVAL : -ENOMEM;
	if (anonymous)
		return 0;
	if (!file || !file->mapping)
		return -EINVAL;
	if (!file->readable || (kind == MAP_SHARED && (prot & PROT_WRITE) && !file->writable))
		return -EACCES;
	return 0;
}

static void fill_area(struct vm_area *vma, struct mm *mm, int prot, int flags,
		      const struct mmap_file *file, u64 offset)
{
	bool shared = flags & MAP_SHARED;

	*vma = (struct vm_area){ .mm = mm };
	vma->flags = prot_to_flags(prot) | (shared ? VM_SHARED : 0u) |
		     (flags & MAP_LOCKED ? VM_LOCKED : 0u);
	if (flags & MAP_ANONYMOUS) {
		vma->flags |= VM_MAYWRITE;
		return;
	}
	vma->mapping = file->mapping;
	vma->file = file->file;
	vma->ops = file->ops;
	vma->pgoff = offset >> PAGE_SHIFT;
	if (!shared || file->writable)
		vma->flags |= VM_MAYWRITE;
}

static bool is_free(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct vm_area *next = find_vma_from(mm, start);

	return !next || next->start >= end;
}

/* Find the area's addresses and make room there. mmap_lock w held. -ENOMEM, -EEXIST: nothing
 * changed. */
static int place(struct vm_area *vma, vaddr_t addr, u64 len, int flags)
{
	bool touched = false; /* the tables are needed again */
	int err = 0;

	if (flags & MAP_FIXED_NOREPLACE)
		err = is_free(vma->mm, addr, addr + len) ? 0 : -EEXIST;
	else if (flags & MAP_FIXED)
		err = unmap_locked(vma->mm, addr, addr + len, &touched);
	else
		addr = area_find_room(vma->mm, addr, len);
	vma->start = addr;
	vma->end = addr + len;
	return addr ? err : -ENOMEM;
}

/* Checked; @len is whole pages. */
static int map(struct mm *mm, vaddr_t addr, u64 len, int prot, int flags,
	       const struct mmap_file *file, u64 offset, vaddr_t *out)
{
	struct vm_area *vma;
	int err;

	vma = kmalloc(sizeof(*vma));
	if (!vma)
		return -ENOMEM;
	fill_area(vma, mm, prot, flags, file, offset);
	down_write(&mm->mmap_lock);
	err = place(vma, addr, len, flags);
	addr = vma->start;
	if (!err) {
		if (vma->ops && vma->ops->open)
			vma->ops->open(vma);
		area_link(vma);
		area_join_range(mm, addr, addr + len);
	}
	up_write(&mm->mmap_lock);
	if (err) {
		kfree(vma);
		return err;
	}
	/* What cannot be had now is met by who touches it. */
	if (flags & (MAP_LOCKED | MAP_POPULATE))
		mm_populate(mm, addr, len);
	*out = addr;
	return 0;
}

int mm_mmap(struct mm *mm, vaddr_t addr, u64 len, int prot, int flags, const struct mmap_file *file,
	    u64 offset, vaddr_t *out)
{
	struct mmap_file shm = { .ops = &shm_vm_ops, .readable = true, .writable = true };
	int err = check_mmap(addr, len, prot, flags, file, offset);

	if (err)
		return err;
	len = PAGE_ALIGN(len);
	if (READ_ONCE(mm->lock_all))
		flags |= MAP_LOCKED;
	if (!(flags & MAP_SHARED) || !(flags & MAP_ANONYMOUS))
		return map(mm, addr, len, prot, flags, file, offset, out);
	/* What a fork and a second mapping share is a file without a name. */
	shm.mapping = shm_create(len);
	if (!shm.mapping)
		return -ENOMEM;
	err = map(mm, addr, len, prot, flags & ~MAP_ANONYMOUS, &shm, 0, out);
	shm_put(shm.mapping);
	return err;
}
