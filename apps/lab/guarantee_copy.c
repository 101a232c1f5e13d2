/* SPDX-License-Identifier: MIT */
/*
 * guarantee_copy.c - write() and read() whose buffer is a mapping of the very page, or of a file
 * that is written from a mapping of ours at the same time, end and move the right bytes (P16).
 *
 * A kernel that copied with a page locked would wait for itself, or two of them for each other. No
 * clock decides: a limit here only tells "late" from "never".
 */
#include "apps/lab/verdict.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES	 16
#define ROUNDS	 64
#define LIMIT	 8 /* pages of each file that may be dirty: copies are throttled as well */
#define PATIENCE 20000000000ll

struct copier {
	const struct lab_file *to, *from; /* of which the buffer is a mapping */
	bool same;			  /* the buffer is the very place that is written */
	volatile int rounds;
	volatile bool done;
	int bad; /* calls that moved too little */
};

/* It outlives a test that gives up: then a thread is stuck in the middle of it. */
static struct {
	struct lab_file a, b;
	struct copier copiers[2];
} scene;

/* Word @w of page @page in both files, always. */
static uint64_t word_of(size_t page, size_t w)
{
	return page * 4096 + w + 1;
}

static void fill(const struct lab_file *f)
{
	size_t page, w;

	for (page = 0; page < PAGES; page++)
		for (w = 0; w < LAB_PAGE / 8; w++)
			*lab_word(f, page, (unsigned int)w) = word_of(page, w);
}

/* Write from the mapping and read into it: what is there already. A length that ends in the middle
 * of a page, or starts there. */
static int copy(void *arg)
{
	struct copier *c = arg;

	for (c->rounds = 0; c->rounds < ROUNDS; c->rounds++) {
		size_t at = (size_t)c->rounds % PAGES * LAB_PAGE + (c->rounds % 3 ? 0 : 1000);
		size_t len = c->same ? 3000 : PAGES * LAB_PAGE - at;

		c->bad += pwrite(c->to->fd, c->from->map + at, len, (off_t)at) != (ssize_t)len;
		c->bad += pread(c->to->fd, c->from->map + at, len, (off_t)at) != (ssize_t)len;
	}
	c->done = true;
	return 0;
}

/* False: for a long time none of them made progress. */
static bool run_both(void)
{
	struct copier *c = scene.copiers;
	struct db_thread *threads[2];
	int64_t until = 0;
	int n, rounds = -1;

	for (n = 0; n < 2; n++) {
		c[n].rounds = 0;
		c[n].done = false;
		threads[n] = db_thread_start(n % lab_options.cpus, copy, &c[n]);
		if (!threads[n])
			c[n].done = true;
	}
	do {
		if (c[0].rounds + c[1].rounds != rounds) {
			rounds = c[0].rounds + c[1].rounds;
			until = lab_now() + PATIENCE;
		}
		usleep(1000);
	} while (!(c[0].done && c[1].done) && lab_now() < until);
	if (!c[0].done || !c[1].done)
		return false;
	for (n = 0; n < 2; n++)
		if (threads[n])
			db_thread_join(threads[n]);
	return true;
}

static unsigned int wrong_words(const struct lab_file *f, bool on_disk)
{
	unsigned int wrong = 0;
	size_t page, w;

	for (page = 0; page < PAGES; page++) {
		for (w = 0; w < LAB_PAGE / 8; w += on_disk ? 100 : 1) {
			uint64_t is = on_disk ? lab_disk_word(f, page, (unsigned int)w) :
						*lab_word(f, page, (unsigned int)w);

			wrong += is != word_of(page, w);
		}
	}
	return wrong;
}

static void check(struct verdict *v, const struct lab_file *f)
{
	unsigned int wrong = wrong_words(f, false);

	verdict_case(v, !wrong, "%u words of a file are not what was written", wrong);
	fsync(f->fd);
	lab_msync(f, MS_SYNC);
	wrong = wrong_words(f, true);
	verdict_case(v, !wrong, "%u words on the disk are not what was written", wrong);
}

/* False: it did not end, and the files are still in use. */
static bool copy_between(struct verdict *v, const struct lab_file *a, const struct lab_file *b)
{
	struct copier *c = scene.copiers;

	c[0] = (struct copier){ .to = a, .from = b, .same = a == b };
	c[1] = (struct copier){ .to = b, .from = a, .same = a == b };
	if (!verdict_case(v, run_both(), "write() or read() %s did not end in 20 s",
			  a == b ? "with the page itself for a buffer" : "of two files crosswise"))
		return false;
	verdict_case(v, !(c[0].bad + c[1].bad), "%d calls moved less than asked for",
		     c[0].bad + c[1].bad);
	check(v, a);
	check(v, b);
	return true;
}

void try_copies_end(struct verdict *v)
{
	struct lab_file *a = &scene.a, *b = &scene.b;

	if (!lab_open(a, lab_dir, "lab.dat", PAGES, LAB_FILLED))
		return;
	if (lab_open(b, lab_dir, "lab2.dat", PAGES, LAB_FILLED)) {
		fill(a);
		fill(b);
		db_file_dirty_limit(a->fd, LIMIT);
		db_file_dirty_limit(b->fd, LIMIT);
		if (!copy_between(v, a, a) || !copy_between(v, a, b))
			return;
		lab_close(b);
	}
	lab_close(a);
}
