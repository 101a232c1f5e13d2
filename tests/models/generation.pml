/*
 * generation.pml - one address space, one flusher, one CPU that goes lazy, comes back, changes to
 * another table and back: does every flush reach it, although it is often not asked?
 *
 * Abstracts arch/x86_64/tlb.c: arch_switch_pgtable(), tlb_batch_flush(), serve_batch(). The CPU is
 * in pgt->cpus from before it reads the generation until after it has loaded another CR3. A flusher
 * changes the PTE, raises the generation, and then looks at the mask; a CPU that is lazy is not
 * asked unless page tables are freed. On both sides a full fence stands between the write and the
 * read; without it, the processor may do the read first, which is how the variants are written.
 *
 * Promises: when the flush is done, no store goes through an entry that was cached before; when the
 * tables are freed, no CPU walks them, not even by speculation.
 *
 *	-DNO_FENCE	the CPU reads the generation before it is seen in the mask, or as not lazy
 *	-DBIT_EARLY	it leaves the mask before it has left the table
 *	-DGEN_EARLY	the flusher raises the generation before it changes the PTE
 *	-DNO_COMPARE	a CPU that comes back from laziness does not compare
 *	-DLAZY_FREED	lazy CPUs are not asked when tables are freed
 */

#define ROUNDS 2

bool pte_w = true; /* the page is writable */
byte gen = 0, seen = 0;
bool in_mask = true, lazy = false;
bool loaded = true; /* CR3 holds the table */
bool entry = false; /* the CPU has a writable translation */
bool asked = false; /* an interrupt waits for the CPU */
bool drop = false; /* it is about a table that is to be freed: let go of it */
bool used = true; /* a thread works in the address space: it is not being destroyed */
bool dying = false;
bool clean = false; /* the flusher believes that nobody stores */
bool freed = false; /* the tables are somebody else's */
bool over = false;

/* The CPU, interrupts on: a store, or only a walk ahead of one. */
inline store()
{
	atomic {
		if
		:: entry -> assert(!clean)
		:: !entry && pte_w -> assert(!clean); entry = true
		:: else /* it faults, and that is another story */
		fi
	}
}

inline speculate()
{
	atomic {
		if
		:: loaded ->
			assert(!freed);
			if
			:: pte_w -> entry = true
			:: else
			fi
		:: else
		fi
	}
}

inline serve()
{
	atomic {
		if
		:: loaded && drop -> loaded = false; entry = false; in_mask = false
		:: loaded && !drop && seen < gen -> entry = false; seen = gen
		:: else
		fi;
		asked = false
	}
}

inline come_back()
{
#ifdef NO_FENCE
	g = gen;
	lazy = false;
#else
	lazy = false;
	g = gen;
#endif
#ifndef NO_COMPARE
	if
	:: g != seen -> atomic { entry = false; seen = g }
	:: else
	fi
#endif
}

inline leave_table()
{
#ifdef BIT_EARLY
	in_mask = false;
	speculate();
#endif
	atomic { loaded = false; entry = false };
	in_mask = false
}

inline enter_table()
{
#ifdef NO_FENCE
	g = gen;
	in_mask = true;
#else
	in_mask = true;
	g = gen;
#endif
	atomic { loaded = true; entry = false; seen = g };
}

proctype Cpu()
{
	byte g;

	do
	:: asked -> serve()
	:: loaded && !lazy -> store()
	:: loaded -> speculate()
	:: loaded && !lazy -> atomic { lazy = true; used = false }
	:: atomic { loaded && lazy && !dying -> used = true };
		come_back()
	:: atomic { loaded -> used = false };
		leave_table()
	:: atomic { !loaded && !dying -> used = true };
		lazy = false;
		enter_table()
	:: over && !asked -> break
	od
}

inline ask(who)
{
	if
	:: who -> asked = true; !asked
	:: else
	fi
}

proctype Flusher()
{
	byte n = 0;

	do
	:: n < ROUNDS ->
#ifdef GEN_EARLY
		gen++;
		pte_w = false;
#else
		pte_w = false;
		gen++;
#endif
		ask(in_mask && !lazy);
		clean = true;
		clean = false; /* a fault makes the page dirty, and then writable */
		pte_w = true;
		n++
	:: else -> break
	od;
	/* Some CPU may still be lazy on it: tlb_drop_pgtable(). */
	if
	:: atomic { !used -> dying = true };
		drop = true;
#ifdef LAZY_FREED
		ask(in_mask && !lazy);
#else
		ask(in_mask);
#endif
		freed = true
	:: true
	fi;
	over = true
}

init
{
	atomic { run Cpu(); run Flusher() }
}
