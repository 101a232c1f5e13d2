/*
 * zap.pml - one page, one mapping, one remote CPU: which rule for unmapping a dirty page is right?
 *
 * Unmapping finds D in the PTE but cannot take the page lock, which ranks above the page tables.
 * The rule (design section 6; kernel/mm/zap.c, page_dirty.c): i_mmap_rwsem is held for write from
 * the exchange of the PTE until the flush is acknowledged, and PG_d_seen is set before it is let
 * go; cleaning holds it for read from its own exchange until it has taken the flag.
 *
 * Promises: what had retired before an fsync began is on the disk when it returns; and what retired
 * later is there after the next one. tests/models/run asks spin for every variant:
 *
 *	-DNO_LOCK	unmapping does not take i_mmap_rwsem
 *	-DNO_FLAG	it does not set PG_d_seen
 *	-DLATE_DIRTY	it sets the page dirty after its flush, with the page lock
 *	-DFLAG_TAKEN_LATE	cleaning lets i_mmap_rwsem go before it takes the flag
 *	-DFREE_EARLY	unmapping frees the frame before its flush
 *	-DKEEP_W	cleaning takes D alone (a policy's choice), else W too
 */

#define CLEAN 0
#define MAYBE 1 /* only the PTE knows */
#define DIRTY 2

bool pte_p = true, pte_w = true, pte_d = false;
bool tlb = false; /* the remote CPU has a translation, with D: it stores without looking */
byte state = MAYBE;
bool d_seen = false;
bool page_lock = false, i_mmap = false;
bool freed = false; /* the frame is somebody else's */
byte mem = 0, disk = 0; /* the last value stored, and the last on the disk */
byte ended = 0;

#define LOCK(l)	  atomic { !l -> l = true }
#define UNLOCK(l) l = false

/* The remote CPU stores twice, unless it takes a fault: then the store is another story. */
proctype Storer()
{
	byte n = 0;

	do
	:: n < 2 ->
		atomic {
			if
			:: tlb -> assert(!freed); mem++; n++
			:: !tlb && pte_p && pte_w -> pte_d = true; tlb = true; mem++; n++
			:: else -> n = 2
			fi
		}
	:: else -> break
	od;
	ended++
}

proctype Unmapper()
{
	bool d;

#ifndef NO_LOCK
	LOCK(i_mmap);
#endif
	atomic { d = pte_d; pte_p = false; pte_w = false; pte_d = false };
#ifndef NO_FLAG
	if
	:: d -> d_seen = true
	:: else
	fi;
#endif
#ifdef FREE_EARLY
	freed = true;
#endif
	tlb = false;
#ifndef NO_LOCK
	UNLOCK(i_mmap);
#endif
#ifdef LATE_DIRTY
	LOCK(page_lock);
	if
	:: d -> state = DIRTY
	:: else
	fi;
	UNLOCK(page_lock);
#endif
	ended++
}

proctype Syncer()
{
	byte owed;
	bool dirty, touched;

	owed = mem;
	if
	:: state == CLEAN && !d_seen -> goto done /* no tag */
	:: else
	fi;
	LOCK(page_lock);
	LOCK(i_mmap);
	atomic {
		dirty = pte_d;
#ifdef KEEP_W
		touched = pte_d;
#else
		touched = pte_w || pte_d;
		pte_w = false;
#endif
		pte_d = false
	};
	if
	:: touched -> tlb = false
	:: else
	fi;
#ifdef FLAG_TAKEN_LATE
	UNLOCK(i_mmap);
#endif
	atomic {
		dirty = dirty || d_seen || state == DIRTY;
		d_seen = false;
#ifdef KEEP_W
		state = MAYBE
#else
		state = CLEAN
#endif
	};
#ifndef FLAG_TAKEN_LATE
	UNLOCK(i_mmap);
#endif
	if
	:: dirty -> disk = mem /* the device reads */
	:: else
	fi;
	UNLOCK(page_lock);
done:
	assert(disk >= owed);
	ended++
}

/* When all is quiet: the next fsync. */
proctype NextSyncer()
{
	ended == 3;
	if
	:: state == DIRTY || d_seen || (state == MAYBE && pte_d) -> disk = mem
	:: else
	fi;
	assert(disk == mem)
}

init
{
	if
	:: skip
	:: mem = 1; pte_d = true; tlb = true /* somebody has stored already */
	fi;
	atomic { run Storer(); run Unmapper(); run Syncer(); run NextSyncer() }
}
