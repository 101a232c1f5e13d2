/* SPDX-License-Identifier: MIT */
/*
 * bench.c - what the benches share and what is the same everywhere: costs, files, reports.
 *
 * Not: what differs here and on Linux (system.c, linux/system.c).
 */
#include "bench/bench.h"
#include "bench/system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- costs --- */

/* Ticks that an empty pair of start and stop measures; found at the first use. */
static uint64_t own_ticks;
static bool own_known;

/* The counters are read outside of the two looks at the clock: on Linux they are files. */
static void start(struct bench_cost *c)
{
	system_events(c);
	c->idle = system_idle();
	c->ticks = db_cycles();
}

static void stop(struct bench_cost *c)
{
	struct bench_cost now;

	now.ticks = db_cycles();
	now.idle = system_idle();
	system_events(&now);
	c->idle = now.idle - c->idle;
	c->ticks = now.ticks - c->ticks - c->idle - own_ticks;
	c->faults = now.faults - c->faults;
	c->ipis = now.ipis - c->ipis;
	c->shootdowns = now.shootdowns < 0 ? -1 : now.shootdowns - c->shootdowns;
}

static void learn_own_ticks(void)
{
	uint64_t least = UINT64_MAX;
	struct bench_cost c;
	int i;

	own_known = true;
	for (i = 0; i < 8; i++) {
		start(&c);
		stop(&c);
		if (c.ticks < least)
			least = c.ticks;
	}
	own_ticks = least;
}

void bench_start(struct bench_cost *c)
{
	if (!own_known)
		learn_own_ticks();
	start(c);
}

void bench_stop(struct bench_cost *c)
{
	stop(c);
}

static int by_ticks(const void *a, const void *b)
{
	const struct bench_cost *x = a;
	const struct bench_cost *y = b;

	return (x->ticks > y->ticks) - (x->ticks < y->ticks);
}

