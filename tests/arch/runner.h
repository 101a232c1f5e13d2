/* SPDX-License-Identifier: MIT */
/*
 * runner.h - a thread on a CPU of its own that runs functions on command, in an address space that
 * has no areas: a pgtable with hand-made PTEs of frames of our own.
 *
 * Nobody resolves a fault there, so probe_load8() and probe_store8() say what the CPU found: what
 * lies in its TLB can be seen in no other way. The caller is pinned to CPU 0 (pinned()), runners
 * are on other CPUs. On a machine with one CPU a runner of kind OWNS or SPINS is the calling thread
 * itself, which works in the space from runner_start() to runner_stop().
 */
#ifndef TESTS_ARCH_RUNNER_H
#define TESTS_ARCH_RUNNER_H

#include "arch/x86_64/pgtable.h"
#include "kernel/core/wait.h"
#include "kernel/mm/page.h"

struct mm;

/* --- an address space --- */

#define SPACE_VA 0x0000200000000000UL

struct space {
	struct pgtable pgt;
	struct page *frame; /* page i is mapped to frame i, P|W */
	unsigned int order; /* 2^order pages */
};

/* False: no memory, and the test has failed. */
bool space_init(struct space *s, unsigned int order);
void space_destroy(struct space *s);
pte_t *space_ptep(struct space *s, unsigned int page);

static inline vaddr_t space_va(unsigned int page)
{
	return SPACE_VA + page * PAGE_SIZE;
}

/* The first word of a page, seen from elsewhere. */
static inline u64 *space_word(struct space *s, unsigned int page)
{
	return page_address(s->frame + page);
}

static inline pte_t space_pte(struct space *s, unsigned int frame, u64 bits)
{
	return pte_make(page_to_phys(s->frame + frame), bits | PTE_NX);
}

/* Take @bits from the live PTE of @page. Returns what it was. */
pte_t space_take(struct space *s, unsigned int page, u64 bits);

/* --- a thread --- */

enum runner_kind {
	RUNNER_OWNS,   /* its CPU: never preempted, so nothing else touches its TLB */
	RUNNER_SPINS,  /* not preempted while it waits for a command */
	RUNNER_SLEEPS, /* waits asleep: its CPU becomes lazy */
};

struct runner {
	enum runner_kind kind;
	bool local; /* it is the calling thread */
	unsigned int cpu;
	struct thread *thread;
	struct mm *borrowed_mm;
	struct wait_queue wake, finished;
	void (*fn)(void *arg);
	void *arg;
	u32 asked, done; /* a */
	bool quit;
};

/* False: no memory, and the test has failed. */
bool runner_start(struct runner *r, enum runner_kind kind, unsigned int cpu, struct pgtable *pgt);
void runner_stop(struct runner *r);
/* Let it run @fn(@arg); runner_wait() returns when it has ended. Longer than a minute is a
 * panic. */
void runner_post(struct runner *r, void (*fn)(void *arg), void *arg);
void runner_wait(struct runner *r);
void runner_call(struct runner *r, void (*fn)(void *arg), void *arg);
/* RUNNER_SLEEPS: until its CPU has left its stack, and with it the address space. */
void runner_settle(struct runner *r);

/* Spin until @ready(@arg). Longer than a minute is a panic that says @what. Any context. */
void spin_until(bool (*ready)(void *arg), void *arg, const char *what);

/* Run @body(@arg) pinned to CPU 0 with the background writers of all devices at rest, so that
 * nobody else starts a shootdown. */
void pinned(void (*body)(void *arg), void *arg);

#endif
