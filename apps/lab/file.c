/* SPDX-License-Identifier: MIT */
/*
 * file.c - the file of an experiment: made anew, mapped, looked at on the disk, removed.
 */
#include "apps/lab/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Blocks for all of it, on the disk: what is counted later is no allocation. */
static bool fill(struct lab_file *f)
{
	static const char zeros[LAB_PAGE];
	size_t p;

	for (p = 0; p < f->pages; p++) {
		if (pwrite(f->fd, zeros, LAB_PAGE, (off_t)p * LAB_PAGE) != LAB_PAGE)
			return false;
	}
	return !fsync(f->fd);
}

char *lab_map(const struct lab_file *f)
{
	char *map = mmap(NULL, f->pages * LAB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);

	if (map == MAP_FAILED) {
		lab_trouble("mmap of %s: %s", f->path, strerror(errno));
		return NULL;
	}
	lab_advise(map, f->pages * LAB_PAGE);
	return map;
}

void lab_advise(char *map, size_t bytes)
{
	/* What it cannot do now it need not do: stores fault as without advice. */
	if (lab_options.advice == LAB_ADVICE_STAY)
		madvise(map, bytes, MADV_STAY_WRITABLE);
	else if (lab_options.advice == LAB_ADVICE_WILL)
		madvise(map, bytes, MADV_WILL_WRITE);
}

bool lab_open(struct lab_file *f, const char *dir, const char *name, size_t pages,
	      enum lab_filled filled)
{
	*f = (struct lab_file){ .pages = pages };
	snprintf(f->path, sizeof(f->path), "%s/%s", dir, name);
	unlink(f->path);
	f->fd = open(f->path, O_RDWR | O_CREAT | O_EXCL, 0644);
	if (f->fd < 0) {
		lab_trouble("%s: %s", f->path, strerror(errno));
		return false;
	}
	if (ftruncate(f->fd, (off_t)pages * LAB_PAGE) || (filled == LAB_FILLED && !fill(f))) {
		lab_trouble("%s: no room for %zu pages: %s", f->path, pages, strerror(errno));
		lab_close(f);
		return false;
	}
	f->map = lab_map(f);
	if (!f->map)
		lab_close(f);
	return f->map;
}

void lab_close(struct lab_file *f)
{
	if (f->map)
		munmap(f->map, f->pages * LAB_PAGE);
	f->map = NULL;
	close(f->fd);
	unlink(f->path);
}

uint64_t lab_disk_word(const struct lab_file *f, size_t page, unsigned int word)
{
	uint64_t value = ~0ul;

	if (db_disk_read(f->fd, page * LAB_PAGE + word * 8ul, &value, sizeof(value)) !=
	    sizeof(value))
		lab_trouble("reading %s on the disk: %s", f->path, strerror(errno));
	return value;
}

int lab_msync(const struct lab_file *f, int flags)
{
	return msync(f->map, f->pages * LAB_PAGE, flags) ? errno : 0;
}

void lab_warm_up(const struct lab_file *f)
{
	int round;
	size_t p;

	for (round = 0; round < 2; round++) {
		for (p = 0; p < f->pages; p++)
			*lab_word(f, p, 0) = round + 1;
		if (lab_msync(f, MS_SYNC))
			lab_trouble("msync of %s failed", f->path);
	}
}

int64_t lab_now(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int64_t lab_mtime(const struct lab_file *f)
{
	struct db_stat st = { 0 };

	if (db_stat_fd(f->fd, &st))
		lab_trouble("stat of %s: %s", f->path, strerror(errno));
	return st.mtime.sec * 1000000000ll + st.mtime.nsec;
}

uint64_t lab_random(uint64_t *state)
{
	uint64_t x = *state ? *state : 0x9e3779b97f4a7c15ul;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dul >> 16;
}
