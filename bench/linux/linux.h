/* SPDX-License-Identifier: MIT */
/*
 * linux.h - bench.h's half for Linux: how a bench registers, and the time-stamp counter.
 */
#ifndef BENCH_LINUX_LINUX_H
#define BENCH_LINUX_LINUX_H

#include <stdint.h>

/* Read by init.c, from a section of its own. */
struct linux_bench {
	const char *name;
	int (*main)(int argc, char **argv);
};

#define BENCH(id, text)                                                                            \
	static int id##_main(int argc, char **argv);                                               \
	static const struct linux_bench linux_bench_##id                                           \
		__attribute__((used, section("benches"), aligned(8))) = { #id, id##_main }

static inline uint64_t db_cycles(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return (uint64_t)hi << 32 | lo;
}

#endif
