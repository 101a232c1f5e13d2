/* SPDX-License-Identifier: MIT */
/*
 * workload_redirty.c - rounds of stores, each ended by an msync: redirty, sparse, commit.
 *
 * The pages of a round are drawn before its clock starts. The other CPUs are in the address space
 * while the pages are cleaned.
 */
#include "apps/lab/cost.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void store_round(struct cost *c, const struct lab_file *f, const size_t *list, size_t n,
			uint64_t value)
{
	uint64_t start = lab_work();
	size_t i;

	for (i = 0; i < n; i++)
		*lab_word(f, list[i], 0) = value;
	c->store_work += lab_work() - start;
	c->stores += n;
	c->pages_stored += n;
}

static void sync_round(struct cost *c, const struct lab_file *f, size_t first, size_t pages)
{
	uint64_t start = lab_work(), ticks;

	if (msync(f->map + first * LAB_PAGE, pages * LAB_PAGE, MS_SYNC))
		lab_trouble("msync of %s failed", f->path);
	ticks = lab_work() - start;
	c->sync_work += ticks;
	c->syncs++;
	if (c->latency)
		latency_note(c->latency, ticks);
}

static size_t draw_with(double p, size_t *list, size_t pages, uint64_t *seed)
{
	size_t n = 0, i;

	for (i = 0; i < pages; i++) {
		if ((double)(lab_random(seed) & 0xffffff) < p * 0x1000000)
			list[n++] = i;
	}
	return n;
}

/* A round that does not count. */
static void store_unseen(const struct lab_file *f, const size_t *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		*lab_word(f, list[i], 0) = i;
	if (lab_msync(f, MS_SYNC))
		lab_trouble("msync of %s failed", f->path);
}

static void redirty(const char *name, const char *policy, double p)
{
	uint64_t seed = lab_options.seed;
	size_t pages = lab_options.pages, n;
	size_t *list = malloc(pages * sizeof(*list));
	struct cost *c = cost_begin(name, policy, p);
	struct lab_file f;
	int round;

	if (!list || !c || !lab_open(&f, lab_dir, "lab.dat", pages, LAB_FILLED)) {
		free(c);
		free(list);
		return;
	}
	lab_warm_up(&f);
	for (round = -lab_options.warm; round < lab_options.rounds; round++) {
		n = draw_with(p, list, pages, &seed);
		if (round < 0) {
			store_unseen(&f, list, n);
			continue;
		}
		cost_on(c);
		store_round(c, &f, list, n, 100 + (uint64_t)round);
		cost_off(c);
		cost_sample_dirty(c, &f, n);
		lab_crew_hold();
		cost_on(c);
		sync_round(c, &f, 0, pages);
		cost_off(c);
		lab_crew_let_go();
	}
	cost_sample_mtime(c, &f, 0);
	lab_close(&f);
	free(list);
	cost_end(c);
}

void workload_redirty(const char *policy, double x)
{
	redirty("redirty", policy, x);
}

void workload_sparse(const char *policy, double x)
{
	redirty("sparse", policy, 0.01);
}

/* --- commit: as LMDB with a writable map: few pages anywhere, then durable, for ever --- */

#define COMMIT_PAGES 4

static size_t draw_distinct(size_t *list, size_t pages, uint64_t *seed)
{
	size_t n = 0, i;

	while (n < COMMIT_PAGES) {
		list[n] = lab_random(seed) % pages;
		for (i = 0; i < n && list[i] != list[n]; i++)
			;
		n += i == n;
	}
	return n;
}

void workload_commit(const char *policy, double x)
{
	uint64_t seed = lab_options.seed;
	size_t list[COMMIT_PAGES], n;
	struct cost *c = cost_begin("commit", policy, 1);
	struct lab_file f;
	int commit, commits = 4 * lab_options.rounds;

	if (!c || !lab_open(&f, lab_dir, "lab.dat", lab_options.pages, LAB_FILLED)) {
		free(c);
		return;
	}
	c->latency = calloc(1, sizeof(*c->latency));
	c->latency_of = "commit";
	lab_warm_up(&f);
	lab_crew_hold();
	for (commit = 0; commit < commits; commit++) {
		n = draw_distinct(list, lab_options.pages, &seed);
		cost_on(c);
		store_round(c, &f, list, n, 100 + (uint64_t)commit);
		sync_round(c, &f, 0, lab_options.pages);
		cost_off(c);
	}
	lab_crew_let_go();
	cost_extra(c, "commits", (uint64_t)commits);
	cost_sample_mtime(c, &f, 0);
	lab_close(&f);
	cost_end(c);
}
