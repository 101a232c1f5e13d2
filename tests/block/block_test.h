/* SPDX-License-Identifier: MIT */
/*
 * block_test.h - what the tests of the block layer share.
 */
#ifndef TESTS_BLOCK_BLOCK_TEST_H
#define TESTS_BLOCK_BLOCK_TEST_H

#include "kernel/block/blkdev.h"

/* A RAM disk "rtest" of @size bytes, or NULL and the test has failed. */
struct blkdev *make_disk(u64 size);

/* One page each; the test fails and NULL comes back if there is no memory. */
u8 *get_buffer(void);
void put_buffer(void *buf);

/* Byte @i of a pattern that differs from @seed to @seed and from sector to sector. */
static inline u8 pattern(u64 seed, u64 i)
{
	return (u8)(seed * 37 + (i >> 9) * 11 + i);
}

void fill(void *buf, u64 len, u64 seed);
bool filled(const void *buf, u64 len, u64 seed);

/* A bio in flight whose end can be waited for. */
struct flight {
	struct bio *bio;
	unsigned long busy; /* bit 0 */
	unsigned int order; /* the how manieth to end since flights_ended was set to 0 */
	bool irqs_were_on;  /* in end_io */
	unsigned int cpu;   /* of end_io */
};

extern unsigned int flights_ended;

/* Start @op on @dev: @nr pages of memory from @pages on, or @len bytes without memory. */
void take_off(struct flight *f, struct blkdev *dev, enum bio_op op, sector_t sector,
	      u8 *const *pages, unsigned int nr);
void take_off_extent(struct flight *f, struct blkdev *dev, enum bio_op op, sector_t sector,
		     u32 len);
bool landed(const struct flight *f);
int land(struct flight *f); /* wait; its status; frees the bio */

#endif
