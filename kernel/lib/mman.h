/* SPDX-License-Identifier: MIT */
/*
 * mman.h - the constants of mmap, munmap, msync and madvise that programs and kernel share.
 * Values as on Linux x86-64; programs reach them through <sys/mman.h>.
 */
#ifndef KERNEL_LIB_MMAN_H
#define KERNEL_LIB_MMAN_H

#define PROT_NONE  0
#define PROT_READ  1
#define PROT_WRITE 2
#define PROT_EXEC  4

#define MAP_SHARED    0x01
#define MAP_PRIVATE   0x02
#define MAP_FIXED     0x10
#define MAP_ANONYMOUS 0x20
#define MAP_ANON      MAP_ANONYMOUS
#define MAP_FAILED    ((void *)-1)

#define MAP_LOCKED	    0x2000 /* as if mlock()ed at once */
#define MAP_NORESERVE	    0x4000 /* nothing is ever reserved */
#define MAP_POPULATE	    0x8000
#define MAP_FIXED_NOREPLACE 0x100000 /* there, or nowhere */

#define MCL_CURRENT 1
#define MCL_FUTURE  2

#define MREMAP_MAYMOVE 1
#define MREMAP_FIXED   2

#define MADV_NORMAL	    0
#define MADV_RANDOM	    1 /* faults read what they need */
#define MADV_SEQUENTIAL	    2 /* and with this much of what follows */
#define MADV_WILLNEED	    3 /* reading starts now */
#define MADV_DONTNEED	    4 /* private pages are forgotten, shared ones unmapped */
#define MADV_REMOVE	    9
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
/* dirtybit's own: the policies decide what they mean (seeds P24, P25). */
#define MADV_STAY_WRITABLE 0x100 /* cleaning may leave this area's pages writable */
#define MADV_WILL_WRITE	   0x101 /* the same, and all its pages become writable now */
/* Policy number n (db_policy_index) answers for this area; -1: the file's again. */
#define MADV_POLICY(n) (0x200 + (n))

#define MS_ASYNC      1
#define MS_INVALIDATE 2
#define MS_SYNC	      4

#endif
