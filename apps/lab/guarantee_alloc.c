/* SPDX-License-Identifier: MIT */
/*
 * guarantee_alloc.c - room on the disk that stores into holes take comes back to the last block.
 */
#include "apps/lab/verdict.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define COUNT_PAGES 64

static uint64_t space(const struct lab_file *f)
{
	uint64_t blocks, left = 0;

	if (db_fs_space(f->fd, &blocks, &left))
		lab_trouble("the free blocks of %s: %s", f->path, strerror(errno));
	return left;
}

/* Some pages are loaded, some stored to, some written; the rest stays a hole. */
static void touch_some(const struct lab_file *f, uint64_t *seed)
{
	uint64_t value;
	size_t p;

	for (p = 0; p < COUNT_PAGES; p++) {
		uint64_t what = lab_random(seed) % 4;

		if (what == 0)
			(void)db_try_load8(f->map + p * LAB_PAGE, &value);
		else if (what == 1)
			(void)db_try_store8(f->map + p * LAB_PAGE, p + 1);
		else if (what == 2 && pwrite(f->fd, &p, sizeof(p), (off_t)(p * LAB_PAGE)) < 0)
			lab_trouble("write to %s: %s", f->path, strerror(errno));
	}
}

/* With a sync before the truncation, which has found blocks, and without. */
void try_free_count(struct verdict *v)
{
	uint64_t seed = lab_options.seed, before;
	struct lab_file f;
	int round;

	if (!lab_disk() || !lab_open(&f, lab_disk(), "count", COUNT_PAGES, LAB_HOLES)) {
		v->not_asked = "there is no disk of our own";
		return;
	}
	before = space(&f);
	for (round = 0; round < 6; round++) {
		touch_some(&f, &seed);
		verdict_case(v, space(&f) <= before, "%llu blocks were free, now %llu are",
			     (unsigned long long)before, (unsigned long long)space(&f));
		if (round % 2 && fsync(f.fd))
			lab_trouble("fsync of %s: %s", f.path, strerror(errno));
		if (ftruncate(f.fd, 0) || ftruncate(f.fd, COUNT_PAGES * LAB_PAGE))
			lab_trouble("truncate %s: %s", f.path, strerror(errno));
		verdict_case(v, space(&f) == before,
			     "%llu blocks were free, and %llu when all was cut off again",
			     (unsigned long long)before, (unsigned long long)space(&f));
	}
	lab_close(&f);
}
