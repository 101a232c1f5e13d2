/* SPDX-License-Identifier: MIT */
/*
 * host.c - what stands in for the kernel when kernel/lib runs as an ordinary program.
 */
#include "tests/host/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/lib/bug.h"

bool debug_checks = true;

static int tests, failures;
static u64 random_state = 0x9e3779b97f4a7c15UL;

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

void ok(bool good, const char *behaviour)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests, behaviour);
	failures += !good;
}

int host_done(void)
{
	printf("1..%d\n", tests);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

u64 rnd(u64 below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dUL % below;
}
