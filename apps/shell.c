/* SPDX-License-Identifier: MIT */
/*
 * shell.c - the prompt: reads a line, finds the command, runs it.
 *
 * Not: the commands (commands_*.c, each COMMAND(...) is found by being linked), editing (line.c).
 * `command > file` and `command >> file` work for every command.
 */
#include "apps/apps.h"

#include <dirtybit.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

REGISTRY(commands, struct command);

#define WORDS_MAX    32
#define COMMANDS_MAX 64

static const struct command *command_find(const char *name)
{
	const struct command *c;

	for_each_registered(commands, c) {
		if (!strcmp(c->name, name))
			return c;
	}
	return NULL;
}

/* Take "> file" off the end of @argv; the descriptor to write to, -1 for none, -2 after an error
 * that was told. */
static int redirection(int *argc, char **argv)
{
	const char *mark = *argc >= 3 ? argv[*argc - 2] : "";
	bool append = !strcmp(mark, ">>");
	int fd;

	if (!append && strcmp(mark, ">"))
		return -1;
	fd = open(argv[*argc - 1], O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), 0644);
	if (fd < 0) {
		printf("shell: cannot write %s: %s\n", argv[*argc - 1], strerror(errno));
		return -2;
	}
	*argc -= 2;
	argv[*argc] = NULL;
	return fd;
}

static int run_redirected(const struct command *c, int argc, char **argv, int fd)
{
	int console = dup(STDOUT_FILENO);
	int status;

	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	close(fd);
	status = c->fn(argc, argv);
	if (fflush(stdout))
		status = 1;
	dup2(console, STDOUT_FILENO);
	close(console);
	if (ferror(stdout)) {
		printf("shell: not everything could be written\n");
		clearerr(stdout);
	}
	return status;
}

int shell_line(char *line)
{
	const struct command *c;
	char *argv[WORDS_MAX];
	int argc = db_split(line, argv, WORDS_MAX);
	int fd;

	if (argc < 0) {
		printf("shell: a quote is open, or there are more than %d words\n", WORDS_MAX - 1);
		return 1;
	}
	if (!argc || argv[0][0] == '#')
		return 0;
	c = command_find(argv[0]);
	if (!c) {
		printf("shell: there is no command %s; type help\n", argv[0]);
		return 1;
	}
	fd = redirection(&argc, argv);
	if (fd == -2)
		return 1;
	return fd < 0 ? c->fn(argc, argv) : run_redirected(c, argc, argv, fd);
}

void shell(void)
{
	char line[256];

	while (line_read("dirtybit> ", line, sizeof(line)) >= 0)
		shell_line(line);
	init_finish();
}

static int by_name(const void *a, const void *b)
{
	const struct command *const *x = a;
	const struct command *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int help(int argc, char **argv)
{
	const struct command *sorted[COMMANDS_MAX];
	const struct command *c;
	char usage[64];
	size_t n = 0;
	size_t i;

	for_each_registered(commands, c) {
		if (n < COMMANDS_MAX && (argc < 2 || !strcmp(argv[1], c->name)))
			sorted[n++] = c;
	}
	if (!n) {
		printf("help: there is no command %s\n", argv[1]);
		return 1;
	}
	qsort(sorted, n, sizeof(sorted[0]), by_name);
	for (i = 0; i < n; i++) {
		snprintf(usage, sizeof(usage), "%s %s", sorted[i]->name, sorted[i]->usage);
		printf("  %-26s %s\n", usage, sorted[i]->help);
	}
	if (argc < 2)
		printf("  %-26s %s\n", "COMMAND > FILE",
		       "put what it says into a file (>> appends)");
	return 0;
}
COMMAND(help, help, "[COMMAND]", "this list");
