/* SPDX-License-Identifier: MIT */
/*
 * verdict.h - a guarantee, tried: kept, broken (how often, the first case), or not asked.
 */
#ifndef APPS_LAB_VERDICT_H
#define APPS_LAB_VERDICT_H

#include "apps/lab/lab.h"

struct verdict {
	unsigned int checked, broken;
	char first[160];       /* the first case that broke it */
	const char *not_asked; /* why it could not be tried; NULL: it was */
};

/* One case more; @kept false: it is told by @fmt if it is the first. Returns @kept. */
bool verdict_case(struct verdict *v, bool kept, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static inline bool verdict_kept(const struct verdict *v)
{
	return !v->not_asked && v->checked && !v->broken;
}

/* Named as enum guarantee of the kernel is, in lower case. */
struct lab_guarantee {
	const char *name, *shown;
	void (*try)(struct verdict *v);
};

extern const struct lab_guarantee lab_guarantees[];

/* guarantees.c: "kept", "broken" or "not asked"; a line told below the table that is being made. */
const char *verdict_word(const struct verdict *v);
/* guarantees.c: does @policy's file say that it gives this up? */
bool declared_broken(const char *policy, const char *guarantee);
void verdicts_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* guarantees.c: all that were asked for, for each policy; then the file times. */
void guarantees_run(void);

/* guarantee_<what>.c */
void try_no_lost_store(struct verdict *v);
void try_fsync_complete(struct verdict *v);
void try_sync_ends(struct verdict *v);
void try_age_bounded(struct verdict *v);
void try_nr_dirty_exact(struct verdict *v);
void try_enospc_before(struct verdict *v);
void try_refusal_told(struct verdict *v);
void try_posix_times(struct verdict *v);
void try_cookie(struct verdict *v);
void try_stable_pages(struct verdict *v);
void try_no_hot_fault(struct verdict *v);
void try_throttled(struct verdict *v);
void try_reclaim(struct verdict *v);
void try_gone_is_gone(struct verdict *v);
void try_direct_coherent(struct verdict *v);
void try_protection(struct verdict *v);
/* Not promises of a policy, but of dio=. */
void try_dio_ordered(struct verdict *v);
void try_dio_slots(struct verdict *v);
void try_copies_end(struct verdict *v);
/* Not promises of a policy, but of cmtime=. */
void try_times_monotonic(struct verdict *v);
void try_times_no_move(struct verdict *v);
/* But of wberr=. */
void try_error_told(struct verdict *v);
void try_kept_data(struct verdict *v);
void try_free_count(struct verdict *v);

#endif
