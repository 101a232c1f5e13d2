/*
 * deferred.pml - background cleaning that interrupts nobody (flush=deferred): is a page that a sync
 * or the flusher calls clean really stored to by nobody?
 *
 * Abstracts kernel/mm/preclean.c (W and D are taken, then CPUs are waited for, then the pass),
 * arch/x86_64/tlb_grace.c (asked, passed), rmap.c with page_dirty.c for the sync, and zap.c. One
 * page, one CPU with an old entry. It stores, it faults (the page is granted again under its lock),
 * and it passes: forgets everything and says so. A store first sets D or finds it cached, and
 * retires later; passing and flushing wait for it.
 *
 * Promise: what had retired before a sync began is on the disk when it returns; what comes later
 * is there after the next; nobody stores to a page that is clean.
 *
 *	-DKEEP_W	cleaning takes D alone, the page is MAYBE_DIRTY (a policy's choice), else W too
 *	-DBELIEVE	a sync does not flush a table from which W and D were taken ahead
 *	-DNO_WAIT	the flusher's pass comes before the CPU has passed
 *	-DPASS_EARLY	the grace period is asked for before the PTE changes
 *	-DTAKE_SHARED	W and D are taken with i_mmap_rwsem held for read
 *	-DZAP_BELIEVES	unmapping flushes only what had W or D in the PTE
 */

#define CLEAN 0
#define MAYBE 1
#define DIRTY 2
#define STORES 3

#ifdef KEEP_W
#define CLEANED MAYBE
bool w = true;
#else
#define CLEANED CLEAN
bool w = false;
#endif

bool p = true, d = false; /* the PTE, with W above */
bool entry = false, entry_d = false; /* the CPU's translation: writable; with D */
bool pending = false;
byte state = CLEANED;
bool d_seen = false, towrite = false, deferred = false;
byte asked = 0, passed = 0;
byte i_mmap = 0; /* readers; 9: a writer */
bool page_lock = false;
byte mem = 0, disk = 0, ended = 0;

#define READ_LOCK    atomic { i_mmap < 8 -> i_mmap++ }
#define READ_UNLOCK  i_mmap--
#define WRITE_LOCK   atomic { i_mmap == 0 -> i_mmap = 9 }
#define WRITE_UNLOCK i_mmap = 0
#define LOCK_PAGE    atomic { !page_lock -> page_lock = true }
#define UNLOCK_PAGE  page_lock = false
#define FLUSH	     atomic { !pending -> entry = false; entry_d = false }
#ifdef KEEP_W
#define TAKE atomic { had_d = d; took = d; d = false }
#else
#define TAKE atomic { had_d = d; took = w || d; w = false; d = false }
#endif
#define NOTE atomic { d_seen = true; towrite = towrite || state == MAYBE }

proctype Cpu()
{
	byte n = 0;

	do
	:: atomic { n < STORES && entry && entry_d -> pending = true }; goto retire
	:: atomic { n < STORES && !(entry && entry_d) && p && w ->
			d = true; entry = true; entry_d = true; pending = true };
retire:
		atomic { assert(state != CLEAN || d_seen); mem++; pending = false; n++ }
	:: atomic { n < STORES && !(entry && entry_d) && p && !w && !page_lock -> page_lock = true };
		state = DIRTY;
		atomic { entry = false; w = p; d = p };
		UNLOCK_PAGE
	:: atomic { passed < asked -> entry = false; entry_d = false; passed = asked }
	:: n == STORES || !p -> break
	od;
	/* A CPU that has nothing to store goes on passing. */
	ended++;
	do
	:: atomic { passed < asked -> entry = false; entry_d = false; passed = asked }
	:: ended == 4 -> break
	od
}

/* A pass of cleaning over the page, which is locked. */
inline clean(flush)
{
	READ_LOCK;
	TAKE;
	if
	:: had_d -> d_seen = true
	:: else
	fi;
	if
	:: took || (flush && deferred) -> FLUSH
	:: else
	fi;
	atomic {
		took = d_seen || state == DIRTY;
		d_seen = false;
		towrite = false;
		if
		:: state != CLEAN || took -> state = CLEANED
		:: else
		fi
	};
	READ_UNLOCK;
	if
	:: took -> disk = mem /* the device reads */
	:: else
	fi
}

#ifdef BELIEVE
#define SYNC_FLUSHES false
#else
#define SYNC_FLUSHES true
#endif

inline sync()
{
	owed = mem;
	LOCK_PAGE;
	clean(SYNC_FLUSHES);
	UNLOCK_PAGE;
	assert(disk >= owed)
}

proctype Syncer()
{
	byte owed;
	bool took, had_d;

	sync();
	ended++
}

proctype Flusher()
{
	bool took, had_d;

	deferred = true;
#ifdef PASS_EARLY
	asked++;
#endif
#ifdef TAKE_SHARED
	READ_LOCK;
#else
	WRITE_LOCK;
#endif
	if
	:: state != CLEAN ->
		TAKE;
		if
		:: had_d -> NOTE
		:: else
		fi
	:: else
	fi;
#ifdef TAKE_SHARED
	READ_UNLOCK;
#else
	WRITE_UNLOCK;
#endif
#ifndef PASS_EARLY
	asked++;
#endif
#ifndef NO_WAIT
	passed == asked;
#endif
	deferred = false;
	/* The pass: a page that was granted again is written as it is and stays dirty. */
	LOCK_PAGE;
	if
#ifdef KEEP_W
	:: p && d && (state == DIRTY || d_seen || towrite) -> disk = mem
	:: !(p && d) && (state == DIRTY || towrite) -> clean(false)
#else
	:: p && w && state == DIRTY -> disk = mem
	:: !(p && w) && (state == DIRTY || towrite) -> clean(false)
#endif
	:: else
	fi;
	UNLOCK_PAGE;
	ended++
}

proctype Unmapper()
{
	bool took, had_d;

	WRITE_LOCK;
	atomic { had_d = d; took = w || d; p = false; w = false; d = false };
	if
	:: had_d -> NOTE
	:: else
	fi;
#ifdef ZAP_BELIEVES
	if
	:: took -> FLUSH
	:: else
	fi;
#else
	FLUSH;
#endif
	/* The frame may be freed, or the caller told: it is not stored to any more. */
	atomic { assert(!entry && !pending) };
	WRITE_UNLOCK;
	ended++
}

proctype NextSyncer()
{
	byte owed;
	bool took, had_d;

	ended == 4;
	sync();
	assert(disk == mem)
}

init
{
	atomic {
		run Cpu();
		run Syncer();
		run Flusher();
		run Unmapper();
		run NextSyncer()
	}
}
