/* SPDX-License-Identifier: MIT */
/*
 * system.c - threads on a CPU, address spaces, counters: what POSIX does not give, in two dialects.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* CPU affinity on Linux */
#endif
#include "bench/bench.h"
#include "bench/system.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int bench_cpus(void)
{
	return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

#if __has_include(<dirtybit.h>)

uint64_t bench_work(void)
{
	return db_cycles() - db_idle_cycles();
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

#else /* Linux */

uint64_t bench_work(void)
{
	return db_cycles();
}

const char *system_policy(void)
{
	return "linux";
}

const char *system_fs(void)
{
	const char *name = getenv("BENCH_FS");

	return name ? name : "unknown";
}

size_t bench_memory_pages(void)
{
	return (size_t)sysconf(_SC_AVPHYS_PAGES) / 2;
}

int64_t bench_counter(const char *name)
{
	return -1;
}

struct bench_thread {
	pthread_t thread;
	int cpu;
	int (*fn)(void *);
	void *arg;
};

static void *pinned(void *arg)
{
	struct bench_thread *t = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(t->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	return (void *)(intptr_t)t->fn(t->arg);
}

struct bench_thread *bench_thread_start(int cpu, int (*fn)(void *), void *arg)
{
	struct bench_thread *t = malloc(sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct bench_thread){ .cpu = cpu, .fn = fn, .arg = arg };
	if (!pthread_create(&t->thread, NULL, pinned, t))
		return t;
	free(t);
	return NULL;
}

int bench_thread_join(struct bench_thread *t)
{
	void *result;

	pthread_join(t->thread, &result);
	free(t);
	return (int)(intptr_t)result;
}

struct bench_spaces *bench_spaces_open(struct bench_file *f, size_t pages, int count)
{
	return NULL;
}

int bench_spaces_store(struct bench_spaces *s)
{
	return -1;
}

void bench_spaces_close(struct bench_spaces *s)
{
}

#endif
