/* SPDX-License-Identifier: MIT */
/*
 * cost.h - what an experiment cost: counters, work, latencies; and how it is told.
 */
#ifndef APPS_LAB_COST_H
#define APPS_LAB_COST_H

#include "apps/lab/lab.h"

/* Logarithmic: each power of two in 16 parts, so that a bound is at most 7 % off. */
#define LATENCY_BUCKETS 976

struct latency {
	uint64_t bucket[LATENCY_BUCKETS];
	uint64_t count, max;
};

void latency_note(struct latency *l, uint64_t ticks);
void latency_add(struct latency *to, const struct latency *from);
/* Upper bound of the bucket in which the given share (0.99) of all lies; 0 if there are none. */
uint64_t latency_share(const struct latency *l, double share);
uint64_t latency_upper(unsigned int bucket);

#define COST_MAX_EXTRAS 8

struct cost {
	const char *workload, *policy;
	double p;
	size_t pages;
	int rounds;
	uint64_t sum[DB_MAX_STATS]; /* counters, while it was on */
	struct db_stats last;
	uint64_t stores, store_work; /* stores of 8 bytes, and ticks of work for them */
	uint64_t syncs, sync_work;
	uint64_t pages_stored; /* distinct pages per round, summed: what had to be written */
	uint64_t hidden_peak;  /* pages stored to that no count knew of */
	uint64_t maybe_peak;
	uint64_t nr_dirty_error; /* largest |counted - stored to| */
	int64_t mtime_error;	 /* ns from st_mtime back to the last store; > 0: too old */
	struct latency *latency; /* or NULL */
	const char *latency_of;
	struct {
		const char *name;
		uint64_t value;
	} extra[COST_MAX_EXTRAS];
	int nr_extras;
};

/* NULL with trouble. cost_end() tells and frees. */
struct cost *cost_begin(const char *workload, const char *policy, double p);
/* Counters count between these. */
void cost_on(struct cost *c);
void cost_off(struct cost *c);
void cost_extra(struct cost *c, const char *name, uint64_t value);
/* After stores to @stored distinct pages of @f since the last sync, before the next one. */
void cost_sample_dirty(struct cost *c, const struct lab_file *f, size_t stored);
/* Store to @page, msync, stat: how far is st_mtime from that store? Counters are off. */
void cost_sample_mtime(struct cost *c, const struct lab_file *f, size_t page);
uint64_t cost_of(const struct cost *c, const char *counter);
/* Instructions and what they do not show, as one number. */
uint64_t cost_weighted(const struct cost *c);
uint64_t cost_per_store(const struct cost *c);
uint64_t cost_per_page(const struct cost *c); /* of msync, per page that had to be written */
uint64_t cost_false_dirty(const struct cost *c);
uint64_t cost_requests(const struct cost *c);
/* Tell, and free. */
void cost_end(struct cost *c);

/* --- table.c: for people --- */

void table_begin(void);
/* @instructions: that is what a tick of the clock is. */
void table_add(const struct cost *c, bool instructions);
void table_print(void);

/* --- report.c: JSON lines for programs --- */

/* The lines are kept, and printed after the table that they belong to. */
void json(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void json_flush(void);
void report_begin(const char *args);
void report_cost_header(const struct lab_workload *w, double x);
void report_cost(const struct cost *c);
void report_latency(const struct cost *c);
void report_end(void);

#endif
