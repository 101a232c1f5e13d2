/* SPDX-License-Identifier: MIT */
/*
 * tlb.c - who may still hold a translation, and making them forget it.
 *
 * Owns:  every INVLPG and CR3 load; pgt->cpus and pgt->tlb_gen; which table each CPU has loaded.
 * Not:   PTEs (memory.c, rmap.c), when to flush (their callers).
 * Locks: none. One request per initiating CPU is out at a time (preemption is off meanwhile);
 *        targets look through all CPUs' requests, so that no queue and no lock is needed in the
 *        interrupt.
 * Key fact: a translation cached with D lets its CPU store without looking at the PTE again, so a
 *        PTE change counts only from the moment every CPU in pgt->cpus has acknowledged.
 */
#include "arch/x86_64/tlb.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/asm/frame.h"
#include "arch/x86_64/tlb_cpu.h"
#include "kernel/core/args.h"
#include "kernel/core/clock.h"
#include "kernel/core/delay.h"
#include "kernel/core/printk.h"
#include "kernel/core/trace.h"
#include "kernel/lib/bitmap.h"

struct tlb_cpu tlb_cpus[MAX_CPUS];

/* Up to this many pages by INVLPG, else by loading CR3. A matter of cost only (rule 65). */
static u64 invlpg_max = 33;
ARG_UINT(invlpg_max, invlpg_max, "largest range in pages that is flushed page by page");

static const enum stat_id why_stat[NR_TLB_WHY] = {
	[TLB_WHY_MKCLEAN] = STAT_TLB_MKCLEAN, [TLB_WHY_ZAP] = STAT_TLB_ZAP,
	[TLB_WHY_COW] = STAT_TLB_COW,	      [TLB_WHY_PROTECT] = STAT_TLB_PROTECT,
	[TLB_WHY_KERNEL] = STAT_TLB_KERNEL,   [TLB_WHY_TEST] = STAT_TLB_TEST,
	[TLB_WHY_HARVEST] = STAT_TLB_HARVEST, [TLB_WHY_RECLAIM] = STAT_TLB_RECLAIM,
};

static const char *const why_name[NR_TLB_WHY] = { "mkclean", "zap",	"copy-on-write", "protect",
						  "kernel",  "harvest", "reclaim",	 "test" };

static void load_cr3(const struct pgtable *pgt)
{
	stat_inc(STAT_TLB_CR3_LOADS);
	write_cr3(virt_to_phys(pgt->root));
}

void tlb_init_cpu(void)
{
	struct tlb_cpu *t = &tlb_cpus[this_cpu()->id];

	t->loaded = &kernel_pgtable;
	t->lazy = false;
}

/*
 * Start from fresh tables: whatever was asked before @gen and the grace period were read is done
 * when CR3 is written, and only then is it said: who reads it may let a page go to the disk. The
 * grace period is read first, because it is raised last (tlb_grace_end).
 */
static void load_table(struct tlb_cpu *t, struct pgtable *pgt)
{
	u64 grace = atomic_load(&tlb_grace_asked);
	u64 gen = atomic_load(&pgt->tlb_gen);

	t->loaded = pgt;
	load_cr3(pgt);
	t->seen_gen = gen;
	atomic_store(&t->passed, grace);
}

void tlb_forget_all(struct tlb_cpu *t)
{
	load_table(t, t->loaded);
}

/*
 * Leaving laziness, or changing tables. The order on this side: lazy = false and our bit in
 * next->cpus, then (the locked instruction is a full fence) read tlb_gen, then use the table. The
 * flusher's: PTE, raise tlb_gen (locked), then read cpus and lazy. Whoever comes second sees the
 * other: either we are interrupted, or we see the new generation and start from fresh tables.
 */
void arch_switch_pgtable(struct pgtable *next)
{
	unsigned int cpu = this_cpu()->id;
	struct tlb_cpu *t = &tlb_cpus[cpu];
	struct pgtable *prev = t->loaded;
	u64 gen;

	if (!next) {
		WRITE_ONCE(t->lazy, true);
		return;
	}
	if (unlikely(flush_mode == FLUSH_DEFERRED))
		tlb_start_tick(t);
	if (prev == next) {
		if (!t->lazy) {
			tlb_pass();
			return;
		}
		WRITE_ONCE(t->lazy, false);
		full_fence();
		gen = atomic_load(&next->tlb_gen);
		if (gen != t->seen_gen) {
			stat_inc(STAT_TLB_LAZY_CAUGHT_UP);
			tlb_forget_all(t);
		}
		return;
	}
	WRITE_ONCE(t->lazy, false);
	atomic_or(&next->cpus, cpu_bit(cpu));
	load_table(t, next);
	atomic_and(&prev->cpus, ~cpu_bit(cpu));
}

