/* SPDX-License-Identifier: MIT */
/*
 * guarantee_errors.c - a disk refuses writes for a while: who hears of it, and what is left.
 *
 * Not promises of a policy, but of wberr=. Both need the disk of our own (disk.c).
 */
#include "apps/lab/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 4

static bool open_file(struct verdict *v, struct lab_file *f)
{
	if (lab_disk() && lab_open(f, lab_disk(), "errors", PAGES, LAB_FILLED))
		return true;
	v->not_asked = "there is no disk that could refuse writes";
	return false;
}

/* write() dirties a page under every policy; the flusher meets the error, and tells nobody. */
static bool fail_in_background(const struct lab_file *f, uint64_t value)
{
	uint64_t failed = db_stat_read("pages_failed");
	int n;

	if (pwrite(f->fd, &value, sizeof(value), 0) != sizeof(value))
		return false;
	db_disk_fail(LAB_DISK, true);
	db_writeback_kick(f->fd);
	for (n = 0; n < 2000 && db_stat_read("pages_failed") == failed; n++)
		usleep(1000);
	db_disk_fail(LAB_DISK, false);
	return db_stat_read("pages_failed") != failed;
}

/* 0 or errno of each: the first must be told, the second must not. */
static void told_once(struct verdict *v, const char *who, int first, int second)
{
	verdict_case(v, first == EIO, "%s was told %d (%s), and not EIO", who, first,
		     strerror(first));
	verdict_case(v, !second, "%s was told %s a second time", who, strerror(second));
}

static int sync_fd(int fd)
{
	return fsync(fd) ? errno : 0;
}

void try_error_told(struct verdict *v)
{
	int before, late, last, first;
	struct lab_file f;

	if (!open_file(v, &f))
		return;
	before = open(f.path, O_RDONLY);
	if (fail_in_background(&f, 1)) {
		late = open(f.path, O_RDWR);
		first = sync_fd(late);
		told_once(v, "who came before anybody was told", first, sync_fd(late));
		first = lab_msync(&f, MS_SYNC);
		told_once(v, "msync", first, lab_msync(&f, MS_SYNC));
		first = sync_fd(before);
		told_once(v, "who only reads", first, sync_fd(before));
		last = open(f.path, O_RDWR);
		first = sync_fd(last);
		verdict_case(v, !first, "who came when all were told was told %s", strerror(first));
		close(last);
		close(late);
	} else {
		v->not_asked = "no write failed";
	}
	close(before);
	lab_close(&f);
}

void try_kept_data(struct verdict *v)
{
	struct lab_file f;
	uint64_t round;
	int err, n;

	if (!open_file(v, &f))
		return;
	lab_warm_up(&f);
	for (round = 10; round < 13; round++) {
		*lab_word(&f, 0, 0) = round;
		db_disk_fail(LAB_DISK, true);
		err = lab_msync(&f, MS_SYNC);
		db_disk_fail(LAB_DISK, false);
		verdict_case(v, err, "msync said 0 on a disk that takes no writes");
		for (n = 0, err = EIO; n < 4 && err; n++)
			err = lab_msync(&f, MS_SYNC);
		verdict_case(v, !err, "msync said %s on a disk that is well", strerror(err));
		verdict_case(v, lab_disk_word(&f, 0, 0) == round,
			     "msync said 0, %llu was stored, and %llu is on the disk",
			     (unsigned long long)round,
			     (unsigned long long)lab_disk_word(&f, 0, 0));
	}
	lab_close(&f);
}
