/*
 * harvest.pml - pages that stay writable without notice: is every store on the disk when a sync
 * returns, although harvest skips what was not touched, and unmapping takes D away?
 *
 * Abstracts kernel/mm/harvest.c (mapping_harvest), rmap.c and page_dirty.c (clear_pages_dirty_for_io
 * of a page whose policy clears D alone), writeback.c (collecting TAG_TOWRITE) and zap.c. One
 * MAYBE_DIRTY page, the entry above its table with an A bit and the software bit that says "found
 * untouched once already", and one CPU that caches both levels: a walk through a cached upper entry
 * sets the leaf's D and no A. The CPU sets D first and the store retires later; a flush waits for
 * it.
 *
 * Promise: what had retired before a sync began is on the disk when it returns, and what comes
 * later is there after the next.
 *
 *	-DNO_GRACE	harvest skips as soon as it finds A clear
 *	-DNO_FLUSH	harvest clears A and flushes only where it took a D
 *	-DA_LAST	harvest clears A after it looked at the leaf: allowed, too
 *	-DSHARED	harvest holds i_mmap_rwsem for read, so that cleaning runs beside it
 *	-DNO_RECHECK	who writes the page clears TOWRITE although PG_d_seen is set again
 *	-DNO_PICK	a page that was picked, and meanwhile written by another sync, is cleaned without
 *			being picked again: a third sync sees neither D nor TOWRITE nor I/O
 *	-DNO_TOWRITE	unmapping notes PG_d_seen alone
 *
 * and -DMAPPED, without unmapping, to have room for two threads that sync beside each other.
 */

#ifndef STORES
#define STORES 3
#define FIRST  3 /* syncs of one thread, and of another */
#define SECOND 0
#endif

bool p = true, d = false;	/* the leaf */
bool upper_a = false, untouched = false;
bool leaf = false, leaf_d = false; /* the CPU caches the leaf, with D */
bool upper = false;		   /* and the entry above it */
bool pending = false;		   /* a store that will retire */
bool d_seen = false, towrite = false;
byte i_mmap = 0; /* readers; 9: a writer */
bool page_lock = false, writeback = false;
byte mem = 0, disk = 0;
byte ended = 0;

#define READ_LOCK    atomic { i_mmap < 8 -> i_mmap++ }
#define READ_UNLOCK  i_mmap--
#define WRITE_LOCK   atomic { i_mmap == 0 -> i_mmap = 9 }
#define WRITE_UNLOCK i_mmap = 0
#define LOCK_PAGE    atomic { !page_lock -> page_lock = true }
#define UNLOCK_PAGE  page_lock = false
#define FLUSH	     atomic { !pending -> leaf = false; leaf_d = false; upper = false }
#ifdef NO_FLUSH
#define FLUSH_WHOLE if :: took -> FLUSH :: else fi
#else
#define FLUSH_WHOLE FLUSH
#endif
#ifdef A_LAST
#define CLEAR_A_FIRST skip
#define CLEAR_A_LAST  atomic { upper_a = false; untouched = false }
#else
#define CLEAR_A_FIRST upper_a = false; untouched = false
#define CLEAR_A_LAST  skip
#endif
#ifdef NO_GRACE
#define SKIP !upper_a
#else
#define SKIP (!upper_a && untouched)
#endif
#ifdef NO_RECHECK
#define TAKE_TOWRITE towrite = false
#else
#define TAKE_TOWRITE towrite = d_seen
#endif
#ifdef NO_PICK
#define PICK_AGAIN skip
#else
#define PICK_AGAIN towrite = true
#endif
#ifdef SHARED
#define HARVEST_LOCK   READ_LOCK
#define HARVEST_UNLOCK READ_UNLOCK
#else
#define HARVEST_LOCK   WRITE_LOCK
#define HARVEST_UNLOCK WRITE_UNLOCK
#endif

/* The walk that an access needs; an entry that is gone faults. */
inline walk(sets_d)
{
	if
	:: !upper -> upper_a = true; upper = true
	:: else
	fi;
	if
	:: p ->
		d = d || sets_d;
		leaf = true;
		leaf_d = d
	:: else
	fi
}

proctype Cpu()
{
	byte n = 0;

	do
	:: n < STORES ->
		atomic {
			if
			:: leaf && leaf_d
			:: else -> leaf = false; leaf_d = false; walk(true)
			fi;
			if
			:: leaf && leaf_d -> pending = true
			:: else -> break
			fi
		};
		atomic { mem++; pending = false; n++ }
	:: atomic { n < STORES && !leaf -> walk(false) } /* a load, or speculation */
	:: else -> break
	od;
	ended++
}

inline harvest()
{
	HARVEST_LOCK;
	atomic {
		young = upper_a;
		skip_it = SKIP;
		if
		:: young && !skip_it -> CLEAR_A_FIRST
		:: else
		fi
	};
	if
	:: !skip_it ->
		/* under tree_lock: taken and recorded */
		atomic {
			took = d;
			d = false;
			if
			:: took -> d_seen = true; towrite = true
			:: else
			fi
		};
		if
		:: young -> CLEAR_A_LAST; FLUSH_WHOLE
		:: !young && took -> untouched = true; FLUSH
		:: else -> untouched = true
		fi
	:: else
	fi;
	HARVEST_UNLOCK
}

inline write_out()
{
	LOCK_PAGE;
	!writeback;
	READ_LOCK;
	atomic { took = d; d = false };
	if
	:: took -> d_seen = true; FLUSH
	:: else
	fi;
	atomic { took = d_seen; d_seen = false };
	if
	:: took -> PICK_AGAIN
	:: else
	fi;
	READ_UNLOCK;
	atomic { TAKE_TOWRITE; writeback = took };
	UNLOCK_PAGE;
	if
	:: took -> disk = mem; writeback = false /* the device reads, the device has written */
	:: else
	fi
}

inline sync()
{
	harvest();
	if
	:: towrite -> write_out()
	:: else
	fi;
	!writeback
}

proctype Syncer(byte syncs)
{
	byte n = 0, owed;
	bool took = false, young, skip_it;

	do
	:: n < syncs ->
		owed = mem;
		sync();
		assert(disk >= owed);
		n++
	:: else -> break
	od;
	ended++
}

proctype Unmapper()
{
	bool took;

#ifndef MAPPED
	WRITE_LOCK;
	atomic { took = d; d = false; p = false };
	if
#ifdef NO_TOWRITE
	:: took -> d_seen = true
#else
	:: took -> atomic { d_seen = true; towrite = true }
#endif
	:: else
	fi;
	FLUSH;
	WRITE_UNLOCK;
#endif
	ended++
}

/* When all is quiet: one more sync, with nobody to skip for. */
proctype NextSyncer()
{
	bool took = false, young, skip_it;

	ended == 4;
	sync();
	assert(disk == mem)
}

init
{
	atomic {
		run Cpu();
		run Syncer(FIRST);
		run Syncer(SECOND);
		run Unmapper();
		run NextSyncer()
	}
}
