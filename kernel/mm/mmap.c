/* SPDX-License-Identifier: MIT */
/*
 * mmap.c - making areas, cutting them, taking them away.
 *
 * Owns:  the shape of areas: start, end, pgoff, and their node in i_mmap.
 * Not:   PTEs (memory.c, zap.c), contents.
 * Locks: mmap_lock w around every change; i_mmap_rwsem w around a change of the node.
 * Key fact: an area stays in i_mmap until its PTEs are zapped and flushed, so that cleaning never
 *        misses a writable entry (rule 36). All memory a call may need is had before the first
 *        change: after that nothing can fail.
 */
#include "kernel/mm/mmap.h"

#include <sys/errno.h>

#include "kernel/core/sched.h"
#include "kernel/mm/area.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/mapping.h"

#define MMAP_BASE 0x0000100000000000UL /* where the search for room begins */

/* --- one area --- */

static void area_link(struct vm_area *vma)
{
	struct address_space *mapping = vma->mapping;

	RB_INSERT(vm_area_tree, &vma->mm->areas, vma);
	vma->mm->nr_areas++;
	if (!mapping)
		return;
	vma->i_node.first = vma->pgoff;
	vma->i_node.last = vma->pgoff + ((vma->end - vma->start) >> PAGE_SHIFT) - 1;
	down_write(&mapping->i_mmap_rwsem);
	i_mmap_insert(&mapping->i_mmap, &vma->i_node);
	up_write(&mapping->i_mmap_rwsem);
}

void area_unlink(struct vm_area *vma)
{
	RB_REMOVE(vm_area_tree, &vma->mm->areas, vma);
	vma->mm->nr_areas--;
	WRITE_ONCE(vma->mm->last_found, NULL);
}

void area_free(struct vm_area *vma)
{
	if (vma->mapping) {
		down_write(&vma->mapping->i_mmap_rwsem);
		i_mmap_remove(&vma->mapping->i_mmap, &vma->i_node);
		up_write(&vma->mapping->i_mmap_rwsem);
	}
	if (vma->ops && vma->ops->close)
		vma->ops->close(vma);
	kfree(vma);
}

/* Give @vma new bounds (inside the old ones). Both its places in trees agree at every moment that
 * their locks are free. */
static void area_reshape(struct vm_area *vma, vaddr_t start, vaddr_t end)
{
	struct address_space *mapping = vma->mapping;

	if (mapping) {
		down_write(&mapping->i_mmap_rwsem);
		i_mmap_remove(&mapping->i_mmap, &vma->i_node);
	}
	vma->pgoff += (start - vma->start) >> PAGE_SHIFT;
	vma->start = start; /* order among areas does not change: no re-insertion by address */
	vma->end = end;
	if (mapping) {
		vma->i_node.first = vma->pgoff;
		vma->i_node.last = vma->pgoff + ((end - start) >> PAGE_SHIFT) - 1;
		i_mmap_insert(&mapping->i_mmap, &vma->i_node);
		up_write(&mapping->i_mmap_rwsem);
	}
}

/* @spare becomes the part of @vma from @addr on; @vma keeps what lies before. */
static void area_split(struct vm_area *vma, vaddr_t addr, struct vm_area *spare)
{
	*spare = *vma;
	spare->start = addr;
	spare->pgoff = vma_pgoff(vma, addr);
	if (spare->ops && spare->ops->open)
		spare->ops->open(spare);
	/* For a moment both cover the tail in i_mmap: cleaning finds a PTE twice, never not. */
	area_link(spare);
	area_reshape(vma, vma->start, addr);
}

/* --- taking away --- */

void area_cut_at(struct mm *mm, vaddr_t start, vaddr_t end, struct vm_area **spares)
{
	struct vm_area *vma = find_vma(mm, start);

	if (vma && vma->start < start) {
		area_split(vma, start, spares[0]);
		spares[0] = NULL;
	}
	vma = find_vma(mm, end - 1);
	if (vma && vma->end > end) {
		area_split(vma, end, spares[1]);
		spares[1] = NULL;
	}
}

/* mmap_lock w held; cannot fail. */
static void unmap_locked(struct mm *mm, vaddr_t start, vaddr_t end, struct vm_area **spares)
{
	struct vm_area *vma;

	area_cut_at(mm, start, end, spares);
	while ((vma = find_vma_from(mm, start)) && vma->start < end) {
		area_unlink(vma);
		zap_range(vma, vma->start, vma->end);
		area_free(vma);
	}
}

/* Free the tables that no area needs any more: all between the neighbours, not only below what
 * went, or they would pile up where areas come and go. mmap_lock w held. */
static void free_tables(struct mm *mm, vaddr_t start)
{
	struct vm_area *next = find_vma_from(mm, start);
	struct vm_area *prev = next ? RB_PREV(vm_area_tree, &mm->areas, next) :
				      RB_MAX(vm_area_tree, &mm->areas);

	pgtable_free_range(&mm->pgt, prev ? prev->end : 0, next ? next->start : USER_END);
}

