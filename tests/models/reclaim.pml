/*
 * reclaim.pml - a page leaves memory while another CPU stores to it: when may its frame go?
 *
 * One page of a file, one mapping of it, one remote CPU with a TLB entry of its own. The rule
 * (rules 38, 42, 55, 56; kernel/mm/reclaim.c, unmap.c): under the page lock and i_mmap_rwsem the
 * PTE is exchanged, then all CPUs forget it, then it is decided: D was found, the page is dirty and
 * stays; else it leaves its file, and its frame is free. A fault that brings it back reads the disk.
 *
 * Promises: what is read from the disk holds every store; no CPU stores to a frame that was given
 * away; and after a last sync the disk holds the last store. tests/models/run asks for every variant:
 *
 *	-DNO_LOCK	reclaim does not take the page lock
 *	-DNO_I_MMAP	it does not hold i_mmap_rwsem until its flush is acknowledged
 *	-DFREE_EARLY	the frame goes before the flush
 *	-DD_IGNORED	a D that was found is not heeded
 *	-DD_READ_FIRST	D is read, and the PTE cleared afterwards
 *	-DIO_BEFORE_FLUSH	a page with D is written at once, before the flush (B12)
 *	-DSTATE_FIRST	whether it is dirty is looked at before it is unmapped, and not again
 *	-DZAP		somebody unmaps the range meanwhile, as zap.pml's rule says
 */

#define NONE  3
#define CLEAN 0
#define MAYBE 1 /* writable without notice */
#define DIRTY 2

byte frame[3];	/* contents: the number of the last store */
bool freed[3];
byte used = 1;	/* frames that were handed out */
byte cached = 0; /* the page's frame, NONE: not in memory */
byte pte = 0;	/* frame, or NONE */
bool pte_w, pte_d;
byte tlb = NONE; /* the remote CPU: frame it may store to without looking */
byte state;
bool d_seen = false;
bool page_lock = false, i_mmap = false;
byte last = 0, disk = 0;
byte ended = 0;

#define LOCK(l)	  atomic { !l -> l = true }
#define UNLOCK(l) l = false

inline read_in()
{
	assert(disk == last);
	cached = used;
	frame[used] = disk;
	used++;
	state = CLEAN;
	d_seen = false
}

/* A store's fault: the page, perhaps from the disk; notified, so it is dirty before the PTE says so. */
inline fault()
{
	LOCK(page_lock);
	if
	:: cached == NONE && used < 3 -> read_in()
	:: else
	fi;
	if
	:: cached != NONE ->
		state = DIRTY;
		/* The entry is compared: absent, or this page's. */
		atomic {
			if
			:: pte == NONE || pte == cached -> pte = cached; pte_w = true; pte_d = true
			:: else
			fi
		}
	:: else -> n = 2 /* no frame is left: the model is not about that */
	fi;
	UNLOCK(page_lock)
}

proctype Storer()
{
	byte n = 0;

	do
	:: n < 2 ->
		if
		:: atomic { tlb != NONE -> assert(!freed[tlb]); last++; frame[tlb] = last; n++ }
		:: atomic { tlb == NONE && pte != NONE && pte_w ->
			pte_d = true; tlb = pte; last++; frame[tlb] = last; n++ }
		:: atomic { tlb == NONE && (pte == NONE || !pte_w) } -> fault()
		fi
	:: else -> break
	od;
	ended++
}

proctype Reclaimer()
{
	byte f;
	bool d = false, dirty = false, found = false;

#ifndef NO_LOCK
	LOCK(page_lock);
#endif
	f = cached;
	if
	:: f == NONE || state == DIRTY || d_seen -> goto out
	:: else
	fi;
	dirty = state == DIRTY;
#ifndef NO_I_MMAP
	LOCK(i_mmap);
#endif
#ifdef D_READ_FIRST
	d = pte_d;
	atomic { found = pte == f; pte = NONE; pte_w = false; pte_d = false };
#else
	atomic {
		if
		:: pte == f -> found = true; d = pte_d; pte = NONE; pte_w = false; pte_d = false
		:: else
		fi
	};
#endif
#ifdef D_IGNORED
	d = false;
#endif
#ifdef IO_BEFORE_FLUSH
	if
	:: d -> disk = frame[f]; d = false; state = CLEAN
	:: else
	fi;
#endif
#ifdef FREE_EARLY
	if
	:: !d && !d_seen && state != DIRTY -> cached = NONE; freed[f] = true
	:: else
	fi;
#endif
	if
	:: found -> tlb = NONE
	:: else /* nothing of ours to flush */
	fi;
#ifndef FREE_EARLY
#ifndef STATE_FIRST
	dirty = state == DIRTY || d_seen;
#endif
	if
	:: d -> state = DIRTY
	:: !d && !dirty -> cached = NONE; freed[f] = true
	:: else
	fi;
#endif
#ifndef NO_I_MMAP
	UNLOCK(i_mmap);
#endif
out:
#ifndef NO_LOCK
	UNLOCK(page_lock);
#endif
	ended++
}

/* Write what is dirty; W and D go, all CPUs forget, then the device reads. */
inline sync()
{
	LOCK(page_lock);
	if
	:: cached != NONE && (state != CLEAN || d_seen) ->
		LOCK(i_mmap);
		atomic {
			if
			:: pte == cached ->
				dirty = pte_d; touched = pte_w || pte_d; pte_w = false; pte_d = false
			:: else -> dirty = false; touched = false
			fi
		};
		if
		:: touched -> tlb = NONE
		:: else
		fi;
		atomic {
			dirty = dirty || d_seen || state == DIRTY;
			d_seen = false;
			state = CLEAN
		};
		UNLOCK(i_mmap);
		if
		:: dirty -> disk = frame[cached]
		:: else
		fi
	:: else
	fi;
	UNLOCK(page_lock)
}

proctype Syncer()
{
	bool dirty, touched;
	byte owed = last;

	sync();
	assert(disk >= owed);
	ended++
}

#ifdef ZAP
proctype Zapper()
{
	bool d;

	LOCK(i_mmap);
	atomic { d = pte != NONE && pte_d; pte = NONE; pte_w = false; pte_d = false };
	if
	:: d -> d_seen = true
	:: else
	fi;
	tlb = NONE;
	UNLOCK(i_mmap);
	ended++
}
#define PROCESSES 4
#else
#define PROCESSES 3
#endif

proctype Last()
{
	bool dirty, touched;

	ended == PROCESSES;
	sync();
	assert(disk == last)
}

init
{
	if
	:: state = CLEAN; pte_w = false /* cleaned and protected */
	:: state = MAYBE; pte_w = true	/* a policy left it writable */
	fi;
	atomic {
		run Storer(); run Reclaimer(); run Syncer(); run Last();
#ifdef ZAP
		run Zapper()
#endif
	}
}
