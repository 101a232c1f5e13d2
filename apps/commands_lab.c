/* SPDX-License-Identifier: MIT */
/*
 * commands_lab.c - shell commands about the laboratory: programs, tests, counters, policies.
 */
#include "apps/apps.h"

#include <dirtybit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv)
{
	const struct program *p = NULL;
	int status;

	if (argc == 1) {
		while ((p = program_next(p)))
			printf("  %-20s %s%s\n", p->name, p->kind == PROGRAM_BENCH ? "bench: " : "",
			       p->help);
		return 0;
	}
	status = program_run_argv(argc - 1, argv + 1);
	if (status && status != PROGRAM_NO_START)
		printf("run: %s ended with status %d\n", argv[1], status);
	return status;
}
COMMAND(run, run, "[PROGRAM ARGS...]", "run a program, or list them");

static int test(int argc, char **argv)
{
	int failures = db_test(argc > 1 ? argv[1] : "all");

	if (failures)
		init_note_failure();
	return failures != 0;
}
COMMAND(test, test, "[SUITE.NAME]", "run the tests that match (* and ? allowed)");

static int demo(int argc, char **argv)
{
	int status = program_run("demo");

	if (status)
		init_note_failure();
	return status;
}
COMMAND(demo, demo, "", "one store's way to the disk, step by step");

static int stats(int argc, char **argv)
{
	static struct db_stats last;
	struct db_stats now;
	bool verbose = argc > 1 && !strcmp(argv[1], "-v");
	const char *pattern = argc > 1 + verbose ? argv[1 + verbose] : "*";
	int n;

	db_stats_read(&now);
	printf("%-20s %12s %12s%s\n", "counter", "value", "since last", verbose ? "  meaning" : "");
	for (n = 0; n < db_nr_stats(); n++) {
		if (!db_glob(pattern, db_stat_name(n)))
			continue;
		if (!now.v[n] && !verbose && argc == 1)
			continue;
		printf("%-20s %12llu %12llu", db_stat_name(n), (unsigned long long)now.v[n],
		       (unsigned long long)(now.v[n] - last.v[n]));
		if (verbose)
			printf("  %s", db_stat_doc(n));
		printf("\n");
	}
	last = now;
	return 0;
}
COMMAND(stats, stats, "[-v] [PATTERN]", "counters, and since the last time; -v: all, explained");

static int policy(int argc, char **argv)
{
	const char *name;
	int n;

	if (argc > 1)
		return db_policy_choose(argv[1]) ? 1 : 0;
	for (n = 0; (name = db_policy_name(n)); n++)
		printf("%c %-16s %s\n", strcmp(name, db_policy_current()) ? ' ' : '*', name,
		       db_policy_summary(n));
	return 0;
}
COMMAND(policy, policy, "[NAME]", "how stores are noticed: list, or choose");

static int args(int argc, char **argv)
{
	int status = 0;
	int i;

	if (argc == 1)
		db_args_print();
	for (i = 1; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (equals)
			*equals = '\0';
		if (db_arg_set(argv[i], equals ? equals + 1 : "yes"))
			status = 1;
	}
	return status;
}
COMMAND(args, args, "[KEY=VALUE...]", "arguments: list, or set");

static int trace(int argc, char **argv)
{
	db_trace_print(argc > 1 ? strtoul(argv[1], NULL, 0) : 32);
	return 0;
}
COMMAND(trace, trace, "[COUNT]", "the last events of all CPUs");

static int threads(int argc, char **argv)
{
	db_threads_print();
	return 0;
}
COMMAND(threads, threads, "", "every thread and where it is");

static int mem(int argc, char **argv)
{
	struct db_memory m;

	db_memory(&m);
	printf("%-22s %10s %10s\n", "memory", "pages", "MiB");
	printf("%-22s %10llu %10.1f\n", "usable", (unsigned long long)m.total, m.total / 256.0);
	printf("%-22s %10llu %10.1f\n", "free", (unsigned long long)m.free, m.free / 256.0);
	printf("%-22s %10llu %10.1f\n", "dirty", (unsigned long long)m.dirty, m.dirty / 256.0);
	printf("%-22s %10llu %10.1f\n", "under writeback", (unsigned long long)m.writeback,
	       m.writeback / 256.0);
	printf("%-22s %10llu %10.1f\n", "malloc's", (unsigned long long)m.heap, m.heap / 256.0);
	if (argc > 1 && !strcmp(argv[1], "-v")) {
		fflush(stdout);
		db_objects_print();
	}
	return 0;
}
COMMAND(mem, mem, "[-v]", "memory; -v: object caches too");

static int poweroff(int argc, char **argv)
{
	init_finish();
}
COMMAND(poweroff, poweroff, "", "write everything and end");
