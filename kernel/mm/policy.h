/* SPDX-License-Identifier: MIT */
/*
 * policy.h - which policy answers for a mapping. The policies themselves see only dirty_policy.h.
 */
#ifndef KERNEL_MM_POLICY_H
#define KERNEL_MM_POLICY_H

#include "kernel/mm/dirty_policy.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/vm_area.h"

extern const struct dirty_policy *global_policy; /* policy.c: argument policy= */

/* Who answers for a file; for an area, whose own choice (MADV_POLICY) goes first. Never NULL. Any
 * context: a choice that is made meanwhile is seen or not, and either answer is good. */
static inline const struct dirty_policy *mapping_policy(const struct address_space *mapping)
{
	const struct dirty_policy *own = READ_ONCE(mapping->policy);

	return own ? own : READ_ONCE(global_policy);
}

static inline const struct dirty_policy *area_policy(const struct vm_area *vma)
{
	const struct dirty_policy *own = READ_ONCE(vma->policy);

	return own ? own : mapping_policy(vma->mapping);
}

/* Does @policy want stores granted before the file system agreed, and says what that breaks? */
static inline bool policy_grants_first(const struct dirty_policy *policy)
{
	return unlikely(policy->grants_first) && policy->breaks & BREAKS(ENOSPC_BEFORE);
}

/* Did the file's policy promise that a page does not change while the device reads it? */
static inline bool wants_stable_pages(const struct address_space *mapping)
{
	return !(mapping_policy(mapping)->breaks & BREAKS(STABLE_PAGES));
}

/* What a policy is told about a page of a file, as @vma maps it. Page locked. */
static inline struct policy_page policy_page_in(const struct vm_area *vma, const struct page *page)
{
	u32 flags = READ_ONCE(vma->flags);

	return (struct policy_page){
		.file = vma->mapping->ino,
		.history = &vma->mapping->history,
		.index = page->index,
		.dirty = page->dirty == PAGE_DIRTY || test_bit(&page->flags, PG_d_seen),
		.writeback = page_under_io(page),
		.locked = flags & VM_LOCKED,
		.asked = flags & VM_ASKED,
	};
}

/* The same, whatever maps it. */
static inline struct policy_page policy_page_of(const struct page *page)
{
	return (struct policy_page){
		.file = page->mapping->ino,
		.history = &page->mapping->history,
		.index = page->index,
		.dirty = page->dirty == PAGE_DIRTY || test_bit(&page->flags, PG_d_seen),
		.writeback = page_under_io(page),
	};
}

/* By name; NULL if there is none. */
const struct dirty_policy *policy_find(const char *name);
/* Iterate: NULL starts, NULL ends. */
const struct dirty_policy *policy_next(const struct dirty_policy *p);
/* Choose the global one at run time; -EINVAL names what there is. Pages already mapped keep what
 * they were granted; their next fault or cleaning asks the new policy. */
int policy_choose(const char *name);
/* The same for one file, at any time; NULL: the global one again. -EINVAL. */
int policy_choose_file(struct address_space *mapping, const char *name);

/* Numbers for MADV_POLICY: 0 and up in the order of policy_next(). NULL: there are not so many. */
const struct dirty_policy *policy_by_number(unsigned int number);
unsigned int policy_number(const struct dirty_policy *policy);

#endif
