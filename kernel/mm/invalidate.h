/* SPDX-License-Identifier: MIT */
/*
 * invalidate.h - cached pages that stand between a direct I/O and its disk.
 */
#ifndef KERNEL_MM_INVALIDATE_H
#define KERNEL_MM_INVALIDATE_H

#include "kernel/mm/mapping.h"
#include "kernel/mm/page.h"

/*
 * Unmap and drop every cached page of [@first, @last] (pages): clean ones, mapped or not, in all
 * address spaces; private copies stay (rules 11, 108). Nothing that was stored is thrown away.
 *
 * 0: none is left, but for what was faulted in meanwhile. -EBUSY: some stay, the others are gone:
 * dirty (stored to since the caller had them written), or pinned for a device (gup.h). Another
 * error: what a_ops->release_page refused with (P21; no page was dirty or pinned before that one).
 * May sleep; no page lock, i_mmap_rwsem or spinlock held.
 */
int invalidate_mapping_range(struct address_space *mapping, pgoff_t first, pgoff_t last);

/*
 * The same, with what is dirty written and waited for before, also what only PTEs know of (rule
 * 106): no page of the range may be stored to silently afterwards. In addition the error of a write
 * that failed, which stays noted for who syncs the file (B20). Locks as above.
 */
int flush_and_invalidate_range(struct address_space *mapping, pgoff_t first, pgoff_t last);

/*
 * Page @index, referenced, if the cache may hold bytes of it that the disk does not: dirty, stored
 * to silently, or under I/O. Else NULL: then every store that was over before the call is on the
 * disk, whatever is cached or mapped. Costs nobody anything: no PTE is asked.
 */
struct page *find_get_newer_page(struct address_space *mapping, pgoff_t index);

#endif
