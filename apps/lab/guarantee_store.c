/* SPDX-License-Identifier: MIT */
/*
 * guarantee_store.c - no store is lost: threads in several address spaces store numbers that only
 * grow; what was over before a sync began must be on the disk when it has ended.
 *
 * Each thread has a slot of its own in every page. It stores n, then says so in done[]; who syncs
 * reads done[] first. A slot of the disk below that is a lost store. The disk is read past all
 * caches; what it holds beyond is younger, and no matter.
 */
#include "apps/lab/verdict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES	 32
#define SPACES	 2 /* beside the program's own */
#define MAX_HERE 8 /* threads */

struct storm {
	struct lab_file file;
	int nr;		/* threads, slots of a page */
	uint64_t *done; /* [page * nr + thread] */
	volatile bool stop;
	int (*sync)(struct storm *s);
};

struct thrower {
	struct storm *storm;
	int number, cpu;
	struct db_space *space; /* NULL: the program's own */
	struct db_thread *thread;
	char *map;
	uint64_t seed, value;
};

static void throw_one(struct thrower *t, size_t page)
{
	uint64_t value = ++t->value;
	size_t slot = page * (size_t)t->storm->nr + (size_t)t->number;

	((volatile uint64_t *)(t->map + page * LAB_PAGE))[t->number] = value;
	__atomic_store_n(&t->storm->done[slot], value, __ATOMIC_SEQ_CST);
}

static int throw_on(void *arg)
{
	struct thrower *t = arg;
	int n;

	t->map = t->space ? lab_map(&t->storm->file) : t->storm->file.map;
	while (t->map && !t->storm->stop) {
		for (n = 0; n < 16; n++)
			throw_one(t, lab_random(&t->seed) % PAGES);
		usleep(100);
	}
	return 0;
}

static int throw_in_space(void *arg)
{
	struct thrower *t = arg;

	return db_space_run(t->space, throw_on, t);
}

static bool throwers_start(struct storm *s, struct thrower *t)
{
	int n;

	for (n = 0; n < s->nr; n++) {
		t[n] = (struct thrower){ .storm = s, .number = n };
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

static void throwers_end(struct storm *s, struct thrower *t)
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

static void judge(struct verdict *v, struct storm *s, const uint64_t *over)
{
	static uint64_t page[LAB_PAGE / 8];
	size_t p;
	int n;

	for (p = 0; p < PAGES; p++) {
		if (db_disk_read(s->file.fd, p * LAB_PAGE, page, LAB_PAGE) != LAB_PAGE) {
			lab_trouble("reading the disk: %s", strerror(errno));
			return;
		}
		for (n = 0; n < s->nr; n++) {
			uint64_t want = over[p * (size_t)s->nr + (size_t)n];

			verdict_case(v, page[n] >= want,
				     "page %zu, thread %d: store %llu was over, the disk has %llu",
				     p, n, (unsigned long long)want, (unsigned long long)page[n]);
		}
	}
}

static void sync_and_judge(struct verdict *v, struct storm *s, uint64_t *over)
{
	size_t i, slots = (size_t)s->nr * PAGES;
	int err;

	for (i = 0; i < slots; i++)
		over[i] = __atomic_load_n(&s->done[i], __ATOMIC_SEQ_CST);
	err = s->sync(s);
	if (err)
		lab_trouble("the sync: %s", strerror(err));
	judge(v, s, over);
}

static void storm(struct verdict *v, int (*sync)(struct storm *s))
{
	struct storm s = { .sync = sync, .nr = SPACES + 1 + lab_options.cpus };
	struct thrower t[MAX_HERE];
	uint64_t *over;
	int round;

	if (s.nr > MAX_HERE)
		s.nr = MAX_HERE;
	s.done = calloc((size_t)s.nr * PAGES, sizeof(*s.done));
	over = calloc((size_t)s.nr * PAGES, sizeof(*over));
	memset(t, 0, sizeof(t));
	if (s.done && over && lab_open(&s.file, lab_dir, "lab.dat", PAGES, LAB_FILLED)) {
		if (throwers_start(&s, t)) {
			for (round = 0; round < 2 * lab_options.rounds; round++) {
				usleep(2000);
				sync_and_judge(v, &s, over);
			}
		}
		throwers_end(&s, t);
		sync_and_judge(v, &s, over);
		lab_close(&s.file);
	}
	free(s.done);
	free(over);
}

static int sync_by_msync(struct storm *s)
{
	return lab_msync(&s->file, MS_SYNC);
}

static int sync_by_fsync(struct storm *s)
{
	return fsync(s->file.fd) ? errno : 0;
}

static void check_quiet(struct verdict *v, struct storm *s, uint64_t round, const char *how)
{
	size_t p;
	int err = s->sync(s);

	if (err)
		lab_trouble("the sync: %s", strerror(err));
	for (p = 0; p < PAGES; p++)
		verdict_case(v, lab_disk_word(&s->file, p, 0) == round,
			     "page %zu: store %llu, %s, then the sync: not on the disk", p,
			     (unsigned long long)round, how);
}

/* One thread, no hurry: each store after the first is one that may have been silent, and nobody
 * else's store covers for one that was forgotten. */
static void quiet(struct verdict *v, int (*sync)(struct storm *s))
{
	struct storm s = { .sync = sync };
	uint64_t round;
	size_t p;

	if (!lab_open(&s.file, lab_dir, "lab.dat", PAGES, LAB_FILLED))
		return;
	for (round = 1; round <= 8 && s.file.map; round++) {
		bool unmap = round % 2 == 0;

		for (p = 0; p < PAGES; p++)
			*lab_word(&s.file, p, 0) = round;
		/* What only the PTE knows must not go with the PTE. */
		if (unmap) {
			munmap(s.file.map, PAGES * LAB_PAGE);
			s.file.map = lab_map(&s.file);
		}
		if (s.file.map)
			check_quiet(v, &s, round, unmap ? "munmap" : "nothing else");
	}
	lab_close(&s.file);
}

void try_no_lost_store(struct verdict *v)
{
	storm(v, sync_by_msync);
	quiet(v, sync_by_msync);
}

void try_fsync_complete(struct verdict *v)
{
	storm(v, sync_by_fsync);
	quiet(v, sync_by_fsync);
}
