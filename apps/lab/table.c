/* SPDX-License-Identifier: MIT */
/*
 * table.c - the costs of one workload for people: a line for each figure, a column for each policy.
 *
 * Owns:  the table that is being filled. Figures that are zero for all are left out.
 */
#include "apps/lab/cost.h"

#include <stdio.h>
#include <string.h>

#define MAX_LINES 48
#define PER_BLOCK 9 /* columns that fit side by side */
#define LABEL	  "%-19.19s"

static struct {
	const char *label[MAX_LINES];
	int64_t value[LAB_MAX_POLICIES][MAX_LINES];
	const char *policy[LAB_MAX_POLICIES];
	int lines, columns;
} table;

void table_begin(void)
{
	memset(&table, 0, sizeof(table));
}

/* In the column added last. */
static void figure(const char *label, int64_t value)
{
	int n;

	for (n = 0; n < table.lines && strcmp(table.label[n], label); n++)
		;
	if (n == MAX_LINES)
		return;
	if (n == table.lines)
		table.label[table.lines++] = label;
	table.value[table.columns - 1][n] = value;
}

static void counters(const struct cost *c)
{
	static const struct {
		const char *label, *counter;
	} lines[] = {
		{ "faults", "faults" },
		{ "write faults", "write_faults" },
		{ "PTEs scanned", "ptes_scanned" },
		{ "PTEs cleaned", "ptes_cleaned" },
		{ "harvest: PTEs", "harvest_ptes" },
		{ "harvest: regions", "harvest_regions" },
		{ "stores logged", "pages_logged" },
		{ "ICR writes", "tlb_icr_writes" },
		{ "IPIs", "tlb_ipis_sent" },
		{ "INVLPGs", "tlb_invlpgs" },
		{ "inode updates", "inode_updates" },
		{ "inode writes", "inode_writes" },
		{ "pages written", "pages_written" },
	};
	size_t n;

	for (n = 0; n < sizeof(lines) / sizeof(lines[0]); n++)
		figure(lines[n].label, (int64_t)cost_of(c, lines[n].counter));
}

void table_add(const struct cost *c, bool instructions)
{
	const struct latency *l = c->latency;
	int i;

	if (table.columns == LAB_MAX_POLICIES)
		return;
	table.policy[table.columns++] = c->policy;
	counters(c);
	figure("  without a store", (int64_t)cost_false_dirty(c));
	figure("device requests", (int64_t)cost_requests(c));
	figure("device kicks", (int64_t)cost_of(c, "virtio_kicks"));
	figure(instructions ? "insns per store" : "ticks per store", (int64_t)cost_per_store(c));
	figure(instructions ? "insns sync per page" : "ticks sync per page",
	       (int64_t)cost_per_page(c));
	figure("weighted / 1000", (int64_t)(cost_weighted(c) / 1000));
	figure("hidden pages, peak", (int64_t)c->hidden_peak);
	figure("nr_dirty is off by", (int64_t)c->nr_dirty_error);
	figure("mtime too old, us", c->mtime_error > 0 ? c->mtime_error / 1000 : 0);
	figure("mtime too young, us", c->mtime_error < 0 ? -c->mtime_error / 1000 : 0);
	for (i = 0; i < c->nr_extras; i++)
		figure(c->extra[i].name, (int64_t)c->extra[i].value);
	if (!l)
		return;
	figure("timed", (int64_t)l->count);
	figure("  half are below", (int64_t)latency_share(l, 0.5));
	figure("  99 %", (int64_t)latency_share(l, 0.99));
	figure("  99.9 %", (int64_t)latency_share(l, 0.999));
	figure("  the slowest", (int64_t)l->max);
}

/* "clean_writable" in two lines: "clean_" above "writable". */
static void heading(int first, int end)
{
	int line, n, pending;

	for (line = 0; line < 2; line++) {
		pending = 19;
		for (n = first; n < end; n++) {
			const char *name = table.policy[n], *cut = strchr(name, '_');
			int above = cut ? (int)(cut - name) + 1 : 0;

			if (above > 8)
				above = 8;
			pending += 9;
			if (!line && !above)
				continue;
			/* No blanks behind the last name. */
			printf("%*.*s", pending, line ? 8 : above, line ? name + above : name);
			pending = 0;
		}
		printf("\n");
	}
}

/* In at most 8 columns. */
static void number(int64_t value)
{
	if (value >= 100000000000)
		printf(" %7lldG", (long long)(value / 1000000000));
	else if (value >= 100000000)
		printf(" %7lldM", (long long)(value / 1000000));
	else
		printf(" %8lld", (long long)value);
}

static void block(int first, int end)
{
	int line, n;

	heading(first, end);
	for (line = 0; line < table.lines; line++) {
		bool any = false;

		for (n = 0; n < table.columns; n++)
			any |= table.value[n][line] != 0;
		if (!any)
			continue;
		printf(LABEL, table.label[line]);
		for (n = first; n < end; n++)
			number(table.value[n][line]);
		printf("\n");
	}
}

void table_print(void)
{
	int first, end;

	for (first = 0; first < table.columns; first = end) {
		end = first + PER_BLOCK;
		if (end > table.columns)
			end = table.columns;
		block(first, end);
	}
}
