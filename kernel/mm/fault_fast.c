/* SPDX-License-Identifier: MIT */
/*
 * fault_fast.c - the one fault that happens all the time: a store to a page that was cleaned.
 *
 * Owns:  nothing. It does what fault.c, memory.c and filemap_fault.c would do, in their order, for
 *        a page that has its blocks, of a file that is on the dirty list, whose policy has nothing
 *        to say to a fault. Whatever is different, or would have to be waited for, is declined,
 *        and they do it.
 * Locks: mmap_lock (read), page lock, tree_lock, each tried. Interrupts are off throughout, which
 *        stands for two more:
 * Key fact: a page whose PTE we read stays, without a reference and without pgtable.lock, until
 *        interrupts are on again. Who takes the PTE away frees the page after a shootdown (promise
 *        P6), which this CPU has to acknowledge since it runs in that address space:
 *
 *	F (fault, interrupts off)		Z (zap, truncate)
 *	reads the PTE
 *						takes it away, asks all CPUs
 *	locks the page, finds it in its file
 *	compare-exchange of the PTE fails
 *	interrupts on: acknowledges
 *						drops the page
 *
 *        The area stays by mmap_lock as ever, and so do the tables.
 *
 * Delay points, lock ranks and traces are those of the other path: where they are wanted this one
 * declines.
 */
#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/upcall.h"
#include "kernel/core/delay.h"
#include "kernel/core/sched.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/grant.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/throttle.h"

/* The thread may fault here, and nobody watches. */
static __always_inline bool is_usual(const struct thread *t, u64 rflags)
{
	return likely(rflags & RFLAGS_IF && !preempt_count() && !READ_ONCE(t->unusual) &&
		      !debug_checks && !READ_ONCE(delay_armed) && !trace_pages_on && !grant_choice);
}

/* The file is asked nothing: see filemap_page_mkwrite(). Page locked. */
static __always_inline bool may_be_stored_to(const struct page *page,
					     const struct address_space *mapping)
{
	return likely(page->mapping == mapping && test_bit(&page->flags, PG_blocks) &&
		      page->index << PAGE_SHIFT < READ_ONCE(mapping->size) &&
		      page->dirty != PAGE_MAYBE_DIRTY);
}

static __always_inline bool upgrade(pte_t *ptep, pte_t old, struct page *page,
				    struct address_space *mapping)
{
	bool done;

	if (unlikely(test_and_set_bit(&page->flags, PG_locked)))
		return false;
	done = may_be_stored_to(page, mapping) && dirt_is_low(mapping) &&
	       (page->dirty == PAGE_DIRTY || try_set_page_dirty(page, mapping));
	if (likely(done)) {
		stat_inc(STAT_MKWRITE);
		if (likely(ptep_cmpxchg(ptep, old, (pte_t){ old.v | PTE_W | PTE_D | PTE_A })))
			stat_inc(STAT_WRITE_FAULTS);
		else
			stat_inc(STAT_RETRY_FAULTS);
	}
	page_clear_bit_wake(page, PG_locked);
	/* After the PTE (arm.h). Who tells may sleep, so it is left to the other path, which finds
	 * the PTE as it is now. */
	return done && likely(!test_bit(&mapping->flags, AS_NOTE_STORE));
}

static __always_inline bool store(struct mm *mm, vaddr_t addr)
{
	struct vm_area *vma = READ_ONCE(mm->last_found);
	pte_t *ptep, old;

	if (unlikely(!vma || addr < vma->start || addr >= vma->end || !vma->ops ||
		     (vma->flags & (VM_WRITE | VM_SHARED)) != (VM_WRITE | VM_SHARED) ||
		     vma->ops->page_mkwrite != filemap_page_mkwrite ||
		     area_policy(vma)->on_write_fault))
		return false;
	ptep = pgtable_walk(&mm->pgt, addr);
	if (unlikely(!ptep))
		return false;
	old = ptep_get(ptep);
	if (unlikely((old.v & (PTE_P | PTE_W)) != PTE_P))
		return false;
	return upgrade(ptep, old, phys_to_page(pte_paddr(old)), vma->mapping);
}

bool fault_fast(vaddr_t addr, u64 rflags)
{
	struct thread *t = current_thread();
	struct mm *mm = t->mm;
	bool done;

	if (!mm || !is_usual(t, rflags) || !down_read_try_irqs_off(&mm->mmap_lock))
		return false;
	done = store(mm, addr);
	up_read_irqs_off(&mm->mmap_lock);
	if (likely(done))
		stat_inc(STAT_FAULTS);
	return done;
}
