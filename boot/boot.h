/* SPDX-License-Identifier: MIT */
/*
 * boot.h - what the boot loader told, in one form whatever it was.
 *
 * boot/ fills it from multiboot2 tags or from a PVH start_info; nothing else knows either. All
 * addresses are physical. Everything is copied: the loader's memory may be reused.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include "kernel/lib/types.h"

#define BOOT_MAX_RANGES	 64
#define BOOT_MAX_MODULES 4
#define BOOT_CMDLINE	 1024

enum boot_loader { BOOT_MULTIBOOT2, BOOT_PVH };

struct boot_range { /* usable memory only, page aligned inwards, sorted, not overlapping */
	paddr_t start, end;
};

struct boot_module {
	paddr_t start, end;
	char name[64];
};

struct boot_info {
	enum boot_loader loader;
	char cmdline[BOOT_CMDLINE]; /* always terminated */
	unsigned int nr_ranges, nr_modules;
	struct boot_range ranges[BOOT_MAX_RANGES];
	struct boot_module modules[BOOT_MAX_MODULES];
	paddr_t rsdp;	     /* 0: look for it */
	char complaint[128]; /* a sentence when the loader's data had to be cut or refused */
};

/* @magic, @info: eax and ebx at entry. Runs on the boot tables: physical memory below 4 GiB is
 * identity mapped. Returns the only instance. */
const struct boot_info *boot_info_collect(u32 magic, u32 info);

#endif