/* Invalidate [start, end) here, page by page or all at once. */
static void invalidate_local(vaddr_t start, vaddr_t end)
{
	if (end == TLB_WHOLE_TABLE || (end - start) >> PAGE_SHIFT > invlpg_max) {
		stat_inc(STAT_TLB_CR3_LOADS);
		write_cr3(read_cr3());
		return;
	}
	stat_add(STAT_TLB_INVLPGS, (end - start) >> PAGE_SHIFT);
	for (; start < end; start += PAGE_SIZE)
		invlpg(start);
}

/* Interrupts off. Bring this CPU to the batch's generations (rule 61). */
static void serve_batch(struct tlb_cpu *t, const struct tlb_batch *batch)
{
	if (batch->everything) {
		tlb_forget_all(t);
		return;
	}
	for (unsigned int i = 0; i < batch->nr; i++) {
		const struct tlb_range *r = &batch->range[i];

		if (r->pgt != t->loaded || t->seen_gen >= r->gen)
			continue;
		if (t->seen_gen + 1 != r->gen || batch->freed_tables) {
			tlb_forget_all(t);
			continue;
		}
		invalidate_local(r->start, r->end);
		t->seen_gen = r->gen;
	}
}

static void serve(struct tlb_cpu *t, const struct tlb_request *req)
{
	if (req->drop) {
		if (t->loaded != req->drop)
			return;
		BUG_ON(!t->lazy);
		load_table(t, &kernel_pgtable);
		atomic_and(&req->drop->cpus, ~cpu_bit(this_cpu()->id));
	} else if (req->end) {
		invalidate_local(req->start, req->end);
	} else {
		serve_batch(t, req->batch);
	}
}

void tlb_interrupt(void)
{
	unsigned int me = this_cpu()->id;

	for (unsigned int c = 0; c < MAX_CPUS; c++) {
		struct tlb_request *req = &tlb_cpus[c].request;

		if (!(atomic_load(&req->pending) & cpu_bit(me)))
			continue;
		stat_inc(STAT_TLB_IPIS_RECEIVED);
		serve(&tlb_cpus[me], req);
		/* After this the initiator may go on: nothing of @req is read any more. */
		atomic_and(&req->pending, ~cpu_bit(me));
	}
	/* It may be here because flush=deferred was chosen when it had no ticks. */
	if (unlikely(flush_mode == FLUSH_DEFERRED && !tlb_cpus[me].lazy))
		tlb_start_tick(&tlb_cpus[me]);
}

/* A CPU that stops answering is named once per second; after a minute the machine is lost. */
static void complain(const struct tlb_request *req, const char *why, unsigned int seconds)
{
	cpumask_t late = atomic_load(&req->pending);

	if (!late)
		return;
	printk("tlb: CPU %u has not answered a TLB shootdown (%s) for %u s\n",
	       (unsigned int)__builtin_ctz(late), why, seconds);
	if (seconds >= 60)
		panic("CPU %u does not answer TLB shootdowns (%s)",
		      (unsigned int)__builtin_ctz(late), why);
}

static void wait_for_acks(struct tlb_request *req, const char *why)
{
	unsigned int spins = 0, seconds = 0;
	ktime_t next = 0;

	while (atomic_load(&req->pending)) {
		cpu_relax(&spins);
		if (spins & 1023)
			continue;
		if (!next) {
			next = ktime_get() + NSEC_PER_SEC;
		} else if (ktime_get() >= next) {
			complain(req, why, ++seconds);
			next = ktime_get() + NSEC_PER_SEC;
		}
	}
}

/* Ask @targets; preemption is off, so this CPU's request slot is ours until the last answer. */
static void ask(cpumask_t targets, const struct tlb_request *what, const char *why)
{
	struct tlb_request *req = &tlb_cpus[this_cpu()->id].request;

	if (!targets)
		return;
	req->batch = what->batch;
	req->start = what->start;
	req->end = what->end;
	req->drop = what->drop;
	atomic_store(&req->pending, targets);
	stat_add(STAT_TLB_IPIS_SENT, popcount64(targets));
	apic_send_ipi_mask(targets, VEC_TLB);
	wait_for_acks(req, why);
}

static cpumask_t online_mask(void)
{
	return (cpumask_t)((1ul << nr_cpus) - 1);
}

/* Of @mask, those whose user of the table is gone for now: they will compare generations. */
static cpumask_t skip_lazy(cpumask_t mask)
{
	cpumask_t rest = mask;

	for (cpumask_t m = mask; m; m &= m - 1) {
		unsigned int c = (unsigned int)__builtin_ctz(m);

		if (READ_ONCE(tlb_cpus[c].lazy)) {
			rest &= ~cpu_bit(c);
			stat_inc(STAT_TLB_LAZY_SKIPPED);
		}
	}
	return rest;
}

