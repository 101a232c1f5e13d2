/* SPDX-License-Identifier: MIT */
/*
 * test_pte.c - the algebra of PTE values, by enumeration against a model.
 *
 * The model knows an entry as five truths, a frame and the rest; its bit numbers are written down
 * here again, from the SDM (vol. 3, table 4-20), so that a wrong constant in pte.h is seen too.
 */
#include "arch/x86_64/asm/pte.h"

#include "tests/ktest.h"

enum { P, W, A, D, NX, TRUTHS };

static const unsigned int bit_number[TRUTHS] = { [P] = 0, [W] = 1, [A] = 5, [D] = 6, [NX] = 63 };
/* Every other bit that is not address: U, PWT, PCD, PS/PAT, G, three for software, 52 to 62. */
#define OTHERS 0x7ff0000000000f9cUL
static const u64 others[] = { 0, OTHERS };
static const u64 frames[] = { 0, 1, 0x12345, 0xffffffffffUL };

struct model {
	bool is[TRUTHS];
	u64 frame, other;
};

static struct model model_of(unsigned int truths, u64 frame, u64 other)
{
	struct model m = { .frame = frame, .other = other };

	for (unsigned int i = 0; i < TRUTHS; i++)
		m.is[i] = truths >> i & 1;
	return m;
}

static pte_t encode(const struct model *m)
{
	u64 v = m->frame << 12 | m->other;

	for (unsigned int i = 0; i < TRUTHS; i++)
		if (m->is[i])
			v |= 1UL << bit_number[i];
	return (pte_t){ v };
}

/* Call @fn with every entry there is. */
static void for_all(void (*fn)(const struct model *m, pte_t p))
{
	for (unsigned int truths = 0; truths < 1 << TRUTHS; truths++)
		for (unsigned int f = 0; f < ARRAY_SIZE(frames); f++)
			for (unsigned int o = 0; o < ARRAY_SIZE(others); o++) {
				struct model m = model_of(truths, frames[f], others[o]);

				fn(&m, encode(&m));
			}
}

static bool same(pte_t p, const struct model *m)
{
	return p.v == encode(m).v;
}

/* --- questions --- */

static void check_questions(const struct model *m, pte_t p)
{
	bool nothing = !m->is[P] && !m->is[W] && !m->is[NX] && !m->frame && !m->other;

	EXPECT_EQ(pte_present(p), m->is[P]);
	EXPECT_EQ(pte_write(p), m->is[W]);
	EXPECT_EQ(pte_young(p), m->is[A]);
	EXPECT_EQ(pte_dirty(p), m->is[D]);
	EXPECT_EQ(pte_paddr(p), m->frame << 12);
	EXPECT_EQ(pte_pfn(p), m->frame);
	/* Rule 54: A and D alone do not make an entry. */
	EXPECT_EQ(pte_none(p), nothing);
	EXPECT(pte_same(p, p));
}

KTEST(pte, questions_agree_with_the_bits)
{
	for_all(check_questions);
}

static pte_t the_other;

static void check_same(const struct model *m, pte_t p)
{
	EXPECT_EQ(pte_same(p, the_other), p.v == the_other.v);
}

static void check_same_to_all(const struct model *m, pte_t p)
{
	the_other = p;
	for_all(check_same);
}

KTEST(pte, same_means_every_bit)
{
	for_all(check_same_to_all);
}

static void check_make(const struct model *m, pte_t p)
{
	u64 bits = p.v & ~(m->frame << 12);

	EXPECT(same(pte_make(m->frame << 12, bits), m));
	/* An address inside the frame names the frame. */
	EXPECT(same(pte_make(m->frame << 12 | 0xabc, bits), m));
}

KTEST(pte, make_puts_frame_and_bits_together)
{
	for_all(check_make);
}

/* --- changes: each touches one truth, and nothing else --- */

struct change {
	pte_t (*fn)(pte_t p);
	unsigned int truth;
	bool becomes;
};

