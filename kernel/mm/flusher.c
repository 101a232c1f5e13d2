/* SPDX-License-Identifier: MIT */
/*
 * flusher.c - one thread per device that writes what has been dirty for too long.
 *
 * Owns:  the device's list of dirty files, the ages, the thread.
 * Not:   how a file is written (writeback.c), limits (throttle.c).
 * Locks: wb->list_lock (spinlock) for the list; nothing is held while a file is written.
 * Key fact: a mapping is taken off the list before its tags are looked at, and put back if a tag is
 *        left afterwards: a page dirtied in between finds it off the list and lists it again
 *        (rule 39, page_dirty.c).
 *
 * A completion cannot list a file whose write failed (page_keep()); so one with pages under I/O, or
 * with pages to be written, is put back, too. It is as young there as what is stored to just now:
 * what cannot be written is tried once in each age and period, and by whoever syncs.
 */
#include <string.h>
#include <sys/errno.h>

#include "kernel/core/args.h"
#include "kernel/core/clock.h"
#include "kernel/core/delay.h"
#include "kernel/core/printk.h"
#include "kernel/mm/dirty_log.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/preclean.h"
#include "kernel/mm/throttle.h"
#include "kernel/mm/writeback.h"

/* Rule 43: data stored through a mapping is on disk at the latest after age + period. */
static u64 wb_age_ms = 30000, wb_period_ms = 5000;
ARG_UINT(age, wb_age_ms, "milliseconds a page may stay dirty before the flusher writes it");
ARG_UINT(period, wb_period_ms, "milliseconds between two looks of the flusher");

void mapping_mark_dirty(struct address_space *mapping)
{
	struct writeback *wb = mapping->wb;

	if (!wb)
		return;
	spin_lock(&wb->list_lock);
	if (!mapping->on_dirty_list) {
		mapping->on_dirty_list = true;
		mapping->dirtied_when = ktime_get();
		TAILQ_INSERT_TAIL(&wb->dirty, mapping, dirty_link);
	}
	spin_unlock(&wb->list_lock);
}

/* The oldest mapping dirtied before @before, off the list and pinned by wb->current; or NULL. */
static struct address_space *take_oldest(struct writeback *wb, ktime_t before)
{
	struct address_space *mapping;

	spin_lock(&wb->list_lock);
	mapping = TAILQ_FIRST(&wb->dirty);
	if (mapping && mapping->dirtied_when <= before) {
		TAILQ_REMOVE(&wb->dirty, mapping, dirty_link);
		mapping->on_dirty_list = false;
		wb->current = mapping;
	} else {
		mapping = NULL;
	}
	spin_unlock(&wb->list_lock);
	return mapping;
}

static void release_current(struct writeback *wb)
{
	spin_lock(&wb->list_lock);
	wb->current = NULL;
	spin_unlock(&wb->list_lock);
	wake_up(&wb->idle);
}

/*
 * Hidden dirt is bounded because what may be dirty counts as dirty (T24). When there is too much of
 * it, the pages that only may be dirty are protected, and then they are known to be clean: until
 * the next fault of theirs, which counts and waits if it must. Unless throttling is what the policy
 * gives up; and that may be another one now than when the pages were counted.
 */
static bool protect_now(struct address_space *mapping)
{
	u64 flags;

	if (radix_tagged(&mapping->pages, TAG_MAYBE)) {
		flags = spin_lock_irqsave(&mapping->tree_lock);
		mapping_count_maybe(mapping, 0);
		spin_unlock_irqrestore(&mapping->tree_lock, flags);
	}
	return too_much_dirt(mapping);
}

