/* SPDX-License-Identifier: MIT */
/*
 * system.h - what bench.c asks the system about itself.
 */
#ifndef BENCH_SYSTEM_H
#define BENCH_SYSTEM_H

const char *system_policy(void); /* how the kernel notices stores */
const char *system_fs(void);	 /* kind of the file system that the benches use */

#endif
