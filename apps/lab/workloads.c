/* SPDX-License-Identifier: MIT */
/*
 * workloads.c - the table of workloads. One more: its function in a file, a line here.
 */
#include "apps/lab/lab.h"

const struct lab_workload lab_workloads[] = {
	{ "redirty", "each page stored to with probability p, then msync(MS_SYNC)",
	  workload_redirty, LAB_SWEEP_P },
	{ "sparse", "one page in a hundred stored to, then msync(MS_SYNC)", workload_sparse,
	  LAB_ONCE },
	{ "hot", "64 pages stored to for ever, while they are synced", workload_hot, LAB_ONCE },
	{ "rt", "a real-time thread beside msync, the flusher and I/O of others", workload_rt,
	  LAB_ONCE },
	{ "append", "a log that grows through its mapping, synced every 16 records",
	  workload_append, LAB_ONCE },
	{ "many", "one file in 1 to --spaces address spaces", workload_many, LAB_SWEEP_SPACES },
	{ "commit", "four random pages, then MS_SYNC, for ever", workload_commit, LAB_ONCE },
	{ "observer", "one caches by the change cookie while others store", workload_observer,
	  LAB_ONCE },
	{ "nearfull", "stores into holes of a disk that is almost full", workload_nearfull,
	  LAB_ONCE },
	{ "mixed", "stores, write(), direct I/O and fsync on one file", workload_mixed, LAB_ONCE },
	{ NULL, NULL, NULL, LAB_ONCE },
};
