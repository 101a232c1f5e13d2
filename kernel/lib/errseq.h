/* SPDX-License-Identifier: MIT */
/*
 * errseq.h - one word that tells each of many listeners of an error, once.
 *
 * A failed write happens to a file; who must hear of it are those who have the file open, each for
 * itself (rule 74). The word holds the last error, a flag "somebody was told", and a counter that
 * moves when an error comes after somebody was told. A listener keeps a copy of the word as it was
 * when he was last told, his cursor; when the word differs, there is news.
 *
 * An error that nobody was told of is news to who comes later, too: a sample of such a word is 0,
 * which no word with an error in it is.
 *
 * Locks: none; words change by compare-exchange, in any context. The counter has 19 bits: who looks
 * away while 524,288 errors happen, each told to somebody else, may take the last for the first.
 */
#ifndef KERNEL_LIB_ERRSEQ_H
#define KERNEL_LIB_ERRSEQ_H

#include "kernel/lib/bug.h"
#include "kernel/lib/types.h"

#define ERRSEQ_ERRNO 0xfffu  /* errno, positive */
#define ERRSEQ_SEEN  0x1000u /* somebody was told of it */
#define ERRSEQ_STEP  0x2000u /* the counter's unit */

/* @err (negative) happened. True: it is news to all; false: it joined one that nobody has been told
 * of. Any context. */
bool errseq_set(u32 *word, int err);

/* A cursor for a listener who begins now. */
static inline u32 errseq_sample(const u32 *word)
{
	u32 now = READ_ONCE(*word);

	return now & ERRSEQ_SEEN ? now : 0;
}

/* The error that the word holds, told or not: negative, or 0: there never was one. */
static inline int errseq_last(const u32 *word)
{
	return -(int)(READ_ONCE(*word) & ERRSEQ_ERRNO);
}

/* Is there an error that nobody was told of? */
static inline bool errseq_untold(const u32 *word)
{
	u32 now = READ_ONCE(*word);

	return now && !(now & ERRSEQ_SEEN);
}

int errseq_tell_slow(u32 *word, u32 *cursor);

/*
 * What a call of the listener must report: an error since his cursor was @began, or 0; it is told
 * then, and the cursor moves. @began: *@cursor as it was when the call began. Two calls at the same
 * time through one cursor are both told: the data of both is in question, and neither may say that
 * it is on the disk because the other one has been faster.
 */
static inline int errseq_tell(u32 *word, u32 *cursor, u32 began)
{
	if (likely(READ_ONCE(*word) == began))
		return 0;
	return errseq_tell_slow(word, cursor);
}

#endif
