/* SPDX-License-Identifier: MIT */
/*
 * lab.c - the laboratory: what does each policy cost, and what does it break?
 *
 * A program (`run lab`), a command of the shell (`lab`) and an argument of the kernel
 * (lab=policy=all:workload=hot), all with the same words: options.c. Everything is put back as it
 * was at the end: the policy, the arguments.
 */
#include "apps/apps.h"
#include "apps/lab/cost.h"
#include "apps/lab/verdict.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *lab_dir;
int lab_failures;
#define LAB_USAGE 2

static volatile bool over; /* the thread that does it all came to its end */

static void run_workload(const struct lab_workload *w, double x)
{
	int n;

	report_cost_header(w, x);
	for (n = 0; n < lab_options.nr_policies; n++) {
		lab_progress("%s under %s (%d of %d) ...", w->name, lab_options.policies[n], n + 1,
			     lab_options.nr_policies);
		if (!db_policy_choose(lab_options.policies[n]))
			w->run(lab_options.policies[n], x);
	}
	lab_progress(NULL);
	table_print();
	json_flush();
}

/* The flusher takes notice of a new period when it has slept for the old one, or is woken. */
static void set_period(const char *ms)
{
	struct lab_file f;

	db_arg_set("period", ms);
	if (lab_open(&f, lab_dir, "lab.dat", 1, LAB_HOLES)) {
		db_writeback_kick(f.fd);
		lab_close(&f);
	}
}

static void run_workloads(void)
{
	const struct lab_workload *w;
	char period[32];
	int n, i;

	if (!lab_options.workloads)
		return;
	/* Costs end with what the workload does: where the flusher belongs to it, it is woken. */
	if (db_arg_get("period", period, sizeof(period)))
		period[0] = '\0';
	if (period[0])
		set_period("3600000");
	lab_crew_start(lab_options.cpus);
	for (n = 0; (w = &lab_workloads[n])->name; n++) {
		if (!(lab_options.workloads >> n & 1))
			continue;
		for (i = 0; w->sweep == LAB_SWEEP_P && i < lab_options.nr_p; i++)
			run_workload(w, lab_options.p[i]);
		for (i = 1; w->sweep == LAB_SWEEP_SPACES && i <= lab_options.spaces; i *= 4)
			run_workload(w, i);
		if (w->sweep == LAB_ONCE)
			run_workload(w, 1);
	}
	lab_crew_stop();
	if (period[0])
		set_period(period);
}

/* Where files are made: where it was said, the root if a disk is below it, else the RAM disk. */
static bool choose_dir(void)
{
	const char *on = lab_options.on;

	if (on && strcmp(on, LAB_DISK))
		lab_dir = on;
	else if (!on && db_fs_device("/"))
		lab_dir = "";
	else
		lab_dir = lab_disk();
	return lab_dir;
}

/* Pinned to CPU 0, so that work can be counted. */
static int on_boot_cpu(void *args)
{
	const char *policy = db_policy_current();

	if (!choose_dir())
		return 1;
	if (lab_options.guarantees)
		lab_disk(); /* before the tables: mounting says so */
	if (lab_apply_sets()) {
		report_begin(args);
		run_workloads();
		guarantees_run();
		report_end();
	} else {
		lab_failures++;
	}
	lab_restore_sets();
	db_policy_choose(policy);
	lab_disk_remove();
	over = true;
	return 0;
}

static int lab(int argc, char **argv)
{
	char args[512] = "";
	struct db_thread *t;
	int i;

	/* Kept as they were typed: parsing cuts them up. */
	for (i = 1; i < argc; i++)
		snprintf(args + strlen(args), sizeof(args) - strlen(args), "%s%s", i > 1 ? " " : "",
			 argv[i]);
	for (i = 0; args[i]; i++) {
		if (args[i] == '"' || args[i] == '\\')
			args[i] = '\''; /* it becomes a text of JSON */
	}
	over = false;
	lab_failures = 0;
	if (!lab_parse(argc, argv))
		return LAB_USAGE;
	t = db_thread_start(0, on_boot_cpu, args);
	if (t)
		db_thread_join(t);
	if (!over) {
		/* A store that nobody foresaw was refused: the kernel has said where. */
		lab_trouble("an experiment ended the program");
		lab_crew_stop();
	}
	printf("lab: %s\n", lab_failures ? "FAILED" : "all as declared");
	return lab_failures != 0;
}
PROGRAM(lab, lab, "what each dirty-tracking policy costs, and what it breaks");

static int lab_command(int argc, char **argv)
{
	int status = program_run_argv(argc, argv);

	/* A slip of the finger is no failure of the run. */
	if (status && status != LAB_USAGE)
		init_note_failure();
	return status;
}
COMMAND(lab, lab_command, "[KEY=VALUE...]", "race the policies, test their promises (--help)");

int lab_from_boot(const char *words)
{
	char *argv[32] = { "lab" }, *copy = strdup(words), *rest = copy, *word;
	int argc = 1, status;

	if (!copy)
		return 1;
	/* "lab" alone means yes. */
	while (strcmp(words, "1") && argc < 31 && (word = strsep(&rest, ":")))
		argv[argc++] = word;
	status = program_run_argv(argc, argv);
	free(copy);
	return status;
}
