/* SPDX-License-Identifier: MIT */
/*
 * workload_shared.c - one file used in more than one way: in many address spaces, and through
 * mapping and write() at once; and one that grows while it is mapped.
 */
#include "apps/lab/cost.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- append --- */

#define RECORD_WORDS 32 /* 256 bytes */
#define PER_PAGE     (LAB_PAGE / 8 / RECORD_WORDS)

static void append_record(const struct lab_file *f, size_t record)
{
	volatile uint64_t *at = (volatile uint64_t *)f->map + record * RECORD_WORDS;
	unsigned int w;

	for (w = 0; w < RECORD_WORDS; w++)
		at[w] = record + w + 1;
}

/* One page of records: the file grows, then they are stored, then they are made durable. */
static bool append_page(struct cost *c, const struct lab_file *f, size_t page)
{
	uint64_t start = lab_work(), middle;
	size_t r;

	if (ftruncate(f->fd, (off_t)(page + 1) * LAB_PAGE))
		return false;
	for (r = 0; r < PER_PAGE; r++)
		append_record(f, page * PER_PAGE + r);
	middle = lab_work();
	if (msync(f->map + page * LAB_PAGE, LAB_PAGE, MS_SYNC))
		return false;
	c->store_work += middle - start;
	c->sync_work += lab_work() - middle;
	c->stores += PER_PAGE * RECORD_WORDS;
	c->pages_stored++;
	c->syncs++;
	return true;
}

void workload_append(const char *policy, double x)
{
	struct cost *c = cost_begin("append", policy, 1);
	struct lab_file f;
	size_t page, pages = lab_options.pages / 8;

	if (!c || !lab_open(&f, lab_dir, "lab.dat", pages, LAB_HOLES)) {
		free(c);
		return;
	}
	if (ftruncate(f.fd, 0))
		lab_trouble("%s: %s", f.path, strerror(errno));
	lab_crew_hold();
	cost_on(c);
	for (page = 0; page < pages; page++) {
		if (!append_page(c, &f, page)) {
			lab_trouble("%s: %s", f.path, strerror(errno));
			break;
		}
	}
	cost_off(c);
	lab_crew_let_go();
	c->pages = pages;
	cost_sample_mtime(c, &f, 0);
	lab_close(&f);
	cost_end(c);
}

/* --- many --- */

#define MANY_PAGES 64

struct view {
	const struct lab_file *file;
	struct db_space *space;
	char *map;
	uint64_t value;
};

static int view_map(void *arg)
{
	struct view *v = arg;

	v->map = lab_map(v->file);
	return !v->map;
}

static int view_store(void *arg)
{
	struct view *v = arg;
	size_t p;

	for (p = 0; p < v->file->pages; p++)
		*(volatile uint64_t *)(v->map + p * LAB_PAGE) = v->value;
	return 0;
}

static int views_open(struct view *views, int count, const struct lab_file *f)
{
	int n;

	for (n = 0; n < count; n++) {
		views[n] = (struct view){ .file = f, .space = db_space_create() };
		if (!views[n].space || db_space_run(views[n].space, view_map, &views[n])) {
			lab_trouble("address space %d: %s", n, strerror(errno));
			if (views[n].space)
				db_space_destroy(views[n].space);
			break;
		}
	}
	return n;
}

static void many(const char *policy, int count, struct view *views)
{
	struct cost *c = cost_begin("many", policy, 1);
	struct lab_file f;
	int round, n, opened;
	uint64_t start;

	if (!c || !lab_open(&f, lab_dir, "lab.dat", MANY_PAGES, LAB_FILLED)) {
		free(c);
		return;
	}
	/* The program's own space is the first. */
	opened = views_open(views, count - 1, &f);
	for (round = 0; round < 3; round++) {
		if (round)
			cost_on(c);
		for (n = 0; n < opened; n++) {
			views[n].value = (uint64_t)round + 1;
			db_space_run(views[n].space, view_store, &views[n]);
		}
		for (n = 0; n < MANY_PAGES; n++)
			*lab_word(&f, (size_t)n, 0) = (uint64_t)round + 1;
		start = lab_work();
		if (lab_msync(&f, MS_SYNC))
			lab_trouble("msync of %s failed", f.path);
		if (!round)
			continue;
		c->sync_work += lab_work() - start;
		cost_off(c);
		c->syncs++;
		c->pages_stored += MANY_PAGES;
		c->stores += (uint64_t)MANY_PAGES * (uint64_t)(opened + 1);
	}
	while (opened > 0)
		db_space_destroy(views[--opened].space);
	c->pages = MANY_PAGES;
	c->rounds = 2;
	cost_extra(c, "spaces", (uint64_t)count);
	lab_close(&f);
	cost_end(c);
}