/* One file: pages, then owed times, then the inode. What is still dirty goes back on the list. */
static void write_mapping(struct address_space *mapping)
{
	const struct address_space_operations *ops = mapping->a_ops;
	struct writeback_control wbc = { .mode = SYNC_NONE,
					 .why = HARVEST_PERIODIC,
					 .protect = protect_now(mapping),
					 .last = ~0ul,
					 .nr_to_write = ~0ul };

	wbc.precleaned = !wbc.protect && preclean(mapping);
	filemap_fdatawrite_range(mapping, &wbc);
	delay_point("flusher_after_pages", mapping);
	if (test_bit(&mapping->flags, AS_CMTIME) && ops->flush_cmtime)
		ops->flush_cmtime(mapping);
	if (READ_ONCE(mapping->flags) & (1ul << AS_DIRTY_TIME | 1ul << AS_DIRTY_META) &&
	    ops->write_inode)
		ops->write_inode(mapping, SYNC_NONE);
	if (radix_tagged_any(&mapping->pages, 1 << TAG_DIRTY | 1 << TAG_MAYBE | 1 << TAG_WRITEBACK |
						      1 << TAG_TOWRITE))
		mapping_mark_dirty(mapping);
}

static void write_files(struct writeback *wb, ktime_t before)
{
	struct address_space *mapping;

	while (!READ_ONCE(wb->parked) && (mapping = take_oldest(wb, before))) {
		write_mapping(mapping);
		release_current(wb);
	}
}

static void flush_pass(struct writeback *wb, ktime_t before)
{
	/* What comes back on the list during the pass is younger than its start: the pass ends. */
	write_files(wb, min(before, ktime_get()));
	if (wb->sync_metadata)
		wb->sync_metadata(wb, SYNC_NONE);
}

static bool something_to_do(struct writeback *wb)
{
	return READ_ONCE(wb->stop) ||
	       ((READ_ONCE(wb->kick) || READ_ONCE(wb->look)) && !READ_ONCE(wb->parked));
}

static int flusher(void *arg)
{
	struct writeback *wb = arg;
	ktime_t last = ktime_get();

	current_thread()->writes_out++;
	while (!READ_ONCE(wb->stop)) {
		ktime_t age = wb_age_ms * NSEC_PER_MSEC, period = wb_period_ms * NSEC_PER_MSEC;
		ktime_t now;
		bool kicked;

		wait_event_until(&wb->wait, something_to_do(wb), last + period);
		spin_lock(&wb->list_lock);
		wb->busy = !wb->parked;
		spin_unlock(&wb->list_lock);
		if (!wb->busy)
			continue;
		if (atomic_xchg(&wb->look, false))
			write_files(wb, 0);
		kicked = atomic_xchg(&wb->kick, false);
		now = ktime_get();
		if (kicked || now >= last + period) {
			last = now;
			if (kicked || now > age)
				flush_pass(wb, kicked ? now : now - age);
		}
		WRITE_ONCE(wb->busy, false);
		wake_up(&wb->idle);
	}
	return 0;
}

int writeback_start(struct writeback *wb, const char *name)
{
	char thread_name[THREAD_NAME] = "flush-";

	spin_init(&wb->list_lock, "wb.list_lock", RANK_WB_LIST);
	TAILQ_INIT(&wb->dirty);
	wait_queue_init(&wb->wait, "wb.wait");
	wait_queue_init(&wb->idle, "wb.idle");
	wb->stop = wb->kick = wb->look = wb->busy = false;
	wb->parked = 0;
	wb->current = NULL;
	strlcpy(wb->name, name, sizeof(wb->name));
	strlcat(thread_name, name, sizeof(thread_name));
	wb->flusher = thread_create(thread_name, CPU_ANY, NULL, NULL, flusher, wb);
	return wb->flusher ? 0 : -ENOMEM;
}

void writeback_stop(struct writeback *wb)
{
	if (!wb->flusher)
		return;
	WRITE_ONCE(wb->stop, true);
	wake_up(&wb->wait);
	thread_join(wb->flusher);
	wb->flusher = NULL;
	flush_pass(wb, ~0ul);
}

void writeback_kick(struct writeback *wb)
{
	WRITE_ONCE(wb->kick, true);
	wake_up(&wb->wait);
}

