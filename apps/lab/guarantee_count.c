/* SPDX-License-Identifier: MIT */
/*
 * guarantee_count.c - the count of dirty pages is right; a hot page never faults again.
 */
#include "apps/lab/verdict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- nr_dirty_exact --- */

#define COUNT_PAGES 64

static void count_case(struct verdict *v, const struct lab_file *f, size_t stored)
{
	struct db_dirty d;

	if (db_dirty_fd(f->fd, &d)) {
		v->not_asked = "this file's dirty pages cannot be counted";
		return;
	}
	verdict_case(v, d.dirty + d.maybe == stored,
		     "%zu pages were stored to, %llu are counted (%llu of them may be dirty)",
		     stored, (unsigned long long)(d.dirty + d.maybe), (unsigned long long)d.maybe);
}

/* Pages that were never stored to, then pages that were cleaned, then after each store of some. */
void try_nr_dirty_exact(struct verdict *v)
{
	uint64_t seed = lab_options.seed;
	struct lab_file f;
	size_t p, stored;
	int round;

	if (!lab_open(&f, lab_dir, "lab.dat", COUNT_PAGES, LAB_FILLED))
		return;
	for (p = 0; p < COUNT_PAGES; p++)
		(void)*lab_word(&f, p, 0);
	count_case(v, &f, 0);
	lab_warm_up(&f);
	for (round = 0; round < 3; round++) {
		count_case(v, &f, 0);
		p = lab_random(&seed) % COUNT_PAGES;
		for (stored = 1; stored <= 8; stored++) {
			/* 23 and 64 have no common divisor: no page twice. */
			p = (p + 23) % COUNT_PAGES;
			*lab_word(&f, p, 0) = 100;
			count_case(v, &f, stored);
		}
		if (lab_msync(&f, MS_SYNC))
			lab_trouble("msync of %s failed", f.path);
	}
	lab_close(&f);
}

/* --- no_hot_fault --- */

#define HOT_PAGES 16

static uint64_t store_all(const struct lab_file *f, uint64_t value)
{
	uint64_t before = db_stat_read("faults");
	size_t p;

	for (p = 0; p < HOT_PAGES; p++)
		*lab_word(f, p, 0) = value;
	return db_stat_read("faults") - before;
}

/* Stores with a sync after each, then with a second one in between that finds the pages at rest:
 * who takes the permission away, then or ever, makes the next store fault. */
void try_no_hot_fault(struct verdict *v)
{
	struct lab_file f;
	uint64_t round, faults;

	if (!lab_open(&f, lab_dir, "lab.dat", HOT_PAGES, LAB_FILLED))
		return;
	if (mlock(f.map, HOT_PAGES * LAB_PAGE))
		lab_trouble("mlock: %s", strerror(errno));
	store_all(&f, 1);
	for (round = 2; round < 10; round++) {
		if (lab_msync(&f, MS_SYNC) || (round > 5 && lab_msync(&f, MS_SYNC)))
			lab_trouble("msync of %s failed", f.path);
		faults = store_all(&f, round);
		verdict_case(v, !faults, "%llu of %d hot pages faulted after a sync%s",
			     (unsigned long long)faults, HOT_PAGES,
			     round > 5 ? " that found them at rest" : "");
	}
	lab_close(&f);
}
