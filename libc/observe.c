/* SPDX-License-Identifier: MIT */
/*
 * observe.c - the kernel's counters, arguments, policies and lists, as <dirtybit.h> shows them.
 *
 * Nothing is decided here: each function hands on what its owner says.
 */
#include "libc/process.h"

#include <errno.h>
#include <string.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/args.h"
#include "kernel/core/clock.h"
#include "kernel/core/stat.h"
#include "kernel/core/trace.h"
#include "kernel/fs/fs.h"
#include "kernel/mm/harvest.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/reclaim.h"
#include "kernel/mm/throttle.h"
#include "kernel/mm/writeback.h"
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
	int err = args_set(key, value);

	throttle_init(); /* its limits are computed from arguments and the size of memory */
	return posix_result(err);
}

void db_args_print(void)
{
	args_print();
}

int db_arg_get(const char *key, char *buf, size_t size)
{
	return posix_result(args_get(key, buf, size));
}

static const struct dirty_policy *nth_policy(int n)
{
	return n < 0 ? NULL : policy_by_number((unsigned int)n);
}

const char *db_policy_name(int n)
{
	const struct dirty_policy *p = nth_policy(n);

	return p ? p->name : NULL;
}

const char *db_policy_summary(int n)
{
	const struct dirty_policy *p = nth_policy(n);

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

int db_policy_index(const char *name)
{
	const struct dirty_policy *p = policy_find(name);

	return p ? (int)policy_number(p) : -1;
}

/* The file behind @fd as the kernel's memory management knows it, with a reference to put; NULL
 * with errno. */
static struct file *mapped_file(int fd)
{
	struct file *file = fd_get(fd);

	if (file != FD_CONSOLE)
		return file;
	errno = ENODEV;
	return NULL;
}

int db_policy_set_fd(int fd, const char *name)
{
	struct file *file = mapped_file(fd);
	int err;

	if (!file)
		return -1;
	err = policy_choose_file(&file->inode->data, name);
	file_put(file);
	return posix_result(err);
}

int64_t db_harvest(int fd)
{
	struct file *file = mapped_file(fd);
	s64 found = 0;

	if (!file)
		return -1;
	if (mapping_may_hide(&file->inode->data))
		found = mapping_harvest(&file->inode->data, 0, ~0ul, HARVEST_MSYNC);
	file_put(file);
	return found;
}

uint64_t db_policy_breaks(int n)
{
	const struct dirty_policy *p = nth_policy(n);

	return p ? p->breaks : 0;
}

const char *db_guarantee_name(int g)
{
	static const char *const names[NR_GUARANTEES] = {
		[GUARANTEE_NO_LOST_STORE] = "no_lost_store",
		[GUARANTEE_FSYNC_COMPLETE] = "fsync_complete",
		[GUARANTEE_SYNC_ENDS] = "sync_ends",
		[GUARANTEE_AGE_BOUNDED] = "age_bounded",
		[GUARANTEE_NR_DIRTY_EXACT] = "nr_dirty_exact",
		[GUARANTEE_ENOSPC_BEFORE] = "enospc_before",
		[GUARANTEE_REFUSAL_TOLD] = "refusal_told",
		[GUARANTEE_POSIX_TIMES] = "posix_times",
		[GUARANTEE_COOKIE] = "cookie",
		[GUARANTEE_STABLE_PAGES] = "stable_pages",
		[GUARANTEE_NO_HOT_FAULT] = "no_hot_fault",
		[GUARANTEE_THROTTLED] = "throttled",
		[GUARANTEE_GONE_IS_GONE] = "gone_is_gone",
		[GUARANTEE_DIRECT_COHERENT] = "direct_coherent",
		[GUARANTEE_PROTECTION] = "protection",
		[GUARANTEE_RECLAIM] = "reclaim",
		[GUARANTEE_COPIES_END] = "copies_end",
	};

	return g >= 0 && g < NR_GUARANTEES ? names[g] : NULL;
}

int db_try_store8(void *p, uint64_t value)
{
	return posix_result(probe_store8(p, value));
}

int db_try_load8(const void *p, uint64_t *value)
{
	u64 v = 0;
	int err = probe_load8(p, &v);

	*value = v;
	return posix_result(err);
}

int db_writeback_kick(int fd)
{
	struct file *file = mapped_file(fd);

	if (!file)
		return -1;
	if (file->inode->data.wb)
		writeback_kick(file->inode->data.wb);
	file_put(file);
	return 0;
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

uint64_t db_idle_cycles(void)
{
	return sched_idle_tsc(this_cpu()->id);
}

void db_boot_mark(void)
{
	/* The boot CPU halted while it waited for others and for the disk. */
	boot_cycles = db_cycles() - boot_tsc - sched_idle_tsc(0);
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
		.maybe = nr_maybe_pages(),
		.peak_maybe = nr_maybe_peak(),
	};
}

void db_memory_reset_peak(void)
{
	nr_maybe_peak_reset();
}

uint64_t db_reclaim(uint64_t pages)
{
	return reclaim_pages(pages, 2 * reclaim_revolution(), RECLAIM_UNUSED);
}

int db_dirty_fd(int fd, struct db_dirty *d)
{
	struct file *file = mapped_file(fd);
	struct dirty_count count;

	if (!file)
		return -1;
	count = mapping_count_dirty(&file->inode->data);
	*d = (struct db_dirty){ .dirty = count.dirty,
				.maybe = count.maybe,
				.writeback = count.writeback,
				.counted = mapping_nr_dirty(&file->inode->data),
				.truly = count.truly };
	file_put(file);
	return 0;
}

int db_file_dirty_limit(int fd, uint64_t pages)
{
	struct file *file = mapped_file(fd);

	if (!file)
		return -1;
	mapping_limit_dirty(&file->inode->data, pages);
	file_put(file);
	return 0;
}

int64_t db_throttle_ask(int fd, uint64_t n)
{
	struct file *file = mapped_file(fd);
	const struct address_space *mapping;
	uint64_t left = n;

	if (!file)
		return -1;
	mapping = &file->inode->data;
	while (left && dirt_is_low(mapping))
		left--;
	file_put(file);
	return (int64_t)(n - left);
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
