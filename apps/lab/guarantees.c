/* SPDX-License-Identifier: MIT */
/*
 * guarantees.c - policy by policy, each promise is tried; what comes out is held against what the
 * policy's file declares.
 *
 * A cell that differs, in either direction, fails the run: a promise that is broken in silence is a
 * lie, and one that is given up without need is a mistake in the file.
 */
#include "apps/lab/axes.h"
#include "apps/lab/cost.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct lab_guarantee lab_guarantees[] = {
	{ "no_lost_store", "no lost", try_no_lost_store },
	{ "fsync_complete", "fsync", try_fsync_complete },
	{ "sync_ends", "ends", try_sync_ends },
	{ "age_bounded", "age", try_age_bounded },
	{ "nr_dirty_exact", "count", try_nr_dirty_exact },
	{ "enospc_before", "ENOSPC", try_enospc_before },
	{ "refusal_told", "refusal", try_refusal_told },
	{ "posix_times", "times", try_posix_times },
	{ "cookie", "cookie", try_cookie },
	{ "stable_pages", "stable", try_stable_pages },
	{ "no_hot_fault", "no trap", try_no_hot_fault },
	{ "throttled", "limit", try_throttled },
	{ "gone_is_gone", "gone", try_gone_is_gone },
	{ "direct_coherent", "direct", try_direct_coherent },
	{ "protection", "protect", try_protection },
	{ "reclaim", "reclaim", try_reclaim },
	{ "copies_end", "copies", try_copies_end },
	{ NULL, NULL, NULL },
};

static const struct lab_guarantee properties[] = {
	{ "posix_window", "window", try_posix_times },
	{ "monotonic", "monotonic", try_times_monotonic },
	{ "no_move", "no move", try_times_no_move },
	{ "cookie", "cookie", try_cookie },
	{ NULL, NULL, NULL },
};

static const char *const cmtimes[] = { "eager", "lazy", "memory", "writeback", "query", NULL };

bool verdict_case(struct verdict *v, bool kept, const char *fmt, ...)
{
	va_list ap;

	v->checked++;
	if (kept)
		return true;
	if (!v->broken++) {
		va_start(ap, fmt);
		vsnprintf(v->first, sizeof(v->first), fmt, ap);
		va_end(ap);
	}
	return false;
}

const char *verdict_word(const struct verdict *v)
{
	if (v->not_asked || !v->checked)
		return "not asked";
	return v->broken ? "broken" : "kept";
}

/* Does the policy's file say that this is given up? Or grant=, for all of them: neighbours that are
 * made writable ahead of a store are counted without one. */
bool declared_broken(const char *policy, const char *guarantee)
{
	char grant[32];
	const char *name;
	int g;

	if (!strcmp(guarantee, "nr_dirty_exact") && !db_arg_get("grant", grant, sizeof(grant)) &&
	    strcmp(grant, "1"))
		return true;
	for (g = 0; (name = db_guarantee_name(g)); g++) {
		if (!strcmp(name, guarantee))
			return db_policy_breaks(db_policy_index(policy)) >> g & 1;
	}
	return false;
}

/* What differs, told below the table. */
static struct {
	char text[16384];
	size_t len;
	int differ;
} notes;

void verdicts_note(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(notes.text + notes.len, sizeof(notes.text) - notes.len, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < sizeof(notes.text) - notes.len)
		notes.len += (size_t)n;
}

static void judge(const char *policy, const struct lab_guarantee *g, const struct verdict *v)
{
	bool given_up = declared_broken(policy, g->name);
	bool asked = !v->not_asked && v->checked;
	bool differs = asked && given_up != !!v->broken;

	if (differs) {
		notes.differ++;
		verdicts_note("  %s, %s: declared %s, and is %s%s%s\n", policy, g->name,
			      given_up ? "broken" : "kept", verdict_word(v), v->broken ? ": " : "",
			      v->first);
	} else if (!asked) {
		verdicts_note("  %s, %s: not asked: %s\n", policy, g->name,
			      v->not_asked ? v->not_asked : "it could not be tried");
	} else if (v->broken) {
		verdicts_note("  %s, %s: %s\n", policy, g->name, v->first);
	}
	json("{\"lab\":\"guarantee\",\"policy\":\"%s\",\"guarantee\":\"%s\",\"verdict\":\"%s\","
	     "\"declared\":\"%s\",\"broken\":%u,\"checked\":%u,\"first\":\"%s\"}\n",
	     policy, g->name, verdict_word(v), given_up ? "broken" : "kept", v->broken, v->checked,
	     v->not_asked ? v->not_asked : v->first);
	if (!asked)
		printf(" %7s", "-");
	else if (!v->broken)
		printf(" %7s", differs ? "kept !" : "kept");
	else
		printf(" %5u%s", v->broken, differs ? " !" : " x");
	fflush(stdout);
}

