/* SPDX-License-Identifier: MIT */
/*
 * test_stale.c - the same questions with many pages, many times, and with a CPU that stores while
 * the PTE changes: is what test_ad_bits.c saw once a property of the machine?
 */
#include "tests/hw/victim.h"

#include "arch/x86_64/tlb.h"
#include "kernel/core/clock.h"
#include "tests/ktest.h"

#define CLEAN		(PTE_P | PTE_W | PTE_A | PTE_NX)
#define BATCH		64
#define BUDGET		(NSEC_PER_SEC / 2)
#define MAX_PAGES_TRIED 2000000
#define MAX_RACES	100000

/* --- B14: entries that are writable and clean --- */

struct b14 {
	u64 changed; /* PTE bits after the change; 0: absent */
	u64 tried, stored, strayed;
};

/* One round: BATCH pages cached by loads, changed behind the TLB, stored to. */
static void b14_round(struct victim *v, struct b14 *b)
{
	victim_alone(v);
	for (unsigned int i = 0; i < BATCH; i++)
		ptep_xchg(v->ptep + i, victim_pte(v, i, CLEAN));
	victim_do(v, VICTIM_INVLPG, 0, BATCH, 0);
	victim_do(v, VICTIM_LOAD, 0, BATCH, 0);
	for (unsigned int i = 0; i < BATCH; i++)
		ptep_xchg(v->ptep + i, b->changed ? victim_pte(v, i, b->changed) : (pte_t){ 0 });
	victim_do(v, VICTIM_STORE, 0, BATCH, b->tried);
	for (unsigned int i = 0; i < BATCH; i++) {
		pte_t want = b->changed ? victim_pte(v, i, b->changed) : (pte_t){ 0 };

		b->stored += !v->result[i].fault;
		b->strayed += !pte_same(ptep_get(v->ptep + i), want);
	}
	victim_alone_end(v);
	b->tried += BATCH;
}

static void b14_run(struct victim *v, u64 changed, const char *how)
{
	struct b14 b = { .changed = changed };
	ktime_t end = ktime_get() + 2 * BUDGET;

	do {
		b14_round(v, &b);
	} while (ktime_get() < end && b.tried < MAX_PAGES_TRIED);
	EXPECT_EQ(b.stored, 0);
	EXPECT_EQ(b.strayed, 0);
	ktest_note("this machine: B14 clean writable entry, PTE made %s, no flush: of %lu stores "
		   "%lu succeeded, %lu PTEs gained bits",
		   how, (unsigned long)b.tried, (unsigned long)b.stored, (unsigned long)b.strayed);
}

static void b14(struct victim *v)
{
	b14_run(v, 0, "not-present");
	b14_run(v, PTE_P | PTE_A | PTE_NX, "read-only");
}

/* B14, rule 53: what zapping relies on for entries whose D was clear. */
KTEST(hw, store_through_clean_entry_faults_after_removal_and_protection)
{
	with_victim(b14);
}

/* --- B36: entries that are dirty --- */

enum cleaning { WITHOUT_FLUSH, WITH_BATCH };

static void clear_dirty(struct victim *v, struct tlb_batch *batch)
{
	for (unsigned int i = 0; i < VICTIM_PAGES; i++) {
		pte_t old = ptep_get(v->ptep + i);

		while (!ptep_cmpxchg(v->ptep + i, old, pte_mkclean(old)))
			old = ptep_get(v->ptep + i);
		if (batch)
			tlb_batch_add(batch, &v->space.pgt, space_va(i));
	}
}

/* How many of 128 stores left no D. */
static unsigned int lost_stores(struct victim *v, enum cleaning how, u64 round)
{
	unsigned int lost = 0;

	victim_do(v, VICTIM_INVLPG, 0, VICTIM_PAGES, 0);
	if (how == WITHOUT_FLUSH) {
		victim_alone(v);
		victim_do(v, VICTIM_STORE, 0, VICTIM_PAGES, round << 32);
		clear_dirty(v, NULL);
		victim_do(v, VICTIM_STORE, 0, VICTIM_PAGES, round << 32 | 1 << 16);
		victim_alone_end(v);
	} else {
		TLB_BATCH(batch, TLB_WHY_TEST);

		victim_do(v, VICTIM_STORE, 0, VICTIM_PAGES, round << 32);
		clear_dirty(v, &batch);
		tlb_batch_flush(&batch);
		victim_do(v, VICTIM_STORE, 0, VICTIM_PAGES, round << 32 | 1 << 16);
	}
	for (unsigned int i = 0; i < VICTIM_PAGES; i++) {
		EXPECT(!v->result[i].fault);
		EXPECT_EQ(READ_ONCE(*victim_word(v, i)), (round << 32 | 1 << 16) + i);
		lost += !pte_dirty(ptep_get(v->ptep + i));
	}
	return lost;
}

