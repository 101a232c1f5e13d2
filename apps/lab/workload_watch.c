/* SPDX-License-Identifier: MIT */
/*
 * workload_watch.c - what others see: an observer that caches by the change cookie, and who stores
 * into holes of a disk that has no room.
 */
#include "apps/lab/cost.h"
#include "apps/lab/verdict.h"
#include "apps/lab/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- observer: as an NFS client does it (P32) --- */

struct writer {
	const struct lab_file *file;
	volatile uint64_t done; /* the last store that is over */
	volatile bool stop;
};

static int write_on(void *arg)
{
	struct writer *w = arg;
	uint64_t value;

	for (value = 1; !w->stop; value++) {
		*lab_word(w->file, 0, 0) = value;
		__atomic_store_n(&w->done, value, __ATOMIC_SEQ_CST);
		usleep(200);
	}
	return 0;
}

static uint64_t cookie(const struct lab_file *f)
{
	struct db_stat st = { 0 };

	if (db_stat_fd(f->fd, &st))
		lab_trouble("stat of %s: %s", f->path, strerror(errno));
	return st.version;
}

/*
 * The cookie is read before the data, so that a copy is at least as new as its cookie. When the
 * cookie is the same later, the copy is trusted; wrongly, if a store that it does not hold was over
 * before the cookie was read.
 */
bool observe(struct observation *o, const struct lab_file *f, const volatile uint64_t *done)
{
	uint64_t over = __atomic_load_n(done, __ATOMIC_SEQ_CST);
	uint64_t now = cookie(f);

	o->looks++;
	if (now != o->cookie || !o->valid) {
		o->cookie = now;
		o->copy = *lab_word(f, 0, 0);
		o->valid = true;
		o->fetches++;
		return true;
	}
	o->trusts++;
	if (o->copy >= over)
		return true;
	o->stale++;
	return false;
}

void workload_observer(const char *policy, double x)
{
	struct cost *c = cost_begin("observer", policy, 1);
	struct writer w = { 0 };
	struct observation o = { 0 };
	struct db_thread *t;
	struct lab_file f;
	uint64_t start;
	int n;

	if (!c || !lab_open(&f, lab_dir, "lab.dat", 16, LAB_FILLED)) {
		free(c);
		return;
	}
	w.file = &f;
	t = db_thread_start(lab_options.cpus - 1, write_on, &w);
	cost_on(c);
	for (n = 0; n < 64 * lab_options.rounds && t; n++) {
		start = lab_work();
		observe(&o, &f, &w.done);
		c->sync_work += lab_work() - start;
		if (n % 16 == 15 && lab_msync(&f, MS_SYNC))
			lab_trouble("msync of %s failed", f.path);
		usleep(100);
	}
	cost_off(c);
	w.stop = true;
	if (t)
		db_thread_join(t);
	c->stores = w.done;
	c->pages = 16;
	c->syncs = o.looks;
	cost_extra(c, "looks", o.looks);
	cost_extra(c, "fetches", o.fetches);
	cost_extra(c, "trusts", o.trusts);
	cost_extra(c, "stale", o.stale);
	cost_sample_mtime(c, &f, 0);
	lab_close(&f);
	cost_end(c);
}

/* --- nearfull --- */

/* Every other page is loaded first, and may become writable by that. */
static void store_into_holes(struct near_full *r, const struct lab_file *f, uint8_t *stored)
{
	uint64_t value;
	size_t p;

	for (p = 0; p < f->pages; p++) {
		if (p % 2 && db_try_load8(f->map + p * LAB_PAGE, &value))
			r->unreadable++;
		stored[p] = !db_try_store8(f->map + p * LAB_PAGE, p + 1);
		if (stored[p])
			r->accepted++;
		else
			r->refused++;
	}
	r->fsync_error = fsync(f->fd) ? errno : 0;
}

bool near_full(struct near_full *r, size_t room, size_t pages, struct cost *c)
{
	uint8_t *stored = calloc(1, pages);
	struct lab_file f;
	size_t p;

	memset(r, 0, sizeof(*r));
	if (!stored || !lab_disk_fill(room)) {
		free(stored);
		return false;
	}
	if (lab_open(&f, lab_disk(), "holes", pages, LAB_HOLES)) {
		if (c)
			cost_on(c);
		store_into_holes(r, &f, stored);
		if (c)
			cost_off(c);
		for (p = 0; p < pages; p++) {
			if (stored[p] && lab_disk_word(&f, p, 0) != p + 1)
				r->lost++;
		}
		lab_close(&f);
		r->done = true;
	}
	lab_disk_unfill();
	free(stored);
	return r->done;
}

void workload_nearfull(const char *policy, double x)
{
	struct cost *c = cost_begin("nearfull", policy, 1);
	struct near_full r;

	if (!c)
		return;
	if (!near_full(&r, 32, 64, c)) {
		free(c);
		return;
	}
	c->pages = 64;
	c->stores = c->pages_stored = r.accepted;
	c->syncs = 1;
	cost_extra(c, "accepted", r.accepted);
	cost_extra(c, "refused", r.refused);
	cost_extra(c, "unreadable", r.unreadable);
	cost_extra(c, "lost", r.lost);
	cost_extra(c, "fsync_errno", (uint64_t)r.fsync_error);
	cost_end(c);
}
