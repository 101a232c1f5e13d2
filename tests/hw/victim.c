/* SPDX-License-Identifier: MIT */
/*
 * victim.c - the victim's loop, its mailbox, and its scratch address space.
 *
 * Owns:  a pgtable without areas; INVLPG and CR3 loads of the victim, which are the experiment and
 *        not the kernel's flushing (that is tlb.c's).
 * Key fact: a thread with a pgtable and no mm gets every fault refused at once, so a probe says
 *        whether the CPU faulted; the error code is in the trace ring, where fault.c put it.
 *
 * Who waits for whom. The victim is never preempted, so the caller must be on another CPU: it runs
 * pinned to CPU 0. While the victim has interrupts off, a shootdown started by any thread on CPU 0
 * would wait for the victim, which waits for the caller, which waits for its CPU. Therefore the
 * caller is not preempted then.
 */
#include "tests/hw/victim.h"

#include <string.h>

#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/asm/frame.h"
#include "arch/x86_64/tlb.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "kernel/core/trace.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/vm_area.h"
#include "tests/ktest.h"

#define FRAMES_ORDER 8 /* 2 * VICTIM_PAGES */
#define GROW_VA	     (VICTIM_VA + (1UL << 30))
#define GROW_PAGES   1024
#define GROW_ROUNDS  8
#define PATIENCE     (60 * NSEC_PER_SEC)

_Static_assert(1 << FRAMES_ORDER == 2 * VICTIM_PAGES, "one for each page and a spare");

bool machine_is_tcg(void)
{
	u32 a, sig[4] = { 0 };

	cpuid(0x40000000, 0, &a, &sig[0], &sig[1], &sig[2]);
	return !memcmp(sig, "TCGTCGTCGTCG", 12);
}

/* --- what the victim does --- */

/* The error code of the fault at @va that this CPU has just taken. */
static u8 last_fault_error(vaddr_t va)
{
	const struct trace_ring *ring = this_cpu()->trace;

	for (u32 i = 1; i <= 16; i++) {
		const struct trace_event *e = &ring->event[(ring->next - i) % TRACE_RING_EVENTS];

		if (e->id == TRACE_FAULT && e->a == va)
			return (u8)e->b;
	}
	return 0xff;
}

static void access(struct victim *v, enum victim_op op, unsigned int page, u64 value)
{
	struct victim_result *r = &v->result[page];
	void *p = (void *)victim_va(page);
	int err;

	if (op == VICTIM_LOAD)
		err = probe_load8(p, &r->loaded);
	else
		err = probe_store8(p, value + page);
	r->fault = err != 0;
	r->error = err ? last_fault_error((vaddr_t)p) : 0;
}

static void race(struct victim *v)
{
	u64 n = 0;

	while (!READ_ONCE(v->mailbox.stop)) {
		/* Without this the first store's entry would serve for all. */
		invlpg(VICTIM_VA);
		probe_store8((void *)VICTIM_VA, ++n);
		atomic_store(&v->mailbox.turns, n);
	}
}

static void execute(struct victim *v)
{
	enum victim_op op = v->mailbox.op;
	unsigned int end = v->mailbox.first + v->mailbox.nr;

	switch (op) {
	case VICTIM_LOAD:
	case VICTIM_STORE:
		for (unsigned int i = v->mailbox.first; i < end; i++)
			access(v, op, i, v->mailbox.value);
		break;
	case VICTIM_INVLPG:
		for (unsigned int i = v->mailbox.first; i < end; i++)
			invlpg(victim_va(i));
		break;
	case VICTIM_FLUSH_ALL: write_cr3(read_cr3()); break;
	case VICTIM_WP_OFF: write_cr0(read_cr0() & ~CR0_WP); break;
	case VICTIM_WP_ON: write_cr0(read_cr0() | CR0_WP); break;
	case VICTIM_RACE: race(v); break;
	case VICTIM_IRQ_OFF: irq_disable(); break;
	case VICTIM_IRQ_ON: irq_enable(); break;
	case VICTIM_QUIT: break;
	}
}

static int victim_thread(void *arg)
{
	struct victim *v = arg;
	unsigned int spins = 0;
	u32 served = 0;

	preempt_disable();
	while (!served || v->mailbox.op != VICTIM_QUIT) {
		while (atomic_load(&v->mailbox.asked) == served)
			cpu_relax(&spins);
		spins = 0;
		execute(v);
		atomic_store(&v->mailbox.done, ++served);
	}
	preempt_enable();
	return 0;
}

/* --- asking it --- */

static void wait_for(struct victim *v, bool (*ready)(struct victim *v, u64 what), u64 what)
{
	unsigned int spins = 0;
	ktime_t end = 0;

	while (!ready(v, what)) {
		cpu_relax(&spins);
		if (spins % 4096)
			continue;
		if (!end)
			end = ktime_get() + PATIENCE;
		if (ktime_get() > end)
			panic("test: the victim on CPU %u does not answer", v->cpu);
	}
}

static bool is_done(struct victim *v, u64 asked)
{
	return atomic_load(&v->mailbox.done) == (u32)asked;
}

static void post(struct victim *v, enum victim_op op, unsigned int first, unsigned int nr,
		 u64 value)
{
	v->mailbox.op = op;
	v->mailbox.first = first;
	v->mailbox.nr = nr;
	v->mailbox.value = value;
	if (v->remote)
		atomic_store(&v->mailbox.asked, v->mailbox.asked + 1);
	else
		execute(v);
}

static void finish(struct victim *v)
{
	if (v->remote)
		wait_for(v, is_done, v->mailbox.asked);
}

void victim_do(struct victim *v, enum victim_op op, unsigned int first, unsigned int nr, u64 value)
{
	post(v, op, first, nr, value);
	finish(v);
}

