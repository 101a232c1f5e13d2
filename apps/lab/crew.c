/* SPDX-License-Identifier: MIT */
/*
 * crew.c - threads on the other CPUs that do nothing, in this address space.
 *
 * While held they spin, so that a shootdown has to reach them; else they sleep, so that a machine
 * with few processors has them for the work that is measured.
 */
#include "apps/lab/lab.h"

#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <unistd.h>

static struct {
	struct db_thread *threads[LAB_MAX_CPUS];
	int nr;
	volatile int hold, arrived;
	volatile bool stop;
} crew;

static int idle_about(void *unused)
{
	int held = 0;

	while (!crew.stop) {
		int hold = crew.hold;

		if (!hold) {
			usleep(500);
		} else if (hold != held) {
			held = hold;
			__atomic_add_fetch(&crew.arrived, 1, __ATOMIC_SEQ_CST);
		} else {
			lab_pause();
		}
	}
	return 0;
}

void lab_crew_start(int cpus)
{
	int cpu;

	memset(&crew, 0, sizeof(crew));
	for (cpu = 1; cpu < cpus && cpu < LAB_MAX_CPUS; cpu++) {
		crew.threads[crew.nr] = db_thread_start(cpu, idle_about, NULL);
		if (!crew.threads[crew.nr]) {
			lab_trouble("no thread on CPU %d: %s", cpu, strerror(errno));
			return;
		}
		crew.nr++;
	}
}

void lab_crew_hold(void)
{
	static int number;

	crew.arrived = 0;
	crew.hold = ++number;
	while (crew.arrived < crew.nr)
		usleep(50);
}

void lab_crew_let_go(void)
{
	crew.hold = 0;
}

void lab_crew_stop(void)
{
	crew.stop = true;
	while (crew.nr > 0)
		db_thread_join(crew.threads[--crew.nr]);
}
