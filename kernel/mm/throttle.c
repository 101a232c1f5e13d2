/* SPDX-License-Identifier: MIT */
/*
 * throttle.c - who dirties faster than the disk writes must wait (rules 124-128; P7, P11).
 *
 * Owns:  the limits, of all files together and of each; how long a thread waits; what a device is
 *        believed to complete in a second.
 * Not:   counting (page_dirty.c, page_writeback.c), writing (flusher.c), the end of a killed thread
 *        (fault.c).
 * Locks: wb->list_lock around turns and the estimate. Sleeps with none (throttle.h).
 * Key fact: a thread asks before it dirties a page. If it waited afterwards, as Linux does, each
 *        thread that comes when the limit is reached would add a page to it; and the flusher could
 *        clean the page during the wait, so that the store for which it was made writable faults
 *        again, and waits again (B34). So there is never more unwritten than the limit and one page
 *        for each thread that was told to go on and has not dirtied its page yet: about one for
 *        each CPU. A page_mkwrite that dirties the page itself hides nothing (B8).
 *
 * What counts is what is not on the disk: pages DIRTY, MAYBE_DIRTY (or hidden dirt had no limit;
 * the flusher protects them when there are too many) and under I/O. A page that was written and may
 * be stored to at the same time counts twice, which errs to the safe side. With b, the background
 * limit, and l, the limit:
 *
 *	up to b			nothing
 *	b to (b + l) / 2	the flusher is woken
 *	(b + l) / 2 to l	the flusher is woken, and pages are dirtied in turns
 *	l			nobody dirties a page until I/O has ended
 *
 * A turn comes 1 / (r f) seconds after the one before, whoever takes it: r is the rate at which the
 * device completes pages, f falls from 2 to 0 in this range. Threads that outrun the device raise
 * the count, which makes f smaller, until f is 1 in the middle of the range: there all of them
 * together are as fast as the device, instead of waiting for a long time and then running again.
 * Who has his turn soon goes on at once and leaves the debt to who comes next.
 *
 * Files whose policy gives throttling up (scan) keep pages that may be dirty, whatever the flusher
 * does. Those are not counted here: they would make others wait for nothing.
 */
#include "kernel/mm/throttle.h"

#include <sys/errno.h>

#include "kernel/core/args.h"
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "kernel/core/stat.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/writeback.h"

static u64 dirty_percent = 40, background_percent = 20;
static u64 dirty_pages, background_pages, file_dirty_pages;
ARG_UINT(dirty_percent, dirty_percent, "of memory that may be dirty before storing threads wait");
ARG_UINT(background_percent, background_percent, "of memory dirty that wakes the flusher");
ARG_UINT(dirty_pages, dirty_pages, "the same in pages; 0: dirty_percent counts");
ARG_UINT(background_pages, background_pages, "the same in pages; 0: background_percent counts");
ARG_UINT(file_dirty_pages, file_dirty_pages, "pages of one file that may be dirty; 0: no limit");

#define LONGEST_PAUSE  (200 * NSEC_PER_MSEC)
#define SHORTEST_PAUSE (5 * NSEC_PER_MSEC) /* less is left to who comes next */
#define WINDOW	       (100 * NSEC_PER_MSEC)
#define GUESSED_RATE   25600 /* pages a second, of a device that was not measured yet: 100 MiB/s */

static u64 dirty_limit = ~0ul;	  /* pages */
s64 background_limit = INT64_MAX; /* pages */

/* What a number of unwritten pages means. */
struct fill {
	u64 nr, dirty; /* unwritten; those of them that are not under I/O */
	u64 background, limit;
};

static struct fill fill_of_all(void)
{
	u64 waived = nr_waived_pages(), nr = (u64)max(atomic_load(&nr_unwritten), (s64)0);
	u64 dirty = nr_dirty_pages();

	return (struct fill){ .nr = nr - min(nr, waived),
			      .dirty = dirty - min(dirty, waived),
			      .background = (u64)READ_ONCE(background_limit),
			      .limit = READ_ONCE(dirty_limit) };
}

static struct fill fill_of_file(const struct address_space *mapping)
{
	u64 nr = READ_ONCE(mapping->nr_unwritten), waived = READ_ONCE(mapping->nr_waived);
	u64 writeback = READ_ONCE(mapping->nr_writeback);

	nr -= min(nr, waived);
	return (struct fill){ .nr = nr,
			      .dirty = nr - min(nr, writeback),
			      .background = READ_ONCE(mapping->background),
			      .limit = READ_ONCE(mapping->dirty_limit) };
}

/* Up to the middle nobody waits. */
static u64 free_of(const struct fill *f)
{
	return (f->background + f->limit) / 2;
}

bool too_much_dirt(const struct address_space *mapping)
{
	struct fill all = fill_of_all(), file = fill_of_file(mapping);

	return (all.dirty > all.background || file.dirty > file.background) &&
	       !(mapping_policy(mapping)->breaks & BREAKS(THROTTLED));
}

/* --- how fast the device is --- */

/*
 * Pages a second, at least 1; list_lock held. A window ends when something was completed in it:
 * a slow device may need seconds for one large request. While threads wait there is always
 * something to write; when nobody has asked for a while the device may have been idle, and the
 * window starts anew.
 */
