/* SPDX-License-Identifier: MIT */
/*
 * fault.c - may this access be made good, and what happens if not.
 *
 * Owns:  the decision after a page fault: retry, fixup, the end of a program's thread, or panic.
 * Not:   PTEs (memory.c), decoding the exception (arch/x86_64/trap.c).
 * Locks: takes mmap_lock for read around handle_mm_fault(); holds nothing while throttling.
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
#include "kernel/mm/mapping.h"
#include "kernel/mm/vmap.h"
#include "kernel/mm/writeback.h"

/* What became of a fault, in the words of the line that is printed. */
struct verdict {
	int error; /* 0: retry the instruction */
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
static void refuse(struct trap_frame *f, vaddr_t addr, const struct verdict *v)
{
	char sym[64];

	if (v->error == -EFAULT || v->error == -EIO || v->error == -ENOSPC)
		stat_inc(STAT_SIGBUS_FAULTS);
	if (fixup_exception(f, v->error))
		return;
	if (!current_thread()->mm || in_irq() || preempt_count())
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

static struct verdict verdict_of(vm_fault_t ret, int error, const struct vm_area *vma, vaddr_t addr)
{
	struct verdict v = { .error = error ? error : -EFAULT, .reason = "no permission" };

	if (vma && vma->mapping) {
		v.ino = vma->mapping->ino;
		v.offset = (vma_pgoff(vma, addr & PAGE_MASK) << PAGE_SHIFT) + (addr & ~PAGE_MASK);
	}
	if (ret & VM_FAULT_OOM)
		v = (struct verdict){ .error = -ENOMEM, .reason = "out of memory" };
	else if (ret & VM_FAULT_SIGBUS)
		v.reason = error == -ENOSPC ? "no space on the device" :
			   error == -EIO    ? "I/O error" :
					      "beyond the end of the file";
	return v;
}

/* One attempt with the areas locked. True if the instruction may be tried again. */
static bool try_fault(struct mm *mm, vaddr_t addr, bool write, bool fetch, struct verdict *v)
{
	struct writeback *wb = NULL;
	struct vm_area *vma;
	vm_fault_t ret = 0;
	int error = 0;
	u32 need = fetch ? VM_EXEC : write ? VM_WRITE : VM_READ | VM_WRITE | VM_EXEC;

	down_read(&mm->mmap_lock);
	vma = find_vma(mm, addr);
	if (!vma)
		*v = (struct verdict){ .error = -EFAULT, .reason = "nothing is mapped there" };
	else if (!(vma->flags & need))
		*v = verdict_of(VM_FAULT_SIGSEGV, 0, vma, addr);
	else if ((ret = handle_mm_fault(vma, addr, write, &error)) & VM_FAULT_ERROR)
		*v = verdict_of(ret, error, vma, addr);
	else
		v->error = 0;
	if (ret & VM_FAULT_DIRTIED)
		wb = vma->mapping->wb;
	up_read(&mm->mmap_lock);
	if (wb)
		balance_dirty_pages(wb);
	return !v->error;
}

void handle_page_fault(struct trap_frame *f, vaddr_t addr)
{
	struct thread *t = current_thread();
	struct verdict v = { .error = -EFAULT, .reason = "not an address of a program" };

	stat_inc(STAT_FAULTS);
	trace(TRACE_FAULT, addr, f->error);
	/* Below, an emulator may leave P clear when RSVD is set: RSVD is looked at first. */
	if (unlikely(f->error & PF_RSVD))
		kernel_fault(f, addr);
	if (unlikely(!t->mm || t->fault_disabled || addr < USER_START || addr >= USER_END)) {
		refuse(f, addr, &v);
		return;
	}
	if (unlikely(preempt_count() || !irqs_enabled()))
		kernel_fault(f, addr);
	if (unlikely(!try_fault(t->mm, addr, f->error & PF_WRITE, f->error & PF_INSTR, &v)))
		refuse(f, addr, &v);
}

int fault_in(const void *p, size_t len, bool write)
{
	struct mm *mm = current_thread()->mm;
	vaddr_t va = (vaddr_t)p & PAGE_MASK, end = (vaddr_t)p + len;
	struct verdict v = { 0 };

	if (va >= USER_END || !len)
		return 0;
	if (!mm || end < va || end > USER_END)
		return -EFAULT;
	for (; va < end; va += PAGE_SIZE) {
		pte_t *ptep = pgtable_walk(&mm->pgt, va);
		pte_t pte = ptep ? ptep_get(ptep) : (pte_t){ 0 };

		if (pte_present(pte) && (!write || pte_write(pte)))
			continue;
		if (!try_fault(mm, va, write, false, &v))
			return -EFAULT;
	}
	return 0;
}
