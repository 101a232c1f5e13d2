/* SPDX-License-Identifier: MIT */
/*
 * uaccess.h - reading and writing memory that may not be there: a program's pointers.
 *
 * A fault inside these that handle_page_fault() cannot or may not resolve ends the access instead
 * of the thread. All may sleep in a fault, unless faults are disabled (thread->fault_disabled).
 */
#ifndef ARCH_X86_64_UACCESS_H
#define ARCH_X86_64_UACCESS_H

#include "arch/x86_64/asm/frame.h"
#include "kernel/lib/types.h"

/* Copy; returns the number of bytes, at the end, that were not copied: 0 is success. Exact to the
 * byte. */
size_t copy_fault(void *dst, const void *src, size_t n);

/* One access. 0, or the negative error of the fault; then *@v is unchanged. */
int probe_load8(const void *p, u64 *v);
int probe_store8(void *p, u64 v);
int probe_load4(const void *p, u32 *v);
int probe_load1(const void *p, u8 *v);
int probe_store1(void *p, u8 v);

/* For the fault handler: if @f was inside one of the above, make it fail with @error (negative) and
 * return true. The handler then returns. trap.c. */
bool fixup_exception(struct trap_frame *f, s64 error);
/* Was @f inside one of them? Then the kernel made the access, and may hold locks. trap.c. */
bool fault_has_fixup(const struct trap_frame *f);

#endif
