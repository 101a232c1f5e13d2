/* SPDX-License-Identifier: MIT */
/*
 * oracle.c - see oracle.h, which has the argument. Memory comes from vmalloc; nothing else of the
 * kernel is used.
 */
#include "tests/model/oracle.h"

#include "arch/x86_64/asm/atomic.h"
#include "kernel/mm/vmap.h"

static void *array(u64 nr, size_t size)
{
	return vmalloc(DIV_ROUND_UP(nr * size, PAGE_SIZE));
}

bool oracle_init(struct oracle *o, u64 nr_slots)
{
	*o = (struct oracle){ .nr_slots = nr_slots };
	o->begun = array(nr_slots, sizeof(*o->begun));
	o->done = array(nr_slots, sizeof(*o->done));
	o->dead = array(nr_slots, sizeof(*o->dead));
	o->epoch = array(nr_slots, sizeof(*o->epoch));
	if (o->begun && o->done && o->dead && o->epoch)
		return true;
	oracle_free(o);
	return false;
}

void oracle_free(struct oracle *o)
{
	vfree(o->begun);
	vfree(o->done);
	vfree(o->dead);
	vfree(o->epoch);
	*o = (struct oracle){ 0 };
}

static u64 pack(u64 upper, u64 seq)
{
	return upper << ORACLE_SEQ_BITS | seq;
}

static u64 upper(u64 word)
{
	return word >> ORACLE_SEQ_BITS;
}

/* --- storing --- */

u64 oracle_next(struct oracle *o, u64 slot, u32 *epoch)
{
	u64 seq = o->begun[slot] + 1;

	*epoch = atomic_load(&o->epoch[slot]);
	atomic_store(&o->begun[slot], seq);
	return pack(slot + 1, seq);
}

void oracle_stored(struct oracle *o, u64 slot, u64 value, u32 epoch)
{
	atomic_store(&o->done[slot], pack(epoch, oracle_seq(value)));
}

/* --- truncation --- */

void oracle_cut_begin(struct oracle *o, u64 first, u64 end)
{
	for (u64 s = first; s < end; s++) {
		u32 epoch = o->epoch[s];
		u64 done;

		/* Locked: from here on no store can be noted as one of this epoch that the dead
		 * number misses, but as one that nobody may rely on. */
		(void)atomic_xchg(&o->epoch[s], epoch + 1);
		done = atomic_load(&o->done[s]);
		if (upper(done) == epoch && oracle_seq(done) > o->dead[s])
			atomic_store(&o->dead[s], oracle_seq(done));
	}
}

void oracle_cut_end(struct oracle *o, u64 first, u64 end)
{
	for (u64 s = first; s < end; s++)
		(void)atomic_xchg(&o->epoch[s], o->epoch[s] + 1);
}

/* --- judging --- */

u64 oracle_look(struct oracle *o, u64 slot)
{
	u32 epoch = atomic_load(&o->epoch[slot]);
	u64 done = atomic_load(&o->done[slot]);

	return pack(epoch, upper(done) == epoch ? oracle_seq(done) : 0);
}

bool oracle_unsettled(struct oracle *o, u64 slot, u64 bound)
{
	return upper(bound) & 1 || atomic_load(&o->epoch[slot]) != upper(bound);
}

const char *oracle_judge(struct oracle *o, u64 slot, u64 bound, u64 value, enum oracle_place place)
{
	u64 begun = atomic_load(&o->begun[slot]);
	u64 dead = atomic_load(&o->dead[slot]);
	/* Last: if the epoch still stands, so did the dead number when it was read. */
	bool unsettled = oracle_unsettled(o, slot, bound);

	if (place == ON_DISK && unsettled)
		return NULL;
	if (!value)
		return unsettled || !oracle_seq(bound) ? NULL : "a store was lost (I4)";
	if (upper(value) != slot + 1)
		return "it belongs to another slot (I5)";
	if (oracle_seq(value) > begun)
		return "nobody has stored it (I5)";
	if (unsettled)
		return NULL;
	if (oracle_seq(value) < oracle_seq(bound))
		return "a newer store was lost (I4)";
	if (oracle_seq(value) <= dead)
		return "it was cut off by a truncation and came back (I5)";
	return NULL;
}

const char *oracle_judge_final(struct oracle *o, u64 slot, u64 value)
{
	u64 bound = oracle_look(o, slot);

	if (oracle_seq(bound) && oracle_seq(value) > oracle_seq(bound))
		return "it is newer than the last store that succeeded (I5)";
	return oracle_judge(o, slot, bound, value, IN_MEMORY);
}
