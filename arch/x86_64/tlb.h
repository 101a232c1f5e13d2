/* SPDX-License-Identifier: MIT */
/*
 * tlb.h - making every CPU forget translations, in batches.
 *
 * Only tlb.c invalidates. A caller changes PTEs (by exchange), notes them in a batch, and flushes
 * once; on return no CPU can use the old translations. A batch that leaves its scope unflushed
 * panics with its reason: there is no "flush later".
 *
 *	TLB_BATCH(batch, TLB_WHY_MKCLEAN);
 *	... old = ptep_get_and_clear(ptep); tlb_batch_add(&batch, pgt, va); ...
 *	tlb_batch_flush(&batch);
 *
 * Generations (rules 61-63): pgt->tlb_gen is raised before each request; each CPU remembers the
 * generation it reached for the table it has loaded. A ranged flush is enough only for a CPU that
 * is exactly one behind; otherwise it forgets everything. A CPU that runs a thread without an
 * address space is lazy: it keeps the last table loaded, is not interrupted, and compares
 * generations before it uses the lower half again. Batches that free page tables interrupt lazy
 * CPUs too (rule 62).
 *
 * Order that makes it right, Dekker-wise: a CPU puts itself in pgt->cpus, full fence, reads
 * tlb_gen, loads CR3; a flusher changes the PTE, full fence, raises tlb_gen, reads pgt->cpus.
 */
#ifndef ARCH_X86_64_TLB_H
#define ARCH_X86_64_TLB_H

#include "arch/x86_64/pgtable.h"

enum tlb_why {
	TLB_WHY_MKCLEAN,
	TLB_WHY_ZAP,
	TLB_WHY_COW,
	TLB_WHY_PROTECT,
	TLB_WHY_KERNEL,
	TLB_WHY_HARVEST,
	TLB_WHY_RECLAIM,
	TLB_WHY_TEST,
	NR_TLB_WHY
};

#define TLB_BATCH_RANGES 8

#define TLB_WHOLE_TABLE (1UL << 47) /* the end of a range that is the whole lower half */

struct tlb_range {
	struct pgtable *pgt;
	vaddr_t start, end; /* end exclusive; TLB_WHOLE_TABLE: everything, upper levels too */
	u64 gen;
};

struct tlb_batch {
	enum tlb_why why;
	unsigned int nr;
	bool everything;   /* more tables than ranges: every CPU forgets all */
	bool freed_tables; /* lazy CPUs must be asked as well */
	struct tlb_range range[TLB_BATCH_RANGES];
};

void tlb_batch_check(struct tlb_batch *batch); /* the cleanup: panics if anything is owed */

/* Not an initializer: that would clear the ranges as well, at every unmapping of one page. */
static inline void tlb_batch_init(struct tlb_batch *batch, enum tlb_why why)
{
	batch->why = why;
	batch->nr = 0;
	batch->everything = batch->freed_tables = false;
}

#define TLB_BATCH(var, reason)                                                                     \
	struct tlb_batch var __attribute__((cleanup(tlb_batch_check)));                            \
	tlb_batch_init(&var, reason)

/* One page, after its PTE lost P, W or D. Cheap; any number; several address spaces. May be called
 * with pgtable.lock held. */
static inline void tlb_batch_add(struct tlb_batch *batch, struct pgtable *pgt, vaddr_t va);
void tlb_batch_add_slow(struct tlb_batch *batch, struct pgtable *pgt, vaddr_t va);

/*
 * All of @pgt's lower half, with what CPUs cached of its upper levels: a load of CR3 on each, never
 * INVLPG page by page (SDM 3A 4.10.4.1). For who cleared accessed bits of upper levels, or does not
 * know which pages it is about. Cheap; may be called with pgtable.lock held.
 */
void tlb_batch_add_table(struct tlb_batch *batch, struct pgtable *pgt);

/* Returns when every CPU that may have cached one of the noted translations has dropped it. No
 * spinlock held, interrupts on: asserted. An empty batch costs nothing and counts nothing. */
void tlb_batch_flush(struct tlb_batch *batch);

/* Kernel half: [start, end) on every CPU, now. The same conditions. */
void tlb_flush_kernel(vaddr_t start, vaddr_t end);

/* Make CPUs that have @pgt loaded lazily load kernel_pgtable. No thread may be using it. */
void tlb_drop_pgtable(struct pgtable *pgt);

/*
 * Argument flush=: how many cleaned PTEs share a shootdown, and who waits for it. `page` is what
 * rmap.c makes of it; `deferred` lets background cleaning wait until CPUs have forgotten by
 * themselves (tlb_grace.h, preclean.h). May change at any time.
 */
enum tlb_flush_mode { FLUSH_BATCH, FLUSH_PAGE, FLUSH_DEFERRED };
extern unsigned int flush_mode;

/* This CPU compares generations, and forgets if it is behind: at each timer interrupt and at each
 * context switch. Interrupts off. */
void tlb_pass_slow(void);

static inline void tlb_pass(void)
{
	if (unlikely(flush_mode == FLUSH_DEFERRED))
		tlb_pass_slow();
}

/* VEC_TLB. */
void tlb_interrupt(void);
/* Start of a CPU's life: kernel_pgtable is loaded. */
void tlb_init_cpu(void);

static inline void tlb_batch_add(struct tlb_batch *batch, struct pgtable *pgt, vaddr_t va)
{
	struct tlb_range *r = &batch->range[batch->nr - 1];

	if (likely(batch->nr && r->pgt == pgt && va == r->end))
		r->end = va + PAGE_SIZE;
	else if (!batch->everything)
		tlb_batch_add_slow(batch, pgt, va);
}

#endif
