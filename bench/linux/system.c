/* SPDX-License-Identifier: MIT */
/*
 * system.c - threads on a CPU, address spaces, counters: what POSIX does not give, as Linux gives
 * it. dirtybit's half is bench/system.c.
 *
 * Key fact: idle time counts as instructions here (sleep=off lets the clock jump), so it is asked
 *	for, in nanoseconds, which under -icount shift=0 are ticks: /proc/timer_list has it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* CPU affinity */
#endif
#include "bench/system.h"
#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int bench_cpus(void)
{
	return (int)sysconf(_SC_NPROCESSORS_ONLN);
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

/* --- costs --- */

/* A file of /proc as text; "" if it cannot be read. One buffer: only one thread may ask. */
static const char *proc_text(const char *path)
{
	static char text[1 << 18];
	size_t len = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY);

	while (fd >= 0 && (got = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)got;
	if (fd >= 0)
		close(fd);
	text[len] = '\0';
	return text;
}

/* The number behind @name in the text from @at on. */
static uint64_t field(const char *at, const char *name)
{
	at = at ? strstr(at, name) : NULL;
	at = at ? strchr(at, ':') : NULL;
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

/* Linux tells the time in which somebody waits for a disk from other idle time. */
uint64_t system_idle(void)
{
	const char *at = proc_text("/proc/timer_list");
	char cpu[16];

	snprintf(cpu, sizeof(cpu), "\ncpu: %d\n", sched_getcpu());
	at = strstr(at, cpu);
	return field(at, ".idle_sleeptime") + field(at, ".iowait_sleeptime");
}

/* The sum of a row of /proc/interrupts. */
static int64_t interrupts(const char *row)
{
	const char *at = strstr(proc_text("/proc/interrupts"), row);
	int64_t sum = 0;
	char *end;

	if (!at)
		return 0;
	for (at += strlen(row);; at = end) {
		int64_t n = strtoll(at, &end, 10);

		if (end == at)
			return sum;
		sum += n;
	}
}

void system_events(struct bench_cost *c)
{
	struct rusage r;

	c->ipis = interrupts("TLB:");
	c->shootdowns = -1;
	getrusage(RUSAGE_SELF, &r);
	c->faults = r.ru_minflt + r.ru_majflt;
}

int64_t bench_mtime(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	return st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
}

/* --- threads --- */

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

/* --- address spaces: forked processes that store when they are told to --- */

struct space {
	pid_t pid;
	int ask, answer; /* pipes */
};

struct bench_spaces {
	int count;
	struct space space[];
};

/* In the child: a page each time that a byte comes, until the pipe ends. */
static void __attribute__((noreturn)) live(struct bench_file *f, size_t pages, int ask, int answer)
{
	char byte;
	size_t p;

	while (read(ask, &byte, 1) == 1) {
		for (p = 0; p < pages; p++)
			*(volatile char *)(f->map + p * PAGE + 1) = 1;
		if (write(answer, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static int space_open(struct space *s, struct bench_file *f, size_t pages)
{
	int ask[2], answer[2];

	if (pipe2(ask, O_CLOEXEC))
		return -1;
	if (pipe2(answer, O_CLOEXEC))
		goto out_ask;
	s->pid = fork();
	if (!s->pid) {
		/* Or this child would keep its own pipe open, and never see the end. */
		close(ask[1]);
		live(f, pages, ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	s->ask = ask[1];
	s->answer = answer[0];
	if (s->pid > 0)
		return 0;
	close(s->answer);
	close(s->ask);
	return -1;
out_ask:
	close(ask[0]);
	close(ask[1]);
	return -1;
}

struct bench_spaces *bench_spaces_open(struct bench_file *f, size_t pages, int count)
{
	struct bench_spaces *s = calloc(1, sizeof(*s) + (size_t)count * sizeof(s->space[0]));

	if (!s)
		return NULL;
	fflush(stdout);
	for (s->count = 0; s->count < count; s->count++) {
		if (!space_open(&s->space[s->count], f, pages))
			continue;
		bench_spaces_close(s);
		return NULL;
	}
	return s;
}

int bench_spaces_store(struct bench_spaces *s)
{
	char byte = 1;
	int n;

	for (n = 0; n < s->count; n++) {
		if (write(s->space[n].ask, &byte, 1) != 1 ||
		    read(s->space[n].answer, &byte, 1) != 1)
			return -1;
	}
	return 0;
}

void bench_spaces_close(struct bench_spaces *s)
{
	while (s->count > 0) {
		struct space *last = &s->space[--s->count];

		/* Later children hold copies of earlier pipes: ended from the last to the first. */
		close(last->ask);
		close(last->answer);
		waitpid(last->pid, NULL, 0);
	}
	free(s);
}

/* --- what only dirtybit has --- */

int64_t bench_counter(const char *name)
{
	return -1;
}

int bench_set(const char *key, const char *value)
{
	return -1;
}

int bench_policy(const char *name)
{
	return name ? -1 : 0;
}

int64_t bench_harvest(int fd)
{
	return -1;
}

int64_t bench_reclaim(size_t pages)
{
	return -1;
}

int bench_throttle_ask(int fd, uint64_t n)
{
	return -1;
}

int bench_will_write(void *addr, size_t len)
{
	errno = ENOSYS;
	return -1;
}

int bench_raw_open(int fd, uint64_t offset)
{
	return -1;
}

int bench_raw_read(int raw)
{
	return -1;
}

void bench_raw_close(int raw)
{
}
