/* SPDX-License-Identifier: MIT */
/*
 * multiboot2.h - what GRUB (multiboot2) and QEMU (PVH) leave in memory. Only mbinfo.c reads it.
 *
 * Multiboot2 Specification 2.0, section 3.6; Xen's public/arch-x86/hvm/start_info.h.
 */
#ifndef BOOT_MULTIBOOT2_H
#define BOOT_MULTIBOOT2_H

#include "kernel/lib/types.h"

#define MB2_BOOTED 0x36d76289 /* eax at entry */

struct mb2_info {
	u32 total_size;
	u32 reserved;
	/* tags follow, each at a multiple of 8 */
};

struct mb2_tag {
	u32 type;
	u32 size; /* header included, padding not */
};

enum mb2_type {
	MB2_END = 0,
	MB2_CMDLINE = 1,  /* a string */
	MB2_MODULE = 3,	  /* struct mb2_module */
	MB2_MMAP = 6,	  /* struct mb2_mmap */
	MB2_RSDP_V1 = 14, /* a copy of the RSDP */
	MB2_RSDP_V2 = 15,
};

struct mb2_module {
	struct mb2_tag tag;
	u32 start, end;
	/* a string follows */
};

struct mb2_mmap {
	struct mb2_tag tag;
	u32 entry_size, entry_version;
	/* struct mem_entry follow, entry_size bytes apart */
};

/* The same in both worlds. */
struct mem_entry {
	u64 start, len;
	u32 type; /* MEM_USABLE or anything else: keep out */
	u32 reserved;
};
#define MEM_USABLE 1

#define PVH_MAGIC 0x336ec578

struct pvh_start_info {
	u32 magic, version;
	u32 flags, nr_modules;
	u64 modules; /* struct pvh_module[] */
	u64 cmdline; /* a string */
	u64 rsdp;
	u64 memmap; /* struct mem_entry[]; from version 1 on */
	u32 nr_memmap, reserved;
};

struct pvh_module {
	u64 start, size;
	u64 cmdline, reserved;
};

#endif
