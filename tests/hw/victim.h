/* SPDX-License-Identifier: MIT */
/*
 * victim.h - a CPU that touches memory one word at a time, on command, and nothing else.
 *
 * What a TLB holds can only be seen by what a load or store does later, and anything else that the
 * CPU does in between may change the answer: another address space, a large page, a few dozen other
 * pages. So the victim is a thread that owns its CPU (pinned, not preempted), spins on a mailbox in
 * memory, and uses a scratch address space without any area: hand-made PTEs of frames of our own. A
 * fault is therefore refused at once, and is the answer of the command.
 *
 * With one CPU the commands run in the calling thread itself, in the same scratch space.
 */
#ifndef TESTS_HW_VICTIM_H
#define TESTS_HW_VICTIM_H

#include "kernel/mm/page.h"
#include "arch/x86_64/pgtable.h"

#define VICTIM_PAGES 128
#define VICTIM_VA    0x0000200000000000UL

enum victim_op {
	VICTIM_LOAD,
	VICTIM_STORE,	  /* @value + page number */
	VICTIM_INVLPG,	  /* of the pages named */
	VICTIM_FLUSH_ALL, /* of everything: load CR3 */
	VICTIM_WP_OFF,	  /* CR0.WP */
	VICTIM_WP_ON,
	VICTIM_RACE, /* INVLPG and store, again and again, until victim_race_stop() */
	/* not for callers */
	VICTIM_IRQ_OFF,
	VICTIM_IRQ_ON,
	VICTIM_QUIT,
};

/* What became of one access. */
struct victim_result {
	bool fault;
	u8 error;   /* #PF error code */
	u64 loaded; /* by a load that did not fault */
};

struct victim {
	struct pgtable pgt;
	pte_t *ptep;	    /* PTE of page 0; the others follow in the same table */
	struct page *frame; /* page i starts with frame i mapped P|W; VICTIM_PAGES more are spare */
	bool remote;	    /* it has a CPU of its own */
	unsigned int cpu;   /* which */
	struct victim_result *result; /* of the last command, by page */
	/* the rest is victim.c's */
	struct thread *thread;
	struct mm *borrowed_mm;
	struct page *result_page;
	bool trace_was_on;
	u64 irq_flags;
	struct {
		u32 asked, done; /* a */
		enum victim_op op;
		unsigned int first, nr;
		u64 value;
		bool stop; /* a */
		u64 turns; /* a: of VICTIM_RACE, stores tried */
	} mailbox;
};

/*
 * Run @body(v) on CPU 0 with a victim on another CPU if there is one; all pages mapped P|W, nothing
 * cached, TLB made large enough to keep them all (emulators size theirs by use).
 */
void with_victim(void (*body)(struct victim *v));

/* Do @op on pages [@first, @first + @nr). Returns when it is done. */
void victim_do(struct victim *v, enum victim_op op, unsigned int first, unsigned int nr, u64 value);
void victim_load(struct victim *v, unsigned int page);
void victim_store(struct victim *v, unsigned int page, u64 value);

/*
 * From here to victim_alone_end() the victim has interrupts off and the caller is not preempted:
 * nobody but the caller's commands touches the victim's TLB. No shootdown may be waited for in
 * between, by anybody on the caller's CPU.
 */
void victim_alone(struct victim *v);
void victim_alone_end(struct victim *v);

/* Start VICTIM_RACE on page 0; wait until it has tried @more more stores; stop it. */
void victim_race_start(struct victim *v);
void victim_race_wait(struct victim *v, u64 more);
void victim_race_stop(struct victim *v);

static inline vaddr_t victim_va(unsigned int page)
{
	return VICTIM_VA + page * PAGE_SIZE;
}

/* The word that loads and stores of @page touch, seen from elsewhere. */
static inline u64 *victim_word(struct victim *v, unsigned int page)
{
	return page_address(v->frame + page);
}

static inline pte_t victim_pte(struct victim *v, unsigned int frame, u64 bits)
{
	return pte_make(page_to_phys(v->frame + frame), bits);
}

/* Is this QEMU's TCG, whose TLB keeps exactly what it was given until it is told otherwise? */
bool machine_is_tcg(void);

#endif