int area_get_spares(struct vm_area **spares)
{
	spares[0] = kzalloc(sizeof(struct vm_area));
	spares[1] = kzalloc(sizeof(struct vm_area));
	if (spares[0] && spares[1])
		return 0;
	area_put_spares(spares);
	return -ENOMEM;
}

void area_put_spares(struct vm_area **spares)
{
	kfree(spares[0]);
	kfree(spares[1]);
}

static bool range_ok(vaddr_t addr, u64 len)
{
	return addr >= USER_START && len <= USER_END && addr <= USER_END - len;
}

int mm_munmap(struct mm *mm, vaddr_t addr, u64 len)
{
	struct vm_area *spares[2];
	int err;

	if ((addr & ~PAGE_MASK) || !len || len > USER_END || !range_ok(addr, PAGE_ALIGN(len)))
		return -EINVAL;
	err = area_get_spares(spares);
	if (err)
		return err;
	down_write(&mm->mmap_lock);
	unmap_locked(mm, addr, addr + PAGE_ALIGN(len), spares);
	free_tables(mm, addr);
	up_write(&mm->mmap_lock);
	area_put_spares(spares);
	return 0;
}

/* --- making --- */

#define REGION (PTES_PER_TABLE * PAGE_SIZE)

/* Lowest room of @len bytes at or above @from, at a multiple of @align; 0 if there is none. */
static vaddr_t find_room(struct mm *mm, vaddr_t from, u64 len, u64 align)
{
	struct vm_area *vma = find_vma_from(mm, from);

	from = ALIGN_UP(from, align);
	for (; vma; vma = next_vma(vma)) {
		if (vma->start >= from && vma->start - from >= len)
			break;
		from = ALIGN_UP(max(from, vma->end), align);
	}
	return range_ok(from, len) ? from : 0;
}

/* What fills a leaf table begins with one: its pages are asked for their dirty bits a table at a
 * time, or passed over. */
static vaddr_t choose_address(struct mm *mm, vaddr_t hint, u64 len)
{
	u64 align = len >= REGION ? REGION : PAGE_SIZE;
	vaddr_t addr = hint & PAGE_MASK;

	if (addr && range_ok(addr, len) && find_room(mm, addr, len, PAGE_SIZE) == addr)
		return addr;
	addr = find_room(mm, mm->hint ? mm->hint : MMAP_BASE, len, align);
	if (!addr)
		addr = find_room(mm, USER_START, len, align);
	if (addr)
		mm->hint = addr + len;
	return addr;
}

static int check_mmap(vaddr_t addr, u64 len, int prot, int flags, const struct mmap_file *file,
		      u64 offset)
{
	int kind = flags & (MAP_SHARED | MAP_PRIVATE);
	bool anonymous = flags & MAP_ANONYMOUS;

	if (!len || (offset & ~PAGE_MASK) || (kind != MAP_SHARED && kind != MAP_PRIVATE))
		return -EINVAL;
	if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC))
		return -EINVAL;
	if (flags &
	    ~(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE))
		return -EINVAL;
	if (len > USER_END || offset + PAGE_ALIGN(len) < offset)
		return -ENOMEM;
	if ((flags & MAP_FIXED) && ((addr & ~PAGE_MASK) || !range_ok(addr, PAGE_ALIGN(len))))
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

	vma->mm = mm;
	vma->flags = (prot & PROT_READ ? VM_READ : 0u) | (prot & PROT_WRITE ? VM_WRITE : 0u) |
		     (prot & PROT_EXEC ? VM_EXEC : 0u) | (shared ? VM_SHARED : 0u) |
		     (flags & MAP_LOCKED ? VM_LOCKED : 0u);
	if (flags & MAP_ANONYMOUS)
		return;
	vma->mapping = file->mapping;
	vma->file = file->file;
	vma->ops = file->ops;
	vma->pgoff = offset >> PAGE_SHIFT;
	if (!shared || file->writable)
		vma->flags |= VM_MAYWRITE;
}

int mm_mmap(struct mm *mm, vaddr_t addr, u64 len, int prot, int flags, const struct mmap_file *file,
	    u64 offset, vaddr_t *out)
{
	struct vm_area *vma, *spares[2];
	int err = check_mmap(addr, len, prot, flags, file, offset);

	if (err)
		return err;
	len = PAGE_ALIGN(len);
	vma = kzalloc(sizeof(*vma));
	if (!vma)
		return -ENOMEM;
	err = area_get_spares(spares);
	if (err) {
		kfree(vma);
		return err;
	}
	fill_area(vma, mm, prot, flags, file, offset);
	down_write(&mm->mmap_lock);
	if (!(flags & MAP_FIXED))
		addr = choose_address(mm, addr, len);
	else
		unmap_locked(mm, addr, addr + len, spares);
	if (addr) {
		vma->start = addr;
		vma->end = addr + len;
		if (vma->ops && vma->ops->open)
			vma->ops->open(vma);
		area_link(vma);
	}
	up_write(&mm->mmap_lock);
	area_put_spares(spares);
	if (!addr) {
		kfree(vma);
		return -ENOMEM;
	}
	/* What cannot be had now is met by who touches it. */
	if (flags & (MAP_LOCKED | MAP_POPULATE))
		mm_populate(mm, addr, len);
	*out = addr;
	return 0;
}
