/* SPDX-License-Identifier: MIT */
/*
 * dirty_log.c - which pages were stored to since they were cleaned?
 *
 * Owns:  the logs, one per CPU.
 * Not:   who is granted a store by the log (memory.c), what a sync does with TAG_TOWRITE
 *        (writeback.c), the scan that replaces a lost log (harvest.c).
 * Locks: a log's own spinlock, which another CPU wants only when it drains; tree_lock inside. A
 *        thread that moves to another CPU between choosing a log and locking it fills that of the
 *        CPU it came from, which is as good.
 * Key fact: an entry is made before the PTE becomes writable, with the page locked. A drain that
 *        comes between the two tags the page too early, but the pass that visits it for the tag
 *        wants the page lock, and so comes after the PTE; background, which does not wait, leaves
 *        the tag. The other order loses a store:
 *
 *	F (fault)		W (same address space)		S (fsync)
 *	PTE writable
 *				stores
 *								drains: nothing, returns
 *	makes the entry
 *
 * An entry names a page by its place in a file and holds no reference. It lives as long as the
 * mapping at most: who destroys that takes each lock once, and so waits for a drain.
 */
#include "kernel/mm/dirty_log.h"

#include "kernel/core/delay.h"
#include "kernel/core/percpu.h"
#include "kernel/core/stat.h"

struct dirty_log {
	struct spinlock lock;
	unsigned int nr; /* lock; looked at without it to pass over an empty log */
	struct {
		struct address_space *mapping;
		pgoff_t index;
	} entry[DIRTY_LOG_SIZE]; /* lock */
};

#define EMPTY_LOG                                                                                  \
	{                                                                                          \
		.lock = { .rank = RANK_DIRTY_LOG, .name = "dirty_log" },                           \
	}

static struct dirty_log logs[MAX_CPUS] = { [0 ... MAX_CPUS - 1] = EMPTY_LOG };

void dirty_log_add(struct page *page)
{
	struct address_space *mapping = page->mapping;
	struct dirty_log *log = &logs[this_cpu()->id];
	bool room;

	assert_page_locked(page);
	spin_lock(&log->lock);
	room = log->nr < DIRTY_LOG_SIZE;
	if (room) {
		log->entry[log->nr].mapping = mapping;
		log->entry[log->nr].index = page->index;
		log->nr++;
	}
	spin_unlock(&log->lock);
	if (room) {
		stat_inc(STAT_PAGES_LOGGED);
		return;
	}
	stat_inc(STAT_LOG_OVERFLOWS);
	set_bit(&mapping->flags, AS_LOG_LOST);
}

/* The log's lock is held: the mapping lives. A page that left the file, or was cleaned meanwhile,
 * is passed over; a younger one in its place is looked at once for nothing. */
static void apply(struct address_space *mapping, pgoff_t index)
{
	u64 flags = spin_lock_irqsave(&mapping->tree_lock);

	if (radix_tag_get(&mapping->pages, index, TAG_MAYBE))
		radix_tag_set(&mapping->pages, index, TAG_TOWRITE);
	spin_unlock_irqrestore(&mapping->tree_lock, flags);
}

/*
 * Stores that the caller answers for retired before it looks at nr: their entries were made before
 * them. What comes later is the next sync's.
 */
void dirty_log_drain(struct address_space *mapping)
{
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++) {
		struct dirty_log *log = &logs[cpu];

		if (!READ_ONCE(log->nr))
			continue;
		spin_lock(&log->lock);
		for (unsigned int i = 0; i < log->nr; i++)
			apply(log->entry[i].mapping, log->entry[i].index);
		WRITE_ONCE(log->nr, 0);
		spin_unlock(&log->lock);
	}
	delay_point("log_drained", mapping);
}

void dirty_log_forget(struct address_space *mapping)
{
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++) {
		struct dirty_log *log = &logs[cpu];
		unsigned int kept = 0;

		spin_lock(&log->lock);
		for (unsigned int i = 0; i < log->nr; i++)
			if (log->entry[i].mapping != mapping)
				log->entry[kept++] = log->entry[i];
		WRITE_ONCE(log->nr, kept);
		spin_unlock(&log->lock);
	}
}
