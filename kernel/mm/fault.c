/* SPDX-License-Identifier: MIT */
/*
 * fault.c - may this access be made good, and what happens if not.
 *
 * Owns:  the decision after a page fault: retry, fixup, the end of a program's thread, or panic.
 * Not:   PTEs (memory.c), decoding the exception (arch/x86_64/trap.c).
 * Locks: takes mmap_lock for read around handle_mm_fault(); drops it while throttled (rule 12).
 * Key fact: everything runs in ring 0, so the kernel's own copies fault here too. A thread that
 *        holds a page lock copies with faults disabled, and fails at once instead of sleeping.
 */
#include "kernel/mm/fault.h"

#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "arch/x86_64/upcall.h"
#include "kernel/core/panic.h"
#include "kernel/core/printk.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/mm/grant.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/throttle.h"
#include "kernel/mm/vmap.h"

/* Why a fault could not be made good, in the words of the line that is printed. Written only
 * then. */
struct refusal {
	int error;
	bool sigbus; /* the file refuses; else nothing is mapped or permitted there */
	const char *reason;
	u64 ino; /* file, 0: none */
	u64 offset;
};

static __noreturn void kernel_fault(struct trap_frame *f, vaddr_t addr)
{
	char what[96];
	const char *desc = vmap_describe(addr, what, sizeof(what));
	const char *kind = f->error & PF_INSTR ? "fetch from" :
			   f->error & PF_WRITE ? "store to" :
						 "load from";

	panic_frame(f, "page fault: %s %#lx (error %#lx)%s%s", kind, (unsigned long)addr,
		    (unsigned long)f->error, desc ? ": " : "", desc ? desc : "");
}

/* The access may not be: make a probing copy fail, end a program's thread, or panic. */
static void refuse(struct trap_frame *f, vaddr_t addr, const struct refusal *v)
{
	char sym[64];

	if (v->sigbus)
		stat_inc(STAT_SIGBUS_FAULTS);
	if (fixup_exception(f, v->error))
		return;
	/* The kernel's own half is not a program's business: such an access is a bug. */
	if (!current_thread()->mm || addr >= USER_END || in_irq() || preempt_count())
		kernel_fault(f, addr);
	printk("fault: thread %u (%s) ended: %s of %#lx at %s: %s", current_thread()->id,
	       current_thread()->name, f->error & PF_WRITE ? "store" : "load", (unsigned long)addr,
	       ksym(f->rip, sym, sizeof(sym)), v->reason);
	if (v->ino)
		printk(" (inode %lu, offset %#lx)", (unsigned long)v->ino,
		       (unsigned long)v->offset);
	printk("\n");
	thread_exit(v->error);
}

/* mmap_lock held: the area and its file are still there to be named. */
static __noinline void explain(struct refusal *v, vm_fault_t ret, int error,
			       const struct vm_area *vma, vaddr_t addr)
{
	*v = (struct refusal){ .error = error ? error : -EFAULT, .reason = "no permission" };
	if (!vma)
		v->reason = "nothing is mapped there";
	if (vma && vma->mapping) {
		v->ino = vma->mapping->ino;
		v->offset = (vma_pgoff(vma, addr & PAGE_MASK) << PAGE_SHIFT) + (addr & ~PAGE_MASK);
	}
	if (ret & VM_FAULT_OOM) {
		v->error = -ENOMEM;
		v->reason = "out of memory";
	} else if (ret & VM_FAULT_SIGBUS) {
		v->sigbus = true;
		v->reason = error == -ENOSPC ? "no space on the device" :
			    error == -EIO    ? "I/O error" :
					       "beyond the end of the file";
	}
}

/* mmap_lock held, and dropped if the answer is true: a store to @vma may dirty a page, there is too
 * much dirt, and the thread has waited. Everything may be different now. */
