/* SPDX-License-Identifier: MIT */
/*
 * system.c - threads on a CPU, address spaces, counters: what POSIX does not give, as dirtybit
 * gives it. Linux's half is linux/system.c.
 */
#include "bench/system.h"
#include "bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int bench_cpus(void)
{
	return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

uint64_t system_idle(void)
{
	return db_idle_cycles();
}

void system_events(struct bench_cost *c)
{
	static int faults = -1, ipis, shootdowns;
	struct db_stats s;

	if (faults < 0) {
		faults = db_stat_find("faults");
		ipis = db_stat_find("tlb_ipis_sent");
		shootdowns = db_stat_find("tlb_shootdowns");
	}
	db_stats_read(&s);
	c->faults = (int64_t)s.v[faults];
	c->ipis = (int64_t)s.v[ipis];
	c->shootdowns = (int64_t)s.v[shootdowns];
}

const char *system_policy(void)
{
	return db_policy_current();
}

const char *system_fs(void)
{
	const char *type = db_fs_type("/");

	return type ? type : "none";
}

size_t bench_memory_pages(void)
{
	struct db_memory m;

	db_memory(&m);
	return m.free / 2;
}

int64_t bench_counter(const char *name)
{
	return (int64_t)db_stat_read(name);
}

struct bench_thread *bench_thread_start(int cpu, int (*fn)(void *), void *arg)
{
	return (struct bench_thread *)db_thread_start(cpu, fn, arg);
}

int bench_thread_join(struct bench_thread *t)
{
	return db_thread_join((struct db_thread *)t);
}

struct bench_spaces {
	struct bench_file *file;
	size_t pages;
	int count;
	char *map; /* the same address in each: each is empty at first */
	struct db_space *space[];
};

static int map_there(void *arg)
{
	struct bench_spaces *s = arg;

	s->map = mmap(NULL, s->pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s->file->fd, 0);
	return s->map == MAP_FAILED;
}

static int store_there(void *arg)
{
	struct bench_spaces *s = arg;
	size_t p;

	for (p = 0; p < s->pages; p++)
		*(volatile char *)(s->map + p * PAGE + 1) = 1;
	return 0;
}

struct bench_spaces *bench_spaces_open(struct bench_file *f, size_t pages, int count)
{
	struct bench_spaces *s = calloc(1, sizeof(*s) + (size_t)count * sizeof(s->space[0]));

	if (!s)
		return NULL;
	s->file = f;
	s->pages = pages;
	for (s->count = 0; s->count < count; s->count++) {
		s->space[s->count] = db_space_create();
		if (!s->space[s->count])
			goto out_close;
		if (db_space_run(s->space[s->count], map_there, s)) {
			db_space_destroy(s->space[s->count]);
			goto out_close;
		}
	}
	return s;
out_close:
	bench_spaces_close(s);
	return NULL;
}

int bench_spaces_store(struct bench_spaces *s)
{
	int n;

	for (n = 0; n < s->count; n++) {
		if (db_space_run(s->space[n], store_there, s))
			return -1;
	}
	return 0;
}

void bench_spaces_close(struct bench_spaces *s)
{
	while (s->count > 0)
		db_space_destroy(s->space[--s->count]);
	free(s);
}

/* --- what only dirtybit has --- */

int bench_set(const char *key, const char *value)
{
	static struct {
		const char *key;
		char value[32];
	} first[8];
	size_t i = 0;

	while (i < sizeof(first) / sizeof(*first) - 1 && first[i].key && strcmp(first[i].key, key))
		i++;
	if (!value)
		return first[i].key ? db_arg_set(key, first[i].value) : 0;
	if (!first[i].key && !db_arg_get(key, first[i].value, sizeof(first[i].value)))
		first[i].key = key;
	return db_arg_set(key, value);
}

int bench_policy(const char *name)
{
	static char first[32];

	if (!*first)
		snprintf(first, sizeof(first), "%s", db_policy_current());
	return db_policy_choose(name ? name : first);
}

int64_t bench_mtime(int fd)
{
	struct db_stat st;

	if (db_stat_fd(fd, &st))
		return -1;
	return st.mtime.sec * 1000000000 + st.mtime.nsec;
}

int64_t bench_harvest(int fd)
{
	return db_harvest(fd);
}

int64_t bench_reclaim(size_t pages)
{
	return (int64_t)db_reclaim(pages);
}

int bench_throttle_ask(int fd, uint64_t n)
{
	return db_throttle_ask(fd, n) == (int64_t)n ? 0 : -1;
}

int bench_will_write(void *addr, size_t len)
{
	return madvise(addr, len, MADV_WILL_WRITE);
}

static struct db_raw *raw;

int bench_raw_open(int fd, uint64_t offset)
{
	raw = db_raw_open(fd, offset);
	return raw ? 0 : -1;
}

int bench_raw_read(int number)
{
	return db_raw_read(raw);
}

void bench_raw_close(int number)
{
	db_raw_close(raw);
	raw = NULL;
}
