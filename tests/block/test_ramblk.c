/* SPDX-License-Identifier: MIT */
/*
 * test_ramblk.c - the RAM disk does what other tests rely on: hold, release, order, failure.
 */
#include <errno.h>
#include <string.h>

#include "kernel/block/ramblk.h"
#include "kernel/core/sched.h"
#include "tests/block/block_test.h"
#include "tests/ktest.h"

KTEST(ramblk, reads_back_what_was_written)
{
	struct blkdev *dev = make_disk(1 << 20);
	u8 *page = get_buffer();

	ASSERT(dev && page);
	fill(page, PAGE_SIZE, 1);
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, 24, page, PAGE_SIZE), 0);
	EXPECT(filled(ramblk_data(dev, 24), PAGE_SIZE, 1));
	EXPECT_EQ(*(u8 *)ramblk_data(dev, 23), 0);
	EXPECT_EQ(*(u8 *)ramblk_data(dev, 32), 0);
	memset(page, 0, PAGE_SIZE);
	EXPECT_EQ(blkdev_rw(dev, BIO_READ, 24, page, PAGE_SIZE), 0);
	EXPECT(filled(page, PAGE_SIZE, 1));
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE_ZEROES, 25, NULL, 512), 0);
	EXPECT(filled(ramblk_data(dev, 24), 512, 1));
	EXPECT_EQ(*(u8 *)ramblk_data(dev, 25), 0);
	put_buffer(page);
	ramblk_destroy(dev);
}

KTEST(ramblk, odd_image_keeps_its_whole_sectors)
{
	u8 *image = get_buffer();
	struct blkdev *dev;

	ASSERT(image);
	image[512] = 7;
	ASSERT_EQ(ramblk_create("rtest", 1500, image, SECTOR_SIZE, &dev), 0);
	EXPECT_EQ(dev->nr_sectors, 2);
	EXPECT_EQ(*(u8 *)ramblk_data(dev, 1), 7);
	EXPECT(ramblk_data(dev, 0) == (void *)image);
	ramblk_destroy(dev);
	EXPECT_EQ(ramblk_create("rtest", 100, image, SECTOR_SIZE, &dev), -EINVAL);
	put_buffer(image);
}

KTEST(ramblk, name_is_given_once)
{
	struct blkdev *dev = make_disk(1 << 20), *other;

	ASSERT(dev);
	EXPECT_EQ(ramblk_create("rtest", 4096, NULL, SECTOR_SIZE, &other), -EEXIST);
	EXPECT(blkdev_find("rtest") == dev);
	ramblk_destroy(dev);
	EXPECT(!blkdev_find("rtest"));
}

KTEST(ramblk, held_write_is_not_on_the_platter)
{
	struct blkdev *dev = make_disk(1 << 20);
	u8 *page = get_buffer();
	struct flight f;

	ASSERT(dev && page);
	ramblk_hold(dev, 1 << BIO_WRITE, false);
	fill(page, PAGE_SIZE, 1);
	take_off(&f, dev, BIO_WRITE, 0, &page, 1);
	EXPECT(ramblk_wait_held(dev, 1));
	EXPECT(!landed(&f));
	EXPECT_EQ(*(u8 *)ramblk_data(dev, 1), 0);
	/* The device had not got to it: it takes what stands in memory now. */
	fill(page, PAGE_SIZE, 2);
	EXPECT_EQ(ramblk_release(dev, 5, RAMBLK_FIFO), 1);
	EXPECT(landed(&f));
	EXPECT_EQ(land(&f), 0);
	EXPECT(filled(ramblk_data(dev, 0), PAGE_SIZE, 2));
	ramblk_unhold(dev);
	put_buffer(page);
	ramblk_destroy(dev);
}

KTEST(ramblk, copied_early_is_of_the_moment_of_submission)
{
	struct blkdev *dev = make_disk(1 << 20);
	u8 *page = get_buffer();
	struct flight f;

	ASSERT(dev && page);
	ramblk_hold(dev, 1 << BIO_WRITE, true);
	fill(page, PAGE_SIZE, 1);
	take_off(&f, dev, BIO_WRITE, 0, &page, 1);
	fill(page, PAGE_SIZE, 2);
	EXPECT(!landed(&f));
	ramblk_unhold(dev);
	EXPECT_EQ(land(&f), 0);
	EXPECT(filled(ramblk_data(dev, 0), PAGE_SIZE, 1));
	put_buffer(page);
	ramblk_destroy(dev);
}

KTEST(ramblk, only_the_named_operations_are_held)
{
	struct blkdev *dev = make_disk(1 << 20);
	u8 *page = get_buffer();
	struct flight f;

	ASSERT(dev && page);
	ramblk_hold(dev, 1 << BIO_READ, false);
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, 0, page, PAGE_SIZE), 0);
	take_off(&f, dev, BIO_READ, 0, &page, 1);
	EXPECT(!landed(&f));
	ramblk_unhold(dev);
	EXPECT_EQ(land(&f), 0);
	put_buffer(page);
	ramblk_destroy(dev);
}

