/*
 * sync_ends.pml - does a sync return although stores to its pages never end, and is what it was
 * for on the disk then?
 *
 * Abstracts kernel/mm/writeback.c: filemap_fdatawrite_range() tags what is dirty now (TAG_TOWRITE),
 * and collects what is tagged so, by rising index; set_pages_writeback() takes the tag away; and a
 * page under I/O is waited for. Two pages that one thread stores to for ever: whenever a page was
 * cleaned its next store makes it dirty again. The I/O of a page ends by itself.
 *
 * Promises: the sync returns (weak fairness; a cycle without it is the counter-example), and then
 * every page has been written after the sync began, or was clean.
 *
 *	-DFOLLOW_DIRTY	collects what is dirty, from the start again, until nothing is
 *	-DWAIT_CLEAN	waits for each page until it is neither dirty nor under I/O
 *	-DNO_WAIT	returns while I/O of its pages is under way
 */

#define PAGES 2

bool dirty[PAGES], towrite[PAGES], writeback[PAGES];
bool old[PAGES]; /* holds a store from before the sync that is not on the disk */
bool page_lock[PAGES];
bool began = false, ended = false;

active proctype Storer()
{
	byte i = 0;

	do
	:: atomic { !page_lock[i] ->
			dirty[i] = true;
			old[i] = old[i] || !began };
		i = (i + 1) % PAGES
	od
}

/* One page, locked by the sync: step 11 to 14 of a store's journey. */
inline write_page(i)
{
	atomic { !page_lock[i] -> page_lock[i] = true };
	!writeback[i];
	if
	:: atomic { dirty[i] -> dirty[i] = false; towrite[i] = false; writeback[i] = true }
	:: else -> towrite[i] = false
	fi;
	page_lock[i] = false
}

inline wait_for(i)
{
#ifdef WAIT_CLEAN
	!writeback[i] && !dirty[i]
#else
#ifdef NO_WAIT
	skip
#else
	!writeback[i]
#endif
#endif
}

active proctype Syncer()
{
	byte i;

	began = true;
#ifdef FOLLOW_DIRTY
	do
	:: dirty[0] -> write_page(0)
	:: !dirty[0] && dirty[1] -> write_page(1)
	:: !dirty[0] && !dirty[1] -> break
	od;
#else
	atomic { towrite[0] = dirty[0]; towrite[1] = dirty[1] };
	i = 0;
	do
	:: i < PAGES && towrite[i] -> write_page(i); i++
	:: i < PAGES && !towrite[i] -> i++
	:: i == PAGES -> break
	od;
#endif
	wait_for(0);
	wait_for(1);
	assert(!old[0] && !old[1]);
	ended = true
}

/* The device. */
active [PAGES] proctype Device()
{
	byte i = _pid - 2;

	do
	:: atomic { writeback[i] -> writeback[i] = false; old[i] = false }
	od
}

ltl sync_returns { <> ended }