void tlb_batch_flush(struct tlb_batch *batch)
{
	struct tlb_request what = { .batch = batch };
	cpumask_t mask = 0;
	unsigned int me;
	u64 flags;

	if (!batch->nr)
		return;
	/* Both would deadlock: two CPUs that wait for each other with interrupts off, or a CPU that
	 * spins for our lock with interrupts off (B42, rule 64). */
	if (unlikely(preempt_count() || !irqs_enabled()))
		panic("TLB shootdown (%s) with a spinlock held or interrupts off",
		      why_name[batch->why]);
	delay_point("tlb_before_flush", batch);
	stat_inc(STAT_TLB_SHOOTDOWNS);
	stat_inc(why_stat[batch->why]);
	preempt_disable();
	me = this_cpu()->id;
	/* The PTE changes were locked instructions, and so is this: they are visible before the
	 * masks are read. */
	for (unsigned int i = 0; i < batch->nr; i++) {
		struct tlb_range *r = &batch->range[i];

		r->gen = atomic_add_return(&r->pgt->tlb_gen, 1);
		mask |= atomic_load(&r->pgt->cpus);
	}
	if (batch->everything)
		mask = online_mask();
	trace(TRACE_SHOOTDOWN, batch->why, mask);
	if (mask & cpu_bit(me)) {
		flags = irq_save();
		serve_batch(&tlb_cpus[me], batch);
		irq_restore(flags);
		mask &= ~cpu_bit(me);
	}
	if (mask && !batch->freed_tables && !batch->everything)
		mask = skip_lazy(mask);
	ask(mask, &what, why_name[batch->why]);
	preempt_enable();
	batch->nr = 0;
	batch->everything = batch->freed_tables = false;
}

void tlb_interrupt_cpus(cpumask_t mask)
{
	static const struct tlb_batch all = { .why = TLB_WHY_MKCLEAN, .everything = true };
	struct tlb_request what = { .batch = &all };

	stat_inc(STAT_TLB_SHOOTDOWNS);
	stat_inc(STAT_TLB_MKCLEAN);
	trace(TRACE_SHOOTDOWN, all.why, mask);
	ask(skip_lazy(mask), &what, "deferred");
}

void tlb_batch_add_slow(struct tlb_batch *batch, struct pgtable *pgt, vaddr_t va)
{
	for (unsigned int i = 0; i < batch->nr; i++) {
		struct tlb_range *r = &batch->range[i];

		if (r->pgt != pgt)
			continue;
		r->start = min(r->start, va);
		r->end = max(r->end, va + PAGE_SIZE);
		return;
	}
	if (batch->nr == TLB_BATCH_RANGES) {
		/* Tables that do not fit are not remembered, so their generations cannot be raised:
		 * every CPU is asked, lazy ones too, and forgets all. One interrupt each, still. */
		batch->everything = true;
		return;
	}
	batch->range[batch->nr++] =
		(struct tlb_range){ .pgt = pgt, .start = va, .end = va + PAGE_SIZE };
}

void tlb_batch_add_table(struct tlb_batch *batch, struct pgtable *pgt)
{
	/* Two ends that make a range of it, whatever was noted before; then it only stays whole. */
	tlb_batch_add_slow(batch, pgt, 0);
	tlb_batch_add_slow(batch, pgt, TLB_WHOLE_TABLE - PAGE_SIZE);
}

void tlb_batch_check(struct tlb_batch *batch)
{
	if (unlikely(batch->nr))
		panic("a TLB batch (%s) of %u tables left its scope unflushed",
		      why_name[batch->why], batch->nr);
}

/* Ask every CPU, this one included. */
static void everyone(const struct tlb_request *what)
{
	unsigned int me;
	u64 flags;

	BUG_ON(preempt_count() || !irqs_enabled());
	preempt_disable();
	me = this_cpu()->id;
	flags = irq_save();
	serve(&tlb_cpus[me], what);
	irq_restore(flags);
	ask(online_mask() & ~cpu_bit(me), what, "kernel");
	preempt_enable();
}

void tlb_flush_kernel(vaddr_t start, vaddr_t end)
{
	struct tlb_request what = { .start = start, .end = end };

	stat_inc(STAT_TLB_SHOOTDOWNS);
	stat_inc(STAT_TLB_KERNEL);
	everyone(&what);
}

void tlb_drop_pgtable(struct pgtable *pgt)
{
	struct tlb_request what = { .drop = pgt };

	if (atomic_load(&pgt->cpus))
		everyone(&what);
	BUG_ON(atomic_load(&pgt->cpus));
}
