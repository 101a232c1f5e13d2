/* SPDX-License-Identifier: MIT */
/*
 * guarantee_disk.c - a full disk is known before the store; a page does not change under I/O.
 *
 * Both need a disk of our own (disk.c): one that is full, and one whose writes can be held.
 */
#include "apps/lab/verdict.h"
#include "apps/lab/watch.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A second thread stores while the first one's store is refused. */
static void race_for_space(struct verdict *v)
{
	struct full_disk r;
	int n = full_disk_rounds("enospc_before");

	for (; n > 0 && !v->broken; n--) {
		if (!store_to_full_disk(&r))
			return;
		verdict_case(v, !r.lost,
			     "%u stores beside a refused one were let pass and are not on the disk",
			     r.lost);
	}
}

void try_enospc_before(struct verdict *v)
{
	struct near_full r;

	if (!full_disk_rounds("enospc_before")) {
		v->not_asked = "it takes two CPUs";
		return;
	}
	if (!near_full(&r, 32, 64, NULL)) {
		v->not_asked = "there is no disk that could be filled";
		return;
	}
	verdict_case(v, r.refused, "64 stores into holes, 32 free blocks, and none was refused");
	verdict_case(v, !r.unreadable, "%llu loads from holes were refused",
		     (unsigned long long)r.unreadable);
	verdict_case(v, !r.lost, "%llu of %llu stores that were let pass are not on the disk",
		     (unsigned long long)r.lost, (unsigned long long)r.accepted);
	verdict_case(v, !r.fsync_error, "fsync of what was let pass: %s", strerror(r.fsync_error));
	race_for_space(v);
}

/* --- stable_pages --- */

#define STABLE_PAGES 16

struct held {
	struct lab_file file;
	volatile bool synced, stored;
	uint64_t value;
};

static int sync_it(void *arg)
{
	struct held *h = arg;

	lab_msync(&h->file, MS_SYNC);
	h->synced = true;
	return 0;
}

static int store_it(void *arg)
{
	struct held *h = arg;
	size_t p;

	for (p = 0; p < STABLE_PAGES; p++)
		*lab_word(&h->file, p, 0) = h->value;
	h->stored = true;
	return 0;
}

static bool wait_until_held(void)
{
	int n;

	for (n = 0; n < 5000 && !db_disk_held(LAB_DISK); n++)
		usleep(1000);
	return db_disk_held(LAB_DISK);
}

/*
 * The device has the request and has not read the memory yet: stores go to the pages now. When it
 * is let go it reads them; whatever it finds beyond @old was changed under it. The stores may also
 * wait for the I/O, which is allowed: so they are given a while, and not more.
 */
static void store_under_io(struct verdict *v, struct held *h, uint64_t old)
{
	struct db_thread *syncer, *storer = NULL;
	size_t p;
	int n;

	h->synced = h->stored = false;
	h->value = old + 1;
	db_disk_hold(LAB_DISK, true);
	syncer = db_thread_start(0, sync_it, h);
	if (syncer && wait_until_held()) {
		storer = db_thread_start(lab_options.cpus - 1, store_it, h);
		for (n = 0; n < 100 && storer && !h->stored; n++)
			usleep(1000);
	} else {
		v->not_asked = "the disk did not hold a write";
	}
	db_disk_hold(LAB_DISK, false);
	if (syncer)
		db_thread_join(syncer);
	for (p = 0; p < STABLE_PAGES && storer; p++)
		verdict_case(v, lab_disk_word(&h->file, p, 0) == old,
			     "page %zu was under I/O with %llu, the disk got %llu", p,
			     (unsigned long long)old,
			     (unsigned long long)lab_disk_word(&h->file, p, 0));
	if (storer)
		db_thread_join(storer);
}

void try_stable_pages(struct verdict *v)
{
	struct held h = { .stored = false };
	uint64_t round;
	size_t p;

	if (!lab_disk() || !lab_open(&h.file, lab_disk(), "stable", STABLE_PAGES, LAB_FILLED)) {
		v->not_asked = "there is no disk that could hold its writes";
		return;
	}
	lab_warm_up(&h.file);
	for (round = 1; round <= 3 && !v->not_asked; round++) {
		for (p = 0; p < STABLE_PAGES; p++)
			*lab_word(&h.file, p, 0) = 10 * round;
		store_under_io(v, &h, 10 * round);
		if (lab_msync(&h.file, MS_SYNC))
			lab_trouble("msync of %s failed", h.file.path);
	}
	lab_close(&h.file);
}
