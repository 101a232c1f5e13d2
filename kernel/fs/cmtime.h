/* SPDX-License-Identifier: MIT */
/*
 * cmtime.h - when do the times of a file move that is stored to through a mapping?
 *
 * POSIX asks for a mark, and says when a mark becomes a time. mmap(): the times "shall be marked
 * for update at some point in the interval between a write reference to the mapped region and the
 * next call to msync() with MS_ASYNC or MS_SYNC". Base definitions 4.9: when an update occurs,
 * marked timestamps "shall be set to the current time and the update marks shall be cleared"; it
 * occurs at the latest before stat(), fstat(), fsync() and the like succeed, or with the last
 * close.
 *
 * The hardware makes that mark: D. A store sets it, nothing but us takes it, and whoever takes it
 * for another reason (cleaning, unmapping, harvest) leaves AS_CMTIME in its place before anybody
 * who waits for him goes on. So under `lazy` MS_ASYNC has nothing to do: what it wants is true
 * since the store. Whoever looks takes D of all dirty pages (HARVEST_TIMES), and then settles:
 * AS_CMTIME off, clock, stamp, in this order (rules C.2.1). One store is one mark, so that no
 * stamp comes without a store since the look before.
 *
 * Argument cmtime=, changeable at any time, for open and mapped files too:
 *
 * lazy (S6, D.13)	when somebody looks, at msync(MS_SYNC), fsync, unmapping, write-out
 * eager (S1, Linux)	in the store's fault, and the inode goes into its buffer there
 * memory (S7, Lang)	in the store's fault, in memory; on the disk with the next write-out
 * writeback (S8, BSD)	after pages were written out
 * query (S14)		in the fault of the first store after somebody looked: a look takes W away
 *
 * What each keeps (+) and breaks (-), demanded in both directions by tests/fs/test_cmtime_modes.c.
 * "Again": a second store to a page that is writable already. "Silent": to one that was cleaned or
 * granted with W and without D. "Old": st_mtime is older than that store.
 *
 *	lazy  eager  memory  writeback  query
 *	 +	+      +	-	  +	not old: a first store, MS_ASYNC, stat
 *	 +	-      -	-	  -	not old: a store again, MS_ASYNC, stat
 *	 +	-      -	+	  -	not old: a store again, MS_SYNC, stat
 *	 +	-      -	-	  -	not old: a store again, munmap, stat
 *	 +	-      -	+	  -	not old: a store again, fsync; on the disk
 *	 +	-      -	+	  -	not old: a store again, unmount, mount, stat
 *	 +	-      -	+	  -	not old: a silent store, fsync, stat
 *	 +	-      -	-	  +	not old: stat, a silent store, stat
 *	 +	+      +	-	  +	they do not move between looks without a store
 *	 +	-      -	-	  +	they move between looks with a store
 *	 +	-      -	-	  +	who caches by the cookie never trusts a stale copy
 *	 +	+      +	+	  +	they never go back
 *
 * Eager and memory stamp at most once per CMTIME_TICK, as Linux does by its clock of file times.
 * Query tells an observer that there was a store, not when the last one was. Where W is granted
 * without a store (at a read, around a store, on advice), eager, memory and query see a store.
 * Files in memory only (ramfs) take no fault that could tell: lazy asks their PTEs, the other modes
 * show nothing.
 */
#ifndef KERNEL_FS_CMTIME_H
#define KERNEL_FS_CMTIME_H

#include "kernel/core/clock.h"
#include "kernel/lib/types.h"

struct address_space;
struct inode;
struct kstat;

enum cmtime_mode { CMTIME_LAZY, CMTIME_EAGER, CMTIME_MEMORY, CMTIME_WRITEBACK, CMTIME_QUERY };

/* In force. Read it any time; args_set("cmtime", name) changes it. */
extern unsigned int cmtime_mode;

#define CMTIME_TICK (4 * NSEC_PER_MSEC)

enum touch { TOUCH_M = 1, TOUCH_C = 2, TOUCH_A = 4 };

/* --- cmtime.c --- */

/* Move times to now (never backwards; not at all if the clock did not move) and mark the inode.
 * TOUCH_M moves the cookie in any case. True if a time moved. Any context but interrupts. */
bool inode_touch(struct inode *inode, unsigned int which);
/* AS_CMTIME was noted: test and clear it, then clock, then stamp. For who wrote pages out, and for
 * who looks: no lock of RANK_PAGE or above held. */
void inode_settle_cmtime(struct inode *inode);
/* A read happened: move atime if it is not after mtime and ctime, or a day old (relatime). What
 * nobody looked at since a store is not asked for. */
void inode_accessed(struct inode *inode);
/* The cookie of an inode that was just read from its disk: not lower than any it had before. */
u64 inode_first_version(const struct inode *inode);

/* --- cmtime_mode.c --- */

/* a_ops->flush_cmtime: pages were cleaned for write-out. Settles, or drops the note where the mode
 * does not stamp then. */
void inode_flush_cmtime(struct address_space *mapping);
/* a_ops->note_store: a fault has just made a page writable, the store comes. No page lock held. */
void inode_note_store(struct address_space *mapping);
/*
 * Somebody looks: brings times and cookie up to what the mode promises and copies them to @st. The
 * contents, if they are read after this returns, are not older than the cookie tells (lazy, query).
 * May sleep; no lock of RANK_PAGE or above held.
 */
void inode_look(struct inode *inode, struct kstat *st);
/* A shared area is about to be made: from its first fault on the mode is heeded. May sleep. */
void inode_mapped(struct inode *inode);
/* An area is gone, its PTEs are zapped. */
void inode_unmapped(struct inode *inode);

#endif
