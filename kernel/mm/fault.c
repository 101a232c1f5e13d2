/* SPDX-License-Identifier: MIT */
/*
 * fault.c - may this access be made good, and what happens if not.
 *
 * Owns:  the decision after a page fault: retry, fixup, the program's handler, the end of its
 *        thread, or panic; the line that says why a thread ended.
 * Not:   PTEs (memory.c), decoding the exception (arch/x86_64/trap.c), signals (libc/signal.c).
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
#include "kernel/lib/fmt.h"
#include "kernel/mm/grant.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/throttle.h"
#include "kernel/mm/reclaim.h"
#include "kernel/mm/vmap.h"

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

/* The program's own function may say what is to be done. It may use vector registers, which nobody
 * has saved: the kernel does not touch them. It runs as any function of the thread would, on its
 * stack, interrupts on; it may also jump away and not come back here. */
static __noinline bool program_helps(const struct fault_info *info)
{
	struct thread *t = current_thread();
	u8 fpu[512] __aligned(16);
	bool done;

	if (!t->libc_fault)
		return false;
	arch_fpu_save(fpu);
	arch_fpu_reset();
	done = t->libc_fault(info);
	arch_fpu_restore(fpu);
	return done;
}

static __noreturn void end_thread(const struct trap_frame *f, const struct fault_info *info)
{
	const char *kind = f->error & PF_INSTR ? "fetch from" :
			   f->error & PF_WRITE ? "store to" :
						 "load from";
	struct thread *t = current_thread();
	char sym[64], where[FAULT_NAME + 48] = "";

	if (info->file[0])
		ksnprintf(where, sizeof(where), ": %s, offset %#lx", info->file,
			  (unsigned long)info->offset);
	printk("fault: thread %u (%s) ended: %s %#lx at %s: %s%s\n", t->id, t->name, kind,
	       (unsigned long)info->addr, ksym(f->rip, sym, sizeof(sym)), info->reason, where);
	stat_inc(STAT_FAULT_ENDS);
	thread_exit(info->error);
}

/* The access may not be: make a probing copy fail, let the program repair it, end its thread, or
 * panic. */
static void refuse(struct trap_frame *f, const struct fault_info *info)
{
	if (info->kind == FAULT_BY_FILE)
		stat_inc(STAT_SIGBUS_FAULTS);
	if (fixup_exception(f, info->error))
		return;
	/* The kernel's own half is not a program's business: such an access is a bug. */
	if (!current_thread()->mm || info->addr >= USER_END || in_irq() || preempt_count())
		kernel_fault(f, info->addr);
	if (!program_helps(info))
		end_thread(f, info);
}

/* mmap_lock held: the area and its file are still there to be named. */
static void name_file(struct fault_info *info, const struct vm_area *vma)
{
	const char *name = vma->ops && vma->ops->name ? vma->ops->name(vma) : NULL;

	if (name)
		ksnprintf(info->file, sizeof(info->file), "%s", name);
	else
		ksnprintf(info->file, sizeof(info->file), "inode %lu",
			  (unsigned long)vma->mapping->ino);
	info->offset =
		(vma_pgoff(vma, info->addr & PAGE_MASK) << PAGE_SHIFT) + (info->addr & ~PAGE_MASK);
}

/* Written only when an access is refused. mmap_lock held. */
static __noinline void explain(struct fault_info *info, vm_fault_t ret, int error,
			       const struct vm_area *vma, vaddr_t addr)
{
	*info = (struct fault_info){ .addr = addr, .error = error ? error : -EFAULT };
	if (vma && vma->mapping)
		name_file(info, vma);
	if (ret & VM_FAULT_OOM) {
		info->kind = FAULT_NO_MEMORY;
		info->error = -ENOMEM;
		info->reason = "out of memory";
		memory_report();
	} else if (ret & VM_FAULT_SIGBUS) {
		info->kind = FAULT_BY_FILE;
		info->reason = error == -ENOSPC ? "no space on the device" :
			       error == -EIO	? "I/O error" :
						  "beyond the end of the file";
	} else if (vma) {
		info->kind = FAULT_NOT_PERMITTED;
		info->reason = "no permission";
	} else {
		info->kind = FAULT_NOT_MAPPED;
		info->reason = "nothing is mapped there";
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
static __always_inline bool try_fault(struct mm *mm, vaddr_t addr, u32 need, struct fault_info *v)
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
	struct fault_info v;

	stat_inc(STAT_FAULTS);
	trace_page(TRACE_FAULT, addr, f->error);
	/* An emulator may leave P clear when RSVD is set: RSVD is looked at first. */
	if (unlikely(f->error & PF_RSVD))
		kernel_fault(f, addr);
	if (unlikely(!t->mm || t->fault_disabled || addr - USER_START >= USER_END - USER_START)) {
		v = (struct fault_info){ .addr = addr,
					 .error = -EFAULT,
					 .reason = "not an address of a program" };
		refuse(f, &v);
		return;
	}
	if (unlikely(preempt_count() || !(f->rflags & RFLAGS_IF)))
		kernel_fault(f, addr);
	if (unlikely(!try_fault(t->mm, addr, access_needs(f->error), &v)))
		refuse(f, &v);
	/* A thread that was told to end does so instead of the access, unless it is the kernel's
	 * own, which may hold locks: what called it asks later. */
	if (thread_killed() && !fault_has_fixup(f))
		thread_exit(-EINTR);
}

int mm_fault_in(struct mm *mm, vaddr_t addr, bool write)
{
	struct fault_info v;
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
