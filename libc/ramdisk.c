/* SPDX-License-Identifier: MIT */
/*
 * ramdisk.c - disks in memory that a program makes for itself, and may hold or make fail.
 *
 * Owns:  the list of them: no other disk can be destroyed or held from here.
 * Locks: lock (RANK_LIBC) around the list and what is done to its members.
 */
#include <errno.h>
#include <string.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/block/ramblk.h"
#include "kernel/core/sleeplock.h"
#include "libc/include/dirtybit.h"
#include "libc/process.h"

#define MAX_DISKS 4

static struct blkdev *disks[MAX_DISKS];
static MUTEX(lock, RANK_LIBC);

/* The place of @name in the list, or a free one if @name is "". NULL: none. Lock held. */
static struct blkdev **find_disk(const char *name)
{
	for (int n = 0; n < MAX_DISKS; n++)
		if (*name ? disks[n] && !strcmp(disks[n]->name, name) : !disks[n])
			return &disks[n];
	return NULL;
}

int db_ramdisk_create(const char *name, size_t bytes, const void *image, size_t len)
{
	struct blkdev **place;
	int err = -ENOSPC;

	mutex_lock(&lock);
	place = find_disk("");
	if (place)
		err = ramblk_create(name, bytes, NULL, SECTOR_SIZE, place);
	if (!err && copy_fault(ramblk_data(*place, 0), image, min(len, bytes))) {
		ramblk_destroy(*place);
		*place = NULL;
		err = -EFAULT;
	}
	mutex_unlock(&lock);
	return posix_result(err);
}

int db_ramdisk_destroy(const char *name)
{
	struct blkdev **place;
	int err = -ENODEV;

	mutex_lock(&lock);
	place = find_disk(name);
	if (place)
		err = (*place)->in_use ? -EBUSY : 0;
	if (!err) {
		ramblk_unhold(*place);
		ramblk_destroy(*place);
		*place = NULL;
	}
	mutex_unlock(&lock);
	return posix_result(err);
}

int db_disk_hold(const char *name, bool on)
{
	struct blkdev **place;
	int err = -ENOTSUP;

	mutex_lock(&lock);
	place = find_disk(name);
	if (place) {
		err = 0;
		if (on)
			ramblk_hold(*place, 1u << BIO_WRITE, false);
		else
			ramblk_unhold(*place);
	}
	mutex_unlock(&lock);
	return posix_result(err);
}

int db_disk_fail(const char *name, bool on)
{
	struct blkdev **place;
	int err = -ENOTSUP;

	mutex_lock(&lock);
	place = find_disk(name);
	if (place) {
		err = 0;
		ramblk_fail(*place, BIO_WRITE, 0, ~0ul, 1, on ? ~0u : 0, -EIO);
	}
	mutex_unlock(&lock);
	return posix_result(err);
}

unsigned int db_disk_held(const char *name)
{
	struct blkdev **place;
	unsigned int held = 0;

	mutex_lock(&lock);
	place = find_disk(name);
	if (place)
		held = ramblk_nr_held(*place);
	mutex_unlock(&lock);
	return held;
}
