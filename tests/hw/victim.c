/* SPDX-License-Identifier: MIT */
/*
 * victim.c - what the victim does on its CPU, and how it is asked.
 *
 * Owns:  INVLPG, CR3 loads and CR0 of the victim: they are the experiment, and not the kernel's
 *        flushing (that is tlb.c's).
 * Key fact: the error code of a refused fault is in the trace ring of its CPU, where fault.c put
 * it.
 */
#include "tests/hw/victim.h"

#include <string.h>

#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/sched.h"
#include "kernel/core/trace.h"
#include "kernel/mm/page_alloc.h"
#include "tests/ktest.h"

#define FRAMES_ORDER 8
#define GROW_VA	     (SPACE_VA + (1UL << 30))
#define GROW_PAGES   1024
#define GROW_ROUNDS  8

_Static_assert(1 << FRAMES_ORDER == 2 * VICTIM_PAGES, "one for each page and a spare");
_Static_assert(VICTIM_PAGES * sizeof(struct victim_result) <= PAGE_SIZE, "results fit a page");

bool machine_is_tcg(void)
{
	u32 a, sig[3];

	cpuid(0x40000000, 0, &a, &sig[0], &sig[1], &sig[2]);
	return !memcmp(sig, "TCGTCGTCGTCG", 12);
}

/* --- on its CPU --- */

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

static void touch(struct victim *v, unsigned int page)
{
	struct victim_result *r = &v->result[page];
	void *p = (void *)space_va(page);
	bool traced = trace_pages_on;
	int err;

	trace_pages_on = true; /* the error code is read from the trace */
	if (v->op == VICTIM_LOAD)
		err = probe_load8(p, &r->loaded);
	else
		err = probe_store8(p, v->value + page);
	trace_pages_on = traced;
	r->fault = err != 0;
	r->error = err ? last_fault_error((vaddr_t)p) : 0;
}

/* An emulator's table doubles at a flush that finds it full, and only then. */
static void grow_tlb(void)
{
	u64 word;

	for (int round = 0; round < GROW_ROUNDS; round++) {
		for (unsigned int i = 0; i < GROW_PAGES; i++)
			probe_load8((void *)(GROW_VA + i * PAGE_SIZE), &word);
		write_cr3(read_cr3());
	}
}

static void execute(void *arg)
{
	struct victim *v = arg;
	unsigned int i, end = v->first + v->nr;

	switch (v->op) {
	case VICTIM_LOAD:
	case VICTIM_STORE:
		for (i = v->first; i < end; i++)
			touch(v, i);
		break;
	case VICTIM_INVLPG:
		for (i = v->first; i < end; i++)
			invlpg(space_va(i));
		break;
	case VICTIM_FLUSH_ALL: write_cr3(read_cr3()); break;
	case VICTIM_WP_OFF: write_cr0(read_cr0() & ~CR0_WP); break;
	case VICTIM_WP_ON: write_cr0(read_cr0() | CR0_WP); break;
	case VICTIM_IRQ_OFF: irq_disable(); break;
	case VICTIM_IRQ_ON: irq_enable(); break;
	case VICTIM_GROW: grow_tlb(); break;
	}
}

static void race(void *arg)
{
	struct victim *v = arg;
	u64 n = 0;

	while (!READ_ONCE(v->stop)) {
		/* Without this the first store's entry would serve for all. */
		invlpg(SPACE_VA);
		probe_store8((void *)SPACE_VA, ++n);
		atomic_store(&v->turns, n);
	}
}

/* --- asking it --- */

void victim_do(struct victim *v, enum victim_op op, unsigned int first, unsigned int nr, u64 value)
{
	v->op = op;
	v->first = first;
	v->nr = nr;
	v->value = value;
	runner_call(&v->runner, execute, v);
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
	victim_do(v, VICTIM_IRQ_OFF, 0, 0, 0);
}

void victim_alone_end(struct victim *v)
{
	victim_do(v, VICTIM_IRQ_ON, 0, 0, 0);
	preempt_enable();
}

void victim_race_start(struct victim *v)
{
	BUG_ON(!victim_is_remote(v));
	v->turns = 0;
	v->stop = false;
	runner_post(&v->runner, race, v);
}

static bool has_turned(void *arg)
{
	struct victim *v = arg;

	return atomic_load(&v->turns) >= v->target;
}

void victim_race_wait(struct victim *v, u64 more)
{
	v->target = atomic_load(&v->turns) + more;
	spin_until(has_turned, v, "the victim to try a store");
}

void victim_race_stop(struct victim *v)
{
	WRITE_ONCE(v->stop, true);
	runner_wait(&v->runner);
}

/* --- life --- */

/* The spare frames' PTEs go, and many pages are mapped to frame 0 to be looked at. */
static bool shape_space(struct victim *v)
{
	for (unsigned int i = VICTIM_PAGES; i < 2 * VICTIM_PAGES; i++)
		ptep_get_and_clear(space_ptep(&v->space, i));
	for (unsigned int i = 0; i < GROW_PAGES; i++) {
		pte_t *ptep = pgtable_walk_alloc(&v->space.pgt, GROW_VA + i * PAGE_SIZE);

		if (!ptep)
			return false;
		ptep_set_absent(ptep, victim_pte(v, 0, PTE_P | PTE_A));
	}
	v->ptep = space_ptep(&v->space, 0);
	return true;
}

static void unshape_space(struct victim *v)
{
	for (unsigned int i = 0; i < GROW_PAGES; i++) {
		pte_t *ptep = pgtable_walk(&v->space.pgt, GROW_VA + i * PAGE_SIZE);

		if (ptep)
			ptep_get_and_clear(ptep);
	}
}

static void run_with_victim(struct victim *v, void (*body)(struct victim *v))
{
	if (!shape_space(v) || !runner_start(&v->runner, RUNNER_OWNS, 1, &v->space.pgt)) {
		EXPECT(!"no memory for a victim");
		return;
	}
	v->trace_was_on = trace_on;
	trace_on = true;
	victim_do(v, VICTIM_GROW, 0, 0, 0);
	body(v);
	trace_on = v->trace_was_on;
	runner_stop(&v->runner);
}

static void scene(void *body)
{
	static struct victim v; /* one test at a time, and large for a stack */

	memset(&v, 0, sizeof(v));
	v.result_page = alloc_page(ALLOC_ZERO);
	EXPECT(v.result_page);
	if (v.result_page && space_init(&v.space, FRAMES_ORDER)) {
		v.result = page_address(v.result_page);
		run_with_victim(&v, (void (*)(struct victim *))body);
		unshape_space(&v);
		space_destroy(&v.space);
	}
	if (v.result_page)
		page_put(v.result_page);
}

void with_victim(void (*body)(struct victim *v))
{
	pinned(scene, (void *)body);
}
