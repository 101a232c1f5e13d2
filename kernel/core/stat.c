/* SPDX-License-Identifier: MIT */
/*
 * stat.c - the sums and names of the counters.
 *
 * Counters are raised by one instruction on the owning CPU (stat.h); here they are only read, so a
 * sum taken while others count is a moment that never was, but each word in it is whole.
 */
#include "kernel/core/stat.h"

#include "kernel/core/percpu.h"
#include "kernel/core/printk.h"
#include "kernel/lib/bug.h"

_Static_assert(offsetof(struct cpu, stats) == CPU_STATS_OFFSET, "stat.h says where they are");

static const struct {
	const char *name, *doc;
} counters[NR_STATS] = {
#define X(id, text, meaning) [STAT_##id] = { text, meaning },
	STAT_LIST(X)
#undef X
};

u64 stat_read(enum stat_id id)
{
	u64 sum = 0;

	BUG_ON((unsigned int)id >= NR_STATS);
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++)
		sum += READ_ONCE(cpus[cpu].stats[id]);
	return sum;
}

const char *stat_name(enum stat_id id)
{
	BUG_ON((unsigned int)id >= NR_STATS);
	return counters[id].name;
}

const char *stat_doc(enum stat_id id)
{
	BUG_ON((unsigned int)id >= NR_STATS);
	return counters[id].doc;
}

void stats_snapshot(struct stats *s)
{
	for (unsigned int id = 0; id < NR_STATS; id++)
		s->v[id] = stat_read((enum stat_id)id);
}

void stats_print(void)
{
	for (unsigned int id = 0; id < NR_STATS; id++) {
		u64 v = stat_read((enum stat_id)id);

		if (v)
			printk("  %-20s %lu\n", counters[id].name, (unsigned long)v);
	}
}