void victim_load(struct victim *v, unsigned int page)
{
	victim_do(v, VICTIM_LOAD, page, 1, 0);
}

void victim_store(struct victim *v, unsigned int page, u64 value)
{
	victim_do(v, VICTIM_STORE, page, 1, value - page);
}

void victim_alone(struct victim *v)
{
	preempt_disable();
	if (v->remote)
		victim_do(v, VICTIM_IRQ_OFF, 0, 0, 0);
	else
		v->irq_flags = irq_save();
}

void victim_alone_end(struct victim *v)
{
	if (v->remote)
		victim_do(v, VICTIM_IRQ_ON, 0, 0, 0);
	else
		irq_restore(v->irq_flags);
	preempt_enable();
}

static bool has_turned(struct victim *v, u64 turns)
{
	return atomic_load(&v->mailbox.turns) >= turns;
}

void victim_race_start(struct victim *v)
{
	BUG_ON(!v->remote);
	v->mailbox.turns = 0;
	v->mailbox.stop = false;
	post(v, VICTIM_RACE, 0, 1, 0);
}

void victim_race_wait(struct victim *v, u64 more)
{
	wait_for(v, has_turned, atomic_load(&v->mailbox.turns) + more);
}

void victim_race_stop(struct victim *v)
{
	WRITE_ONCE(v->mailbox.stop, true);
	finish(v);
}

/* --- its address space --- */

static bool map_pages(struct victim *v)
{
	/* Both ranges lie within leaf tables that this makes. */
	for (unsigned int i = 0; i < VICTIM_PAGES; i++) {
		pte_t *ptep = pgtable_walk_alloc(&v->pgt, victim_va(i));

		if (!ptep)
			return false;
		if (!i)
			v->ptep = ptep;
		ptep_set_absent(ptep, victim_pte(v, i, PTE_P | PTE_W | PTE_NX));
	}
	for (unsigned int i = 0; i < GROW_PAGES; i++) {
		pte_t *ptep = pgtable_walk_alloc(&v->pgt, GROW_VA + i * PAGE_SIZE);

		if (!ptep)
			return false;
		ptep_set_absent(ptep, victim_pte(v, 0, PTE_P | PTE_NX | PTE_A));
	}
	return true;
}

/* pgtable_destroy() wants no leaf; nobody uses the tables any more, so no flush is owed. */
static void unmap_pages(struct victim *v)
{
	pte_t *ptep;

	for (unsigned int i = 0; i < VICTIM_PAGES; i++)
		if ((ptep = pgtable_walk(&v->pgt, victim_va(i))))
			ptep_get_and_clear(ptep);
	for (unsigned int i = 0; i < GROW_PAGES; i++)
		if ((ptep = pgtable_walk(&v->pgt, GROW_VA + i * PAGE_SIZE)))
			ptep_get_and_clear(ptep);
}

/* In the victim, or the caller when it is the victim. An emulator's table doubles at a flush that
 * finds it full, and only then. */
static void grow_tlb(void)
{
	for (int round = 0; round < GROW_ROUNDS; round++) {
		u64 word;

		for (unsigned int i = 0; i < GROW_PAGES; i++)
			probe_load8((void *)(GROW_VA + i * PAGE_SIZE), &word);
		write_cr3(read_cr3());
	}
}

static int victim_start_thread(void *arg)
{
	grow_tlb();
	return victim_thread(arg);
}

static void enter_scratch_space(struct victim *v)
{
	struct thread *t = current_thread();
	u64 flags = irq_save();

	v->borrowed_mm = t->mm;
	t->mm = NULL;
	t->pgt = &v->pgt;
	arch_switch_pgtable(t->pgt);
	irq_restore(flags);
	grow_tlb();
}

static bool start(struct victim *v)
{
	v->remote = nr_cpus > 1;
	v->cpu = v->remote ? 1 : 0;
	v->trace_was_on = trace_on;
	trace_on = true;
	if (!v->remote) {
		enter_scratch_space(v);
		return true;
	}
	v->thread = thread_create("victim", (int)v->cpu, NULL, &v->pgt, victim_start_thread, v);
	return v->thread;
}

static void stop(struct victim *v)
{
	if (v->remote) {
		victim_do(v, VICTIM_QUIT, 0, 0, 0);
		thread_join(v->thread);
	} else {
		mm_use(v->borrowed_mm);
	}
	trace_on = v->trace_was_on;
}

struct job {
	void (*body)(struct victim *v);
};

static int run_pinned(void *arg)
{
	static struct victim v; /* one test at a time; large for a stack */
	const struct job *job = arg;

	memset(&v, 0, sizeof(v));
	if (pgtable_init(&v.pgt))
		return -1;
	v.frame = alloc_pages(FRAMES_ORDER, ALLOC_ZERO);
	v.result_page = alloc_page(ALLOC_ZERO);
	if (v.frame && v.result_page && map_pages(&v)) {
		v.result = page_address(v.result_page);
		if (start(&v)) {
			job->body(&v);
			stop(&v);
		}
	}
	EXPECT(v.result && (v.thread || !v.remote));
	unmap_pages(&v);
	pgtable_destroy(&v.pgt);
	if (v.frame)
		free_pages(v.frame, FRAMES_ORDER);
	if (v.result_page)
		page_put(v.result_page);
	return 0;
}

_Static_assert(VICTIM_PAGES * sizeof(struct victim_result) <= PAGE_SIZE, "results fit a page");

void with_victim(void (*body)(struct victim *v))
{
	struct job job = { body };

	EXPECT_EQ(on_cpu(0, run_pinned, &job), 0);
}
