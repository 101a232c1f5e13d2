/* SPDX-License-Identifier: MIT */
/*
 * area.c - one area among others: linked, cut, joined, taken out; where there is room for one.
 *
 * Owns:  the shape of areas: start, end, pgoff, and their node in i_mmap.
 * Not:   which calls do that (mmap.c, mprotect.c, mremap.c, madvise.c), PTEs (memory.c, zap.c).
 * Locks: mmap_lock w around every change; i_mmap_rwsem w around a change of the node.
 * Key fact: an area stays in i_mmap until its PTEs are zapped and flushed, so that cleaning never
 *        misses a writable entry (rule 36). While areas are cut or joined two of them cover the
 *        same PTEs for a moment: cleaning finds a PTE twice, never not.
 */
#include "kernel/mm/area.h"

#include <sys/errno.h>

#include "kernel/mm/fault.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/mmap.h"

#define MMAP_BASE 0x0000100000000000UL /* where the search for room begins */

/* --- one area --- */

void area_link(struct vm_area *vma)
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

/* Out of the address space's tree; its PTEs and its place in i_mmap stay, so that cleaning still
 * finds what has not been zapped yet. */
static void unlink(struct vm_area *vma)
{
	RB_REMOVE(vm_area_tree, &vma->mm->areas, vma);
	vma->mm->nr_areas--;
	WRITE_ONCE(vma->mm->last_found, NULL);
}

static void close_and_free(struct vm_area *vma)
{
	if (vma->ops && vma->ops->close)
		vma->ops->close(vma);
	kfree(vma);
}

bool area_remove(struct vm_area *vma)
{
	bool touched;

	unlink(vma);
	touched = zap_area(vma);
	close_and_free(vma);
	return touched;
}

/* Another area covers its PTEs. */
static void forget(struct vm_area *vma)
{
	unlink(vma);
	if (vma->mapping) {
		down_write(&vma->mapping->i_mmap_rwsem);
		i_mmap_remove(&vma->mapping->i_mmap, &vma->i_node);
		up_write(&vma->mapping->i_mmap_rwsem);
	}
	close_and_free(vma);
}

struct vm_area *area_copy(const struct vm_area *vma)
{
	struct vm_area *copy = kmalloc(sizeof(*copy));

	if (copy)
		*copy = *vma;
	return copy;
}

void area_set_end(struct vm_area *vma, vaddr_t end)
{
	struct address_space *mapping = vma->mapping;

	if (mapping) {
		down_write(&mapping->i_mmap_rwsem);
		i_mmap_remove(&mapping->i_mmap, &vma->i_node);
	}
	vma->end = end;
	if (mapping) {
		vma->i_node.last = vma_pgoff(vma, end) - 1;
		i_mmap_insert(&mapping->i_mmap, &vma->i_node);
		up_write(&mapping->i_mmap_rwsem);
	}
}

/* --- cutting --- */

/* @rest, a copy of @vma, becomes its part from @addr on; @vma keeps what lies before. */
static void split(struct vm_area *vma, vaddr_t addr, struct vm_area *rest)
{
	rest->start = addr;
	rest->end = vma->end;
	rest->pgoff = vma_pgoff(vma, addr);
	if (rest->ops && rest->ops->open)
		rest->ops->open(rest);
	area_link(rest);
	area_set_end(vma, addr);
}

/* The area that @addr lies inside of, not at the start; or NULL. */
static struct vm_area *crossing(struct mm *mm, vaddr_t addr)
{
	struct vm_area *vma = find_vma_from(mm, addr);

	return vma && vma->start < addr ? vma : NULL;
}

int area_cut_at(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct vm_area *first = find_vma_from(mm, start), *last;
	struct vm_area *rest_first = NULL, *rest_last = NULL;

	if (!first || first->start >= end || (first->start == start && first->end == end))
		return 0;
	last = first->end >= end ? first : crossing(mm, end);
	if (last && last->end == end)
		last = NULL;
	if (first->start >= start)
		first = NULL;
	if (first)
		rest_first = area_copy(first);
	if (last)
		rest_last = area_copy(last);
	if ((first && !rest_first) || (last && !rest_last)) {
		kfree(rest_first);
		kfree(rest_last);
		return -ENOMEM;
	}
	if (last) /* first: were both the same area, the lower part must stay @first */
		split(last, end, rest_last);
	if (first)
		split(first, start, rest_first);
	return 0;
}

/* --- joining --- */

static bool can_join(const struct vm_area *a, const struct vm_area *b)
{
	return a->end == b->start && a->flags == b->flags && a->mapping == b->mapping &&
	       a->file == b->file && a->ops == b->ops && a->policy == b->policy &&
	       (!a->mapping || vma_pgoff(a, a->end) == b->pgoff);
}

void area_join_range(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct vm_area *vma = find_vma_from(mm, start ? start - 1 : 0), *next;

	while (vma && vma->start < end && (next = next_vma(vma))) {
		if (!can_join(vma, next)) {
			vma = next;
			continue;
		}
		area_set_end(vma, next->end);
		forget(next);
	}
}

/* --- room --- */

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
	return area_range_ok(from, len) ? from : 0;
}

/* What fills a leaf table begins with one: its pages are asked for their dirty bits a table at a
 * time, or passed over. */
vaddr_t area_find_room(struct mm *mm, vaddr_t hint, u64 len)
{
	u64 align = len >= REGION ? REGION : PAGE_SIZE;
	vaddr_t addr = hint & PAGE_MASK;

	if (addr && area_range_ok(addr, len) && find_room(mm, addr, len, PAGE_SIZE) == addr)
		return addr;
	addr = find_room(mm, mm->hint ? mm->hint : MMAP_BASE, len, align);
	if (!addr)
		addr = find_room(mm, USER_START, len, align);
	if (addr)
		mm->hint = addr + len;
	return addr;
}

void area_free_tables(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct vm_area *next = find_vma_from(mm, start);
	struct vm_area *prev = next ? RB_PREV(vm_area_tree, &mm->areas, next) :
				      RB_MAX(vm_area_tree, &mm->areas);

	pgtable_free_range(&mm->pgt, start, end, prev ? prev->end : 0,
			   next ? next->start : USER_END);
}
