/* SPDX-License-Identifier: MIT */
/*
 * guarantee_sync.c - a sync ends although stores go on; a store does not stay in memory for ever;
 * dirty pages stay below the limit.
 *
 * These are about time, and no clock decides: a limit here only tells "late" from "never".
 */
#include "apps/lab/verdict.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECOND 1000000000ll

/* --- sync_ends --- */

struct endless {
	struct lab_file file;
	volatile bool stop, done;
	volatile int syncs;
};

static int store_endlessly(void *arg)
{
	struct endless *e = arg;
	uint64_t value = 0;
	size_t p;

	while (!e->stop) {
		for (p = 0; p < e->file.pages; p++)
			*lab_word(&e->file, p, 2) = ++value;
	}
	return 0;
}

static int sync_sometimes(void *arg)
{
	struct endless *e = arg;
	int n;

	for (n = 0; n < 4; n++) {
		lab_msync(&e->file, MS_SYNC);
		e->syncs++;
		fsync(e->file.fd);
		e->syncs++;
	}
	e->done = true;
	return 0;
}

void try_sync_ends(struct verdict *v)
{
	struct db_thread *threads[LAB_MAX_CPUS] = { NULL }, *syncer;
	int cpu, last = lab_options.cpus > 1 ? lab_options.cpus - 1 : 1;
	struct endless e = { .stop = false };
	int64_t until = 0;
	int syncs = -1;

	if (!lab_open(&e.file, lab_dir, "lab.dat", 64, LAB_FILLED))
		return;
	for (cpu = 0; cpu < last; cpu++)
		threads[cpu] = db_thread_start(cpu, store_endlessly, &e);
	syncer = db_thread_start(lab_options.cpus - 1, sync_sometimes, &e);
	/* The time is each one's: on a slow machine eight take eight times as long as one. */
	do {
		if (e.syncs != syncs) {
			syncs = e.syncs;
			until = lab_now() + 20 * SECOND;
		}
		usleep(2000);
	} while (!e.done && lab_now() < until);
	verdict_case(v, e.done,
		     "%d of 8 syncs ended; for 20 s of stores that go on the next did not", syncs);
	e.stop = true;
	for (cpu = 0; cpu < last; cpu++) {
		if (threads[cpu])
			db_thread_join(threads[cpu]);
	}
	if (syncer)
		db_thread_join(syncer);
	lab_close(&e.file);
}

/* --- age_bounded --- */

static bool reaches_disk(const struct lab_file *f, uint64_t value, int seconds)
{
	int64_t until = lab_now() + seconds * SECOND;

	do {
		if (lab_disk_word(f, 0, 0) == value)
			return true;
		usleep(20000);
	} while (lab_now() < until);
	return lab_disk_word(f, 0, 0) == value;
}

/* Stores 1, 2, 3: the first faults, the others may be silent. Nobody syncs. */
static void wait_for_flusher(struct verdict *v, const struct lab_file *f)
{
	uint64_t value;

	for (value = 1; value <= 3; value++) {
		*lab_word(f, 0, 0) = value;
		/* 2 s are twenty times what was asked for; another 2 s tell slow from never. */
		if (!verdict_case(v, reaches_disk(f, value, 2) || reaches_disk(f, value, 2),
				  "store %llu was not on the disk 4 s later; age and period 50 ms",
				  (unsigned long long)value))
			return;
	}
}

void try_age_bounded(struct verdict *v)
{
	char age[32], period[32];
	struct lab_file f;

	if (db_arg_get("age", age, sizeof(age)) || db_arg_get("period", period, sizeof(period))) {
		v->not_asked = "age= and period= cannot be read";
		return;
	}
	if (!lab_open(&f, lab_dir, "lab.dat", 16, LAB_FILLED))
		return;
	db_arg_set("age", "50");
	db_arg_set("period", "50");
	db_writeback_kick(f.fd); /* it may sleep for the period that was */
	wait_for_flusher(v, &f);
	db_arg_set("age", age);
	db_arg_set("period", period);
	lab_close(&f);
}

/* --- throttled --- */

#define FILE_LIMIT 64

/* Pages beyond the limit: one for each thread that was told that there is room, and has not dirtied
 * its page yet. */
static unsigned int slack(void)
{
	return (unsigned int)lab_options.cpus;
}

struct most {
	uint64_t counted, truly; /* of all files, or of one; stored to and not on the disk */
};

/* Of all files, or only of @f. */
static void look(const struct lab_file *f, bool all, bool closely, struct most *most)
{
	struct db_memory m;
	struct db_dirty d;
	uint64_t now;

	db_memory(&m);
	now = m.dirty;
	if (closely || !all) {
		if (db_dirty_fd(f->fd, &d))
			return;
		if (d.truly > most->truly)
			most->truly = d.truly;
		if (!all)
			now = d.counted;
	}
	if (now > most->counted)
		most->counted = now;
}

/* Twice through a file of three times the limit: the second time, stores may be silent. */
static void store_beyond(struct verdict *v, const struct lab_file *f, uint64_t limit, bool all)
{
	const char *whose = all ? "all files" : "the file";
	int64_t until = lab_now() + 20 * SECOND;
	struct most most = { 0, 0 };
	size_t i;

	for (i = 0; i < 2 * f->pages && lab_now() < until; i++) {
		*lab_word(f, i % f->pages, 0) = i + 1;
		if (i % 8 == 0)
			look(f, all, i % 64 == 0, &most);
	}
	verdict_case(v, i == 2 * f->pages, "a thread that stores made no progress for 20 s");
	verdict_case(v, most.counted <= limit + slack(),
		     "%llu pages counted as dirty, with a limit of %llu for %s (slack %u)",
		     (unsigned long long)most.counted, (unsigned long long)limit, whose, slack());
	verdict_case(v, most.truly <= limit + slack(),
		     "%llu pages were dirty at once, with a limit of %llu for %s (slack %u)",
		     (unsigned long long)most.truly, (unsigned long long)limit, whose, slack());
}

static void limit_one_file(struct verdict *v)
{
	struct lab_file f;

	if (!lab_open(&f, lab_dir, "lab.dat", 3 * FILE_LIMIT, LAB_FILLED))
		return;
	if (verdict_case(v, !db_file_dirty_limit(f.fd, FILE_LIMIT), "the file takes no limit"))
		store_beyond(v, &f, FILE_LIMIT, false);
	lab_close(&f);
}

void try_throttled(struct verdict *v)
{
	char pages[32], background[32];
	uint64_t limit = 512;
	struct lab_file f;

	if (db_arg_get("dirty_pages", pages, sizeof(pages)) ||
	    db_arg_get("background_pages", background, sizeof(background))) {
		v->not_asked = "dirty_pages= cannot be read";
		return;
	}
	limit_one_file(v);
	if (!lab_open(&f, lab_dir, "lab.dat", 3 * limit, LAB_FILLED))
		return;
	db_arg_set("background_pages", "128");
	db_arg_set("dirty_pages", "512");
	store_beyond(v, &f, limit, true);
	db_arg_set("dirty_pages", pages);
	db_arg_set("background_pages", background);
	lab_close(&f);
}
