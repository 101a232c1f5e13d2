/* SPDX-License-Identifier: MIT */
/*
 * watch.h - two experiments that a workload counts and a guarantee judges (workload_watch.c).
 */
#ifndef APPS_LAB_WATCH_H
#define APPS_LAB_WATCH_H

#include "apps/lab/lab.h"

/* An observer that keeps a copy of word 0 of page 0 as long as the change cookie stands still. */
struct observation {
	bool valid;
	uint64_t cookie, copy;
	uint64_t looks, fetches, trusts, stale;
};

/* One look. @done: number of the last store that is over; the stores are 1, 2, ... False: it
 * trusted a copy that was stale. */
bool observe(struct observation *o, const struct lab_file *f, const volatile uint64_t *done);

/* Stores to each of @pages holes where only @room blocks are free. */
struct near_full {
	bool done;
	uint64_t accepted, refused; /* stores */
	uint64_t unreadable;	    /* loads that were refused: a hole can always be read */
	uint64_t lost;		    /* accepted, and not on the disk after fsync */
	int fsync_error;
};

/* Two threads store to the same 64 holes, 8 blocks are free. */
struct full_disk {
	unsigned int refused, wrongly_told; /* refusals; those with another signal or address */
	unsigned int lost;		    /* neither refused nor on the disk */
	unsigned int changed;		    /* refused, and in memory */
};

/* guarantee_refusal.c. How often that is to be tried: a policy that says that it breaks @guarantee
 * gets many chances to, and none (0) where one CPU makes them too few. */
int full_disk_rounds(const char *guarantee);
/* guarantee_refusal.c. False: it could not be tried (trouble). */
bool store_to_full_disk(struct full_disk *r);

struct cost;

/* @c counts the stores and the fsync; or NULL. False: it could not be tried (trouble). */
bool near_full(struct near_full *r, size_t room, size_t pages, struct cost *c);

#endif
