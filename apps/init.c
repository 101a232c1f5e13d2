/* SPDX-License-Identifier: MIT */
/*
 * init.c - what happens once the kernel is up: tests, benches, a program, or the demonstration and
 * the shell, as the boot arguments say.
 *
 *	test=P			the tests that match, then the end
 *	bench=P, run="PROG ...", lab=KEY=VALUE:KEY=VALUE
 *				these; then the end, or the shell if somebody can type
 *	otherwise		the demonstration, then the same
 *
 * The run as a whole passes when everything that was asked for succeeded.
 */
#include "apps/apps.h"

#include <dirtybit.h>
#include <stdio.h>
#include <string.h>

static bool failed;

void init_note_failure(void)
{
	failed = true;
}

void init_finish(void)
{
	db_finish(!failed);
}

static void run_benches(const char *pattern)
{
	const struct program *p = NULL;
	bool all = !strcmp(pattern, "all");
	int ran = 0;

	while ((p = program_next(p))) {
		if (p->kind != PROGRAM_BENCH || !(all || db_glob(pattern, p->name)))
			continue;
		ran++;
		if (program_run(p->name)) {
			printf("bench: %s failed\n", p->name);
			init_note_failure();
		}
	}
	if (!ran) {
		printf("bench: there is no bench %s; `run` in the shell lists them\n", pattern);
		init_note_failure();
	}
}

int init_main(void)
{
	const struct db_init_args *args = db_init_args();

	db_boot_mark();
	if (*args->test) {
		if (db_test(args->test))
			init_note_failure();
		init_finish();
	}
	if (*args->bench)
		run_benches(args->bench);
	if (*args->run && program_run(args->run))
		init_note_failure();
	if (*args->lab && lab_from_boot(args->lab))
		init_note_failure();
	if (!*args->bench && !*args->run && !*args->lab && args->demo && program_run("demo"))
		init_note_failure();
	if (args->tty)
		shell();
	init_finish();
}
