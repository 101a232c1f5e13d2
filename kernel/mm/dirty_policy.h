/* SPDX-License-Identifier: MIT */
/*
 * dirty_policy.h - all that the mechanism asks, and all that a policy may know.
 *
 * How does the kernel learn that a page of a shared file mapping was written, and what does
 * cleaning leave in the PTE? A policy answers these questions in one file of kernel/mm/policy/;
 * it sees no page table, no TLB, no inode. A wrong answer may cost faults, shootdowns or writes; it
 * cannot lose a store: the mechanism accounts for every writable PTE whatever the answer was.
 *
 * Answers are given under the page lock (and pgtable.lock), may not sleep, and may run on several
 * CPUs at once. Rank 0 includes only.
 */
#ifndef KERNEL_MM_DIRTY_POLICY_H
#define KERNEL_MM_DIRTY_POLICY_H

#include "kernel/lib/sections.h"
#include "kernel/lib/types.h"

/* What a policy is told about the page in question. */
struct policy_page {
	u64 file;   /* a number that stands for the file */
	u64 index;  /* in pages */
	bool dirty; /* known dirty already */
};

/* A page of a writable shared mapping is about to be mapped by a read fault. */
enum policy_map {
	POLICY_MAP_READONLY, /* the first store shall fault */
	POLICY_MAP_WRITABLE, /* no notice: the page becomes MAYBE_DIRTY; page_mkwrite runs first */
};

/* A store faulted; the file system agreed. The PTE becomes writable in either case. */
enum policy_grant {
	POLICY_GRANT_DIRTY, /* D set, the page is DIRTY: written once for this fault */
	POLICY_GRANT_CLEAN, /* D clear, MAYBE_DIRTY: only the hardware knows from here on */
};

/* The page is being written out. */
enum policy_clean {
	POLICY_CLEAN_PROTECT, /* take W and D: the next store faults */
	POLICY_CLEAN_CLEAR_D, /* take D only: the page becomes MAYBE_DIRTY, stores stay silent */
};

enum policy_harvest_why { HARVEST_SYNC, HARVEST_PERIODIC, HARVEST_STAT };

struct dirty_policy {
	const char *name;
	const char *summary; /* one line for `policy` in the shell */
	/* NULL: POLICY_MAP_READONLY */
	enum policy_map (*on_read_fault)(const struct policy_page *page);
	/* NULL: POLICY_GRANT_DIRTY */
	enum policy_grant (*on_write_fault)(const struct policy_page *page);
	/* NULL: POLICY_CLEAN_PROTECT */
	enum policy_clean (*how_to_clean)(const struct policy_page *page);
	/* Shall PTEs of MAYBE_DIRTY pages be asked now? HARVEST_SYNC is asked for information only:
	 * the mechanism always harvests then. NULL: yes. */
	bool (*harvest_now)(enum policy_harvest_why why);
	u64 pad[2];
};

#define DIRTY_POLICY(id) REGISTER(policies, struct dirty_policy, dirty_policy_##id)

#endif
