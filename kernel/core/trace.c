/* SPDX-License-Identifier: MIT */
/*
 * trace.c - the last events of each CPU.
 *
 * Owns:  the rings. Locks: none. A writer takes a place by one locked addition, which also settles
 * the rare case that it was moved to another CPU after it chose the ring.
 */
#include "kernel/core/trace.h"

#include "kernel/core/args.h"
#include "kernel/core/percpu.h"
#include "kernel/core/printk.h"
#include "kernel/core/sched.h"

#define DUMP_MAX 128

struct trace_ring trace_rings[MAX_CPUS];

bool trace_on;
ARG_BOOL(trace, trace_on, "record events in the per-CPU rings");

bool trace_pages_on;
ARG_BOOL(trace_pages, trace_pages_on, "record what happens to single pages as well");

static const char *const names[NR_TRACES] = {
#define X(id, name, doc) [TRACE_##id] = name,
	TRACE_LIST(X)
#undef X
};

void trace_record(enum trace_id id, u64 a, u64 b)
{
	struct trace_ring *ring = this_cpu()->trace;
	u32 place = __atomic_fetch_add(&ring->next, 1, __ATOMIC_RELAXED);
	struct trace_event *e = &ring->event[place % TRACE_RING_EVENTS];
	struct thread *t = current_thread();

	e->tsc = rdtsc();
	e->id = id;
	e->thread = t ? t->id : 0;
	e->a = a;
	e->b = b;
}

/* The latest event of any CPU that is not yet among those taken; @taken counts per CPU. */
static const struct trace_event *latest(u32 taken[MAX_CPUS], unsigned int *cpu)
{
	const struct trace_event *best = NULL;

	for (unsigned int c = 0; c < MAX_CPUS; c++) {
		const struct trace_ring *ring = &trace_rings[c];
		u32 next = READ_ONCE(ring->next);
		const struct trace_event *e;

		if (taken[c] >= min(next, (u32)TRACE_RING_EVENTS))
			continue;
		e = &ring->event[(next - 1 - taken[c]) % TRACE_RING_EVENTS];
		if (best && best->tsc >= e->tsc)
			continue;
		best = e;
		*cpu = c;
	}
	if (best)
		taken[*cpu]++;
	return best;
}

void trace_dump(unsigned int max)
{
	const struct trace_event *event[DUMP_MAX];
	u8 of_cpu[DUMP_MAX];
	u32 taken[MAX_CPUS] = { 0 };
	unsigned int n = 0, cpu = 0;

	if (!latest(taken, &cpu)) {
		printk("  none: trace=1 or debug=1 records them\n");
		return;
	}
	taken[cpu] = 0;
	while (n < min(max, (unsigned int)DUMP_MAX) && (event[n] = latest(taken, &cpu)))
		of_cpu[n++] = (u8)cpu;
	while (n--) {
		const struct trace_event *e = event[n];

		printk("  %16lu CPU %-2u thread %-4u %-10s %#lx %#lx\n", (unsigned long)e->tsc,
		       of_cpu[n], e->thread, e->id < NR_TRACES ? names[e->id] : "?",
		       (unsigned long)e->a, (unsigned long)e->b);
	}
}
