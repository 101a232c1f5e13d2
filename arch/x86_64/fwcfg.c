/* SPDX-License-Identifier: MIT */
/*
 * fwcfg.c - files that QEMU's command line hands to the guest (-fw_cfg name=...,string=...).
 *
 * A selector port and a data port that yields the selected item byte by byte. The directory is
 * item 0x19, its numbers big-endian. QEMU docs/specs/fw_cfg.
 * Locks: none; boot CPU, before the others run.
 */
#include "arch/x86_64/fwcfg.h"

#include <errno.h>
#include <string.h>

#include "arch/x86_64/asm/cpu.h"

#define PORT_SELECT 0x510
#define PORT_DATA   0x511

#define KEY_SIGNATURE 0x00
#define KEY_NB_CPUS   0x05
#define KEY_DIRECTORY 0x19

#define MAX_FILES 1024 /* more is not believed */

struct fwcfg_file {
	u32 size; /* big-endian */
	u16 key;  /* big-endian */
	u16 reserved;
	char name[56];
};

static void fwcfg_bytes(void *buf, size_t len)
{
	__asm__ volatile("rep insb" : "+D"(buf), "+c"(len) : "d"((u16)PORT_DATA) : "memory");
}

static bool fwcfg_present(void)
{
	char signature[4];

	outw(PORT_SELECT, KEY_SIGNATURE);
	fwcfg_bytes(signature, sizeof(signature));
	return !memcmp(signature, "QEMU", sizeof(signature));
}

unsigned int fwcfg_nr_cpus(void)
{
	u16 nr = 0;

	if (!fwcfg_present())
		return 0;
	outw(PORT_SELECT, KEY_NB_CPUS);
	fwcfg_bytes(&nr, sizeof(nr));
	return nr;
}

int fwcfg_read(const char *name, char *buf, size_t size)
{
	struct fwcfg_file file;
	u32 nr = 0;

	if (!size || !fwcfg_present())
		return -ENOENT;
	outw(PORT_SELECT, KEY_DIRECTORY);
	fwcfg_bytes(&nr, sizeof(nr));
	nr = min(__builtin_bswap32(nr), (u32)MAX_FILES);
	while (nr--) {
		fwcfg_bytes(&file, sizeof(file));
		if (strncmp(file.name, name, sizeof(file.name)))
			continue;
		size = min((size_t)__builtin_bswap32(file.size), size - 1);
		outw(PORT_SELECT, __builtin_bswap16(file.key));
		fwcfg_bytes(buf, size);
		buf[size] = 0;
		return (int)size;
	}
	return -ENOENT;
}