void bench_summarize(struct bench_cost *costs, size_t n, size_t each, struct bench_result *r)
{
	double operations = (double)(n * each);
	size_t i;

	*r = (struct bench_result){ 0 };
	for (i = 0; i < n; i++) {
		r->faults += (double)costs[i].faults / operations;
		r->ipis += (double)costs[i].ipis / operations;
		r->shootdowns += (double)costs[i].shootdowns / operations;
	}
	qsort(costs, n, sizeof(*costs), by_ticks);
	r->median = costs[n / 2].ticks / each;
	r->least = costs[0].ticks / each;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

uint64_t bench_median(uint64_t *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

/* --- files --- */

#define REGION (512 * PAGE) /* what one page table maps */

static int complain(const char *what, const char *name)
{
	printf("bench: %s %s: %s\n", what, name, strerror(errno));
	return -1;
}

/* Allocate blocks in order; returns how many pages there was room for. */
static size_t fill(int fd, size_t pages)
{
	static const char zeros[PAGE];
	size_t n;

	for (n = 0; n < pages; n++) {
		if (pwrite(fd, zeros, PAGE, (off_t)(n * PAGE)) != (ssize_t)PAGE)
			break;
	}
	return n;
}

static int map(struct bench_file *f, void *at)
{
	f->map = mmap(at, f->pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	return f->map == MAP_FAILED ? complain("cannot map", f->name) : 0;
}

static int make(struct bench_file *f, const char *name)
{
	const char *dir = getenv("BENCH_DIR");

	if (!dir)
		dir = "/bench";
	if (mkdir(dir, 0755) && errno != EEXIST)
		return complain("cannot make", dir);
	snprintf(f->name, sizeof(f->name), "%s/%s", dir, name);
	f->fd = open(f->name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	return f->fd < 0 ? complain("cannot make", f->name) : 0;
}

static int discard(struct bench_file *f)
{
	close(f->fd);
	unlink(f->name);
	return -1;
}

int bench_file_open(struct bench_file *f, const char *name, size_t pages)
{
	if (make(f, name))
		return -1;
	f->pages = fill(f->fd, pages);
	if (f->pages < pages)
		printf("bench: %s has room for %zu pages, not for %zu: %s\n", f->name, f->pages,
		       pages, strerror(errno));
	if (!f->pages || ftruncate(f->fd, (off_t)(f->pages * PAGE)) || fsync(f->fd)) {
		complain("cannot fill", f->name);
		return discard(f);
	}
	if (map(f, NULL))
		return discard(f);
	bench_store(f, f->pages);
	if (!msync(f->map, f->pages * PAGE, MS_SYNC))
		return 0;
	complain("cannot msync", f->name);
	munmap(f->map, f->pages * PAGE);
	return discard(f);
}

int bench_file_open_hole(struct bench_file *f, const char *name, size_t pages)
{
	if (make(f, name))
		return -1;
	f->pages = pages;
	if (ftruncate(f->fd, (off_t)(pages * PAGE))) {
		complain("cannot extend", f->name);
		return discard(f);
	}
	return map(f, NULL) ? discard(f) : 0;
}

void bench_file_close(struct bench_file *f)
{
	if (f->map != MAP_FAILED)
		munmap(f->map, f->pages * PAGE);
	discard(f);
}

int bench_file_unmap(struct bench_file *f)
{
	int err = munmap(f->map, f->pages * PAGE);

	f->map = MAP_FAILED;
	return err ? complain("cannot unmap", f->name) : 0;
}

int bench_file_remap(struct bench_file *f)
{
	return bench_file_unmap(f) || map(f, NULL) ? -1 : 0;
}

int bench_file_remap_aligned(struct bench_file *f)
{
	uintptr_t free = (uintptr_t)f->map + REGION - 1;

	/* The hint is taken: nothing else was mapped above in between. */
	if (bench_file_unmap(f) || map(f, (void *)(free - free % REGION)))
		return -1;
	if ((uintptr_t)f->map % REGION == 0)
		return 0;
	errno = ENOMEM;
	return complain("cannot align", f->name);
}

void bench_store(struct bench_file *f, size_t pages)
{
	static volatile char value;
	size_t p;

	value++;
	for (p = 0; p < pages; p++)
		*(volatile char *)(f->map + p * PAGE) = value;
}

int bench_msync(struct bench_file *f, size_t first, size_t pages, int flags, struct bench_cost *c)
{
	char *from = f->map + first * PAGE;
	int err;

	bench_start(c);
	err = msync(from, pages * PAGE, flags);
	bench_stop(c);
	return err ? complain("cannot msync", f->name) : 0;
}

/* --- reports --- */

static void report(const char *figure, const char *value, const char *unit, const char *more)
{
	printf("{\"figure\":\"%s\",\"value\":%s,\"unit\":\"%s\",\"policy\":\"%s\",\"fs\":\"%s\","
	       "\"cpus\":%d%s}\n",
	       figure, value, unit, system_policy(), system_fs(), bench_cpus(), more);
	fflush(stdout);
}

/* To one digit behind the point, and none if that is 0. */
static const char *decimal(char *out, size_t size, double value)
{
	value = (double)(int64_t)(value * 10 + (value < 0 ? -0.5 : 0.5)) / 10;
	snprintf(out, size, value == (double)(int64_t)value ? "%.0f" : "%.1f", value);
	return out;
}

void bench_report(const char *figure, double value, const char *unit, const char *more, ...)
{
	char number[32];
	char text[256];
	va_list ap;

	va_start(ap, more);
	vsnprintf(text, sizeof(text), more, ap);
	va_end(ap);
	report(figure, decimal(number, sizeof(number), value), unit, text);
}

void bench_report_result(const char *figure, const struct bench_result *r, const char *more, ...)
{
	char faults[32], ipis[32];
	char text[256], all[512];
	va_list ap;

	va_start(ap, more);
	vsnprintf(text, sizeof(text), more, ap);
	va_end(ap);
	snprintf(all, sizeof(all), ",\"least\":%llu,\"faults\":%s,\"ipis\":%s%s",
		 (unsigned long long)r->least, decimal(faults, sizeof(faults), r->faults),
		 decimal(ipis, sizeof(ipis), r->ipis), text);
	bench_report(figure, (double)r->median, "instructions", "%s", all);
}
