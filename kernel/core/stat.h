/* SPDX-License-Identifier: MIT */
/*
 * stat.h - every cost this laboratory counts, by name.
 *
 * One line per counter: the owning file raises it, in no other place. Counting is one instruction
 * on a per-CPU word, safe against preemption and interrupts, so that it may stand in any path.
 * `stats` in the shell and the benches read the sums; experiments read counters, nobody adds a
 * print to measure.
 */
#ifndef KERNEL_CORE_STAT_H
#define KERNEL_CORE_STAT_H

#include "kernel/lib/types.h"

/* X(NAME, "name", "owner: meaning") */
#define STAT_LIST(X)                                                                               \
	/* faults */                                                                               \
	X(FAULTS, "faults", "fault.c: page faults taken")                                          \
	X(READ_FAULTS, "read_faults", "memory.c: a page was mapped for reading")                   \
	X(WRITE_FAULTS, "write_faults", "memory.c: a shared file page became writable")            \
	X(COW_FAULTS, "cow_faults", "memory.c: a private page was copied")                         \
	X(COW_REUSED, "cow_reused", "memory.c: a private page that nobody else had was kept")      \
	X(ANON_FAULTS, "anon_faults", "memory.c: a zeroed private page was given")                 \
	X(SPURIOUS_FAULTS, "spurious_faults", "memory.c: the PTE already allowed it")              \
	X(RETRY_FAULTS, "retry_faults", "memory.c: the PTE or page changed meanwhile")             \
	X(SIGBUS_FAULTS, "sigbus_faults", "fault.c: refused: EOF, no space, I/O error")            \
	X(FAULT_ENDS, "fault_ends", "fault.c: threads that a refused access ended")                \
	X(SIGNALS, "signals", "libc/signal.c: handlers called")                                    \
	X(KILLS, "kills", "kill.c: threads told to end")                                           \
	X(MKWRITE, "mkwrite", "memory.c: page_mkwrite calls")                                      \
	/* dirty state */                                                                          \
	X(PAGES_DIRTIED, "pages_dirtied", "page_dirty.c: CLEAN to DIRTY")                          \
	X(PAGES_MAYBE, "pages_maybe", "page_dirty.c: to MAYBE_DIRTY")                              \
	X(PAGES_HARVESTED, "pages_harvested", "page_dirty.c: MAYBE_DIRTY to DIRTY")                \
	X(PAGES_D_SEEN, "pages_d_seen", "page_dirty.c: D found while unmapping")                   \
	X(PAGES_CLEANED, "pages_cleaned", "page_dirty.c: cleaned for I/O")                         \
	X(PAGES_CANCELLED, "pages_cancelled", "page_dirty.c: dirtiness discarded by truncate")     \
	X(HOLES, "holes", "punch.c: parts of files given up or zeroed")                            \
	X(PAGES_REDIRTIED, "pages_redirtied", "page_dirty.c: put back, could not be written")      \
	X(PAGES_WRITTEN, "pages_written", "page_dirty.c: writeback ended, well or not")            \
	X(PAGES_FAILED, "pages_failed", "write_error.c: of those, not well")                       \
	X(PTES_SCANNED, "ptes_scanned", "rmap.c: PTEs looked at for cleaning")                     \
	X(PTES_CLEANED, "ptes_cleaned", "rmap.c: PTEs that lost W or D")                           \
	X(HARVESTS, "harvests", "harvest.c: files asked for stores without notice")                \
	X(HARVEST_PTES, "harvest_ptes", "harvest.c: PTEs looked at")                               \
	X(HARVEST_REGIONS, "harvest_regions", "harvest.c: 2 MiB regions looked into")              \
	X(HARVEST_SKIPPED, "harvest_skipped", "harvest.c: 2 MiB regions that nobody touched")      \
	X(PAGES_LOGGED, "pages_logged", "dirty_log.c: first stores that went into the log")        \
	X(LOG_OVERFLOWS, "log_overflows", "dirty_log.c: stores for which the log was full")        \
	X(PAGES_GRANTED, "pages_granted", "grant.c: pages made writable ahead of a store")         \
	X(GRANTS_REVOKED, "grants_revoked", "grant_first.c: PTEs that lost W: the file refused")   \
	X(PAGES_FORKED, "pages_forked", "page_fork.c: pages under I/O that got a copy")            \
	X(PTES_ARMED, "ptes_armed", "arm.c: PTEs that lost W because somebody looked at times")    \
	X(PTES_STRIPPED, "ptes_stripped", "preclean.c: PTEs that lost W or D ahead of a pass")     \
	X(PAGES_LEFT_DIRTY, "pages_left_dirty", "preclean.c: hot pages written and not cleaned")   \
	X(PTES_PROTECTED, "ptes_protected", "mprotect.c: PTEs that got other permissions")         \
	X(PTES_MOVED, "ptes_moved", "mremap.c: PTEs that went to another address")                 \
	X(PTES_FORKED, "ptes_forked", "mm_fork.c: PTEs of private pages that a child shares")      \
	X(PTES_ZAPPED, "ptes_zapped", "memory.c: PTEs removed")                                    \
	X(THROTTLED, "throttled", "throttle.c: waits of a dirtying thread")                        \
	X(THROTTLED_US, "throttled_us", "throttle.c: microseconds of them")                        \
	/* memory wanted */                                                                        \
	X(PAGES_RECLAIMED, "pages_reclaimed", "reclaim.c: cached pages whose frames were freed")   \
	X(RECLAIM_SCANNED, "reclaim_scanned", "reclaim.c: cached pages the back hand looked at")   \
	X(RECLAIM_USED, "reclaim_used", "reclaim.c: of them left, for they were used")             \
	X(RECLAIM_UNMAPPED, "reclaim_unmapped", "reclaim.c: PTEs removed")                         \
	X(RECLAIM_DIRTY_SKIPPED, "reclaim_dirty_skipped", "reclaim.c: left, to be written first")  \
	X(TABLES_RECLAIMED, "tables_reclaimed", "reclaim_tables.c: page tables found empty")       \
	X(OBJECTS_SHRUNK, "objects_shrunk", "shrinker.c: objects that caches gave back")           \
	X(DIRECT_RECLAIMS, "direct_reclaims", "kreclaimd.c: allocations that made room")           \
	X(OOM, "oom", "kreclaimd.c: allocations that found no room in the end")                    \
	/* TLB */                                                                                  \
	X(TLB_SHOOTDOWNS, "tlb_shootdowns", "tlb.c: batches flushed, of any reason")               \
	X(TLB_MKCLEAN, "tlb_why_mkclean", "tlb.c: batches because pages were cleaned")             \
	X(TLB_ZAP, "tlb_why_zap", "tlb.c: batches because pages were unmapped")                    \
	X(TLB_COW, "tlb_why_cow", "tlb.c: batches because a page was copied")                      \
	X(TLB_PROTECT, "tlb_why_protect", "tlb.c: batches because permission was taken")           \
	X(TLB_KERNEL, "tlb_why_kernel", "tlb.c: batches for the kernel's own half")                \
	X(TLB_HARVEST, "tlb_why_harvest", "tlb.c: batches because dirty bits were collected")      \
	X(TLB_RECLAIM, "tlb_why_reclaim", "tlb.c: batches because frames were wanted")             \
	X(TLB_DEFERRED, "tlb_deferred", "tlb.c: batches that waited for CPUs, not interrupted")    \
	X(TLB_TEST, "tlb_why_test", "tlb.c: batches of tests")                                     \
	X(TLB_ICR_WRITES, "tlb_icr_writes", "apic.c, for tlb.c: writes of the interrupt command")  \
	X(TLB_IPIS_SENT, "tlb_ipis_sent", "tlb.c: CPUs asked")                                     \
	X(TLB_IPIS_RECEIVED, "tlb_ipis_received", "tlb.c: requests served")                        \
	X(TLB_INVLPGS, "tlb_invlpgs", "tlb.c: INVLPG executed")                                    \
	X(TLB_CR3_LOADS, "tlb_cr3_loads", "tlb.c: CR3 loads, switches and full flushes")           \
	X(TLB_LAZY_SKIPPED, "tlb_lazy_skipped", "tlb.c: lazy CPUs not asked")                      \
	X(TLB_LAZY_CAUGHT_UP, "tlb_lazy_caught_up", "tlb.c: CPUs that left laziness stale")        \
	/* page cache and file system */                                                           \
	X(CACHE_HITS, "cache_hits", "filemap.c: page found up to date")                            \
	X(CACHE_MISSES, "cache_misses", "filemap.c: page had to be made")                          \
	X(READAHEAD_PAGES, "readahead_pages", "filemap.c: pages read before they were asked for")  \
	X(PAGES_INVALIDATED, "pages_invalidated", "invalidate.c: dropped for a direct write")      \
	X(INVALIDATE_BUSY, "invalidate_busy", "invalidate.c: pages that could not be dropped")     \
	X(PAGES_PINNED, "pages_pinned", "gup.c: pages of a program's buffer pinned for a device")  \
	X(PINNED_DIRTIED, "pinned_dirtied", "gup.c: file pages that a device wrote into")          \
	X(DIO_READS, "dio_reads", "directio.c: direct reads")                                      \
	X(DIO_WRITES, "dio_writes", "directio.c: direct writes")                                   \
	X(DIO_COPIED, "dio_copied", "directio.c: reads served by a page newer than the disk")      \
	X(DIO_CACHED, "dio_cached", "directio.c: parts that went through the cache after all")     \
	X(DIO_RACES, "dio_races", "directio.c: writes that raced with a mapping (ERACE)")          \
	X(MSYNCS, "msyncs", "msync.c: calls")                                                      \
	X(FSYNCS, "fsyncs", "file.c: fsync and fdatasync calls")                                   \
	X(CMTIME_FLUSHES, "cmtime_flushes", "cmtime.c: owed file times settled")                   \
	X(INODE_UPDATES, "inode_updates", "cmtime.c: times changed in memory")                     \
	X(INODE_WRITES, "inode_writes", "ext2/inode.c: inodes written to their block")             \
	X(BLOCKS_ALLOCATED, "blocks_allocated", "ext2/balloc.c")                                   \
	X(BLOCKS_FREED, "blocks_freed", "ext2/balloc.c")                                           \
	X(BLOCKS_ZEROED, "blocks_zeroed", "ext2/fallocate.c: zeros written ahead of any store")    \
	X(BLOCKS_RESERVED, "blocks_reserved", "ext2/reserve.c: promised to stores into holes")     \
	X(RESERVATIONS_CONVERTED, "reservations_converted", "ext2/delayed.c: promised, and found") \
	X(RESERVATIONS_RETURNED, "reservations_returned",                                          \
	  "ext2/delayed.c: promised, and given back")                                              \
	X(ENOSPC_RETRIES, "enospc_retries", "ext2/make_room.c: a full disk had room after all")    \
	/* block */                                                                                \
	X(BIO_READS, "bio_reads", "bio.c: read requests submitted")                                \
	X(BIO_WRITES, "bio_writes", "bio.c: write requests submitted")                             \
	X(BIO_FLUSHES, "bio_flushes", "bio.c: cache flushes submitted")                            \
	X(BIO_ERRORS, "bio_errors", "bio.c: requests that failed")                                 \
	X(VIRTIO_KICKS, "virtio_kicks", "virtqueue.c: doorbells rung")                             \
	X(VIRTIO_IRQS, "virtio_irqs", "virtio_blk.c: completion interrupts")                       \
	/* threads */                                                                              \
	X(SWITCHES, "switches", "sched.c: context switches")                                       \
	X(IRQS, "irqs", "trap.c: interrupts taken")

