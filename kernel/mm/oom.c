/* SPDX-License-Identifier: MIT */
/*
 * oom.c - where did the memory go? For who is refused some.
 *
 * Owns:  nothing.
 * Not:   the verdict (kreclaimd.c), who is ended for it (fault.c).
 * Locks: none: every frame is looked at once, and some change meanwhile.
 * Key fact: counted from the frames themselves, when it is wanted. No counter is kept in any path
 *        for a report that is hardly ever made.
 */
#include "kernel/core/printk.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/reclaim.h"

static void count_frame(struct memory_use *use, const struct page *page)
{
	unsigned long flags = READ_ONCE(page->flags);

	if (READ_ONCE(page->refs) >= PAGE_CACHED) {
		use->cache++;
		use->mapped += READ_ONCE(page->mapcount) > 0;
	} else if (READ_ONCE(page->mapcount) > 0) {
		use->anonymous++;
	} else if (flags & 1ul << PG_slab) {
		use->slabs++;
	} else if (flags & 1ul << PG_table) {
		use->tables++;
	}
}

void memory_use(struct memory_use *use)
{
	*use = (struct memory_use){ .total = nr_total_pages(),
				    .dirty = nr_dirty_pages(),
				    .writeback = nr_writeback_pages() };
	for (u64 b = 0; b < nr_frame_blocks(); b++) {
		const struct page *page = frame_block(b);

		for (unsigned int i = 0; i < 1u << MAX_ORDER; i++)
			count_frame(use, page + i);
	}
	use->free = nr_free_pages();
}

void memory_report(void)
{
	struct memory_use u;

	memory_use(&u);
	printk("memory: %lu frames, %lu free, cache %lu (mapped %lu, dirty %lu, writeback %lu), "
	       "anonymous %lu, slabs %lu, tables %lu, the rest %lu\n",
	       (unsigned long)u.total, (unsigned long)u.free, (unsigned long)u.cache,
	       (unsigned long)u.mapped, (unsigned long)u.dirty, (unsigned long)u.writeback,
	       (unsigned long)u.anonymous, (unsigned long)u.slabs, (unsigned long)u.tables,
	       (unsigned long)(u.total -
			       min(u.total, u.free + u.cache + u.anonymous + u.slabs + u.tables)));
}
