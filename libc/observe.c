/* SPDX-License-Identifier: MIT */
/*
 * observe.c - the kernel's counters, arguments, policies and lists, as <dirtybit.h> shows them.
 *
 * Nothing is decided here: each function hands on what its owner says.
 */
#include "libc/process.h"

#include <errno.h>
#include <string.h>

#include "kernel/core/args.h"
#include "kernel/core/clock.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/policy.h"
#include "libc/libc.h"

_Static_assert(NR_STATS <= DB_MAX_STATS, "raise DB_MAX_STATS");

static u64 boot_cycles;

/* --- counters --- */

int db_nr_stats(void)
{
	return NR_STATS;
}

const char *db_stat_name(int n)
{
	return stat_name(n);
}

const char *db_stat_doc(int n)
{
	return stat_doc(n);
}

int db_stat_find(const char *name)
{
	int n;

	for (n = 0; n < NR_STATS; n++) {
		if (!strcmp(stat_name(n), name))
			return n;
	}
	return -1;
}

uint64_t db_stat_read(const char *name)
{
	int n = db_stat_find(name);

	return n < 0 ? 0 : stat_read(n);
}

void db_stats_read(struct db_stats *s)
{
	struct stats now;

	stats_snapshot(&now);
	memcpy(s->v, now.v, sizeof(now.v));
}

uint64_t db_stats_diff(const struct db_stats *from, const struct db_stats *to, const char *name)
{
	int n = db_stat_find(name);

	return n < 0 ? 0 : to->v[n] - from->v[n];
}

/* --- arguments and policies --- */

int db_arg_set(const char *key, const char *value)
{
	return posix_result(args_set(key, value));
}

void db_args_print(void)
{
	args_print();
}

static const struct dirty_policy *policy_number(int n)
{
	const struct dirty_policy *p = policy_next(NULL);

	while (p && n-- > 0)
		p = policy_next(p);
	return p;
}

const char *db_policy_name(int n)
{
	const struct dirty_policy *p = policy_number(n);

	return p ? p->name : NULL;
}

const char *db_policy_summary(int n)
{
	const struct dirty_policy *p = policy_number(n);

	return p ? p->summary : NULL;
}

const char *db_policy_current(void)
{
	return global_policy->name;
}

int db_policy_choose(const char *name)
{
	return posix_result(policy_choose(name));
}

/* --- CPUs and time --- */

int db_nr_cpus(void)
{
	return nr_cpus;
}

int db_this_cpu(void)
{
	return this_cpu()->id;
}

/* @ns of idleness in ticks; split so that hours do not overflow. */
static u64 idle_to_cycles(u64 ns)
{
	u64 hz = clock_tsc_hz();

	return ns / NSEC_PER_SEC * hz + ns % NSEC_PER_SEC * hz / NSEC_PER_SEC;
}

uint64_t db_idle_cycles(void)
{
	return idle_to_cycles(sched_idle_ns(this_cpu()->id));
}

void db_boot_mark(void)
{
	/* The boot CPU halted while it waited for others and for the disk. */
	boot_cycles = db_cycles() - boot_tsc - idle_to_cycles(sched_idle_ns(0));
}

uint64_t db_boot_cycles(void)
{
	return boot_cycles;
}

/* --- lists --- */

void db_memory(struct db_memory *m)
{
	*m = (struct db_memory){
		.total = nr_total_pages(),
		.free = nr_free_pages(),
		.dirty = nr_dirty_pages(),
		.writeback = nr_writeback_pages(),
		.heap = libc_heap_pages(),
	};
}

void db_objects_print(void)
{
	kmalloc_dump();
}

void db_threads_print(void)
{
	sched_dump();
}

void db_trace_print(unsigned int max)
{
	trace_dump(max);
}