static u64 device_rate(struct writeback *wb, ktime_t now)
{
	u64 total = atomic_load(&wb->pages_done), done = total - wb->window_done;
	ktime_t passed = now - wb->window_start;
	bool stale = now - wb->rate_asked > NSEC_PER_SEC;

	if (!stale && done && passed >= WINDOW) {
		u64 rate = done * NSEC_PER_SEC / passed;

		wb->rate = wb->rate ? (3 * wb->rate + rate) / 4 : rate;
	}
	if (stale || (done && passed >= WINDOW)) {
		wb->window_start = now;
		wb->window_done = total;
	}
	wb->rate_asked = now;
	return wb->rate ? wb->rate : GUESSED_RATE;
}

/* --- waiting --- */

/* The limit is reached: until the device may have completed enough. */
static u64 until_room(const struct fill *f, u64 rate)
{
	u64 ns = min(f->nr - f->limit + 1, rate) * NSEC_PER_SEC / rate;

	return min(max(ns, SHORTEST_PAUSE), LONGEST_PAUSE);
}

/* One turn of those that @turn counts: how long until then. list_lock held. */
static u64 take_turn(ktime_t *turn, const struct fill *f, u64 rate, ktime_t now)
{
	u64 free = free_of(f), ns;

	if (f->nr <= free)
		return 0;
	ns = NSEC_PER_SEC * (f->limit - free) / (2 * rate * (f->limit - f->nr));
	*turn = min(max(*turn, now) + ns, now + LONGEST_PAUSE);
	ns = *turn - now;
	return ns < SHORTEST_PAUSE ? 0 : ns;
}

static u64 pause_for(struct address_space *mapping, const struct fill *all, const struct fill *file,
		     bool waited)
{
	struct writeback *wb = mapping->wb;
	ktime_t now = ktime_get();
	u64 rate, ns = 0;

	spin_lock(&wb->list_lock);
	rate = device_rate(wb, now);
	if (all->nr >= all->limit)
		ns = until_room(all, rate);
	else if (!waited)
		ns = take_turn(&wb->turn, all, rate, now);
	if (file->nr >= file->limit)
		ns = max(ns, until_room(file, rate));
	else if (!waited)
		ns = max(ns, take_turn(&mapping->turn, file, rate, now));
	spin_unlock(&wb->list_lock);
	return ns;
}

u64 dirty_pause(struct address_space *mapping, bool waited)
{
	struct fill all = fill_of_all(), file = fill_of_file(mapping);
	struct writeback *wb = mapping->wb;

	/* The flusher must not wait for itself; a killed thread shall end, not wait. */
	if (!wb || current_thread() == wb->flusher || thread_killed())
		return 0;
	/* Not for less: what is under I/O is on its way, and a device that is given a few pages at
	 * a time is slower still. */
	if (all.dirty > all.background && !READ_ONCE(wb->kick))
		writeback_kick(wb);
	if (file.dirty > file.background)
		writeback_kick_file(mapping);
	if (all.nr <= free_of(&all) && file.nr <= free_of(&file))
		return 0;
	return pause_for(mapping, &all, &file, waited);
}

bool throttle_sleep(u64 ns)
{
	ktime_t start = ktime_get();
	bool alive;

	lockrank_assert_none_inside(RANK_I_RWSEM, "throttled");
	stat_inc(STAT_THROTTLED);
	alive = sleep_until_killable(start + ns);
	stat_add(STAT_THROTTLED_US, (ktime_get() - start) / NSEC_PER_USEC);
	return alive;
}

int balance_dirty_pages_slow(struct address_space *mapping)
{
	u64 ns = dirty_pause(mapping, false);

	for (; ns; ns = dirty_pause(mapping, true))
		throttle_sleep(ns);
	return thread_killed() ? -EINTR : 0;
}

/* --- the limits --- */

static void set_file_limit(struct address_space *mapping, u64 pages)
{
	/* Half of it lies under I/O while the other half is dirtied. */
	WRITE_ONCE(mapping->dirty_limit, pages ? pages : ~0ul >> 2);
	WRITE_ONCE(mapping->background, pages ? pages / 2 : ~0ul >> 2);
}

void mapping_limit_dirty(struct address_space *mapping, u64 pages)
{
	WRITE_ONCE(mapping->own_limit, pages != 0);
	set_file_limit(mapping, pages ? pages : READ_ONCE(file_dirty_pages));
}

static void follow_argument(struct address_space *mapping)
{
	if (!READ_ONCE(mapping->own_limit))
		set_file_limit(mapping, READ_ONCE(file_dirty_pages));
}

static u64 in_pages(u64 pages, u64 percent)
{
	u64 most = nr_total_pages() * 90 / 100;

	return min(pages ? pages : nr_total_pages() * min(percent, 90ul) / 100, most);
}

void throttle_init(void)
{
	u64 limit = max(in_pages(dirty_pages, dirty_percent), 1ul);
	u64 background = in_pages(background_pages, background_percent);

	/* A limit in pages alone is most likely small. */
	if (dirty_pages && !background_pages)
		background = min(background, limit / 2);
	WRITE_ONCE(dirty_limit, limit);
	WRITE_ONCE(background_limit, (s64)min(background, limit));
	mappings_for_each(follow_argument);
}
