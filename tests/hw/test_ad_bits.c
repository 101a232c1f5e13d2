/* SPDX-License-Identifier: MIT */
/*
 * test_ad_bits.c - what does this machine do with the A and D bits, and with an entry that its TLB
 * kept although the PTE changed?
 *
 * Each row is one experiment on one page: a PTE, an access that may cache it, a change of the PTE
 * behind the TLB's back, with or without INVLPG, and one more access. Rows that the kernel relies
 * on must hold on every machine (MUST). The others describe a TLB that keeps its entries until
 * told, as TCG's does: there they must hold too, or the tests that look for missing shootdowns
 * would see nothing; elsewhere an entry may have gone by itself, and the row is only told (SEEN).
 */
#include "tests/hw/victim.h"

#include "tests/ktest.h"

#define PW   (PTE_P | PTE_W)
#define AD   (PTE_A | PTE_D)
#define OLD  0		  /* the page's frame */
#define NEW  VICTIM_PAGES /* its spare */
#define MARK 0x7e57000000000000UL

enum access { NONE, LOAD, STORE };
enum flush { STALE, FLUSHED };
enum force { MUST, SEEN };

/* What the last access ends in: no fault and the frame it reached, or the error code. */
enum outcome { OLD_FRAME, NEW_FRAME, FAULT_ABSENT, FAULT_READONLY };

struct row {
	const char *id, *what;
	enum force force;
	u64 start;	    /* PTE bits of the old frame */
	enum access prime;  /* caches the entry, or not */
	u64 change;	    /* PTE bits then; KEEP: as the hardware left it */
	unsigned int frame; /* OLD or NEW, after the change */
	enum flush flush;
	enum access also, last; /* after the change */
	enum outcome outcome;
	u64 end; /* PTE bits in the end, NX aside */
};
#define KEEP (~0UL)

static const struct row rows[] = {
	{ "a1", "load sets A alone", MUST, PW, NONE, KEEP, OLD, STALE, NONE, LOAD, OLD_FRAME,
	  PW | PTE_A },
	{ "a2", "store through the entry of a load sets D", MUST, PW, LOAD, KEEP, OLD, STALE, NONE,
	  STORE, OLD_FRAME, PW | AD },
	{ "a3", "first store sets A and D", MUST, PW, NONE, KEEP, OLD, STALE, NONE, STORE,
	  OLD_FRAME, PW | AD },
	{ "b1", "D cleared under a dirty entry: the next store is not noted", SEEN, PW, STORE,
	  PW | PTE_A, OLD, STALE, NONE, STORE, OLD_FRAME, PW | PTE_A },
	{ "b2", "the same after INVLPG: the store sets D", MUST, PW, STORE, PW | PTE_A, OLD,
	  FLUSHED, NONE, STORE, OLD_FRAME, PW | AD },
	{ "b3", "A and D cleared under an entry: a load does not set A", SEEN, PW, STORE, PW, OLD,
	  STALE, NONE, LOAD, OLD_FRAME, PW },
	{ "b4", "the same after INVLPG: the load sets A", MUST, PW, STORE, PW, OLD, FLUSHED, NONE,
	  LOAD, OLD_FRAME, PW | PTE_A },
	{ "b5", "after INVLPG a load and then a store: D comes with the store", MUST, PW, STORE, PW,
	  OLD, FLUSHED, LOAD, STORE, OLD_FRAME, PW | AD },
	{ "b6", "D was set when the entry was loaded, then cleared: the first store is not noted",
	  SEEN, PW | AD, LOAD, PW | PTE_A, OLD, STALE, NONE, STORE, OLD_FRAME, PW | PTE_A },
	{ "d1", "clean entry, PTE removed: a store faults, the PTE stays empty (B14)", MUST, PW,
	  LOAD, 0, OLD, STALE, NONE, STORE, FAULT_ABSENT, 0 },
	{ "d1'", "clean entry, PTE removed: a load still succeeds", SEEN, PW, LOAD, 0, OLD, STALE,
	  NONE, LOAD, OLD_FRAME, 0 },
	{ "d2", "clean entry, PTE made read-only: a store faults (B14)", MUST, PW, LOAD,
	  PTE_P | PTE_A, OLD, STALE, NONE, STORE, FAULT_READONLY, PTE_P | PTE_A },
	{ "d3", "dirty entry, PTE removed: a store still succeeds, the PTE stays empty", SEEN, PW,
	  STORE, 0, OLD, STALE, NONE, STORE, OLD_FRAME, 0 },
	{ "d4", "dirty entry, PTE made read-only and clean: a store still succeeds, unnoted", SEEN,
	  PW, STORE, PTE_P | PTE_A, OLD, STALE, NONE, STORE, OLD_FRAME, PTE_P | PTE_A },
	{ "d5", "clean entry, PTE names another frame: a store goes to the new one, D set", SEEN,
	  PW, LOAD, PW | PTE_A, NEW, STALE, NONE, STORE, NEW_FRAME, PW | AD },
	{ "d6", "dirty entry, PTE names another frame: a store goes to the old one, unnoted", SEEN,
	  PW, STORE, PW | PTE_A, NEW, STALE, NONE, STORE, OLD_FRAME, PW | PTE_A },
	{ "d7", "read-only entry, PTE made writable: a store needs no flush", SEEN, PTE_P, LOAD,
	  PW | PTE_A, OLD, STALE, NONE, STORE, OLD_FRAME, PW | AD },
	{ "d8", "absent, then present: nothing of the absence is remembered", MUST, 0, LOAD, PW,
	  OLD, STALE, NONE, LOAD, OLD_FRAME, PW | PTE_A },
	{ "f1", "dirty entry, PTE removed, INVLPG: a store faults", MUST, PW, STORE, 0, OLD,
	  FLUSHED, NONE, STORE, FAULT_ABSENT, 0 },
	{ "f2", "dirty entry, PTE made read-only, INVLPG: a store faults", MUST, PW, STORE,
	  PTE_P | PTE_A, OLD, FLUSHED, NONE, STORE, FAULT_READONLY, PTE_P | PTE_A },
	{ "f3", "dirty entry, PTE names another frame, INVLPG: a store goes there", MUST, PW, STORE,
	  PW | PTE_A, NEW, FLUSHED, NONE, STORE, NEW_FRAME, PW | AD },
};

