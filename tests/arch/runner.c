/* SPDX-License-Identifier: MIT */
/*
 * runner.c - address spaces without areas, and threads in them that do as they are told.
 *
 * Key fact: a thread with a pgtable and no mm gets every fault refused at once (fault.c), so that a
 *        probe there answers for the CPU alone.
 */
#include "tests/arch/runner.h"

#include <string.h>

#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/tlb.h"
#include "kernel/block/blkdev.h"
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/vm_area.h"
#include "tests/ktest.h"

#define PATIENCE_NS (60 * NSEC_PER_SEC)

void spin_until(bool (*ready)(void *arg), void *arg, const char *what)
{
	unsigned int spins = 0;
	ktime_t end = 0;

	while (!ready(arg)) {
		cpu_relax(&spins);
		if (spins % 4096)
			continue;
		if (!end)
			end = ktime_get() + PATIENCE_NS;
		if (ktime_get() > end)
			panic("test: waited a minute for %s", what);
	}
}

/* --- spaces --- */

pte_t *space_ptep(struct space *s, unsigned int page)
{
	return pgtable_walk(&s->pgt, space_va(page));
}

bool space_init(struct space *s, unsigned int order)
{
	bool ok;

	memset(s, 0, sizeof(*s));
	s->order = order;
	ok = !pgtable_init(&s->pgt);
	EXPECT(ok);
	if (!ok)
		return false;
	s->frame = alloc_pages(order, ALLOC_ZERO);
	for (unsigned int i = 0; s->frame && i < 1u << order; i++) {
		pte_t *ptep = pgtable_walk_alloc(&s->pgt, space_va(i));

		ok &= ptep != NULL;
		if (ptep)
			ptep_set_absent(ptep, space_pte(s, i, PTE_P | PTE_W));
	}
	ok &= s->frame != NULL;
	EXPECT(ok);
	if (!ok)
		space_destroy(s);
	return ok;
}

/* Nobody works in it any more. pgtable_destroy() wants no leaf, and makes lazy CPUs let go. */
void space_destroy(struct space *s)
{
	for (unsigned int i = 0; i < 1u << s->order; i++) {
		pte_t *ptep = space_ptep(s, i);

		if (ptep)
			ptep_get_and_clear(ptep);
	}
	pgtable_destroy(&s->pgt);
	if (s->frame)
		free_pages(s->frame, s->order);
	s->frame = NULL;
}

pte_t space_take(struct space *s, unsigned int page, u64 bits)
{
	pte_t *ptep = space_ptep(s, page), old;

	do {
		old = ptep_get(ptep);
	} while (!ptep_cmpxchg(ptep, old, (pte_t){ old.v & ~bits }));
	return old;
}

/* --- runners --- */

static bool is_asked(void *arg)
{
	struct runner *r = arg;

	return atomic_load(&r->asked) != r->done;
}

static bool is_done(void *arg)
{
	struct runner *r = arg;

	return atomic_load(&r->done) == r->asked;
}

static void await_command(struct runner *r)
{
	if (r->kind == RUNNER_SLEEPS) {
		wait_event(&r->wake, is_asked(r));
		return;
	}
	if (r->kind == RUNNER_SPINS)
		preempt_disable();
	/* No patience here: who commands may take as long as it likes. */
	for (unsigned int spins = 0; !is_asked(r);)
		cpu_relax(&spins);
	if (r->kind == RUNNER_SPINS)
		preempt_enable();
}

static int runner_loop(void *arg)
{
	struct runner *r = arg;
	bool quit = false;

	if (r->kind == RUNNER_OWNS)
		preempt_disable();
	while (!quit) {
		await_command(r);
		quit = r->quit;
		if (!quit)
			r->fn(r->arg);
		atomic_store(&r->done, r->done + 1);
		if (r->kind == RUNNER_SLEEPS)
			wake_up(&r->finished);
	}
	if (r->kind == RUNNER_OWNS)
		preempt_enable();
	return 0;
}

static void enter(struct runner *r, struct pgtable *pgt)
{
	struct thread *t = current_thread();
	u64 flags = irq_save();

	r->borrowed_mm = t->mm;
	t->mm = NULL;
	t->pgt = pgt;
	arch_switch_pgtable(pgt);
	irq_restore(flags);
}

bool runner_start(struct runner *r, enum runner_kind kind, unsigned int cpu, struct pgtable *pgt)
{
	memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->cpu = cpu;
	wait_queue_init(&r->wake, "runner.wake");
	wait_queue_init(&r->finished, "runner.finished");
	r->local = nr_cpus == 1 && kind != RUNNER_SLEEPS;
	if (r->local) {
		enter(r, pgt);
		return true;
	}
	BUG_ON(cpu == this_cpu()->id && kind != RUNNER_SLEEPS);
	r->thread = thread_create("runner", (int)cpu, NULL, pgt, runner_loop, r);
	EXPECT(r->thread);
	return r->thread;
}

void runner_post(struct runner *r, void (*fn)(void *arg), void *arg)
{
	if (r->local) {
		fn(arg);
		return;
	}
	r->fn = fn;
	r->arg = arg;
	atomic_store(&r->asked, r->asked + 1);
	if (r->kind == RUNNER_SLEEPS)
		wake_up(&r->wake);
}

void runner_wait(struct runner *r)
{
	if (r->local)
		return;
	if (r->kind == RUNNER_SLEEPS)
		wait_event(&r->finished, is_done(r));
	else
		spin_until(is_done, r, "a runner's function to end");
}

void runner_call(struct runner *r, void (*fn)(void *arg), void *arg)
{
	runner_post(r, fn, arg);
	runner_wait(r);
}

void runner_stop(struct runner *r)
{
	if (r->local) {
		mm_use(r->borrowed_mm);
		return;
	}
	r->quit = true;
	runner_post(r, NULL, NULL);
	thread_join(r->thread);
}

/* Asleep: schedule() made the CPU lazy before it left the stack, or halted on it. */
static bool is_off_cpu(void *arg)
{
	struct runner *r = arg;

	return sched_asleep(r->thread);
}

void runner_settle(struct runner *r)
{
	spin_until(is_off_cpu, r, "a runner to sleep");
}

/* --- the scene --- */

struct scene {
	void (*body)(void *arg);
	void *arg;
};

static int run_scene(void *arg)
{
	const struct scene *s = arg;

	s->body(s->arg);
	return 0;
}

void pinned(void (*body)(void *arg), void *arg)
{
	struct scene s = { body, arg };
	struct blkdev *dev;

	for (dev = blkdev_next(NULL); dev; dev = blkdev_next(dev))
		writeback_park(&dev->wb);
	EXPECT_EQ(on_cpu(0, run_scene, &s), 0);
	for (dev = blkdev_next(NULL); dev; dev = blkdev_next(dev))
		writeback_unpark(&dev->wb);
}
