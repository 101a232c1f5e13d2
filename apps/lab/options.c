/* SPDX-License-Identifier: MIT */
/*
 * options.c - from the words of a command line to the axes of a run.
 *
 * "--key value", "--key=value" and "key=value" mean the same, so that the kernel argument
 * lab=policy=all:cpus=2 needs no language of its own. Every default makes a run that ends soon.
 */
#include "apps/lab/axes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lab_options lab_options;

/* Shared with text that --set, --policy leave in place. */
static char old_values[LAB_MAX_SETS][64];
static bool axes_named; /* axes= was given */

static bool refuse(const char *what, const char *why)
{
	printf("lab: %s: %s; lab --help explains\n", what, why);
	return false;
}

/* --- lists --- */

static int find_policy(const char *name)
{
	const char *other;
	int n;

	for (n = 0; (other = db_policy_name(n)); n++) {
		if (!strcmp(other, name))
			return n;
	}
	return -1;
}

static bool add_policy(const char *name)
{
	struct lab_options *o = &lab_options;
	int n = find_policy(name);

	if (n < 0)
		return refuse(name, "there is no such policy (`policy` lists them)");
	if (o->nr_policies == LAB_MAX_POLICIES)
		return refuse(name, "too many policies");
	o->policies[o->nr_policies++] = db_policy_name(n);
	return true;
}

static bool parse_policies(char *list)
{
	char *name, *rest = list;
	int n;

	lab_options.nr_policies = 0;
	if (!strcmp(list, "all")) {
		for (n = 0; db_policy_name(n) && n < LAB_MAX_POLICIES; n++)
			lab_options.policies[lab_options.nr_policies++] = db_policy_name(n);
		return true;
	}
	while ((name = strsep(&rest, ","))) {
		if (!add_policy(name))
			return false;
	}
	return true;
}

static const char *workload_name(int n)
{
	return lab_workloads[n].name;
}

static const char *guarantee_name(int n)
{
	return lab_guarantees[n].name;
}

bool parse_names(char *list, const char *(*nth)(int), const char *what, uint64_t *mask)
{
	char *name, *rest = list;
	int n;

	*mask = 0;
	if (!strcmp(list, "none"))
		return true;
	while ((name = strsep(&rest, ","))) {
		bool found = false;

		for (n = 0; nth(n); n++) {
			if (!strcmp(name, "all") || !strcmp(name, nth(n))) {
				*mask |= 1ul << n;
				found = true;
			}
		}
		if (!found)
			return refuse(name, what);
	}
	return true;
}

/* A bit for each name. */
static uint64_t every(const char *(*nth)(int))
{
	uint64_t mask = 0;
	int n;

	for (n = 0; nth(n); n++)
		mask |= 1ul << n;
	return mask;
}

static bool parse_p(char *list)
{
	char *text, *end, *rest = list;

	lab_options.nr_p = 0;
	while ((text = strsep(&rest, ","))) {
		double p = strtod(text, &end);

		if (*end || end == text || !(p >= 0 && p <= 1))
			return refuse(text, "is no probability (0 to 1)");
		if (lab_options.nr_p == LAB_MAX_P)
			return refuse(text, "too many probabilities");
		lab_options.p[lab_options.nr_p++] = p;
	}
	return true;
}

static bool parse_sets(char *list)
{
	struct lab_options *o = &lab_options;
	char *text, *rest = list;

	while ((text = strsep(&rest, ","))) {
		if (!strchr(text, '='))
			return refuse(text, "--set wants key=value");
		if (o->nr_sets == LAB_MAX_SETS)
			return refuse(text, "too many --set");
		o->sets[o->nr_sets++] = text;
	}
	return true;
}

static bool parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (*end || end == text || n < low || n > high) {
		printf("lab: %s is no number from %llu to %llu\n", text, (unsigned long long)low,
		       (unsigned long long)high);
		return false;
	}
	*out = n;
	return true;
}

static bool parse_int(const char *text, int low, int high, int *out)
{
	uint64_t n = 0;

	if (!parse_number(text, low, high, &n))
		return false;
	*out = (int)n;
	return true;
}

static bool parse_advice(const char *text)
{
	static const char *const names[] = { "none", "stay", "will" };
	int n;

	for (n = 0; n < 3; n++) {
		if (!strcmp(text, names[n])) {
			lab_options.advice = n;
			return true;
		}
	}
	return refuse(text, "--advice is none, stay or will");
}

static bool parse_bool(const char *text, bool *out)
{
	*out = !strcmp(text, "yes") || !strcmp(text, "all");
	return *out || !strcmp(text, "no") || !strcmp(text, "none") ||
	       refuse(text, "is neither yes nor no");
}