static bool waited_for_room(struct mm *mm, const struct vm_area *vma, bool *waited)
{
	u64 ns;

	if (!(vma->flags & VM_SHARED) || !vma->mapping || dirt_is_low(vma->mapping))
		return false;
	ns = dirty_pause(vma->mapping, *waited);
	if (!ns)
		return false;
	up_read(&mm->mmap_lock);
	throttle_sleep(ns);
	*waited = true;
	return true;
}

/* One attempt with the areas locked. True if the instruction may be tried again; else @v says why
 * not. @need: VM_* of which the area must have one. */
static __always_inline bool try_fault(struct mm *mm, vaddr_t addr, u32 need, struct refusal *v)
{
	bool write = need == VM_WRITE, waited = false;
	struct vm_area *vma;
	vm_fault_t ret = 0;
	int error = 0;

	do {
		down_read(&mm->mmap_lock);
		vma = find_vma(mm, addr);
	} while (write && vma && waited_for_room(mm, vma, &waited));
	if (likely(vma && vma->flags & need)) {
		ret = handle_mm_fault(vma, addr, write, &error);
		if (unlikely(grant_choice) && write && ret & VM_FAULT_DIRTIED)
			grant_around(vma, addr);
		if (!(ret & VM_FAULT_ERROR)) {
			up_read(&mm->mmap_lock);
			return true;
		}
	}
	explain(v, ret, error, vma, addr);
	up_read(&mm->mmap_lock);
	return false;
}

/* What an area must allow for an access of this error code. Reading needs any permission: x86 has
 * no pages that can be written or fetched but not read. */
static inline u32 access_needs(u64 error)
{
	if (error & PF_WRITE)
		return VM_WRITE;
	return error & PF_INSTR ? VM_EXEC : VM_READ | VM_WRITE | VM_EXEC;
}

void handle_page_fault(struct trap_frame *f, vaddr_t addr)
{
	struct thread *t = current_thread();
	struct refusal v;

	stat_inc(STAT_FAULTS);
	trace_page(TRACE_FAULT, addr, f->error);
	/* An emulator may leave P clear when RSVD is set: RSVD is looked at first. */
	if (unlikely(f->error & PF_RSVD))
		kernel_fault(f, addr);
	if (unlikely(!t->mm || t->fault_disabled || addr - USER_START >= USER_END - USER_START)) {
		v = (struct refusal){ .error = -EFAULT, .reason = "not an address of a program" };
		refuse(f, addr, &v);
		return;
	}
	if (unlikely(preempt_count() || !(f->rflags & RFLAGS_IF)))
		kernel_fault(f, addr);
	if (unlikely(!try_fault(t->mm, addr, access_needs(f->error), &v)))
		refuse(f, addr, &v);
	/* A thread that was told to end does so instead of the access, unless it is the kernel's
	 * own, which may hold locks: what called it asks later. */
	if (thread_killed() && !fault_has_fixup(f))
		thread_exit(-EINTR);
}

int mm_fault_in(struct mm *mm, vaddr_t addr, bool write)
{
	struct refusal v;
	pte_t *ptep, pte;

	/* A munmap() elsewhere may be about to free the table. */
	spin_lock(&mm->pgt.lock);
	ptep = pgtable_walk(&mm->pgt, addr);
	pte = ptep ? ptep_get(ptep) : (pte_t){ 0 };
	spin_unlock(&mm->pgt.lock);
	if (pte_present(pte) && (!write || pte_write(pte)))
		return 0;
	return try_fault(mm, addr, access_needs(write ? PF_WRITE : 0), &v) ? 0 : v.error;
}

int fault_in(const void *p, size_t len, bool write)
{
	struct mm *mm = current_thread()->mm;
	vaddr_t va = (vaddr_t)p & PAGE_MASK, end = (vaddr_t)p + len;

	if (va >= USER_END || !len)
		return 0;
	if (!mm || end < va || end > USER_END)
		return -EFAULT;
	for (; va < end; va += PAGE_SIZE)
		if (mm_fault_in(mm, va, write))
			return -EFAULT;
	return 0;
}