static const struct change changes[] = {
	{ pte_mkwrite, W, true },  { pte_wrprotect, W, false }, { pte_mkdirty, D, true },
	{ pte_mkclean, D, false }, { pte_mkyoung, A, true },	{ pte_mkold, A, false },
};

static struct model changed(const struct model *m, const struct change *c)
{
	struct model after = *m;

	after.is[c->truth] = c->becomes;
	return after;
}

static void check_changes(const struct model *m, pte_t p)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(changes); i++) {
		struct model once = changed(m, &changes[i]);

		EXPECT(same(changes[i].fn(p), &once));
		for (unsigned int j = 0; j < ARRAY_SIZE(changes); j++) {
			struct model twice = changed(&once, &changes[j]);

			EXPECT(same(changes[j].fn(changes[i].fn(p)), &twice));
		}
	}
}

/* Among them: mkclean after mkdirty is clean, wrprotect keeps D (rules 66, 114), mkclean keeps W,
 * nothing touches P, NX or the frame, and changes of different bits commute. */
KTEST(pte, changes_alone_and_in_pairs)
{
	for_all(check_changes);
}

static void check_laws(const struct model *m, pte_t p)
{
	EXPECT(!pte_dirty(pte_mkclean(pte_mkdirty(p))));
	EXPECT(pte_dirty(pte_mkdirty(pte_mkclean(p))));
	EXPECT_EQ(pte_dirty(pte_wrprotect(p)), pte_dirty(p));
	EXPECT_EQ(pte_write(pte_mkclean(p)), pte_write(p));
	EXPECT_EQ(pte_present(pte_mkold(pte_mkclean(pte_wrprotect(p)))), pte_present(p));
	if (pte_none(p))
		EXPECT(pte_none(pte_mkdirty(pte_mkyoung(p))));
}

KTEST(pte, laws_that_callers_rely_on)
{
	for_all(check_laws);
}

/* --- when is a shootdown owed? --- */

/* Rule 51, as a sentence: an entry that a CPU may have cached (present), and that allows less, is
 * clean again, or names another frame. */
static bool model_needs_flush(const struct model *old, const struct model *new)
{
	if (!old->is[P])
		return false;
	return !new->is[P] || old->frame != new->frame || (old->is[W] && !new->is[W]) ||
	       (old->is[D] && !new->is[D]) || (!old->is[NX] && new->is[NX]);
}

static struct model the_old;

static void check_needs_flush(const struct model *m, pte_t p)
{
	EXPECT_EQ(pte_needs_flush(encode(&the_old), p), model_needs_flush(&the_old, m));
}

static void check_needs_flush_to_all(const struct model *m, pte_t p)
{
	the_old = *m;
	for_all(check_needs_flush);
}

KTEST(pte, flush_is_owed_exactly_when_something_was_taken)
{
	for_all(check_needs_flush_to_all);
}

/* --- changes in memory --- */

static void check_in_memory(const struct model *m, pte_t p)
{
	const pte_t new = { 0x5a5a5a5a5a5a5a5aUL }, differs = { p.v ^ 1UL << bit_number[D] };
	pte_t entry = p;

	EXPECT(pte_same(ptep_get(&entry), p));
	/* A D that appeared since the caller looked makes the exchange fail (B1, rule 23). */
	EXPECT(!ptep_cmpxchg(&entry, differs, new) && pte_same(entry, p));
	EXPECT(ptep_cmpxchg(&entry, p, new) && pte_same(entry, new));
	EXPECT(pte_same(ptep_xchg(&entry, p), new) && pte_same(entry, p));
	EXPECT(pte_same(ptep_get_and_clear(&entry), p) && entry.v == 0);
	ptep_set_absent(&entry, p);
	EXPECT(pte_same(entry, p));
}

KTEST(pte, exchanges_return_what_was_there)
{
	for_all(check_in_memory);
}
