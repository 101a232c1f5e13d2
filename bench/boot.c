/* SPDX-License-Identifier: MIT */
/*
 * boot.c - how much work lies between the kernel's first instruction and the moment the shell could
 * prompt? Measured by the kernel at that moment; says nothing on Linux.
 */
#include "bench/bench.h"

#include <unistd.h>

static int boot_main(int argc, char **argv)
{
#ifdef DIRTYBIT_H
	struct db_memory m;

	db_memory(&m);
	bench_report("boot", (double)db_boot_cycles(), "instructions", ",\"mem_mib\":%llu",
		     (unsigned long long)(m.total >> 8));
#endif
	return 0;
}
BENCH(boot, "kernel entry to prompt");
