/* SPDX-License-Identifier: MIT */
/*
 * test_buf.c - the metadata cache: reading, changing, syncing, forgetting, and writes that fail.
 */
#include <errno.h>
#include <string.h>

#include "kernel/block/buf.h"
#include "kernel/block/ramblk.h"
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "tests/block/block_test.h"
#include "tests/ktest.h"

#define BLOCK 1024u

static struct blkdev *make_cached_disk(void)
{
	struct blkdev *dev = make_disk(8 << 20);

	if (!dev)
		return NULL;
	writeback_park(&dev->wb); /* bsync is called by the test alone */
	EXPECT_EQ(buf_cache_init(dev, BLOCK), 0);
	return dev;
}

static void destroy_cached_disk(struct blkdev *dev)
{
	buf_cache_destroy(dev);
	writeback_unpark(&dev->wb);
	ramblk_destroy(dev);
}

static u8 *on_platter(struct blkdev *dev, u64 block)
{
	return ramblk_data(dev, block * (BLOCK / SECTOR_SIZE));
}

/* Set every byte of @block to @value through the cache. */
static void set_block(struct blkdev *dev, u64 block, u8 value)
{
	struct buf *b;
	int error = bread(dev, block, &b);

	EXPECT_EQ(error, 0);
	if (error)
		return;
	memset(b->data, value, BLOCK);
	bdirty(b);
	brelse(b);
}

static int cached_byte(struct blkdev *dev, u64 block)
{
	struct buf *b;
	int value = bread(dev, block, &b);

	if (!value) {
		value = *(u8 *)b->data;
		brelse(b);
	}
	return value;
}

KTEST(buf, change_reaches_the_disk_with_bsync)
{
	struct blkdev *dev = make_cached_disk();

	ASSERT(dev);
	memset(on_platter(dev, 5), 1, BLOCK);
	EXPECT_EQ(cached_byte(dev, 5), 1);
	set_block(dev, 5, 2);
	EXPECT_EQ(*on_platter(dev, 5), 1);
	EXPECT_EQ(cached_byte(dev, 5), 2);
	EXPECT_EQ(dev->requests[BIO_READ], 1); /* read once */
	EXPECT_EQ(bsync(dev), 0);
	EXPECT_EQ(on_platter(dev, 5)[0], 2);
	EXPECT_EQ(on_platter(dev, 5)[BLOCK - 1], 2);
	EXPECT_EQ(on_platter(dev, 5)[BLOCK], 0);
	EXPECT_EQ(dev->requests[BIO_WRITE], 1);
	EXPECT_EQ(bsync(dev), 0); /* nothing left */
	EXPECT_EQ(dev->requests[BIO_WRITE], 1);
	destroy_cached_disk(dev);
}

KTEST(buf, new_block_is_zeroed_and_not_read)
{
	struct blkdev *dev = make_cached_disk();
	struct buf *b;

	ASSERT(dev);
	memset(on_platter(dev, 9), 1, BLOCK);
	ASSERT_EQ(bnew(dev, 9, &b), 0);
	EXPECT_EQ(*(u8 *)b->data, 0);
	brelse(b);
	EXPECT_EQ(dev->requests[BIO_READ], 0);
	EXPECT_EQ(bsync(dev), 0);
	EXPECT_EQ(*on_platter(dev, 9), 0);
	destroy_cached_disk(dev);
}

KTEST(buf, block_beyond_the_end_is_an_error)
{
	struct blkdev *dev = make_cached_disk();
	struct buf *b;

	ASSERT(dev);
	EXPECT_EQ(bread(dev, 8192, &b), -EIO);
	EXPECT_EQ(bread(dev, ~0UL / 2 + 1, &b), -EIO); /* times 2 it would be sector 0 */
	EXPECT_EQ(bnew(dev, 8192, &b), -EIO);
	EXPECT_EQ(bread(dev, 8191, &b), 0);
	brelse(b);
	destroy_cached_disk(dev);
}

KTEST(buf, failed_read_is_tried_again)
{
	struct blkdev *dev = make_cached_disk();
	struct buf *b;

	ASSERT(dev);
	memset(on_platter(dev, 5), 1, BLOCK);
	ramblk_fail(dev, BIO_READ, 0, ~0UL, 1, 1, -EIO);
	EXPECT_EQ(bread(dev, 5, &b), -EIO);
	EXPECT_EQ(cached_byte(dev, 5), 1);
	destroy_cached_disk(dev);
}

