/* SPDX-License-Identifier: MIT */
/*
 * dio_read.c - what does a direct read of 4 KiB cost beside the request to the disk, waiting
 * excluded, when nothing of the file is cached and nobody maps it?
 *
 * Both are measured in the same way, in turn: pread() of a descriptor with O_DIRECT, and one
 * request for the same sectors and nothing else. The medians of many rounds are compared: now and
 * then the disk is so fast that nobody has to sleep, which would make one of the two cheaper.
 */
#define _GNU_SOURCE /* O_DIRECT, on Linux */

#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGES  64
#define ROUNDS 256

struct setting {
	int fd, raw; /* raw: of bench_raw_open(), -1: there is none */
	off_t offset;
	void *buf;
};

static int round_of(const struct setting *s, struct bench_cost *direct, struct bench_cost *bio)
{
	ssize_t n;

	bench_start(direct);
	n = pread(s->fd, s->buf, PAGE, s->offset);
	bench_stop(direct);
	*bio = (struct bench_cost){ 0 };
	if (s->raw < 0)
		return n != (ssize_t)PAGE;
	bench_start(bio);
	n -= bench_raw_read(s->raw);
	bench_stop(bio);
	return n;
}

/* @page: of the file; the first twelve blocks of an ext2 file need no indirect block. */
static int measure(struct setting *s, int file, int page)
{
	struct bench_cost direct[ROUNDS], bio[ROUNDS];
	struct bench_result d, b;
	int i;

	s->offset = (off_t)page * (off_t)PAGE;
	s->raw = bench_raw_open(file, (uint64_t)s->offset);
	for (i = 0; i < ROUNDS; i++) {
		if (round_of(s, &direct[i], &bio[i])) {
			printf("bench: a direct read failed: %s\n", strerror(errno));
			break;
		}
	}
	bench_raw_close(s->raw);
	if (i < ROUNDS)
		return 1;
	bench_summarize(direct, ROUNDS, 1, &d);
	bench_summarize(bio, ROUNDS, 1, &b);
	bench_report("dio_read", (double)d.median - (double)b.median, "instructions",
		     ",\"page\":%d,\"read\":%llu,\"bio\":%llu", page, (unsigned long long)d.median,
		     (unsigned long long)b.median);
	return 0;
}

/* Blocks for all pages, and nothing in the cache. */
static int fill(const struct setting *s, int file)
{
	int p;

	memset(s->buf, 7, PAGE);
	for (p = 0; p < PAGES; p++) {
		if (pwrite(s->fd, s->buf, PAGE, (off_t)p * (off_t)PAGE) != (ssize_t)PAGE)
			return -1;
	}
	return fsync(file);
}

static int dio_read_main(int argc, char **argv)
{
	struct bench_file f;
	struct setting s;
	int status = 1;

	if (bench_file_open_hole(&f, "dio_read", PAGES))
		return 1;
	s.buf = memalign(PAGE, PAGE);
	s.fd = open(f.name, O_RDWR | O_DIRECT);
	if (s.fd < 0 || !s.buf || bench_file_unmap(&f) || fill(&s, f.fd))
		printf("bench: dio_read: %s: %s\n", f.name, strerror(errno));
	else
		status = measure(&s, f.fd, 0) || measure(&s, f.fd, 40);
	free(s.buf);
	close(s.fd);
	bench_file_close(&f);
	return status;
}
BENCH(dio_read, "direct read of 4 KiB beside the bare request");