static void b36(struct victim *v)
{
	unsigned int without = lost_stores(v, WITHOUT_FLUSH, 1);
	unsigned int with = 0, rounds;
	ktime_t end = ktime_get() + BUDGET;

	for (rounds = 0; rounds < 1000 && ktime_get() < end; rounds++)
		with += lost_stores(v, WITH_BATCH, 2 + rounds);
	ktest_note("this machine: B36 clear D on %d pages: without a flush %u stores are lost; "
		   "with tlb_batch_flush %u, in %u rounds",
		   VICTIM_PAGES, without, with, rounds);
	EXPECT_EQ(with, 0);
	/* A machine that forgets entries by itself loses fewer; TCG must lose all, or tests that
	 * look for a missing shootdown would look in vain. */
	if (machine_is_tcg())
		EXPECT_EQ(without, VICTIM_PAGES);
}

/* B36, rules 46 and 52: the flush is what makes clearing D mean anything. */
KTEST(hw, clearing_dirty_loses_stores_without_flush_and_none_with_it)
{
	with_victim(b36);
}

/* A flush of one page leaves its neighbours' entries, where all pages are small (platform 4.1). */
static void exact(struct victim *v)
{
	unsigned int kept = 0;

	victim_do(v, VICTIM_INVLPG, 0, VICTIM_PAGES, 0);
	victim_alone(v);
	victim_do(v, VICTIM_STORE, 0, VICTIM_PAGES, 1);
	clear_dirty(v, NULL);
	victim_do(v, VICTIM_INVLPG, 0, 1, 0);
	victim_do(v, VICTIM_STORE, 0, VICTIM_PAGES, 2);
	victim_alone_end(v);
	EXPECT(pte_dirty(ptep_get(v->ptep)));
	for (unsigned int i = 1; i < VICTIM_PAGES; i++)
		kept += !pte_dirty(ptep_get(v->ptep + i));
	ktest_note("this machine: INVLPG of one page keeps the entries of %u of %d neighbours",
		   kept, VICTIM_PAGES - 1);
	if (machine_is_tcg())
		EXPECT_EQ(kept, VICTIM_PAGES - 1);
}

KTEST(hw, invlpg_of_one_page_keeps_the_others)
{
	with_victim(exact);
}

/* --- B41: A and D set while the PTE is taken away --- */

struct b41 {
	u64 rounds, dirty, strayed, lost;
};

/* One round against a CPU that walks and stores all the time. */
static void b41_round(struct victim *v, struct b41 *b)
{
	u64 before, after;
	pte_t old, end;

	before = READ_ONCE(*victim_word(v, 0));
	ptep_set_absent(v->ptep, victim_pte(v, 0, PTE_P | PTE_W | PTE_NX));
	/* Sometimes at once, sometimes after a store or two. */
	if (b->rounds & 3)
		victim_race_wait(v, b->rounds & 3);
	old = ptep_get_and_clear(v->ptep);
	/* The store under way when we exchanged may still end by its entry; the third may not. */
	victim_race_wait(v, 3);
	end = ptep_get(v->ptep);
	after = READ_ONCE(*victim_word(v, 0));
	b->rounds++;
	b->dirty += pte_dirty(old);
	b->strayed += end.v != 0;
	b->lost += !pte_dirty(old) && after != before;
	ptep_xchg(v->ptep, (pte_t){ 0 });
}

static void b41_remote(struct victim *v)
{
	struct b41 b = { 0 };
	ktime_t end = ktime_get() + 2 * BUDGET;

	ptep_xchg(v->ptep, (pte_t){ 0 });
	victim_race_start(v);
	do {
		b41_round(v, &b);
	} while (ktime_get() < end && b.rounds < MAX_RACES);
	victim_race_stop(v);
	ktest_note("this machine: B41 exchange with 0 against a storing CPU, %lu times: D was "
		   "taken %lu times, %lu PTEs came back, %lu stores without D",
		   (unsigned long)b.rounds, (unsigned long)b.dirty, (unsigned long)b.strayed,
		   (unsigned long)b.lost);
	EXPECT_EQ(b.strayed, 0);
	EXPECT_EQ(b.lost, 0);
	EXPECT(b.rounds > 0);
}

/* One CPU cannot race with itself, but the order alone must hold. */
static void b41_local(struct victim *v)
{
	for (unsigned int i = 0; i < 1000; i++) {
		pte_t old;

		ptep_xchg(v->ptep, victim_pte(v, 0, PTE_P | PTE_W | PTE_NX));
		victim_do(v, VICTIM_INVLPG, 0, 1, 0);
		victim_store(v, 0, i);
		old = ptep_get_and_clear(v->ptep);
		victim_do(v, VICTIM_INVLPG, 0, 1, 0);
		victim_store(v, 0, ~0ul);
		EXPECT(pte_dirty(old) && v->result[0].fault);
		EXPECT_EQ(ptep_get(v->ptep).v, 0);
		EXPECT_EQ(READ_ONCE(*victim_word(v, 0)), i);
	}
	ktest_note("this machine: B41 on one CPU: the exchanged PTE stays empty");
}

static void b41(struct victim *v)
{
	if (victim_is_remote(v))
		b41_remote(v);
	else
		b41_local(v);
}

/* B41, rule 23: a machine whose walker wrote A and D back without comparing would undo the kernel's
 * changes, and no other result on it would mean anything. */
KTEST(hw, walker_sets_dirty_atomically_against_an_exchange)
{
	with_victim(b41);
}