/* Rising order, neighbours in one request, all in flight at once. */
KTEST(buf, bsync_writes_in_order)
{
	static const u64 blocks[] = { 700, 3, 90, 1, 2, 91, 4000 };
	struct blkdev *dev = make_cached_disk();

	ASSERT(dev);
	for (unsigned int i = 0; i < ARRAY_SIZE(blocks); i++)
		set_block(dev, blocks[i], (u8)(i + 1));
	EXPECT_EQ(bsync(dev), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(blocks); i++)
		EXPECT_EQ(*on_platter(dev, blocks[i]), i + 1);
	EXPECT_EQ(dev->requests[BIO_WRITE], 4); /* 1-3, 90-91, 700, 4000 */
	destroy_cached_disk(dev);
}

KTEST(buf, many_blocks_and_idle_ones_make_room)
{
	struct blkdev *dev = make_cached_disk();
	u64 block;

	ASSERT(dev);
	for (block = 0; block < 3000; block++)
		set_block(dev, block * 2, (u8)(block % 251 + 1));
	EXPECT_EQ(bsync(dev), 0);
	for (block = 0; block < 3000; block++) {
		if (*on_platter(dev, block * 2) != block % 251 + 1)
			ktest_fail(__FILE__, __LINE__, "block %lu", (unsigned long)block * 2);
	}
	/* The first ones have had to go, and come back from the disk. */
	EXPECT_EQ(cached_byte(dev, 0), 1);
	EXPECT_EQ(dev->requests[BIO_READ], 3001);
	destroy_cached_disk(dev);
}

KTEST(buf, forgotten_block_is_never_written)
{
	struct blkdev *dev = make_cached_disk();

	ASSERT(dev);
	set_block(dev, 5, 2);
	bforget(dev, 5);
	bforget(dev, 6);		      /* nobody knows it */
	memset(on_platter(dev, 5), 9, BLOCK); /* its next owner's */
	EXPECT_EQ(bsync(dev), 0);
	EXPECT_EQ(*on_platter(dev, 5), 9);
	EXPECT_EQ(cached_byte(dev, 5), 9);
	destroy_cached_disk(dev);
}

KTEST(buf, failed_write_stays_dirty)
{
	struct blkdev *dev = make_cached_disk();

	ASSERT(dev);
	set_block(dev, 5, 2);
	set_block(dev, 50, 3);
	ramblk_fail(dev, BIO_WRITE, 10, 10, 1, 1, -EIO);
	EXPECT_EQ(bsync(dev), -EIO);
	EXPECT_EQ(*on_platter(dev, 5), 0);
	EXPECT_EQ(*on_platter(dev, 50), 3);
	EXPECT_EQ(bsync(dev), 0);
	EXPECT_EQ(*on_platter(dev, 5), 2);
	destroy_cached_disk(dev);
}

static int sync_in_thread(void *dev)
{
	return bsync(dev);
}

static int forget_in_thread(void *arg)
{
	bforget(arg, 5);
	return 0;
}

/* Nobody waits for the disk to change a block, and what is on its way is of one moment. */
KTEST(buf, block_can_be_changed_while_it_is_written)
{
	struct blkdev *dev = make_cached_disk();
	struct thread *t;

	ASSERT(dev);
	ramblk_hold(dev, 1 << BIO_WRITE, false);
	set_block(dev, 5, 2);
	t = thread_create("bsync", CPU_ANY, NULL, NULL, sync_in_thread, dev);
	ASSERT(t);
	EXPECT(ramblk_wait_held(dev, 1));
	set_block(dev, 5, 3); /* would hang if the write held it */
	ramblk_unhold(dev);
	EXPECT_EQ(thread_join(t), 0);
	EXPECT_EQ(*on_platter(dev, 5), 2);
	EXPECT_EQ(bsync(dev), 0);
	EXPECT_EQ(*on_platter(dev, 5), 3);
	destroy_cached_disk(dev);
}

