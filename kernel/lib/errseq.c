/* SPDX-License-Identifier: MIT */
/*
 * errseq.c - an error happens; a listener is told. See errseq.h.
 *
 * Key fact: the counter moves only if somebody was told since it moved last. So a disk that fails a
 *        million times while nobody asks does not run through its values, and most failures do not
 *        even write the word.
 */
#include "kernel/lib/errseq.h"

static u32 load(const u32 *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static bool cas(u32 *p, u32 old, u32 new)
{
	return __atomic_compare_exchange_n(p, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

bool errseq_set(u32 *word, int err)
{
	u32 old, new;

	BUG_ON(err >= 0 || err < -(int)ERRSEQ_ERRNO);
	do {
		old = load(word);
		new = (old & ~(ERRSEQ_ERRNO | ERRSEQ_SEEN)) | (u32)-err;
		if (old & ERRSEQ_SEEN)
			new += ERRSEQ_STEP;
		/* The same error as one that nobody was told of: they will be told of both. */
		if (new == old)
			return false;
	} while (!cas(word, old, new));
	return !old || old & ERRSEQ_SEEN;
}

/* The word, with the flag set: what is set from now on is another error. */
static u32 mark_seen(u32 *word)
{
	u32 now = load(word);

	while (now && !(now & ERRSEQ_SEEN) && !cas(word, now, now | ERRSEQ_SEEN))
		now = load(word);
	return now ? now | ERRSEQ_SEEN : 0;
}

int errseq_tell_slow(u32 *word, u32 *cursor)
{
	u32 old, now;

	/*
	 * The cursor is read before the word: if it is still the same when we move it, nobody has
	 * moved it to anything newer than what we saw. Without that:
	 *	A reads the word: error 1
	 *					error 2; B reads the word, moves the cursor to 2
	 *	moves the cursor back to 1	(2 is told again)
	 */
	do {
		old = load(cursor);
		now = mark_seen(word);
	} while (!cas(cursor, old, now));
	return -(int)(now & ERRSEQ_ERRNO);
}
