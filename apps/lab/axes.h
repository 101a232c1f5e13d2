/* SPDX-License-Identifier: MIT */
/*
 * axes.h - an argument with values, and what each of them promises whatever the policy is.
 */
#ifndef APPS_LAB_AXES_H
#define APPS_LAB_AXES_H

#include "apps/lab/verdict.h"

struct lab_axis_value {
	const char *name;
	const char *declared; /* a letter per property: k kept, b broken, ? not declared */
};

struct lab_axis {
	const char *key;			/* of the argument; NULL ends the table */
	const char *what;			/* one line above the table */
	const struct lab_axis_value *values;	/* name NULL ends them */
	const struct lab_guarantee *properties; /* likewise */
};

extern const struct lab_axis lab_axes[];

/* "all", "none" or keys with commas between. False: one line said why. */
bool axes_parse(char *list, uint64_t *mask);
/* Those of lab_options.axes, each value under each policy. */
void axes_run(void);

#endif