KTEST(ramblk, release_in_the_order_asked_for)
{
	struct blkdev *dev = make_disk(1 << 20);
	u8 *page = get_buffer();
	struct flight f[8];
	u64 ends = 0;

	ASSERT(dev && page);
	ramblk_hold(dev, 1 << BIO_WRITE, false);
	for (unsigned int i = 0; i < 8; i++)
		take_off(&f[i], dev, BIO_WRITE, i * 8, &page, 1);
	EXPECT_EQ(ramblk_nr_held(dev), 8);
	flights_ended = 0;
	EXPECT_EQ(ramblk_release(dev, 1, RAMBLK_FIFO), 1);
	EXPECT_EQ(f[0].order, 1);
	EXPECT_EQ(ramblk_release(dev, 2, RAMBLK_LIFO), 2);
	EXPECT_EQ(f[7].order, 2);
	EXPECT_EQ(f[6].order, 3);
	EXPECT_EQ(ramblk_release(dev, 99, RAMBLK_SHUFFLE), 5);
	for (unsigned int i = 0; i < 8; i++) {
		EXPECT(landed(&f[i]));
		EXPECT(!f[i].irqs_were_on); /* as an interrupt would */
		ends |= 1UL << f[i].order;
		EXPECT_EQ(land(&f[i]), 0);
	}
	EXPECT_EQ(ends, 0x1fe); /* each once */
	ramblk_unhold(dev);
	put_buffer(page);
	ramblk_destroy(dev);
}

static int late_submitter(void *arg)
{
	struct blkdev *dev = arg;
	u8 *page = get_buffer();
	int error;

	sleep_ns(5000000);
	error = blkdev_rw(dev, BIO_WRITE, 0, page, PAGE_SIZE);
	put_buffer(page);
	return error;
}

KTEST(ramblk, wait_held_hears_of_another_threads_request)
{
	struct blkdev *dev = make_disk(1 << 20);
	struct thread *t;

	ASSERT(dev);
	ramblk_hold(dev, 1 << BIO_WRITE, false);
	t = thread_create("late", CPU_ANY, NULL, NULL, late_submitter, dev);
	ASSERT(t);
	EXPECT(ramblk_wait_held(dev, 1));
	ramblk_unhold(dev);
	EXPECT_EQ(thread_join(t), 0);
	ramblk_destroy(dev);
}

KTEST(ramblk, rule_fails_the_nth_that_touches_the_range)
{
	struct blkdev *dev = make_disk(1 << 20);
	u8 *page = get_buffer();

	ASSERT(dev && page);
	fill(page, PAGE_SIZE, 1);
	ramblk_fail(dev, BIO_WRITE, 20, 20, 2, 2, -ENOSPC);
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, 16, page, PAGE_SIZE), 0); /* 1st */
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, 24, page, PAGE_SIZE), 0); /* elsewhere */
	EXPECT_EQ(blkdev_rw(dev, BIO_READ, 16, page, PAGE_SIZE), 0);  /* another operation */
	fill(page, PAGE_SIZE, 2);
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, 16, page, PAGE_SIZE), -ENOSPC); /* 2nd */
	EXPECT(filled(ramblk_data(dev, 16), PAGE_SIZE, 1));		    /* nothing moved */
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, 20, page, 512), -ENOSPC);	    /* 3rd */
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, 16, page, PAGE_SIZE), 0);	    /* 4th */
	EXPECT(filled(ramblk_data(dev, 16), PAGE_SIZE, 2));
	ramblk_fail(dev, BIO_WRITE, 0, ~0UL, 1, 5, -EIO);
	ramblk_fail(dev, BIO_WRITE, 0, 0, 0, 0, 0);
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, 16, page, PAGE_SIZE), 0);
	put_buffer(page);
	ramblk_destroy(dev);
}

KTEST(ramblk, held_request_can_fail)
{
	struct blkdev *dev = make_disk(1 << 20);
	u8 *page = get_buffer();
	struct flight f;

	ASSERT(dev && page);
	fill(page, PAGE_SIZE, 1);
	for (int early = 0; early < 2; early++) {
		ramblk_fail(dev, BIO_WRITE, 0, ~0UL, 1, 1, -EIO);
		ramblk_hold(dev, 1 << BIO_WRITE, early);
		take_off(&f, dev, BIO_WRITE, 0, &page, 1);
		ramblk_unhold(dev);
		EXPECT_EQ(land(&f), -EIO);
		EXPECT_EQ(*(u8 *)ramblk_data(dev, 1), 0);
	}
	put_buffer(page);
	ramblk_destroy(dev);
}
