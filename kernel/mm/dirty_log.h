/* SPDX-License-Identifier: MIT */
/*
 * dirty_log.h - which pages were stored to since they were cleaned, in the order of their first
 * stores.
 *
 * The image in software of Intel's page-modification log: each CPU has room for DIRTY_LOG_SIZE
 * entries, a write fault of a policy that grants POLICY_GRANT_LOG appends one, and who harvests
 * reads them all. So a sync pays for the pages that were stored to, not for those that are mapped
 * (D.12, T16).
 */
#ifndef KERNEL_MM_DIRTY_LOG_H
#define KERNEL_MM_DIRTY_LOG_H

#include "kernel/mm/mapping.h"

#define DIRTY_LOG_SIZE 512

/*
 * A PTE of @page is about to become writable, with D set. Page locked and MAYBE_DIRTY; it stays
 * locked until the PTE is set. When this CPU's log is full, the mapping gets AS_LOG_LOST instead.
 */
void dirty_log_add(struct page *page);

/*
 * Every entry of @mapping made before the call, by any CPU, becomes TAG_TOWRITE of its page if the
 * page still is MAYBE_DIRTY. So do those of other files: all logs are empty on return, and nobody
 * pays twice. O(entries). No lock of RANK_DIRTY_LOG or below is held.
 */
void dirty_log_drain(struct address_space *mapping);

/* No area maps @mapping, and it is about to go: so do its entries. */
void dirty_log_forget(struct address_space *mapping);

#endif
