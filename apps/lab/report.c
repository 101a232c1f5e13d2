/* SPDX-License-Identifier: MIT */
/*
 * report.c - the same figures twice: a table for people, one JSON object per line for programs.
 */
#include "apps/lab/cost.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1

static struct {
	char *text;
	size_t len, size;
	bool bar;	   /* a progress line is on the terminal */
	bool instructions; /* a tick of the clock is one */
} out;

/* --- lines --- */

void lab_progress(const char *fmt, ...)
{
	va_list ap;

	if (!db_init_args()->tty || (!fmt && !out.bar))
		return;
	printf("\r\033[K");
	out.bar = fmt;
	if (fmt) {
		va_start(ap, fmt);
		vprintf(fmt, ap);
		va_end(ap);
	}
	fflush(stdout);
}

void lab_trouble(const char *fmt, ...)
{
	va_list ap;

	lab_failures++;
	lab_progress(NULL);
	printf("lab: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

void json(const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!lab_options.json)
		return;
	if (out.size - out.len < 8192) {
		char *more = realloc(out.text, out.size + 65536);

		if (!more)
			return;
		out.text = more;
		out.size += 65536;
	}
	va_start(ap, fmt);
	n = vsnprintf(out.text + out.len, out.size - out.len, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < out.size - out.len)
		out.len += (size_t)n;
}

void json_flush(void)
{
	lab_progress(NULL);
	fwrite(out.text, 1, out.len, stdout);
	fflush(stdout);
	free(out.text);
	out.text = NULL;
	out.len = out.size = 0;
}

/* --- the run --- */

/* 2,000 instructions; ticks that they took, at best. With icount exactly that. */
static uint64_t ticks_of_2000(void)
{
	uint64_t best = ~0ul;
	int i;

	for (i = 0; i < 5; i++) {
		uint64_t start = db_cycles(), n = 1000, ticks;

		__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n)::"cc");
		ticks = db_cycles() - start;
		if (ticks < best)
			best = ticks;
	}
	return best;
}

static const char *argument(const char *key)
{
	static char values[4][32];
	static int next;
	char *value = values[next++ % 4];

	return db_arg_get(key, value, sizeof(values[0])) ? "-" : value;
}

void report_begin(const char *args)
{
	struct lab_options *o = &lab_options;
	uint64_t ticks = ticks_of_2000();
	const char *unit;
	const char *type = db_fs_type("/"), *device = db_fs_device("/");
	struct db_memory m;
	int i;

	out.instructions = ticks >= 2000 && ticks < 2040;
	unit = out.instructions ? "instructions" : "time";
	db_memory(&m);
	printf("lab: %d policies; %d CPUs; %zu pages, %d rounds, seed %llu; flush %s, cmtime %s, "
	       "grant %s; ticks are %s\n",
	       o->nr_policies, o->cpus, o->pages, o->rounds, (unsigned long long)o->seed,
	       argument("flush"), argument("cmtime"), argument("grant"), unit);
	json("{\"lab\":\"begin\",\"version\":%d,\"args\":\"%s", VERSION, args);
	for (i = 0; i < o->nr_sets; i++)
		json("%s%s", i ? "," : "\",\"set\":\"", o->sets[i]);
	json("\",\"cpus\":%d,\"machine_cpus\":%d,\"memory_pages\":%llu,\"fs\":\"%s\","
	     "\"disk\":\"%s\",\"on\":\"%s\",\"ticks\":\"%s\",\"ticks_of_2000\":%llu,"
	     "\"pages\":%zu,\"rounds\":%d,\"seed\":%llu,\"flush\":\"%s\",\"cmtime\":\"%s\","
	     "\"grant\":%s}\n",
	     o->cpus, db_nr_cpus(), (unsigned long long)m.total, type ? type : "",
	     device ? device : "", lab_dir, unit, (unsigned long long)ticks, o->pages, o->rounds,
	     (unsigned long long)o->seed, argument("flush"), argument("cmtime"),
	     atoi(argument("grant")) > 0 ? argument("grant") : "1");
}

void report_end(void)
{
	json("{\"lab\":\"end\",\"failures\":%d}\n", lab_failures);
	json_flush();
}

/* --- costs --- */

void report_cost_header(const struct lab_workload *w, double x)
{
	lab_progress(NULL);
	printf("\n%s: %s", w->name, w->summary);
	if (w->sweep == LAB_SWEEP_P)
		printf("; p = %g", x);
	if (w->sweep == LAB_SWEEP_SPACES)
		printf("; %g here", x);
	printf("\n");
	table_begin();
}

