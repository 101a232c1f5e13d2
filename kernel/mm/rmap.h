/* SPDX-License-Identifier: MIT */
/*
 * rmap.h - from a page to every PTE that maps it.
 */
#ifndef KERNEL_MM_RMAP_H
#define KERNEL_MM_RMAP_H

#include "kernel/mm/dirty_policy.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/page_dirty.h"

/*
 * Clean every shared mapping of @pages, on all CPUs: W and D go, or what the policy of the area
 * answers for the page. One walk per area over the range the list spans, one shootdown for all,
 * acknowledged on return (rules 22-24, 36, 49). For each page whose PTE had D sets PG_d_seen, and
 * the store is noted for the times; page->left (0 before) says what may still be done through its
 * PTEs. Returns the number of PTEs changed. All pages locked, ascending. The caller holds
 * i_mmap_rwsem for read, and until it has taken PG_d_seen. May sleep; cannot fail; allocates
 * nothing.
 */
u64 mapping_mkclean(struct address_space *mapping, struct page_list *pages, enum clean_how how);

/* One page, W and D whatever the policy says; true if a PTE of it had D (PG_d_seen is set). For
 * truncate's straddling page, and for tests. */
bool page_mkclean(struct page *page);

#endif