struct observed {
	struct victim_result last;
	u64 end;
	u64 old_word, new_word;
};

static void do_access(struct victim *v, enum access access, u64 value)
{
	if (access == LOAD)
		victim_load(v, 0);
	else if (access == STORE)
		victim_store(v, 0, value);
}

static struct observed perform(struct victim *v, const struct row *r)
{
	struct observed o;
	pte_t old;

	WRITE_ONCE(*victim_word(v, OLD), MARK | 1);
	WRITE_ONCE(*victim_word(v, NEW), MARK | 2);
	victim_alone(v);
	ptep_xchg(v->ptep, victim_pte(v, OLD, r->start | PTE_NX));
	victim_do(v, VICTIM_INVLPG, 0, 1, 0);
	do_access(v, r->prime, MARK | 1);
	old = ptep_get(v->ptep);
	if (r->change == 0)
		old = ptep_get_and_clear(v->ptep);
	else if (r->change != KEEP)
		old = ptep_xchg(v->ptep, victim_pte(v, r->frame, r->change | PTE_NX));
	if (r->flush == FLUSHED)
		victim_do(v, VICTIM_INVLPG, 0, 1, 0);
	do_access(v, r->also, MARK | 3);
	do_access(v, r->last, MARK | 4);
	o.last = v->result[0];
	o.end = ptep_get(v->ptep).v & ~(PTE_ADDR | PTE_NX);
	victim_alone_end(v);
	o.old_word = READ_ONCE(*victim_word(v, OLD));
	o.new_word = READ_ONCE(*victim_word(v, NEW));
	/* The priming access did what it should, or the row shows nothing. */
	if (r->prime != NONE && r->start & PTE_P)
		EXPECT((old.v & AD) == (r->prime == STORE ? AD : PTE_A | (r->start & PTE_D)));
	return o;
}

/* Where did the last access go? A frame for a load is told by what it read. */
static bool reached(const struct observed *o, const struct row *r, u64 word, unsigned int which)
{
	return r->last == STORE ? word == (MARK | 4) : o->last.loaded == (MARK | which);
}

static bool as_expected(const struct observed *o, const struct row *r)
{
	u8 error = r->last == STORE ? 2 : 0; /* PF_WRITE */
	bool untouched = o->old_word == (MARK | 1) && o->new_word == (MARK | 2);

	if (o->end != r->end)
		return false;
	switch (r->outcome) {
	case OLD_FRAME:
		return !o->last.fault && reached(o, r, o->old_word, 1) && o->new_word == (MARK | 2);
	case NEW_FRAME:
		return !o->last.fault && reached(o, r, o->new_word, 2) && o->old_word == (MARK | 1);
	case FAULT_ABSENT: return o->last.fault && o->last.error == error && untouched;
	case FAULT_READONLY: return o->last.fault && o->last.error == (error | 1) && untouched;
	}
	return false;
}

