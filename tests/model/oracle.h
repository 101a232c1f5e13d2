/* SPDX-License-Identifier: MIT */
/*
 * oracle.h - what may a slot of the file hold now? A model that shares no code with what it judges.
 *
 * The file is an array of 8-byte slots. Each slot has one writer, who stores an ever higher number
 * into it, with the slot's own number in the upper bits: so a value says where it belongs and how
 * old it is. Two questions are asked of every value that is seen, in memory or on the disk:
 *    I4  is it at least as new as what had been stored before we began to look (memory), or before
 *        the sync began that has just ended (disk)?
 *    I5  has somebody stored it, into this slot?
 *
 * Why no answer is a false alarm although stores go on meanwhile.
 *    A writer, in this order:		A judge, in this order:
 *    1. begun[s] = n				a. bound = oracle_look(s): epoch, then done[s]
 *    2. store n to the file			b. (sync;) look at the slot: value v
 *    3. done[s] = (epoch, n)			c. begun[s]
 *    x86 keeps stores in order and loads in order. If done[s] said n at (a), the store of n was
 *    visible to all before, so v is n or newer, in memory at once and on the disk once a sync that
 *    began after (a) has ended: v < bound is a loss. If v was read at (b), its begun[s] came before
 *    it, so v > begun[s] at (c) was never stored.
 *    Only the slot's own writer changes begun and done, so that no store overtakes another.
 *
 * Truncation takes slots away and gives them back as zeros, and a store that races with it may be
 * lost or not. So each slot has an epoch, odd while a truncation that can take it is under way:
 *    writer: reads the epoch before the store and says it with done[s]
 *    truncation: epoch becomes odd; dead[s] = what was stored for certain before; the file shrinks
 *    	and grows; epoch becomes even
 *    done[s] counts only in its own even epoch: its store began after the last truncation ended,
 *    and as long as the epoch stands none has begun since. In an even epoch without such a store
 *    the slot holds zero or a store of the truncation's time or later: never one <= dead[s], which
 *    had ended before the file shrank (rule 101: what was cut off does not come back).
 *    A judge who finds another epoch at (c) than at (a), or an odd one, asks I5 alone; of the disk
 *    nothing, for the block may be another's by now.
 *
 * Punching and zeroing do the same to a part in the middle.
 *
 * Numbers have 40 bits, epochs 24.
 */
#ifndef TESTS_MODEL_ORACLE_H
#define TESTS_MODEL_ORACLE_H

#include "kernel/lib/types.h"

#define ORACLE_SLOT	  8
#define ORACLE_SEQ_BITS	  40
#define ORACLE_PAGE_SLOTS (PAGE_SIZE / ORACLE_SLOT)

/* a: atomic; w: changed by the slot's writer alone; t: by the truncating thread alone */
struct oracle {
	u64 nr_slots;
	u64 *begun; /* w, a */
	u64 *done;  /* w, a: epoch and number */
	u64 *dead;  /* t, a */
	u32 *epoch; /* t, a */
};

/* For @nr_slots slots, all zero and never stored to. False: no memory. */
bool oracle_init(struct oracle *o, u64 nr_slots);
void oracle_free(struct oracle *o);

/* --- the writer of @slot --- */

/* The value to store next; *@epoch for oracle_stored(). */
u64 oracle_next(struct oracle *o, u64 slot, u32 *epoch);
/* The store of @value is in the file: call it only then. */
void oracle_stored(struct oracle *o, u64 slot, u64 value, u32 epoch);

/* --- one thread at a time that truncates or punches --- */

/* Before slots [@first, @end) are given up: the file shrinks to @first (@end is nr_slots), or there
 * is punched or zeroed; and after that, when the file is as long as before. */
void oracle_cut_begin(struct oracle *o, u64 first, u64 end);
void oracle_cut_end(struct oracle *o, u64 first, u64 end);

/* --- a judge --- */

/* What @slot must not fall behind. */
u64 oracle_look(struct oracle *o, u64 slot);
/* Could @slot have been cut since oracle_look() gave @bound? */
bool oracle_unsettled(struct oracle *o, u64 slot, u64 bound);

enum oracle_place { IN_MEMORY, ON_DISK };

/*
 * @value was seen in @slot after oracle_look() gave @bound (and, on disk, after a sync that began
 * after it ended without error). NULL: so it may be. Else what is wrong.
 */
const char *oracle_judge(struct oracle *o, u64 slot, u64 bound, u64 value, enum oracle_place place);

/* All writers have ended: is @value what the slot holds, exactly as far as it is known? */
const char *oracle_judge_final(struct oracle *o, u64 slot, u64 value);

/* For messages. */
static inline u64 oracle_seq(u64 word)
{
	return word & ((1UL << ORACLE_SEQ_BITS) - 1);
}

#endif
