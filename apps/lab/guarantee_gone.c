/* SPDX-License-Identifier: MIT */
/*
 * guarantee_gone.c - what was given up is gone, and nothing else: threads in several address spaces
 * store numbers that only grow, while parts of the file are punched out, zeroed, cut off and given
 * back.
 *
 * Each thread has a slot of its own in every page. It reads the epoch, stores n, and says both in
 * done[]. The epoch is odd while a part is being given up. Who gives up reads done[] before: of a
 * slot in that part, no number up to the one that was over may ever be seen again, in memory or on
 * the disk. And a store that began in the epoch that still stands must be there: at once in memory,
 * after a sync on the disk.
 */
#include "apps/lab/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES	 32
#define SPACES	 2 /* beside the program's own */
#define MAX_HERE 8 /* threads */

#define EPOCH_SHIFT 40

struct loss {
	struct lab_file file;
	int nr;		/* threads, slots of a page */
	uint64_t epoch; /* a */
	uint64_t *done; /* a: [page * nr + thread]: epoch and number */
	uint64_t *dead; /* the same: this number and all before it are gone */
	volatile bool stop, pause;
	int paused, ended; /* a: threads */
};

struct thrower {
	struct loss *loss;
	int number;
	struct db_space *space; /* NULL: the program's own */
	struct db_thread *thread;
	uint64_t seed, value;
};

static uint64_t number_of(uint64_t word)
{
	return word & ((1ul << EPOCH_SHIFT) - 1);
}

static void stand_still(struct loss *s)
{
	if (!s->pause)
		return;
	__atomic_add_fetch(&s->paused, 1, __ATOMIC_SEQ_CST);
	while (s->pause)
		usleep(100);
	__atomic_add_fetch(&s->paused, -1, __ATOMIC_SEQ_CST);
}

