/* SPDX-License-Identifier: MIT */
/*
 * b42_cross_flush_deadlock.c - B42: every CPU cleans at the same moment and asks every other one to
 * flush (rule 64).
 *
 *	CPU 0				CPU 1
 *	interrupts off, asks CPU 1	interrupts off, asks CPU 0
 *	waits				waits
 *
 * They meet right before each shootdown, so that all of them are out at once.
 */
#include "arch/x86_64/tlb.h"
#include "tests/util.h"

/* Each round costs a hand-over between all pairs of CPUs, and an emulator may have fewer. */
static unsigned int nr_rounds(void)
{
	return 600 / (nr_cpus * nr_cpus) + 2;
}

static struct mm *mm;
static int at_meeting, meetings; /* a */
static unsigned int nr_flushers;

/* All of them, or nobody. */
static void meet(void)
{
	int round = atomic_load(&meetings);
	unsigned int spins = 0;

	if (atomic_add_return(&at_meeting, 1) == (int)nr_flushers) {
		atomic_store(&at_meeting, 0);
		atomic_add_return(&meetings, 1);
		return;
	}
	while (atomic_load(&meetings) == round) {
		cpu_relax(&spins);
		if (nr_cpus == 1)
			yield();
	}
}

static int flusher(void *arg)
{
	vaddr_t va = (vaddr_t)arg;

	for (unsigned int i = 0; i < nr_rounds(); i++) {
		TLB_BATCH(batch, TLB_WHY_TEST);

		tlb_batch_add(&batch, &mm->pgt, va);
		meet();
		tlb_batch_flush(&batch);
	}
	return 0;
}

static void cross_flush(void)
{
	struct job jobs[MAX_CPUS];

	mm = test_mm();
	nr_flushers = nr_cpus;
	at_meeting = meetings = 0;
	for (unsigned int c = 0; c < nr_flushers; c++)
		job_start(&jobs[c], c, mm, flusher, (void *)(USER_START + c * PAGE_SIZE));
	for (unsigned int c = 0; c < nr_flushers; c++)
		EXPECT_EQ(job_end(&jobs[c]), 0);
	EXPECT_EQ(meetings, nr_rounds());
	mm_put(mm);
}

KTEST(races, b42_cross_flush_deadlock)
{
	cross_flush();
}
