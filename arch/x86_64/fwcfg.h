/* SPDX-License-Identifier: MIT */
/*
 * fwcfg.h - QEMU's fw_cfg files, by ports 0x510 and 0x511.
 */
#ifndef ARCH_X86_64_FWCFG_H
#define ARCH_X86_64_FWCFG_H

#include "kernel/lib/types.h"

/* Copy file @name (at most @size - 1 bytes, then a NUL) into @buf. Its length, or -ENOENT when
 * there is no such file or no fw_cfg. */
int fwcfg_read(const char *name, char *buf, size_t size);
/* QEMU's -smp count (FW_CFG_NB_CPUS), 0 if unknown. */
unsigned int fwcfg_nr_cpus(void);

#endif
