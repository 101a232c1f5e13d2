/* SPDX-License-Identifier: MIT */
/*
 * trace.h - what happened lately, typed: one ring per CPU, read by panic, tests and `stats`.
 *
 * trace=1 or debug=1 turns it on: an event costs as much as a small system call's own work. It is
 * raised in the file that owns the thing.
 */
#ifndef KERNEL_CORE_TRACE_H
#define KERNEL_CORE_TRACE_H

#include "kernel/lib/types.h"

/* X(NAME, "name", "meaning of a and b") */
#define TRACE_LIST(X)                                                                              \
	X(FAULT, "fault", "address, error code")                                                   \
	X(DIRTIED, "dirtied", "inode, page index")                                                 \
	X(MKCLEAN, "mkclean", "inode, pages cleaned")                                              \
	X(ZAP, "zap", "address, PTEs removed")                                                     \
	X(SHOOTDOWN, "shootdown", "why, CPU mask")                                                 \
	X(WRITEBACK, "writeback", "inode, pages")                                                  \
	X(WB_END, "wb_end", "inode, pages")                                                        \
	X(BIO, "bio", "operation, sector")                                                         \
	X(BIO_END, "bio_end", "status, sector")                                                    \
	X(TRUNCATE, "truncate", "inode, new size")                                                 \
	X(PUNCH, "punch", "inode, first byte")                                                     \
	X(RECLAIM, "reclaim", "frames passed, pages freed")                                        \
	X(CMTIME, "cmtime", "inode, seconds")                                                      \
	X(SWITCH, "switch", "from thread, to thread")                                              \
	X(MARK, "mark", "of a test: two numbers")

enum trace_id {
#define X(id, name, doc) TRACE_##id,
	TRACE_LIST(X)
#undef X
		NR_TRACES
};

struct trace_event {
	u64 tsc;
	u32 id;
	u32 thread;
	u64 a, b;
};

#define TRACE_RING_EVENTS 1024 /* a power of two */

/* Written by its CPU: interrupts and a thread that was moved meanwhile each take a place of their
 * own, so nothing is locked; what is read while it is written may be half of two events. */
struct trace_ring {
	u32 next; /* a: events so far */
	struct trace_event event[TRACE_RING_EVENTS];
};
extern struct trace_ring trace_rings[];

extern bool trace_on; /* trace.c: argument trace= */
void trace_record(enum trace_id id, u64 a, u64 b);

static inline void trace(enum trace_id id, u64 a, u64 b)
{
	if (unlikely(trace_on))
		trace_record(id, a, b);
}

/* For what happens once per page: only with trace_pages=1, so that the rings tell more of the past
 * and a store's fault costs less. */
extern bool trace_pages_on;

static inline void trace_page(enum trace_id id, u64 a, u64 b)
{
	if (unlikely(trace_pages_on))
		trace_record(id, a, b);
}

/* The last @max events (at most 128) of all CPUs in order of time, oldest first, on the console. */
void trace_dump(unsigned int max);

#endif
