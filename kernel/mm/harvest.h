/* SPDX-License-Identifier: MIT */
/*
 * harvest.h - asking PTEs for the stores that nobody was told of.
 */
#ifndef KERNEL_MM_HARVEST_H
#define KERNEL_MM_HARVEST_H

#include "kernel/mm/dirty_policy.h"
#include "kernel/mm/mapping.h"

/*
 * Ask every PTE of pages [@first, @last] that may have been stored through without notice, in all
 * shared areas. D is taken, W stays; MAYBE_DIRTY pages that had it get PG_d_seen and TAG_TOWRITE;
 * AS_CMTIME is noted if any D was found. One shootdown for all, acknowledged on return. The
 * policy's on_harvest() sees each group of 64, and what it names gets TAG_TOWRITE too.
 *
 * HARVEST_TIMES asks the PTEs of DIRTY pages as well: their times may be owed again.
 *
 * Where the whole of a 2 MiB region was not touched since two harvests ago (accessed bits of the
 * upper levels, mechanism D.5b), none of it is looked at: the cost follows what was touched.
 * Without AS_SILENT and AS_LOG_LOST only the log is read. Returns the number of D bits found.
 *
 * May sleep; no page lock, i_mmap_rwsem or spinlock held by the caller.
 */
u64 mapping_harvest(struct address_space *mapping, pgoff_t first, pgoff_t last,
		    enum policy_harvest_why why);

/* Does a sync or a look at the times have to harvest at all? Cheap; may be asked without a lock by
 * whom the stores in question happened before. */
static inline bool mapping_may_hide(const struct address_space *mapping)
{
	return radix_tagged(&mapping->pages, TAG_MAYBE);
}

#endif