static void tell(const struct row *r, const struct observed *o, bool yes)
{
	char bits[4];

	bits[0] = o->end & PTE_W ? 'W' : '-';
	bits[1] = o->end & PTE_A ? 'A' : '-';
	bits[2] = o->end & PTE_D ? 'D' : '-';
	bits[3] = '\0';
	ktest_note("this machine: %-3s %s: %s (%s, then %s%s)", r->id, r->what, yes ? "yes" : "NO",
		   o->last.fault ? "fault" : "no fault", o->end & PTE_P ? "P" : "-", bits);
}

static void all_rows(struct victim *v)
{
	bool tcg = machine_is_tcg();

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		struct observed o = perform(v, r);
		bool yes = as_expected(&o, r);

		tell(r, &o, yes);
		if (r->force == MUST || tcg)
			EXPECT(yes);
	}
}

/* Rules 51-53, platform 4: the table that the whole design stands on. */
KTEST(hw, accessed_and_dirty_bits_follow_the_table)
{
	with_victim(all_rows);
}

/* --- CR0.WP --- */

static void readonly_page(struct victim *v)
{
	struct victim_result with_wp, without, again;
	pte_t after_fault, after_store;
	u64 word;

	ptep_xchg(v->ptep, victim_pte(v, 0, PTE_P | PTE_NX));
	WRITE_ONCE(*victim_word(v, 0), MARK);
	victim_alone(v);
	victim_do(v, VICTIM_INVLPG, 0, 1, 0);
	victim_store(v, 0, MARK | 1);
	with_wp = v->result[0];
	after_fault = ptep_get(v->ptep);
	word = READ_ONCE(*victim_word(v, 0));
	victim_do(v, VICTIM_WP_OFF, 0, 0, 0);
	victim_store(v, 0, MARK | 2);
	without = v->result[0];
	victim_do(v, VICTIM_WP_ON, 0, 0, 0);
	after_store = ptep_get(v->ptep);
	victim_store(v, 0, MARK | 3);
	again = v->result[0];
	victim_alone_end(v);

	EXPECT(with_wp.fault && with_wp.error == 3);
	EXPECT_EQ(word, MARK);
	EXPECT(!pte_dirty(after_fault));
	EXPECT(!without.fault);
	EXPECT_EQ(READ_ONCE(*victim_word(v, 0)), MARK | 2);
	EXPECT((after_store.v & (PTE_P | PTE_W | AD)) == (PTE_P | AD));
	EXPECT(again.fault && again.error == 3);
	ktest_note("this machine: CR0.WP=1: a ring-0 store to a read-only page faults (error %u); "
		   "WP=0: it %s and leaves %s%s in the read-only PTE; WP=1 again: it %s",
		   with_wp.error, without.fault ? "faults" : "succeeds",
		   pte_young(after_store) ? "A" : "", pte_dirty(after_store) ? "D" : "",
		   again.fault ? "faults" : "succeeds");
}

/* Without it, the kernel's own stores (write() to a mapping, copies) would escape
 * write-protection. */
KTEST(hw, cr0_wp_makes_ring0_stores_to_readonly_pages_fault)
{
	with_victim(readonly_page);
}

/* The entry that points to the leaf table of SPACE_VA. */
static pte_t *level1_entry(struct victim *v)
{
	pte_t *table = v->space.pgt.root;

	for (unsigned int level = 3; level > 1; level--) {
		unsigned int slot = SPACE_VA >> (PAGE_SHIFT + 9 * level) & (PTES_PER_TABLE - 1);

		table = phys_to_virt(pte_paddr(ptep_get(&table[slot])));
	}
	return &table[SPACE_VA >> (PAGE_SHIFT + 9) & (PTES_PER_TABLE - 1)];
}

static void readonly_table(struct victim *v)
{
	pte_t *entry = level1_entry(v), before = ptep_get(entry);
	struct victim_result r;

	ptep_xchg(v->ptep, victim_pte(v, 0, PW | PTE_NX));
	victim_alone(v);
	ptep_xchg(entry, pte_wrprotect(before));
	victim_do(v, VICTIM_FLUSH_ALL, 0, 0, 0);
	victim_store(v, 0, MARK);
	r = v->result[0];
	ptep_xchg(entry, before);
	victim_alone_end(v);
	EXPECT(r.fault && r.error == 3);
	EXPECT(!pte_dirty(ptep_get(v->ptep)));
	/* A in upper levels is set from the start (pgtable.h), D never: nobody may write there. */
	EXPECT_EQ(ptep_get(entry).v, before.v);
	ktest_note("this machine: a writable PTE below a read-only table entry: a store %s",
		   r.fault ? "faults" : "succeeds");
}

KTEST(hw, readonly_table_entry_forbids_stores)
{
	with_victim(readonly_table);
}