/* The old bytes must not come after the block's next owner's. */
KTEST(buf, forget_waits_for_the_write_under_way)
{
	struct blkdev *dev = make_cached_disk();
	struct thread *sync, *forget;

	ASSERT(dev);
	ramblk_hold(dev, 1 << BIO_WRITE, false);
	set_block(dev, 5, 2);
	sync = thread_create("bsync", CPU_ANY, NULL, NULL, sync_in_thread, dev);
	ASSERT(sync);
	EXPECT(ramblk_wait_held(dev, 1));
	forget = thread_create("bforget", CPU_ANY, NULL, NULL, forget_in_thread, dev);
	ASSERT(forget);
	sleep_ns(10 * NSEC_PER_MSEC);
	EXPECT(READ_ONCE(forget->state) != THREAD_DEAD);
	ramblk_unhold(dev);
	EXPECT_EQ(thread_join(forget), 0);
	EXPECT_EQ(thread_join(sync), 0);
	memset(on_platter(dev, 5), 9, BLOCK);
	EXPECT_EQ(bsync(dev), 0);
	EXPECT_EQ(*on_platter(dev, 5), 9);
	destroy_cached_disk(dev);
}

/* A second bsync may not return before the first one's write of the caller's block has ended. */
KTEST(buf, second_bsync_waits_for_the_first)
{
	struct blkdev *dev = make_cached_disk();
	struct thread *first, *second;

	ASSERT(dev);
	ramblk_hold(dev, 1 << BIO_WRITE, false);
	set_block(dev, 5, 2);
	first = thread_create("first", CPU_ANY, NULL, NULL, sync_in_thread, dev);
	ASSERT(first);
	EXPECT(ramblk_wait_held(dev, 1));
	second = thread_create("second", CPU_ANY, NULL, NULL, sync_in_thread, dev);
	ASSERT(second);
	sleep_ns(10 * NSEC_PER_MSEC);
	EXPECT(READ_ONCE(second->state) != THREAD_DEAD);
	ramblk_unhold(dev);
	EXPECT_EQ(thread_join(first), 0);
	EXPECT_EQ(thread_join(second), 0);
	EXPECT_EQ(*on_platter(dev, 5), 2);
	destroy_cached_disk(dev);
}

KTEST(buf, flusher_writes_metadata_too)
{
	struct blkdev *dev = make_cached_disk();
	ktime_t deadline = ktime_get() + 10 * NSEC_PER_SEC;

	ASSERT(dev);
	set_block(dev, 5, 2);
	writeback_unpark(&dev->wb);
	writeback_kick(&dev->wb);
	while (*(volatile u8 *)on_platter(dev, 5) != 2 && ktime_get() < deadline)
		sleep_ns(NSEC_PER_MSEC);
	EXPECT_EQ(*on_platter(dev, 5), 2);
	writeback_park(&dev->wb);
	destroy_cached_disk(dev);
}

/* ---- everybody at once ----------------------------------------------------------------------- */

#define WORKERS	 4
#define COUNTERS 40
#define ROUNDS	 400

static struct blkdev *stress_dev;

/* Add one to a counter in some block, ROUNDS times; forget and remake scratch blocks; sync. */
static int stress_worker(void *arg)
{
	u64 state = (u64)arg * 7919 + 1;
	u64 scratch = 1000 + (u64)arg;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		u64 r = ktest_rand(&state) >> 32;
		struct buf *b;

		if (bread(stress_dev, r % COUNTERS, &b))
			return -EIO;
		++*(u32 *)b->data;
		bdirty(b);
		brelse(b);
		if (r % 16 == 3 && bsync(stress_dev))
			return -EIO;
		if (r % 8 == 5) {
			if (bnew(stress_dev, scratch, &b))
				return -EIO;
			*(u32 *)b->data = i;
			brelse(b);
			bforget(stress_dev, scratch);
			/* Ours again: nothing may be on its way to it. */
			*on_platter(stress_dev, scratch) = 77;
		}
	}
	return *on_platter(stress_dev, scratch) == 77 ? 0 : -EINVAL;
}

KTEST(buf, counters_survive_changing_syncing_and_forgetting)
{
	struct thread *t[WORKERS];
	u32 sum = 0;

	stress_dev = make_cached_disk();
	ASSERT(stress_dev);
	for (u64 i = 0; i < WORKERS; i++)
		t[i] = thread_create("stress", CPU_ANY, NULL, NULL, stress_worker, (void *)i);
	for (unsigned int i = 0; i < WORKERS; i++) {
		EXPECT(t[i]);
		if (t[i])
			EXPECT_EQ(thread_join(t[i]), 0);
	}
	EXPECT_EQ(bsync(stress_dev), 0);
	for (u64 block = 0; block < COUNTERS; block++)
		sum += *(u32 *)on_platter(stress_dev, block);
	EXPECT_EQ(sum, WORKERS * ROUNDS);
	destroy_cached_disk(stress_dev);
}
