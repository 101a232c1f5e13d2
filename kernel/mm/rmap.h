/* SPDX-License-Identifier: MIT */
/*
 * rmap.h - from a page to every PTE that maps it.
 */
#ifndef KERNEL_MM_RMAP_H
#define KERNEL_MM_RMAP_H

#include "kernel/mm/dirty_policy.h"
#include "kernel/mm/mapping.h"

/*
 * Clean every shared mapping of @pages, on all CPUs: W and D go (or D only where the policy said
 * clear-D). One walk per area over the range the list spans, one shootdown for all, acknowledged on
 * return (rules 22-24, 36, 49). For each page whose PTE had D sets PG_d_seen. Returns the number of
 * PTEs changed. All pages locked, ascending. The caller holds i_mmap_rwsem for read, and until it
 * has taken PG_d_seen. May sleep; cannot fail; allocates nothing.
 */
u64 mapping_mkclean(struct address_space *mapping, struct page_list *pages);

/* One page, W and D whatever the policy says; true if a PTE of it had D (PG_d_seen is set). For
 * truncate's straddling page, and for tests. */
bool page_mkclean(struct page *page);

#endif
