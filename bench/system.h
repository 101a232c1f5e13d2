/* SPDX-License-Identifier: MIT */
/*
 * system.h - what bench.c asks the system about itself.
 */
#ifndef BENCH_SYSTEM_H
#define BENCH_SYSTEM_H

#include <stdint.h>

struct bench_cost;

const char *system_policy(void); /* how the kernel notices stores, now */
const char *system_fs(void);	 /* kind of the file system that the benches use */
/* Ticks that the calling thread's CPU was halted since boot. */
uint64_t system_idle(void);
/* Fill in faults, ipis and shootdowns: since boot, or since the program began. */
void system_events(struct bench_cost *c);

#endif
