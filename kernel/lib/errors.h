/* SPDX-License-Identifier: MIT */
/*
 * errors.h - errors that no other system has a number for.
 */
#ifndef KERNEL_LIB_ERRORS_H
#define KERNEL_LIB_ERRORS_H

#include <sys/errno.h>

/* A direct write is on the disk, but somebody stored to a mapping of the same pages meanwhile (or
 * keeps one from leaving the cache): the page as it is in memory may be written over it later. */
#define ERACE (__ELASTERROR + 1)

#endif
