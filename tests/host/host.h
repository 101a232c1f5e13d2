/* SPDX-License-Identifier: MIT */
/*
 * host.h - what every host test needs: a result line, a random number.
 */
#ifndef TESTS_HOST_HOST_H
#define TESTS_HOST_HOST_H

#include "kernel/lib/types.h"

/* One TAP line; the plan is printed by host_done(). */
void ok(bool good, const char *behaviour);
/* Prints the plan; the exit status of main(). */
int host_done(void);
/* xorshift64*, the same sequence in every run. */
u64 rnd(u64 below);

#endif
