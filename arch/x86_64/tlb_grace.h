/* SPDX-License-Identifier: MIT */
/*
 * tlb_grace.h - waiting until CPUs have forgotten translations by themselves.
 *
 *	struct tlb_grace grace = { 0 };
 *	... take W or D from PTEs of a table ...
 *	tlb_grace_add(&grace, pgt);		(any number of tables)
 *	tlb_grace_wait(&grace);
 *
 * Each CPU compares its table's generation at every timer interrupt and context switch and forgets
 * everything if it is behind; with flush=deferred a CPU that uses a table has a tick (flush_tick=)
 * even when nobody else wants it. Whoever waits so interrupts nobody, and nothing may be believed
 * of what was taken before the wait ends. Mechanism D.3 of the performance reference.
 */
#ifndef ARCH_X86_64_TLB_GRACE_H
#define ARCH_X86_64_TLB_GRACE_H

#include "arch/x86_64/pgtable.h"

struct tlb_grace {
	cpumask_t cpus; /* which may have a noted table in use */
};

/* After the PTE changes, and before whoever keeps @pgt alive lets it go; the grace period remembers
 * CPUs, not tables. May be called with pgtable.lock held. */
void tlb_grace_add(struct tlb_grace *grace, struct pgtable *pgt);

/*
 * Returns when no CPU can use an entry that it cached before the tlb_grace_add() calls. CPUs that
 * have not passed by themselves after flush_deadline= milliseconds are interrupted, as a shootdown.
 * Sleeps; no lock held that a storing thread may wait for. True if nobody was interrupted. Nothing
 * was added: returns at once.
 */
bool tlb_grace_wait(struct tlb_grace *grace);

#endif
