/* SPDX-License-Identifier: MIT */
/*
 * guarantee_protection.c - what is protected, moved, dropped or copied while somebody stores to it:
 * no store passes afterwards that should not, and none that passed is lost.
 *
 * One thread stores numbers that only grow to a word of each page, by calls that may be refused,
 * and says in done[] what went through. The other changes the mapping under it.
 */
#include "apps/lab/verdict.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 16
#define BYTES ((size_t)PAGES * LAB_PAGE)
#define RW    (PROT_READ | PROT_WRITE)

struct shifted {
	struct lab_file file;
	char *spare;		    /* as much room elsewhere, nothing in it */
	volatile uint64_t *private; /* one page */
	volatile bool stop;
	volatile unsigned int phase;  /* odd: no store may pass */
	volatile unsigned int passed; /* ... and these did, from begin to end */
	volatile uint64_t done[PAGES], own;
};

static int store_on(void *arg)
{
	struct shifted *s = arg;
	uint64_t value = 0;
	size_t p;

	while (!s->stop) {
		for (p = 0; p < PAGES; p++) {
			unsigned int phase = s->phase;
			uint64_t *word = (uint64_t *)lab_word(&s->file, p, 0);

			if (db_try_store8(word, ++value))
				continue;
			s->done[p] = value;
			if (phase % 2 && phase == s->phase)
				s->passed++;
		}
		*s->private = value;
		s->own = value;
		usleep(50);
	}
	return 0;
}

static void check(struct verdict *v, struct shifted *s, const char *how)
{
	uint64_t over[PAGES], found;
	size_t p;
	int err;

	for (p = 0; p < PAGES; p++)
		over[p] = s->done[p];
	err = lab_msync(&s->file, MS_SYNC);
	if (err)
		lab_trouble("msync: %s", strerror(err));
	for (p = 0; p < PAGES; p++) {
		found = lab_disk_word(&s->file, p, 0);
		verdict_case(v, found >= over[p],
			     "page %zu, %s: store %llu was over, the disk has %llu", p, how,
			     (unsigned long long)over[p], (unsigned long long)found);
	}
}

static void protect(struct verdict *v, struct shifted *s, int prot)
{
	if (mprotect(s->file.map, BYTES, prot))
		lab_trouble("mprotect: %s", strerror(errno));
	s->phase++;
	usleep(1000);
	check(v, s, prot == PROT_NONE ? "mprotect(PROT_NONE)" : "mprotect(PROT_READ)");
	verdict_case(v, !s->passed, "%u stores passed after mprotect() had returned", s->passed);
	s->phase++;
	if (mprotect(s->file.map, BYTES, RW))
		lab_trouble("mprotect: %s", strerror(errno));
	usleep(500);
	check(v, s, "writable again");
}

static void move(struct verdict *v, struct shifted *s)
{
	char *old = s->file.map;
	char *map = mremap(old, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, s->spare);

	if (map == MAP_FAILED) {
		lab_trouble("mremap: %s", strerror(errno));
		return;
	}
	s->spare = mmap(old, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	s->file.map = map;
	check(v, s, "mremap");
}

static void drop(struct verdict *v, struct shifted *s)
{
	if (madvise(s->file.map, BYTES, MADV_DONTNEED))
		lab_trouble("madvise(MADV_DONTNEED): %s", strerror(errno));
	check(v, s, "MADV_DONTNEED");
}

struct look {
	struct shifted *s;
	uint64_t first, second;
};

/* In the child: twice the private word, and a store of its own to the shared file. */
static int look_twice(void *arg)
{
	struct look *look = arg;
	struct shifted *s = look->s;
	uint64_t at = s->own;
	int n;

	look->first = *s->private;
	for (n = 0; n < 1000 && s->own < at + 3 * PAGES; n++)
		usleep(100);
	look->second = *s->private;
	s->private[1] = 1;
	*lab_word(&s->file, 0, 1) = look->first;
	return 0;
}

static void copy(struct verdict *v, struct shifted *s)
{
	struct look look = { .s = s };
	uint64_t before = s->own;
	struct db_space *child = db_space_fork();

	if (!child) {
		lab_trouble("db_space_fork: %s", strerror(errno));
		return;
	}
	db_space_run(child, look_twice, &look);
	db_space_destroy(child);
	verdict_case(v, look.first >= before, "a child began with private store %llu of %llu",
		     (unsigned long long)look.first, (unsigned long long)before);
	verdict_case(v, look.first == look.second,
		     "a child saw private store %llu, and its parent's later %llu",
		     (unsigned long long)look.first, (unsigned long long)look.second);
	verdict_case(v, !s->private[1], "a child's private store is seen by its parent");
	check(v, s, "fork");
	verdict_case(v, lab_disk_word(&s->file, 0, 1) == look.first,
		     "a child's store to the file is not on the disk");
}

static void change_it_under(struct verdict *v, struct shifted *s)
{
	struct db_thread *t = db_thread_start(lab_options.cpus - 1, store_on, s);
	int round;

	if (!t) {
		lab_trouble("a thread that stores: %s", strerror(errno));
		return;
	}
	for (round = 0; round < 2 * lab_options.rounds; round++) {
		usleep(1000);
		protect(v, s, round % 2 ? PROT_NONE : PROT_READ);
		usleep(500);
		move(v, s);
		usleep(500);
		drop(v, s);
		usleep(500);
		copy(v, s);
	}
	s->stop = true;
	db_thread_join(t);
	check(v, s, "all of it");
}

void try_protection(struct verdict *v)
{
	const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
	struct shifted s = { .stop = false };

	if (!lab_open(&s.file, lab_dir, "lab.dat", PAGES, LAB_FILLED))
		return;
	s.spare = mmap(NULL, BYTES, PROT_NONE, anonymous, -1, 0);
	s.private = mmap(NULL, LAB_PAGE, RW, anonymous, -1, 0);
	if (s.spare != MAP_FAILED && s.private != MAP_FAILED)
		change_it_under(v, &s);
	else
		lab_trouble("anonymous memory: %s", strerror(errno));
	munmap(s.spare, BYTES);
	munmap((void *)s.private, LAB_PAGE);
	lab_close(&s.file);
}
