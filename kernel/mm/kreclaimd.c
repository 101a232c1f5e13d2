/* SPDX-License-Identifier: MIT */
/*
 * kreclaimd.c - when it is time to make room, who does it, and when there is none.
 *
 * Owns:  the marks (reserve, low, high), the thread kreclaimd, waiting for memory, the verdict "out
 *        of memory".
 * Not:   which pages leave (reclaim.c), what caches give (shrinker.h), what becomes of who gets no
 *        memory (its caller; fault.c).
 * Locks: none of its own. Whoever waits here may hold what page faults and reads hold: i_rwsem,
 *        mmap_lock, invalidate_lock. Nothing that is called from here waits for one of those.
 * Key fact: each frame that is not free is anonymous, the kernel's own, or a cached page, which is
 *        clean, dirty, or under I/O. Clean ones are taken at once, dirty ones when the flusher has
 *        written them. So waiting makes sense exactly as long as pages get written; a thread waits
 *        while that goes on, and for oom_patience= without it. There is no other wait: out of
 *        memory is an answer, and never a hang.
 *
 * The reserve is what writing out may still take when nobody else gets anything (rule 130): buffers
 * of block maps, requests, the objects of their drivers. Bios have a reserve of their own (bio.c),
 * cleaning PTEs and tagging pages allocate nothing.
 *
 * Who gets no memory is told so; a faulting thread is ended (fault.c), with a report of where
 * memory went. It is not necessarily the one that has most. To choose another would need a thread
 * that can be ended at any point, whatever locks it holds; here a thread ends where it asks.
 */
#include "kernel/core/args.h"
#include "kernel/core/clock.h"
#include "kernel/core/delay.h"
#include "kernel/core/printk.h"
#include "kernel/core/sched.h"
#include "kernel/core/stat.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/reclaim.h"
#include "kernel/mm/shrinker.h"

#define PART_TARGET 64 /* pages that who needs one makes room for */
#define NAP	    (5 * NSEC_PER_MSEC)
#define FRUITLESS   4 /* rounds in which all were asked, used ones too, and nothing came */

static u64 oom_patience_ms = 5000;
ARG_UINT(oom_patience, oom_patience_ms,
	 "milliseconds without a page being written after which memory is out");

static struct {
	struct wait_queue wait, idle;
	u64 high;
	bool wanted; /* a */
	bool busy;   /* a */
	int parked;  /* a: >0: tests hold it still */
} daemon = {
	.wait = { .lock = { .rank = RANK_WAIT, .name = "kreclaimd" },
		  .waiters = TAILQ_HEAD_INITIALIZER(daemon.wait.waiters) },
	.idle = { .lock = { .rank = RANK_WAIT, .name = "kreclaimd.idle" },
		  .waiters = TAILQ_HEAD_INITIALIZER(daemon.idle.waiters) },
};

/* What can only rise because memory came or will come. */
static u64 progress(void)
{
	return stat_read(STAT_PAGES_RECLAIMED) + stat_read(STAT_PAGES_WRITTEN) +
	       stat_read(STAT_OBJECTS_SHRUNK);
}

static bool something_is_written(void)
{
	return nr_dirty_pages() + nr_writeback_pages();
}

/* --- who needs memory now --- */

/* One round. True: something became free. */
static bool make_room(unsigned int order, enum reclaim_whom whom)
{
	u64 freed = reclaim_pages(max((u64)PART_TARGET, 2ul << order), reclaim_revolution(), whom);

	/* What is to become a block must leave the cache of single frames. */
	if (order)
		drain_page_cache();
	return freed;
}

bool make_room_now(unsigned int order)
{
	if (!reclaim_possible() || current_thread()->writes_out)
		return false;
	stat_inc(STAT_DIRECT_RECLAIMS);
	return make_room(order, RECLAIM_UNUSED) || make_room(order, RECLAIM_ANY);
}

/* Is there no more to be hoped for? */
static bool is_hopeless(const struct patience *p)
{
	u64 rounds = oom_patience_ms * NSEC_PER_MSEC / NAP;

	return p->fruitless > (something_is_written() ? max(rounds, (u64)FRUITLESS) : FRUITLESS) ||
	       p->rounds > 20 * rounds + 1000;
}

bool wait_for_memory(struct patience *p, unsigned int order)
{
	const struct thread *t = current_thread();
	u64 now;

	if (!reclaim_possible() || t->writes_out || thread_killed())
		return false;
	if (!p->rounds++)
		stat_inc(STAT_DIRECT_RECLAIMS);
	if (make_room(order, p->fruitless ? RECLAIM_ANY : RECLAIM_UNUSED) && p->rounds < 100)
		return true;
	reclaim_wake(); /* for the caches */
	now = progress();
	p->fruitless = now == p->progress ? p->fruitless + 1 : 0;
	p->progress = now;
	if (is_hopeless(p)) {
		stat_inc(STAT_OOM);
		return false;
	}
	delay_point("wait_for_memory", NULL);
	sleep_until_killable(ktime_get() + NAP);
	return true;
}

struct page *alloc_pages_waiting(unsigned int order, enum alloc_flags flags)
{
	struct patience p = { 0 };
	struct page *page = NULL;

	while (!page && wait_for_memory(&p, order))
		page = alloc_pages(order, flags & ~(unsigned int)ALLOC_WAIT);
	return page;
}

/* --- the thread --- */

void reclaim_wake(void)
{
	if (READ_ONCE(daemon.wanted))
		return;
	WRITE_ONCE(daemon.wanted, true);
	wake_up(&daemon.wait);
}

/* Until there is enough, or nothing comes any more. */
static void fill_up(void)
{
	unsigned int fruitless = 0;
	u64 before = progress(), now;

	while (nr_shared_pages() < daemon.high && !READ_ONCE(daemon.parked) &&
	       fruitless < FRUITLESS) {
		enum reclaim_whom whom = fruitless > 1 ? RECLAIM_ANY : RECLAIM_UNUSED;

		if (reclaim_pages(4 * PART_TARGET, reclaim_revolution(), whom)) {
			drain_page_cache();
			continue;
		}
		shrink_caches();
		/* What is dirty was left to the flusher. */
		if (something_is_written())
			sleep_ns(NAP);
		now = progress();
		fruitless = now == before ? fruitless + 1 : 0;
		before = now;
	}
}

static int kreclaimd(void *arg)
{
	current_thread()->writes_out++;
	for (;;) {
		wait_event(&daemon.wait, READ_ONCE(daemon.wanted));
		WRITE_ONCE(daemon.wanted, false);
		(void)atomic_xchg(&daemon.busy, true); /* and then the look at parked */
		fill_up();
		WRITE_ONCE(daemon.busy, false);
		wake_up(&daemon.idle);
	}
	return 0;
}

void reclaim_park(void)
{
	(void)atomic_add_return(&daemon.parked, 1);
	wait_event(&daemon.idle, !READ_ONCE(daemon.busy));
}

void reclaim_unpark(void)
{
	(void)atomic_sub_return(&daemon.parked, 1);
}

void reclaim_start(void)
{
	u64 reserve = min(max(nr_total_pages() / 128, 64ul), 1024ul);
	struct thread *t = thread_create("kreclaimd", CPU_ANY, NULL, NULL, kreclaimd, NULL);

	if (!t) {
		printk("memory: kreclaimd could not start: who needs memory makes room itself\n");
		return;
	}
	thread_put(t);
	daemon.high = 5 * reserve;
	page_alloc_set_marks(reserve, 3 * reserve);
}
