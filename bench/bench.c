/* SPDX-License-Identifier: MIT */
/*
 * bench.c - what the benches share and what is the same everywhere: files, stores, reports.
 *
 * Not: what differs here and on Linux (system.c).
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

int bench_file_open(struct bench_file *f, const char *name, size_t pages)
{
	const char *dir = getenv("BENCH_DIR");

	if (!dir)
		dir = "/bench";
	if (mkdir(dir, 0755) && errno != EEXIST)
		return complain("cannot make", dir);
	snprintf(f->name, sizeof(f->name), "%s/%s", dir, name);
	f->fd = open(f->name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (f->fd < 0)
		return complain("cannot make", f->name);
	f->pages = fill(f->fd, pages);
	if (f->pages < pages)
		printf("bench: %s has room for %zu pages, not for %zu: %s\n", f->name, f->pages,
		       pages, strerror(errno));
	if (!f->pages || ftruncate(f->fd, (off_t)(f->pages * PAGE)) || fsync(f->fd)) {
		complain("cannot fill", f->name);
		goto out_remove;
	}
	f->map = mmap(NULL, f->pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	if (f->map == MAP_FAILED) {
		complain("cannot map", f->name);
		goto out_remove;
	}
	bench_store(f, f->pages);
	if (!msync(f->map, f->pages * PAGE, MS_SYNC))
		return 0;
	complain("cannot msync", f->name);
	munmap(f->map, f->pages * PAGE);
out_remove:
	close(f->fd);
	unlink(f->name);
	return -1;
}

void bench_file_close(struct bench_file *f)
{
	munmap(f->map, f->pages * PAGE);
	close(f->fd);
	unlink(f->name);
}

void bench_store(struct bench_file *f, size_t pages)
{
	static volatile char value;
	size_t p;

	value++;
	for (p = 0; p < pages; p++)
		*(volatile char *)(f->map + p * PAGE) = value;
}

uint64_t bench_msync(struct bench_file *f, size_t pages)
{
	uint64_t start = bench_work();
	int err = msync(f->map, pages * PAGE, MS_SYNC);
	uint64_t end = bench_work();

	if (err) {
		complain("cannot msync", f->name);
		return 0;
	}
	return end - start;
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

void bench_report(const char *figure, double value, const char *unit, const char *more, ...)
{
	char text[160];
	char number[32];
	va_list ap;

	va_start(ap, more);
	vsnprintf(text, sizeof(text), more, ap);
	va_end(ap);
	value = (double)(int64_t)(value * 10 + 0.5) / 10;
	snprintf(number, sizeof(number), value == (double)(int64_t)value ? "%.0f" : "%.1f", value);
	printf("{\"figure\":\"%s\",\"value\":%s,\"unit\":\"%s\",\"policy\":\"%s\",\"fs\":\"%s\","
	       "\"cpus\":%d%s}\n",
	       figure, number, unit, system_policy(), system_fs(), bench_cpus(), text);
	fflush(stdout);
}
