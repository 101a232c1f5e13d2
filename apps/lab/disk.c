/* SPDX-License-Identifier: MIT */
/*
 * disk.c - a small disk in memory for experiments that need one of their own: nobody else writes to
 * it, it can be full, and its writes can be held.
 */
#include "apps/lab/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_PAGES 2048 /* 8 MiB */
#define MOUNT_AT   "/tmp/lab"
#define FILLER	   MOUNT_AT "/filler"

static enum { ABSENT, MOUNTED, REFUSED } state;
static int filler = -1;

static bool make_disk(void)
{
	uint8_t *image = calloc(LAB_MKFS_BLOCKS, LAB_PAGE);
	bool made = false;

	if (image) {
		lab_mkfs(image, DISK_PAGES * LAB_PAGE);
		made = !db_ramdisk_create(LAB_DISK, DISK_PAGES * LAB_PAGE, image,
					  LAB_MKFS_BLOCKS * LAB_PAGE);
	}
	free(image);
	return made;
}

const char *lab_disk(void)
{
	if (state == ABSENT) {
		state = REFUSED;
		mkdir("/tmp", 0755);
		mkdir(MOUNT_AT, 0755);
		if (!make_disk())
			lab_trouble("no RAM disk: %s", strerror(errno));
		else if (db_mount(LAB_DISK, "ext2", MOUNT_AT))
			lab_trouble("the RAM disk cannot be mounted: %s", strerror(errno));
		else
			state = MOUNTED;
	}
	return state == MOUNTED ? MOUNT_AT : NULL;
}

bool lab_disk_fill(size_t pages)
{
	static const char zeros[LAB_PAGE];
	char alloc[32];
	bool full;
	off_t size = 0;

	if (!lab_disk())
		return false;
	filler = open(FILLER, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (filler < 0) {
		lab_trouble("%s: %s", FILLER, strerror(errno));
		return false;
	}
	/* Under alloc=writeback the disk would never be full. */
	if (db_arg_get("alloc", alloc, sizeof(alloc)) || db_arg_set("alloc", "reserve"))
		alloc[0] = '\0';
	while (pwrite(filler, zeros, LAB_PAGE, size) == LAB_PAGE)
		size += LAB_PAGE;
	full = errno == ENOSPC;
	if (alloc[0])
		db_arg_set("alloc", alloc);
	if (!full || size < (off_t)pages * LAB_PAGE) {
		lab_trouble("filling the RAM disk: %s", strerror(errno));
		lab_disk_unfill();
		return false;
	}
	if (ftruncate(filler, size - (off_t)pages * LAB_PAGE) || fsync(filler)) {
		lab_trouble("making room on the RAM disk: %s", strerror(errno));
		return false;
	}
	return true;
}

void lab_disk_unfill(void)
{
	if (filler < 0)
		return;
	close(filler);
	unlink(FILLER);
	filler = -1;
}

void lab_disk_remove(void)
{
	lab_disk_unfill();
	if (state == MOUNTED && (db_umount(MOUNT_AT) || db_ramdisk_destroy(LAB_DISK)))
		lab_trouble("the RAM disk cannot be removed: %s", strerror(errno));
	state = ABSENT;
}
