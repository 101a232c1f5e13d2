/* SPDX-License-Identifier: MIT */
/*
 * workload_hot.c - stores that never stop: hot pages under a sync, and a real-time thread beside
 * the I/O of others.
 *
 * Each store is timed by itself, so that one that faulted, or waited, is seen among millions that
 * did not.
 */
#include "apps/lab/cost.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct storer {
	const struct lab_file *file;
	struct db_thread *thread;
	unsigned int number;
	uint64_t gap; /* ticks from one store to the next */
	size_t pages;
	volatile bool warm;
	volatile bool *go, *stop;
	struct latency latency;
};

static void store_timed(struct storer *s, size_t page, uint64_t value)
{
	uint64_t start = db_cycles();

	*lab_word(s->file, page, s->number) = value;
	latency_note(&s->latency, db_cycles() - start);
}

static void wait_gap(const struct storer *s)
{
	uint64_t until = db_cycles() + s->gap;

	while (s->gap && db_cycles() < until)
		lab_pause();
}

/* First store to every page, then wait for the start, then until the end. */
static int store_for_ever(void *arg)
{
	struct storer *s = arg;
	uint64_t value = 0;
	size_t page;

	for (page = 0; page < s->pages; page++)
		*lab_word(s->file, page, s->number) = ++value;
	s->warm = true;
	while (!*s->go && !*s->stop)
		usleep(100);
	while (!*s->stop) {
		for (page = 0; page < s->pages && !*s->stop; page++) {
			store_timed(s, page, ++value);
			wait_gap(s);
		}
		/* Two processors below, and another thread may need this one. */
		usleep(20);
	}
	return 0;
}

static struct storer *storer_start(const struct lab_file *f, int cpu, size_t pages, uint64_t gap,
				   volatile bool *go, volatile bool *stop)
{
	struct storer *s = calloc(1, sizeof(*s));

	if (!s) {
		lab_trouble("no memory for a thread's latencies");
		return NULL;
	}
	s->file = f;
	s->number = (unsigned int)cpu + 1;
	s->pages = pages;
	s->gap = gap;
	s->go = go;
	s->stop = stop;
	s->thread = db_thread_start(cpu, store_for_ever, s);
	if (s->thread) {
		while (!s->warm)
			usleep(100);
		return s;
	}
	lab_trouble("no thread on CPU %d: %s", cpu, strerror(errno));
	free(s);
	return NULL;
}

/* Its stores are over; the latencies go into @c. */
static void storer_end(struct storer *s, struct cost *c)
{
	if (!s)
		return;
	db_thread_join(s->thread);
	latency_add(c->latency, &s->latency);
	c->stores += s->latency.count;
	free(s);
}

static struct cost *begin_with_latency(const char *name, const char *policy, struct lab_file *f,
				       size_t pages)
{
	struct cost *c = cost_begin(name, policy, 1);
	struct latency *l = calloc(1, sizeof(*l));

	if (c && l && lab_open(f, lab_dir, "lab.dat", pages, LAB_FILLED)) {
		c->pages = pages;
		c->latency = l;
		c->latency_of = "store";
		return c;
	}
	free(c);
	free(l);
	return NULL;
}

static void sync_once(struct cost *c, const struct lab_file *f)
{
	uint64_t start = lab_work();

	if (lab_msync(f, MS_SYNC))
		lab_trouble("msync of %s failed", f->path);
	c->sync_work += lab_work() - start;
	c->syncs++;
}

#define HOT_PAGES 64

void workload_hot(const char *policy, double x)
{
	struct storer *storers[LAB_MAX_CPUS] = { NULL };
	int first = lab_options.cpus > 1, cpu, round;
	volatile bool go = false, stop = false;
	struct lab_file f;
	struct cost *c = begin_with_latency("hot", policy, &f, HOT_PAGES);

	if (!c)
		return;
	for (cpu = first; cpu < lab_options.cpus && cpu < LAB_MAX_CPUS; cpu++)
		storers[cpu] = storer_start(&f, cpu, HOT_PAGES, 0, &go, &stop);
	lab_warm_up(&f);
	cost_on(c);
	go = true;
	for (round = 0; round < 4 * lab_options.rounds; round++) {
		usleep(1000);
		sync_once(c, &f);
		db_writeback_kick(f.fd);
	}
	stop = true;
	for (cpu = first; cpu < lab_options.cpus && cpu < LAB_MAX_CPUS; cpu++)
		storer_end(storers[cpu], c);
	cost_off(c);
	/* Each of them was dirty again at each sync. */
	c->pages_stored = cost_of(c, "pages_written");
	cost_sample_mtime(c, &f, 0);
	lab_close(&f);
	cost_end(c);
}

/* --- rt --- */

#define RT_PAGES 16
#define FOREIGN	 32 /* pages of somebody else's file, per round */
#define RT_GAP	 20000

static bool foreign_io(int fd, int round)
{
	static char page[LAB_PAGE];
	int n;

	memset(page, round, sizeof(page));
	for (n = 0; n < FOREIGN; n++) {
		if (pwrite(fd, page, LAB_PAGE, (off_t)n * LAB_PAGE) != LAB_PAGE)
			return false;
	}
	return !fsync(fd);
}

void workload_rt(const char *policy, double x)
{
	volatile bool go = false, stop = false;
	int cpu = lab_options.cpus - 1, round;
	struct lab_file f, foreign;
	struct storer *s;
	struct cost *c = begin_with_latency("rt", policy, &f, RT_PAGES);

	if (!c)
		return;
	if (!lab_open(&foreign, lab_dir, "lab.foreign", FOREIGN, LAB_FILLED)) {
		lab_close(&f);
		free(c->latency);
		free(c);
		return;
	}
	if (mlock(f.map, RT_PAGES * LAB_PAGE))
		lab_trouble("mlock: %s", strerror(errno));
	s = storer_start(&f, cpu, RT_PAGES, cpu ? RT_GAP : 0, &go, &stop);
	lab_warm_up(&f);
	cost_on(c);
	go = true;
	for (round = 0; round < 4 * lab_options.rounds && s; round++) {
		if (!foreign_io(foreign.fd, round))
			lab_trouble("%s: %s", foreign.path, strerror(errno));
		sync_once(c, &f);
		db_writeback_kick(f.fd);
		usleep(1000);
	}
	stop = true;
	storer_end(s, c);
	cost_off(c);
	c->pages_stored = cost_of(c, "pages_written");
	lab_close(&foreign);
	lab_close(&f);
	cost_end(c);
}
