/* SPDX-License-Identifier: MIT */
/*
 * program.c - running a program: a function of the image in an address space of its own.
 *
 * Not: what a process is (process.c). A program ends when its main thread does; threads it leaves
 *	behind are waited for, nothing is killed.
 */
#include "libc/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/mm/vm_area.h"
#include "libc/include/dirtybit.h"

REGISTRY(programs, struct program);

#define ARGC_MAX 32

struct run {
	const struct program *program;
	struct process *process;
	int argc;
	char **argv;
};

const struct program *program_next(const struct program *p)
{
	p = p ? p + 1 : __reg_programs_start;
	return p < __reg_programs_end ? p : NULL;
}

static const struct program *program_find(const char *name)
{
	const struct program *p;

	for_each_registered(programs, p) {
		if (!strcmp(p->name, name))
			return p;
	}
	return NULL;
}

static int program_main(void *arg)
{
	struct run *run = arg;

	if (libc_thread_attach(run->process, NULL))
		return -1;
	run->process->main_thread = current_thread();
	return run->program->main(run->argc, run->argv);
}

int program_run_argv(int argc, char **argv)
{
	struct run run = { .argc = argc, .argv = argv };
	struct thread *t = NULL;
	int status = PROGRAM_NO_START;
	struct mm *mm;

	if (argc < 1)
		return status;
	run.program = program_find(argv[0]);
	if (!run.program) {
		printf("run: there is no program %s; `run` alone lists them\n", argv[0]);
		return status;
	}
	/* What the caller printed comes first. */
	fflush(stdout);
	mm = mm_create();
	if (mm)
		run.process = process_create(argv[0], mm, process_current());
	if (run.process)
		t = thread_create(argv[0], CPU_ANY, mm, &mm->pgt, program_main, &run);
	if (t)
		status = thread_join(t);
	else
		printf("run: no memory to start %s\n", argv[0]);
	if (run.process)
		process_destroy(run.process);
	if (mm)
		mm_put(mm);
	return status;
}

int program_run(const char *line)
{
	char *copy = strdup(line);
	char *argv[ARGC_MAX];
	int status = PROGRAM_NO_START;
	int argc;

	if (!copy)
		return status;
	argc = db_split(copy, argv, ARGC_MAX);
	if (argc > 0)
		status = program_run_argv(argc, argv);
	else
		printf("run: cannot be understood: %s\n", line);
	free(copy);
	return status;
}

int db_split(char *line, char **argv, int max)
{
	char *to = line;
	int argc = 0;
	char quote;

	for (;;) {
		while (*line == ' ' || *line == '\t')
			line++;
		if (!*line)
			break;
		if (argc == max - 1)
			return -1;
		argv[argc++] = to;
		quote = 0;
		for (; *line && (quote || (*line != ' ' && *line != '\t')); line++) {
			if (*line == quote)
				quote = 0;
			else if (!quote && (*line == '\'' || *line == '"'))
				quote = *line;
			else
				*to++ = *line;
		}
		if (quote)
			return -1;
		if (*line)
			line++;
		*to++ = '\0';
	}
	argv[argc] = NULL;
	return argc;
}

/* One alternative: @pattern up to its '+' or end. */
static bool glob_one(const char *pattern, const char *name)
{
	for (; *pattern && *pattern != '+'; pattern++, name++) {
		if (*pattern == '*') {
			do {
				if (glob_one(pattern + 1, name))
					return true;
			} while (*name++);
			return false;
		}
		if (!*name || (*pattern != '?' && *pattern != *name))
			return false;
	}
	return !*name;
}

bool db_glob(const char *pattern, const char *name)
{
	while (pattern) {
		if (glob_one(pattern, name))
			return true;
		pattern = strchr(pattern, '+');
		if (pattern)
			pattern++;
	}
	return false;
}
