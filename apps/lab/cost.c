/* SPDX-License-Identifier: MIT */
/*
 * cost.c - counters, work and errors of one experiment.
 *
 * Key fact: what only looks (stat, the count of a file's dirty pages) happens while the counters
 *        are off, for looking at times may itself ask the PTEs.
 */
#include "apps/lab/cost.h"

#include <stdlib.h>
#include <sys/mman.h>

struct cost *cost_begin(const char *workload, const char *policy, double p)
{
	struct cost *c = calloc(1, sizeof(*c));

	if (!c) {
		lab_trouble("%s: no memory", workload);
		return NULL;
	}
	c->workload = workload;
	c->policy = policy;
	c->p = p;
	c->pages = lab_options.pages;
	c->rounds = lab_options.rounds;
	db_memory_reset_peak();
	return c;
}

void cost_on(struct cost *c)
{
	db_stats_read(&c->last);
}

void cost_off(struct cost *c)
{
	struct db_stats now;
	int n;

	db_stats_read(&now);
	for (n = 0; n < db_nr_stats(); n++)
		c->sum[n] += now.v[n] - c->last.v[n];
}

void cost_extra(struct cost *c, const char *name, uint64_t value)
{
	if (c->nr_extras == COST_MAX_EXTRAS)
		return;
	c->extra[c->nr_extras].name = name;
	c->extra[c->nr_extras++].value = value;
}

void cost_sample_dirty(struct cost *c, const struct lab_file *f, size_t stored)
{
	struct db_dirty d;
	uint64_t counted, error;

	if (db_dirty_fd(f->fd, &d))
		return;
	counted = d.dirty + d.maybe;
	error = counted > stored ? counted - stored : stored - counted;
	if (error > c->nr_dirty_error)
		c->nr_dirty_error = error;
	if (d.maybe > c->maybe_peak)
		c->maybe_peak = d.maybe;
	if (d.truly > d.dirty && d.truly - d.dirty > c->hidden_peak)
		c->hidden_peak = d.truly - d.dirty;
}

void cost_sample_mtime(struct cost *c, const struct lab_file *f, size_t page)
{
	int64_t before;

	/* Twice: it is the second store, which may have been silent, that is forgotten. */
	*lab_word(f, page, 1) = 1;
	lab_mtime(f);
	before = lab_now();
	*lab_word(f, page, 1) = 2;
	if (lab_msync(f, MS_SYNC))
		lab_trouble("msync of %s failed", f->path);
	c->mtime_error = before - lab_mtime(f);
}

uint64_t cost_of(const struct cost *c, const char *counter)
{
	int n = db_stat_find(counter);

	return n < 0 ? 0 : c->sum[n];
}

/* What the instructions do not show, in cycles of a common machine. */
uint64_t cost_weighted(const struct cost *c)
{
	return c->store_work + c->sync_work + 1050 * cost_of(c, "faults") +
	       1300 * cost_of(c, "tlb_icr_writes") + 2000 * cost_of(c, "tlb_ipis_received") +
	       2400 * cost_of(c, "virtio_kicks") + 120 * cost_of(c, "tlb_invlpgs") +
	       300 * cost_of(c, "tlb_cr3_loads");
}

static uint64_t share(uint64_t a, uint64_t b)
{
	return b ? (a + b / 2) / b : 0;
}

uint64_t cost_per_store(const struct cost *c)
{
	return share(c->store_work, c->stores);
}

uint64_t cost_per_page(const struct cost *c)
{
	return share(c->sync_work, c->pages_stored);
}

uint64_t cost_false_dirty(const struct cost *c)
{
	uint64_t written = cost_of(c, "pages_written");

	return written > c->pages_stored ? written - c->pages_stored : 0;
}

uint64_t cost_requests(const struct cost *c)
{
	return cost_of(c, "bio_reads") + cost_of(c, "bio_writes") + cost_of(c, "bio_flushes");
}

void cost_end(struct cost *c)
{
	report_cost(c);
	if (c->latency)
		report_latency(c);
	free(c->latency);
	free(c);
}