void workload_many(const char *policy, double x)
{
	struct view *views = calloc((size_t)x, sizeof(*views));

	if (views)
		many(policy, (int)x, views);
	free(views);
}

/* --- mixed --- */

struct mixed {
	struct lab_file file;
	int direct;	  /* -1: the file system has no direct I/O */
	uint64_t *sector; /* LAB_PAGE bytes, aligned */
	uint64_t lost;	  /* values that somebody wrote and somebody else does not find */
};

static bool mixed_open(struct mixed *m)
{
	if (!lab_open(&m->file, lab_dir, "lab.dat", lab_options.pages, LAB_FILLED))
		return false;
	m->lost = 0;
	m->direct = open(m->file.path, O_RDWR | O_DIRECT);
	m->sector = memalign(LAB_PAGE, LAB_PAGE);
	return true;
}

/* One page is stored to and read directly, the next is written, the third written directly and
 * loaded; the fourth is left. */
static void mix_four(struct cost *c, struct mixed *m, size_t page, uint64_t value)
{
	*lab_word(&m->file, page, 0) = value;
	if (pwrite(m->file.fd, &value, 8, (off_t)(page + 1) * LAB_PAGE) != 8)
		lab_trouble("write to %s: %s", m->file.path, strerror(errno));
	c->stores++;
	c->pages_stored += 2;
	if (m->direct < 0 || !m->sector)
		return;
	if (pread(m->direct, m->sector, LAB_PAGE, (off_t)page * LAB_PAGE) != LAB_PAGE)
		lab_trouble("direct read of %s: %s", m->file.path, strerror(errno));
	m->lost += m->sector[0] != value;
	m->sector[0] = value;
	if (pwrite(m->direct, m->sector, LAB_PAGE, (off_t)(page + 2) * LAB_PAGE) != LAB_PAGE)
		lab_trouble("direct write of %s: %s", m->file.path, strerror(errno));
	m->lost += *lab_word(&m->file, page + 2, 0) != value;
}

static void mixed_round(struct cost *c, struct mixed *m, uint64_t value)
{
	uint64_t start = lab_work(), middle;
	size_t i, pages = m->file.pages;

	cost_on(c);
	for (i = 0; i + 3 < pages; i += 4)
		mix_four(c, m, i, value);
	middle = lab_work();
	if (fsync(m->file.fd))
		lab_trouble("fsync of %s: %s", m->file.path, strerror(errno));
	c->store_work += middle - start;
	c->sync_work += lab_work() - middle;
	c->syncs++;
	cost_off(c);
	for (i = 0; i + 3 < pages; i += 4) {
		m->lost += lab_disk_word(&m->file, i, 0) != value;
		m->lost += lab_disk_word(&m->file, i + 1, 0) != value;
		m->lost += m->direct >= 0 && lab_disk_word(&m->file, i + 2, 0) != value;
	}
}

/* Mapping, write() and direct I/O on one file; then fsync. */
void workload_mixed(const char *policy, double x)
{
	struct cost *c = cost_begin("mixed", policy, 1);
	struct mixed m;
	int round;

	if (!c || !mixed_open(&m)) {
		free(c);
		return;
	}
	lab_warm_up(&m.file);
	for (round = 0; round < lab_options.rounds; round++)
		mixed_round(c, &m, 100 + (uint64_t)round);
	cost_extra(c, "lost", m.lost);
	cost_sample_mtime(c, &m.file, 0);
	if (m.direct >= 0)
		close(m.direct);
	free(m.sector);
	lab_close(&m.file);
	cost_end(c);
}
