/* SPDX-License-Identifier: MIT */
/*
 * guarantee_times.c - st_mtime and the change cookie tell of stores through a mapping.
 *
 * On the RAM disk, whose inodes know nanoseconds. Each case ends with a look; the stores before it
 * are often ones that nobody was told of: the page was dirty, or writable, already.
 */
#include "apps/lab/verdict.h"
#include "apps/lab/watch.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MS 1000000ll

static bool open_times(struct verdict *v, struct lab_file *f)
{
	const char *dir = lab_disk();

	if (dir && lab_open(f, dir, "times", 16, LAB_FILLED))
		return true;
	v->not_asked = "there is no disk with fine times";
	return false;
}

/* Longer than the grain of any clock that stamps: Linux's, which some modes show, has 4 ms. */
static void let_time_pass(void)
{
	usleep(6000);
}

enum how { BY_STAT, BY_ASYNC, BY_SYNC, BY_FSYNC, BY_UNMAP, NR_HOWS };

static const char *const how_names[] = { "stat", "msync(MS_ASYNC)", "msync(MS_SYNC)", "fsync",
					 "munmap" };

static void settle(struct lab_file *f, enum how how)
{
	int err = 0;

	if (how == BY_ASYNC || how == BY_SYNC)
		err = lab_msync(f, how == BY_SYNC ? MS_SYNC : MS_ASYNC);
	else if (how == BY_FSYNC)
		err = fsync(f->fd) ? errno : 0;
	else if (how == BY_UNMAP)
		err = munmap(f->map, f->pages * LAB_PAGE) ? errno : 0;
	if (err)
		lab_trouble("%s: %s", how_names[how], strerror(err));
	if (how == BY_UNMAP)
		f->map = lab_map(f);
}

/*
 * The window of POSIX: the store, or the next msync at the latest, leaves a mark; it becomes a time
 * when somebody looks. So st_mtime lies between the beginning of the store and the end of the
 * look, whatever happened in between.
 */
static void window(struct verdict *v, struct lab_file *f, enum how how, const char *which)
{
	int64_t before, mtime;

	let_time_pass();
	before = lab_now();
	*lab_word(f, 0, 0) = (uint64_t)before;
	let_time_pass();
	settle(f, how);
	mtime = lab_mtime(f);
	verdict_case(v, mtime >= before, "the %s store, then %s: mtime is %lld us older than it",
		     which, how_names[how], (long long)(before - mtime) / 1000);
	verdict_case(v, mtime <= lab_now(), "the %s store, then %s: mtime is in the future", which,
		     how_names[how]);
}

void try_posix_times(struct verdict *v)
{
	struct lab_file f;
	int how;

	for (how = 0; how < NR_HOWS; how++) {
		if (!open_times(v, &f))
			return;
		window(v, &f, how, "first");
		if (f.map)
			window(v, &f, how, "second");
		if (f.map && !lab_msync(&f, MS_SYNC))
			window(v, &f, how, "cleaned page's");
		if (f.map)
			window(v, &f, how, "last");
		lab_close(&f);
	}
}

/* --- cookie --- */

struct counted {
	const struct lab_file *file;
	volatile uint64_t done;
	volatile bool stop;
};

static int count_up(void *arg)
{
	struct counted *c = arg;
	uint64_t value = c->done;

	while (!c->stop) {
		*lab_word(c->file, 0, 0) = ++value;
		__atomic_store_n(&c->done, value, __ATOMIC_SEQ_CST);
		usleep(300);
	}
	return 0;
}

/* First step by step: store, look, store, look. Then with a thread that stores meanwhile. */
void try_cookie(struct verdict *v)
{
	struct observation o = { .valid = false };
	struct counted c = { .done = 0 };
	struct db_thread *t;
	struct lab_file f;
	int n;

	if (!open_times(v, &f))
		return;
	c.file = &f;
	for (n = 1; n <= 8; n++) {
		*lab_word(&f, 0, 0) = (uint64_t)n;
		c.done = (uint64_t)n;
		verdict_case(v, observe(&o, &f, &c.done),
			     "store %d left the cookie as it was: a copy with %llu was trusted", n,
			     (unsigned long long)o.copy);
		if (n % 3 == 0 && lab_msync(&f, MS_SYNC))
			lab_trouble("msync of %s failed", f.path);
	}
	t = db_thread_start(lab_options.cpus - 1, count_up, &c);
	for (n = 0; n < 64 && t; n++) {
		verdict_case(v, observe(&o, &f, &c.done),
			     "store %llu left the cookie as it was: a copy with %llu was trusted",
			     (unsigned long long)c.done, (unsigned long long)o.copy);
		usleep(200);
	}
	c.stop = true;
	if (t)
		db_thread_join(t);
	lab_close(&f);
}

/* --- of cmtime= only --- */

void try_times_monotonic(struct verdict *v)
{
	uint64_t seed = lab_options.seed;
	struct lab_file f;
	int64_t last, now;
	int n;

	if (!open_times(v, &f))
		return;
	last = lab_mtime(&f);
	for (n = 0; n < 16 && f.map; n++) {
		*lab_word(&f, (size_t)n % f.pages, 0) = (uint64_t)n;
		settle(&f, lab_random(&seed) % NR_HOWS);
		now = lab_mtime(&f);
		verdict_case(v, now >= last, "mtime went back by %lld us",
			     (long long)(last - now) / 1000);
		last = now;
	}
	lab_close(&f);
}

/* Loads, syncs and looks are no modification; nor is a page that became writable. */
void try_times_no_move(struct verdict *v)
{
	struct lab_file f;
	int64_t before;
	size_t p;
	int how;

	if (!open_times(v, &f))
		return;
	*lab_word(&f, 0, 0) = 1;
	if (lab_msync(&f, MS_SYNC))
		lab_trouble("msync of %s failed", f.path);
	/* Who stamps late may do it once more for that store. */
	lab_mtime(&f);
	for (how = 0; how < NR_HOWS && f.map; how++) {
		before = lab_mtime(&f);
		let_time_pass();
		for (p = 0; p < f.pages; p++)
			(void)*lab_word(&f, p, 0);
		settle(&f, how);
		verdict_case(v, lab_mtime(&f) == before,
			     "nothing was stored, and after %s mtime had moved", how_names[how]);
	}
	lab_close(&f);
}
