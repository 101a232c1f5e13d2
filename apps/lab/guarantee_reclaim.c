/* SPDX-License-Identifier: MIT */
/*
 * guarantee_reclaim.c - a page that left memory comes back with what was stored to it.
 *
 * Threads store numbers that only grow, each to pages of its own, while this one makes room all the
 * time as if memory were wanted. What a thread finds before it stores again must be what it stored
 * last; and in the end all of it must be on the disk.
 */
#include "apps/lab/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES  128
#define ROUNDS 8

struct storm {
	struct lab_file file;
	uint64_t last[PAGES]; /* stored */
	volatile uint64_t differ;
	volatile int running;
};

struct storer {
	struct storm *storm;
	int number;
};

/* Look, then store the next number; a pause now and then, in which the page is not used. */
static int store_and_look(void *arg)
{
	struct storer *t = arg;
	struct storm *s = t->storm;
	int round;
	size_t p;

	for (round = 0; round < ROUNDS; round++) {
		for (p = (size_t)t->number; p < PAGES; p += (size_t)lab_options.cpus) {
			volatile uint64_t *word = lab_word(&s->file, p, (unsigned int)p % 512);

			if (*word != s->last[p])
				__atomic_fetch_add(&s->differ, 1, __ATOMIC_RELAXED);
			if ((p + (size_t)round) % 3)
				*word = ++s->last[p];
		}
		usleep(500);
	}
	__atomic_fetch_sub(&s->running, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static uint64_t make_room(struct storm *s)
{
	uint64_t left = 0;

	do {
		left += db_reclaim(PAGES);
		usleep(5000);
	} while (s->running);
	/* And once more with nobody there: what stays is dirty, and written here. */
	lab_msync(&s->file, MS_SYNC);
	return left + db_reclaim(PAGES) + db_reclaim(PAGES);
}

static void judge(struct verdict *v, const struct storm *s)
{
	size_t p;

	verdict_case(v, !s->differ, "%llu times a page held something else than was stored last",
		     (unsigned long long)s->differ);
	for (p = 0; p < PAGES; p++) {
		unsigned int word = (unsigned int)p % 512;

		verdict_case(v, *lab_word(&s->file, p, word) == s->last[p],
			     "page %zu came back without what was stored", p);
		verdict_case(v, lab_disk_word(&s->file, p, word) == s->last[p],
			     "page %zu left memory, and the disk has something else", p);
	}
}

void try_reclaim(struct verdict *v)
{
	struct db_thread *threads[LAB_MAX_CPUS] = { NULL };
	struct storer storers[LAB_MAX_CPUS];
	struct storm *s = calloc(1, sizeof(*s));
	uint64_t left;
	int n;

	if (!s || !lab_open(&s->file, lab_dir, "lab.dat", PAGES, LAB_FILLED)) {
		free(s);
		return;
	}
	s->running = lab_options.cpus;
	for (n = 0; n < lab_options.cpus; n++) {
		storers[n] = (struct storer){ s, n };
		threads[n] = db_thread_start(n, store_and_look, &storers[n]);
		if (!threads[n])
			__atomic_fetch_sub(&s->running, 1, __ATOMIC_SEQ_CST);
	}
	left = make_room(s);
	for (n = 0; n < lab_options.cpus; n++)
		if (threads[n])
			db_thread_join(threads[n]);
	if (left < PAGES)
		v->not_asked = "hardly a page left memory";
	else
		judge(v, s);
	lab_close(&s->file);
	free(s);
}