/* Guarantees side by side in one table. */
#define TABLE_COLUMNS 10

/* The asked-for guarantees from number @from on that one table holds; *@next: where it ends. */
static uint64_t one_table(int from, int *next)
{
	uint64_t mask = 0;
	int n, columns = 0;

	for (n = from; lab_guarantees[n].name && columns < TABLE_COLUMNS; n++) {
		if (!(lab_options.guarantees >> n & 1))
			continue;
		mask |= 1ul << n;
		columns++;
	}
	*next = n;
	return mask;
}

static void try_policy(const char *policy, uint64_t columns)
{
	const struct lab_guarantee *g;
	int n;

	printf("%-15s", policy);
	fflush(stdout);
	for (n = 0; (g = &lab_guarantees[n])->name; n++) {
		struct verdict v = { .checked = 0 };

		if (!(columns >> n & 1))
			continue;
		g->try(&v);
		judge(policy, g, &v);
	}
	printf("\n");
}

static void try_columns(uint64_t columns)
{
	int n;

	printf("\n%-15s", "policy");
	for (n = 0; lab_guarantees[n].name; n++) {
		if (columns >> n & 1)
			printf(" %7s", lab_guarantees[n].shown);
	}
	printf("\n");
	for (n = 0; n < lab_options.nr_policies; n++) {
		if (!db_policy_choose(lab_options.policies[n]))
			try_policy(lab_options.policies[n], columns);
	}
}

static void try_all_policies(void)
{
	uint64_t columns;
	int n = 0;

	printf("\nguarantees: kept; 12 x: broken 12 times, as the policy's file says; !: the file "
	       "says otherwise\n");
	while ((columns = one_table(n, &n)))
		try_columns(columns);
	printf("%s", notes.text);
	printf("lab: %d cells differ\n", notes.differ);
	lab_failures += notes.differ;
	memset(&notes, 0, sizeof(notes));
	json_flush();
}

/* --- file times: not a matter of the policy alone, so nothing is declared --- */

static void try_times(const char *cmtime, const char *policy)
{
	const struct lab_guarantee *g;
	int n;

	printf("%-11s %-15s", cmtime, policy);
	for (n = 0; (g = &properties[n])->name; n++) {
		struct verdict v = { .checked = 0 };

		g->try(&v);
		if (v.broken)
			printf(" %8u x", v.broken);
		else
			printf(" %10s", v.checked ? "kept" : "-");
		fflush(stdout);
		json("{\"lab\":\"times\",\"cmtime\":\"%s\",\"policy\":\"%s\",\"property\":\"%s\","
		     "\"verdict\":\"%s\",\"broken\":%u,\"checked\":%u,\"first\":\"%s\"}\n",
		     cmtime, policy, g->name, verdict_word(&v), v.broken, v.checked,
		     v.not_asked ? v.not_asked : v.first);
	}
	printf("\n");
}

static void try_all_times(void)
{
	char before[32];
	int c, n;

	if (db_arg_get("cmtime", before, sizeof(before)))
		before[0] = '\0';
	printf("\nfile times of stores through a mapping\n%-11s %-15s", "cmtime", "policy");
	for (n = 0; properties[n].name; n++)
		printf(" %10s", properties[n].shown);
	printf("\n");
	for (c = 0; cmtimes[c]; c++) {
		if (before[0] ? db_arg_set("cmtime", cmtimes[c]) : strcmp(cmtimes[c], "lazy"))
			continue;
		for (n = 0; n < lab_options.nr_policies; n++) {
			if (!db_policy_choose(lab_options.policies[n]))
				try_times(cmtimes[c], lab_options.policies[n]);
		}
	}
	if (before[0])
		db_arg_set("cmtime", before);
	json_flush();
}

void guarantees_run(void)
{
	memset(&notes, 0, sizeof(notes));
	if (lab_options.guarantees)
		try_all_policies();
	if (lab_options.guarantees && lab_options.times)
		try_all_times();
	if (lab_options.axes)
		axes_run();
	printf("%s", notes.text);
}