void writeback_kick_file(struct address_space *mapping)
{
	struct writeback *wb = mapping->wb;

	spin_lock(&wb->list_lock);
	if (mapping->on_dirty_list) {
		TAILQ_REMOVE(&wb->dirty, mapping, dirty_link);
		mapping->dirtied_when = 0;
		TAILQ_INSERT_HEAD(&wb->dirty, mapping, dirty_link);
		WRITE_ONCE(wb->look, true);
	}
	spin_unlock(&wb->list_lock);
	wake_up(&wb->wait);
}

void writeback_park(struct writeback *wb)
{
	spin_lock(&wb->list_lock);
	wb->parked++;
	spin_unlock(&wb->list_lock);
	wait_event(&wb->idle, !READ_ONCE(wb->busy));
}

void writeback_unpark(struct writeback *wb)
{
	spin_lock(&wb->list_lock);
	wb->parked--;
	spin_unlock(&wb->list_lock);
}

/* --- a mapping's life --- */

static TAILQ_HEAD(, address_space) all_mappings = TAILQ_HEAD_INITIALIZER(all_mappings);
static struct spinlock all_mappings_lock = { .rank = RANK_INODE_LIST, .name = "all_mappings" };

void mapping_init(struct address_space *mapping, const struct address_space_operations *a_ops,
		  void *host, u64 ino, struct writeback *wb)
{
	memset(mapping, 0, sizeof(*mapping));
	mapping->a_ops = a_ops;
	mapping->host = host;
	mapping->ino = ino;
	mapping->wb = wb;
	spin_init(&mapping->tree_lock, "tree_lock", RANK_TREE);
	rwsem_init(&mapping->i_mmap_rwsem, "i_mmap_rwsem", RANK_I_MMAP);
	rwsem_init(&mapping->invalidate_lock, "invalidate_lock", RANK_INVALIDATE);
	i_mmap_init(&mapping->i_mmap);
	mapping_limit_dirty(mapping, 0);
	spin_lock(&all_mappings_lock);
	TAILQ_INSERT_TAIL(&all_mappings, mapping, all_link);
	spin_unlock(&all_mappings_lock);
}

/* Off the dirty list, and out of the flusher's hands. */
static void leave_dirty_list(struct address_space *mapping)
{
	struct writeback *wb = mapping->wb;

	if (!wb)
		return;
	for (;;) {
		bool in_hand;

		spin_lock(&wb->list_lock);
		if (mapping->on_dirty_list) {
			TAILQ_REMOVE(&wb->dirty, mapping, dirty_link);
			mapping->on_dirty_list = false;
		}
		in_hand = wb->current == mapping;
		spin_unlock(&wb->list_lock);
		if (!in_hand)
			return;
		wait_event(&wb->idle, READ_ONCE(wb->current) != mapping);
	}
}

void mapping_destroy(struct address_space *mapping)
{
	leave_dirty_list(mapping);
	BUG_ON(!i_mmap_empty(&mapping->i_mmap));
	BUG_ON(mapping->pages.nr || mapping->nr_kept);
	dirty_log_forget(mapping);
	spin_lock(&all_mappings_lock);
	TAILQ_REMOVE(&all_mappings, mapping, all_link);
	spin_unlock(&all_mappings_lock);
}

void mappings_for_each(void (*fn)(struct address_space *mapping))
{
	struct address_space *mapping;

	spin_lock(&all_mappings_lock);
	TAILQ_FOREACH(mapping, &all_mappings, all_link)
		fn(mapping);
	spin_unlock(&all_mappings_lock);
}

u64 audit_all_mappings(void)
{
	struct address_space *mapping;
	u64 broken = 0;

	/* The lock would have to be held over sleeping walks; tests call this with nobody opening
	 * or closing files. */
	TAILQ_FOREACH(mapping, &all_mappings, all_link)
		broken += mapping_audit(mapping, true);
	return broken;
}
