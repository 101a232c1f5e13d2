/* SPDX-License-Identifier: MIT */
/*
 * shm.h - memory that address spaces share and no file system has a name for.
 */
#ifndef KERNEL_MM_SHM_H
#define KERNEL_MM_SHM_H

#include "kernel/mm/mapping.h"

struct vm_operations;

/* The pages of @size bytes, all zero, none there yet; one reference for the caller. NULL: no
 * memory. May sleep. */
struct address_space *shm_create(u64 size);
/* The last one frees the pages. May sleep. */
void shm_put(struct address_space *mapping);
/* For areas that map it: open and close count them. */
extern const struct vm_operations shm_vm_ops;

#endif