static int throw_on(void *arg)
{
	struct thrower *t = arg;
	struct loss *s = t->loss;
	char *map = t->space ? lab_map(&s->file) : s->file.map;
	int n;

	while (map && !s->stop) {
		stand_still(s);
		for (n = 0; n < 16; n++) {
			uint64_t epoch = __atomic_load_n(&s->epoch, __ATOMIC_SEQ_CST);
			size_t page = lab_random(&t->seed) % PAGES;
			uint64_t *p = (uint64_t *)(map + page * LAB_PAGE) + t->number;

			/* Refused where the file is cut off just now. */
			if (db_try_store8(p, ++t->value))
				continue;
			__atomic_store_n(&s->done[page * (size_t)s->nr + (size_t)t->number],
					 epoch << EPOCH_SHIFT | t->value, __ATOMIC_SEQ_CST);
		}
		usleep(100);
	}
	__atomic_add_fetch(&s->ended, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int throw_in_space(void *arg)
{
	struct thrower *t = arg;

	return db_space_run(t->space, throw_on, t);
}

static bool throwers_start(struct loss *s, struct thrower *t)
{
	int n;

	for (n = 0; n < s->nr; n++) {
		t[n] = (struct thrower){ .loss = s, .number = n };
		t[n].seed = lab_options.seed + (uint64_t)n + 1;
		t[n].space = n % (SPACES + 1) ? db_space_create() : NULL;
		t[n].thread = db_thread_start(n % lab_options.cpus,
					      t[n].space ? throw_in_space : throw_on, &t[n]);
		if (!t[n].thread) {
			lab_trouble("a thread that stores: %s", strerror(errno));
			return false;
		}
	}
	return true;
}

static void throwers_end(struct loss *s, struct thrower *t)
{
	int n;

	s->stop = true;
	for (n = 0; n < s->nr; n++) {
		if (t[n].thread)
			db_thread_join(t[n].thread);
		if (t[n].space)
			db_space_destroy(t[n].space);
	}
}

/* --- giving up --- */

static const char *const ways[] = { "punched out", "zeroed", "cut off" };

/* Bytes [@start, @end) of the file are given up. */
static int give_up(const struct loss *s, int way, size_t start, size_t end)
{
	off_t from = (off_t)start, len = (off_t)(end - start);

	if (way == 0)
		return fallocate(s->file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, len);
	if (way == 1)
		return fallocate(s->file.fd, FALLOC_FL_ZERO_RANGE, from, len);
	return ftruncate(s->file.fd, from) || ftruncate(s->file.fd, PAGES * LAB_PAGE);
}

static void note_dead(struct loss *s, size_t start, size_t end)
{
	size_t p;
	int n;

	for (p = 0; p < PAGES; p++) {
		for (n = 0; n < s->nr; n++) {
			size_t at = p * LAB_PAGE + (size_t)n * 8, i = p * (size_t)s->nr + (size_t)n;
			uint64_t over;

			if (at < start || at >= end)
				continue;
			over = number_of(__atomic_load_n(&s->done[i], __ATOMIC_SEQ_CST));
			if (over > s->dead[i])
				s->dead[i] = over;
		}
	}
}

/* Some part, of slots as of pages; the slots lie at the beginning of each page. */
static int give_some_up(struct loss *s, uint64_t *seed)
{
	int way = (int)(lab_random(seed) % 3);
	size_t start = lab_random(seed) % PAGES * LAB_PAGE, end;

	if (lab_random(seed) % 2)
		start += lab_random(seed) % (size_t)s->nr * 8;
	end = start + (1 + lab_random(seed) % 12) * LAB_PAGE - lab_random(seed) % 64 / 8 * 8;
	if (end > PAGES * LAB_PAGE || way == 2)
		end = PAGES * LAB_PAGE;
	__atomic_add_fetch(&s->epoch, 1, __ATOMIC_SEQ_CST);
	note_dead(s, start, end);
	if (give_up(s, way, start, end))
		lab_trouble("bytes %zu to %zu were to be %s: %s", start, end, ways[way],
			    strerror(errno));
	__atomic_add_fetch(&s->epoch, 1, __ATOMIC_SEQ_CST);
	return way;
}

/* --- judging --- */

/* @over: what was to be seen of each slot before anybody looked; @pages: what was seen. */
static void judge(struct verdict *v, const struct loss *s, const uint64_t *over,
		  const uint64_t *pages, const char *where, int way)
{
	size_t p;
	int n;

	for (p = 0; p < PAGES; p++) {
		for (n = 0; n < s->nr; n++) {
			size_t i = p * (size_t)s->nr + (size_t)n;
			uint64_t seen = pages[p * LAB_PAGE / 8 + (size_t)n];
			bool owed = over[i] >> EPOCH_SHIFT == s->epoch;

			verdict_case(v, !seen || seen > s->dead[i],
				     "page %zu, thread %d: %llu was %s and came back %s", p, n,
				     (unsigned long long)seen, ways[way], where);
			verdict_case(v, !owed || seen >= number_of(over[i]),
				     "page %zu, thread %d: %llu was stored after others were %s, "
				     "and is not %s, but %llu",
				     p, n, (unsigned long long)number_of(over[i]), ways[way], where,
				     (unsigned long long)seen);
		}
	}
}

static void note_owed(const struct loss *s, uint64_t *over)
{
	size_t i;

	for (i = 0; i < (size_t)s->nr * PAGES; i++)
		over[i] = __atomic_load_n(&s->done[i], __ATOMIC_SEQ_CST);
}

/* While stores go on. */
static void look_at_memory(struct verdict *v, const struct loss *s, uint64_t *over, uint64_t *pages,
			   int way)
{
	size_t p;
	int n;

	note_owed(s, over);
	for (p = 0; p < PAGES; p++)
		for (n = 0; n < s->nr; n++)
			pages[p * LAB_PAGE / 8 + (size_t)n] =
				*lab_word(&s->file, p, (unsigned int)n);
	judge(v, s, over, pages, "in memory", way);
}

/* Nobody stores: a store that came after the sync may have got a block that still holds what its
 * last owner left, and that owner may have been this page. */
static void look_at_disk(struct verdict *v, struct loss *s, uint64_t *over, uint64_t *pages,
			 int way)
{
	int err;

	s->pause = true;
	while (__atomic_load_n(&s->paused, __ATOMIC_SEQ_CST) +
		       __atomic_load_n(&s->ended, __ATOMIC_SEQ_CST) <
	       s->nr)
		usleep(100);
	note_owed(s, over);
	err = lab_msync(&s->file, MS_SYNC);
	if (err)
		lab_trouble("msync: %s", strerror(err));
	if (db_disk_read(s->file.fd, 0, pages, PAGES * LAB_PAGE) != PAGES * LAB_PAGE)
		lab_trouble("reading the disk: %s", strerror(errno));
	else
		judge(v, s, over, pages, "on the disk", way);
	s->pause = false;
	while (__atomic_load_n(&s->paused, __ATOMIC_SEQ_CST))
		usleep(100);
}

void try_gone_is_gone(struct verdict *v)
{
	struct loss s = { .nr = SPACES + 1 + lab_options.cpus };
	uint64_t *over, *pages, seed = lab_options.seed + 77;
	struct thrower t[MAX_HERE];
	int round, way = 0;

	if (s.nr > MAX_HERE)
		s.nr = MAX_HERE;
	s.done = calloc((size_t)s.nr * PAGES, sizeof(*s.done));
	s.dead = calloc((size_t)s.nr * PAGES, sizeof(*s.dead));
	over = calloc((size_t)s.nr * PAGES, sizeof(*over));
	pages = malloc(PAGES * LAB_PAGE);
	memset(t, 0, sizeof(t));
	if (s.done && s.dead && over && pages &&
	    lab_open(&s.file, lab_dir, "lab.dat", PAGES, LAB_FILLED)) {
		for (round = throwers_start(&s, t) ? 0 : -1;
		     round >= 0 && round < 12 * lab_options.rounds; round++) {
			usleep(500);
			way = give_some_up(&s, &seed);
			if (round % 2)
				usleep(500);
			look_at_memory(v, &s, over, pages, way);
			if (round % 4 == 3)
				look_at_disk(v, &s, over, pages, way);
		}
		throwers_end(&s, t);
		look_at_disk(v, &s, over, pages, way);
		lab_close(&s.file);
	}
	free(s.done);
	free(s.dead);
	free(over);
	free(pages);
}
