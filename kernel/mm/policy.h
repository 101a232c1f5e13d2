/* SPDX-License-Identifier: MIT */
/*
 * policy.h - which policy answers for a mapping. The policies themselves see only dirty_policy.h.
 */
#ifndef KERNEL_MM_POLICY_H
#define KERNEL_MM_POLICY_H

#include "kernel/mm/dirty_policy.h"
#include "kernel/mm/mapping.h"

extern const struct dirty_policy *global_policy; /* policy.c: argument policy= */

/* Never NULL. Any context. */
static inline const struct dirty_policy *mapping_policy(const struct address_space *mapping)
{
	const struct dirty_policy *own = READ_ONCE(mapping->policy);

	return own ? own : READ_ONCE(global_policy);
}

static inline struct policy_page policy_page_of(const struct page *page)
{
	return (struct policy_page){ .file = page->mapping->ino,
				     .index = page->index,
				     .dirty = page->dirty == PAGE_DIRTY };
}

/* By name; NULL if there is none. */
const struct dirty_policy *policy_find(const char *name);
/* Iterate: NULL starts, NULL ends. */
const struct dirty_policy *policy_next(const struct dirty_policy *p);
/* Choose the global one at run time; -EINVAL names what there is. Pages already mapped keep what
 * they were granted; their next fault or cleaning asks the new policy. */
int policy_choose(const char *name);

#endif