enum stat_id {
#define X(id, name, doc) STAT_##id,
	STAT_LIST(X)
#undef X
		NR_STATS
};

/* Offset of stats[] in struct cpu; kernel/core/stat.c asserts that it agrees. */
#define CPU_STATS_OFFSET 56

/* No "memory" clobber: nobody reads a counter but by stat_read(), and the compiler keeps what it
 * has in registers. A constant id costs one instruction, the rare variable one (a table) two. */
static inline void stat_inc(enum stat_id id)
{
	u64 offset = CPU_STATS_OFFSET + 8 * (u64)id;

	if (__builtin_constant_p(offset))
		__asm__ volatile("incq %%gs:%c0" ::"i"(offset) : "cc");
	else
		__asm__ volatile("incq %%gs:(%0)" ::"r"(offset) : "cc");
}

static inline void stat_add(enum stat_id id, u64 n)
{
	u64 offset = CPU_STATS_OFFSET + 8 * (u64)id;

	if (__builtin_constant_p(offset))
		__asm__ volatile("addq %1, %%gs:%c0" ::"i"(offset), "er"(n) : "cc");
	else
		__asm__ volatile("addq %1, %%gs:(%0)" ::"r"(offset), "er"(n) : "cc");
}

/* Sum over all CPUs; exact when the others are quiet. */
u64 stat_read(enum stat_id id);
const char *stat_name(enum stat_id id);
const char *stat_doc(enum stat_id id);

/* All counters at once, to subtract two: struct stats a, b; ... b.v[STAT_X] - a.v[STAT_X] */
struct stats {
	u64 v[NR_STATS];
};
void stats_snapshot(struct stats *s);
/* "name value" of every counter that is not zero, one per line, on the console. */
void stats_print(void);

#endif
