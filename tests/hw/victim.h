/* SPDX-License-Identifier: MIT */
/*
 * victim.h - a CPU that touches memory one word at a time, on command, and nothing else.
 *
 * What a TLB holds can only be seen by what a load or store does later, and whatever else the CPU
 * does in between may change the answer: another address space, a large page, a few dozen other
 * pages. So the victim owns its CPU (RUNNER_OWNS) in a space of its own, and a command is a mailbox
 * in memory. With one CPU the commands run in the calling thread, in the same space.
 */
#ifndef TESTS_HW_VICTIM_H
#define TESTS_HW_VICTIM_H

#include "tests/arch/runner.h"

#define VICTIM_PAGES 128

enum victim_op {
	VICTIM_LOAD,
	VICTIM_STORE,	  /* value + page number */
	VICTIM_INVLPG,	  /* of the pages named */
	VICTIM_FLUSH_ALL, /* of everything: load CR3 */
	VICTIM_WP_OFF,	  /* CR0.WP */
	VICTIM_WP_ON,
	VICTIM_IRQ_OFF, /* see victim_alone() */
	VICTIM_IRQ_ON,
	VICTIM_GROW, /* make an emulator's TLB large enough for all pages; it is sized by use */
};

/* What became of one access. */
struct victim_result {
	bool fault;
	u8 error;   /* #PF error code */
	u64 loaded; /* by a load that did not fault */
};

struct victim {
	struct space space; /* page i begins on frame i; VICTIM_PAGES frames more are spare */
	pte_t *ptep;	    /* of page 0; the others follow in the same table */
	struct victim_result *result; /* of the last command, by page */
	struct runner runner;
	/* the rest is victim.c's */
	struct page *result_page;
	bool trace_was_on;
	enum victim_op op;
	unsigned int first, nr;
	u64 value;
	bool stop;	   /* a */
	u64 turns, target; /* a: stores tried by the race */
};

/* Run @body(v) on CPU 0 with a victim on CPU 1, if there is one; all pages mapped P|W, nothing
 * cached. */
void with_victim(void (*body)(struct victim *v));

/* Do @op on pages [@first, @first + @nr). Returns when it is done. */
void victim_do(struct victim *v, enum victim_op op, unsigned int first, unsigned int nr, u64 value);
void victim_load(struct victim *v, unsigned int page);
void victim_store(struct victim *v, unsigned int page, u64 value);

/*
 * From here to victim_alone_end() the victim has interrupts off, so that nobody's shootdown touches
 * its TLB, and the caller is not preempted: a thread on the caller's CPU that waited for a
 * shootdown would wait for the victim, which waits for the caller, which waits for its CPU.
 */
void victim_alone(struct victim *v);
void victim_alone_end(struct victim *v);

/* INVLPG and store to page 0, again and again; wait until it has tried @more more stores; stop.
 * With a CPU of its own only. */
void victim_race_start(struct victim *v);
void victim_race_wait(struct victim *v, u64 more);
void victim_race_stop(struct victim *v);

static inline bool victim_is_remote(const struct victim *v)
{
	return !v->runner.local;
}

/* The word that loads and stores of @page touch, seen from elsewhere. */
static inline u64 *victim_word(struct victim *v, unsigned int frame)
{
	return space_word(&v->space, frame);
}

static inline pte_t victim_pte(struct victim *v, unsigned int frame, u64 bits)
{
	return space_pte(&v->space, frame, bits);
}

/* Is this QEMU's TCG, whose TLB keeps exactly what it was given until it is told otherwise? */
bool machine_is_tcg(void);

#endif