/* Every counter that is part of the answer, by the name under which it is reported. */
static const struct {
	const char *key, *counter;
} keys[] = {
	{ "faults", "faults" },
	{ "read_faults", "read_faults" },
	{ "write_faults", "write_faults" },
	{ "mkwrite", "mkwrite" },
	{ "ptes_scanned", "ptes_scanned" },
	{ "ptes_cleaned", "ptes_cleaned" },
	{ "harvests", "harvests" },
	{ "harvest_ptes", "harvest_ptes" },
	{ "harvest_regions", "harvest_regions" },
	{ "harvest_skipped", "harvest_skipped" },
	{ "pages_logged", "pages_logged" },
	{ "log_overflows", "log_overflows" },
	{ "pages_granted", "pages_granted" },
	{ "pages_forked", "pages_forked" },
	{ "icr_writes", "tlb_icr_writes" },
	{ "ipis", "tlb_ipis_sent" },
	{ "ipis_received", "tlb_ipis_received" },
	{ "invlpgs", "tlb_invlpgs" },
	{ "cr3_loads", "tlb_cr3_loads" },
	{ "shootdowns", "tlb_shootdowns" },
	{ "shootdowns_deferred", "tlb_deferred" },
	{ "inode_updates", "inode_updates" },
	{ "inode_writes", "inode_writes" },
	{ "pages_cleaned", "pages_cleaned" },
	{ "pages_written", "pages_written" },
	{ "false_dirty_seen", "false_dirty" },
	{ "throttled", "throttled" },
	{ "bio_reads", "bio_reads" },
	{ "bio_writes", "bio_writes" },
	{ "bio_flushes", "bio_flushes" },
	{ "kicks", "virtio_kicks" },
	{ "irqs", "irqs" },
	{ "switches", "switches" },
};

static void json_axes(const char *kind, const struct cost *c)
{
	const char *grant = argument("grant");

	json("{\"lab\":\"%s\",\"policy\":\"%s\",\"workload\":\"%s\",\"flush\":\"%s\","
	     "\"cmtime\":\"%s\",\"grant\":%s,\"cpus\":%d,\"pages\":%zu,\"rounds\":%d,"
	     "\"seed\":%llu,\"p\":%g",
	     kind, c->policy, c->workload, argument("flush"), argument("cmtime"),
	     atoi(grant) > 0 ? grant : "1", lab_options.cpus, c->pages, c->rounds,
	     (unsigned long long)lab_options.seed, c->p);
}

static void number(const char *key, uint64_t value)
{
	json(",\"%s\":%llu", key, (unsigned long long)value);
}

void report_cost(const struct cost *c)
{
	size_t n;
	int i;

	table_add(c, out.instructions);
	json_axes("cost", c);
	number("stores", c->stores);
	number("pages_stored", c->pages_stored);
	number("syncs", c->syncs);
	number("instructions", c->store_work + c->sync_work);
	number("store_instructions", c->store_work);
	number("sync_instructions", c->sync_work);
	number("per_store", cost_per_store(c));
	number("per_page", cost_per_page(c));
	number("weighted", cost_weighted(c));
	number("false_dirty", cost_false_dirty(c));
	number("requests", cost_requests(c));
	number("hidden_peak", c->hidden_peak);
	number("maybe_peak", c->maybe_peak);
	number("nr_dirty_error", c->nr_dirty_error);
	json(",\"mtime_error\":%lld", (long long)c->mtime_error);
	for (n = 0; n < sizeof(keys) / sizeof(keys[0]); n++)
		number(keys[n].key, cost_of(c, keys[n].counter));
	for (i = 0; i < c->nr_extras; i++)
		number(c->extra[i].name, c->extra[i].value);
	json("}\n");
}

void report_latency(const struct cost *c)
{
	const struct latency *l = c->latency;
	unsigned int n, first = 1;

	json_axes("latency", c);
	json(",\"of\":\"%s\"", c->latency_of);
	number("count", l->count);
	number("p50", latency_share(l, 0.5));
	number("p99", latency_share(l, 0.99));
	number("p999", latency_share(l, 0.999));
	number("max", l->max);
	json(",\"histogram\":[");
	for (n = 0; n < LATENCY_BUCKETS; n++) {
		if (!l->bucket[n])
			continue;
		json("%s[%llu,%llu]", first ? "" : ",", (unsigned long long)latency_upper(n),
		     (unsigned long long)l->bucket[n]);
		first = 0;
	}
	json("]}\n");
}
