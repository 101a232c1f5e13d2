/* SPDX-License-Identifier: MIT */
/*
 * axes.c - what the values of an argument keep and break, under each policy.
 *
 * An axis that is not the policy's own (alloc=, wberr=, dio=) promises something for each of its
 * values. Each is tried under each policy; a cell that differs from what is declared here, in
 * either direction, fails the run as a policy's own cell does (guarantees.c).
 */
#include "apps/lab/axes.h"
#include "apps/lab/cost.h"

#include <stdio.h>
#include <string.h>

static const struct lab_guarantee wberr_properties[] = {
	{ "error_told", "told once", try_error_told },
	{ "kept_data", "0: on disk", try_kept_data },
	{ NULL, NULL, NULL },
};

static const struct lab_axis_value wberr_values[] = {
	{ "keep", "kk" },
	{ "drop", "kb" },
	{ NULL, NULL },
};

static const struct lab_guarantee dio_properties[] = {
	{ "dio_ordered", "ordered", try_dio_ordered },
	{ "dio_slots", "slots", try_dio_slots },
	{ NULL, NULL, NULL },
};

static const struct lab_axis_value dio_values[] = {
	{ "coherent", "kk" }, { "buffered", "kk" }, { "none", "bk" }, { NULL, NULL }
};

static const struct lab_guarantee alloc_properties[] = {
	{ "enospc_before", "ENOSPC", try_enospc_before },
	{ "free_count", "free count", try_free_count },
	{ NULL, NULL, NULL },
};

static const struct lab_axis_value alloc_values[] = {
	{ "reserve", "kk" }, { "fault", "kk" }, { "writeback", "bk" }, { NULL, NULL }
};

const struct lab_axis lab_axes[] = {
	{ "alloc", "stores into holes, of a disk that is full and of one that is not", alloc_values,
	  alloc_properties },
	{ "wberr", "a disk that refuses writes for a while, and is well again", wberr_values,
	  wberr_properties },
	{ "dio", "direct I/O and a mapping of the same file", dio_values, dio_properties },
	{ .key = NULL },
};

static const char *axis_name(int n)
{
	return lab_axes[n].key;
}

bool axes_parse(char *list, uint64_t *mask)
{
	return parse_names(list, axis_name, "there is no such axis", mask);
}

/* What is declared for @property: 'k' kept, 'b' broken, '?' depends on more than this. */
static void judge_cell(const struct lab_axis *a, const struct lab_axis_value *value,
		       const char *policy, int property)
{
	const struct lab_guarantee *g = &a->properties[property];
	char declared = value->declared[property];
	struct verdict v = { .checked = 0 };
	bool asked, differs;

	/* What the policy itself gives up no value can keep. */
	if (declared == 'k' && declared_broken(policy, g->name))
		declared = 'b';
	g->try(&v);
	asked = !v.not_asked && v.checked;
	differs = asked && ((declared == 'k' && v.broken) || (declared == 'b' && !v.broken));
	if (differs) {
		lab_failures++;
		verdicts_note("  %s=%s, %s, %s: declared %s%s%s\n", a->key, value->name, policy,
			      g->name, declared == 'k' ? "kept" : "broken, and is kept",
			      v.broken ? ": " : "", v.first);
	} else if (v.not_asked) {
		verdicts_note("  %s=%s, %s, %s: not asked: %s\n", a->key, value->name, policy,
			      g->name, v.not_asked);
	}
	if (!asked)
		printf(" %11s", "-");
	else if (v.broken)
		printf(" %9u%s", v.broken, differs ? " !" : " x");
	else
		printf(" %11s", differs ? "kept !" : "kept");
	fflush(stdout);
	json("{\"lab\":\"axis\",\"axis\":\"%s\",\"value\":\"%s\",\"policy\":\"%s\","
	     "\"property\":\"%s\",\"verdict\":\"%s\",\"declared\":\"%s\",\"broken\":%u,"
	     "\"checked\":%u,\"first\":\"%s\"}\n",
	     a->key, value->name, policy, g->name, verdict_word(&v),
	     declared == 'k' ? "kept" :
	     declared == 'b' ? "broken" :
			       "",
	     v.broken, v.checked, v.not_asked ? v.not_asked : v.first);
}

static void try_value(const struct lab_axis *a, const struct lab_axis_value *value)
{
	int n, p;

	if (db_arg_set(a->key, value->name)) {
		lab_trouble("%s=%s is refused", a->key, value->name);
		return;
	}
	for (n = 0; n < lab_options.nr_policies; n++) {
		if (db_policy_choose(lab_options.policies[n]))
			continue;
		printf("%-11s %-15s", value->name, lab_options.policies[n]);
		for (p = 0; a->properties[p].name; p++)
			judge_cell(a, value, lab_options.policies[n], p);
		printf("\n");
	}
}

static void try_axis(const struct lab_axis *a)
{
	char before[32];
	int n;

	if (db_arg_get(a->key, before, sizeof(before))) {
		lab_trouble("there is no argument %s", a->key);
		return;
	}
	printf("\n%s\n%-11s %-15s", a->what, a->key, "policy");
	for (n = 0; a->properties[n].name; n++)
		printf(" %11s", a->properties[n].shown);
	printf("\n");
	for (n = 0; a->values[n].name; n++)
		try_value(a, &a->values[n]);
	db_arg_set(a->key, before);
	json_flush();
}

void axes_run(void)
{
	int n;

	for (n = 0; lab_axes[n].key; n++) {
		if (lab_options.axes >> n & 1)
			try_axis(&lab_axes[n]);
	}
}