static bool parse_one(const char *key, char *value)
{
	struct lab_options *o = &lab_options;
	uint64_t n = 0;

	if (!strcmp(key, "policy"))
		return parse_policies(value);
	if (!strcmp(key, "workload"))
		return parse_names(value, workload_name, "there is no such workload",
				   &o->workloads);
	if (!strcmp(key, "guarantee"))
		return parse_names(value, guarantee_name, "there is no such guarantee",
				   &o->guarantees);
	if (!strcmp(key, "times"))
		return parse_bool(value, &o->times);
	if (!strcmp(key, "axes")) {
		axes_named = true;
		return axes_parse(value, &o->axes);
	}
	if (!strcmp(key, "json"))
		return parse_bool(value, &o->json);
	if (!strcmp(key, "p"))
		return parse_p(value);
	if (!strcmp(key, "set"))
		return parse_sets(value);
	if (!strcmp(key, "advice"))
		return parse_advice(value);
	if (!strcmp(key, "on")) {
		o->on = !strcmp(value, "ram") ? LAB_DISK : !strcmp(value, "/") ? "" : value;
		return true;
	}
	if (!strcmp(key, "cpus"))
		return parse_int(value, 1, db_nr_cpus(), &o->cpus);
	if (!strcmp(key, "rounds"))
		return parse_int(value, 1, 100000, &o->rounds);
	if (!strcmp(key, "warm"))
		return parse_int(value, 0, 100000, &o->warm);
	if (!strcmp(key, "spaces"))
		return parse_int(value, 1, 1024, &o->spaces);
	if (!strcmp(key, "seed"))
		return parse_number(value, 0, ~0ul, &o->seed);
	if (strcmp(key, "pages"))
		return refuse(key, "there is no such option");
	if (!parse_number(value, 16, 1 << 20, &n))
		return false;
	o->pages = n;
	return true;
}

static bool all_defaults(void)
{
	static char all_policies[] = "all", workloads[] = "redirty,hot,commit";

	lab_options = (struct lab_options){
		.cpus = db_nr_cpus(),
		.pages = 256,
		.rounds = 4,
		.spaces = 64,
		.seed = 1,
		.p = { 0.1 },
		.nr_p = 1,
		.guarantees = every(guarantee_name),
		.times = true,
		.json = !db_init_args()->tty,
		.advice = LAB_ADVICE_STAY,
	};
	return parse_policies(all_policies) &&
	       parse_names(workloads, workload_name, "", &lab_options.workloads);
}

bool lab_parse(int argc, char **argv)
{
	int i;

	if (!all_defaults())
		return false;
	axes_named = false;
	for (i = 1; i < argc; i++) {
		char *key = argv[i], *value;

		if (!strcmp(key, "--help") || !strcmp(key, "help")) {
			lab_usage();
			return false;
		}
		while (*key == '-')
			key++;
		value = strchr(key, '=');
		if (value)
			*value++ = '\0';
		else if (i + 1 < argc)
			value = argv[++i];
		else
			return refuse(key, "wants a value");
		if (!parse_one(key, value))
			return false;
	}
	/* Who names guarantees, or wants none, did not ask for other tables. */
	if (!axes_named && lab_options.guarantees == every(guarantee_name))
		lab_options.axes = ~0ul;
	return true;
}

void lab_usage(void)
{
	int n;

	printf("lab [KEY=VALUE...]: what does each policy cost, and what does it break?\n"
	       "  policy=A,B|all        workload=W,..|all|none  guarantee=G,..|all|none\n"
	       "  cpus=N pages=N rounds=N seed=N  the size of an experiment\n"
	       "  warm=N                rounds of redirty before those that count\n"
	       "  p=0.01,0.1            probabilities that a page is stored to per round\n"
	       "  set=KEY=VALUE,...     arguments of the kernel for this run: flush, cmtime, "
	       "grant, scope\n"
	       "  advice=none|stay|will what mappings ask for by madvise    times=yes|no\n"
	       "  spaces=N              most address spaces of `many`       json=yes|no\n"
	       "  on=DIR|ram            where files are made; ram: on a RAM disk of its own\n"
	       "workloads:");
	for (n = 0; lab_workloads[n].name; n++)
		printf("\n  %-12s %s", lab_workloads[n].name, lab_workloads[n].summary);
	printf("\naxes (axes=none|all|A,..):");
	for (n = 0; lab_axes[n].key; n++)
		printf(" %s", lab_axes[n].key);
	printf("\nguarantees:");
	for (n = 0; lab_guarantees[n].name; n++)
		printf(" %s", lab_guarantees[n].name);
	printf("\n");
}

/* --- arguments of the kernel for the time of the run --- */

bool lab_apply_sets(void)
{
	struct lab_options *o = &lab_options;
	char key[64];
	int n;

	for (n = 0; n < o->nr_sets; n++) {
		size_t len = strcspn(o->sets[n], "=");

		if (len >= sizeof(key))
			return refuse(o->sets[n], "there is no such argument");
		memcpy(key, o->sets[n], len);
		key[len] = '\0';
		if (!db_arg_get(key, old_values[n], sizeof(old_values[n])))
			o->saved[n] = old_values[n];
		if (db_arg_set(key, o->sets[n] + len + 1))
			return false;
	}
	return true;
}

void lab_restore_sets(void)
{
	struct lab_options *o = &lab_options;
	char key[64];
	int n;

	for (n = o->nr_sets - 1; n >= 0; n--) {
		size_t len = strcspn(o->sets[n], "=");

		if (!o->saved[n])
			continue;
		memcpy(key, o->sets[n], len);
		key[len] = '\0';
		db_arg_set(key, o->saved[n]);
	}
}
