/* SPDX-License-Identifier: MIT */
/*
 * init_args.c - what the boot arguments ask init for, and how the whole run ends.
 */
#include "kernel/lib/types.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86_64/asm/arch.h"
#include "kernel/core/args.h"
#include "kernel/core/printk.h"
#include "kernel/fs/fs.h"
#include "libc/libc.h"

static bool arg_value_tty = true;
static bool arg_value_demo = true;
static char arg_value_test[ARG_STRING_MAX];
static char arg_value_bench[ARG_STRING_MAX];
static char arg_value_run[ARG_STRING_MAX];
static char arg_value_lab[248]; /* a word of the command line, but for the key */

/* A list of axes may be longer than other texts are. */
static int set_lab(const char *val)
{
	if (strlen(val) >= sizeof(arg_value_lab)) {
		printk("lab: more than %u characters\n", (unsigned int)sizeof(arg_value_lab) - 1);
		return -EINVAL;
	}
	strcpy(arg_value_lab, val);
	return 0;
}

ARG_BOOL(tty, arg_value_tty, "somebody can type; no: power off when everything asked for is done");
ARG_BOOL(demo, arg_value_demo, "tell the demonstration before the prompt");
ARG_STRING(test, arg_value_test, "run the tests that match (suite.name, * ? +; all), then end");
ARG_STRING(bench, arg_value_bench, "run the benches that match (name, * ? +; all), then end");
ARG_STRING(run, arg_value_run, "run a program with its arguments, then end");
ARG_CALL(lab, set_lab, "run the laboratory (key=value:key=value as after `lab --help`), then end");

const struct db_init_args *db_init_args(void)
{
	static struct db_init_args args;

	args = (struct db_init_args){
		.tty = arg_value_tty,
		.demo = arg_value_demo,
		.test = arg_value_test,
		.bench = arg_value_bench,
		.run = arg_value_run,
		.lab = arg_value_lab,
	};
	return &args;
}

int db_test(const char *pattern)
{
	if (!db_test_runner) {
		printf("test: no tests are linked in\n");
		return -1;
	}
	fflush(stdout);
	return db_test_runner(pattern);
}

void db_finish(bool ok)
{
	const char *line = ok ? "dirtybit: done: pass\n" : "dirtybit: done: fail\n";

	fflush(stdout);
	vfs_shutdown();
	console_write(line, strlen(line));
	arch_exit(ok ? EXIT_PASS : EXIT_FAIL);
}
